package doctor_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/internal/cli/doctor"
)

// machine is one as it is said to be.
type machine host.Sample

func (m machine) Read(context.Context) host.Sample { return host.Sample(m) }

// sound is a machine that is well, with its data at a place.
func sound() machine {
	yes, bound := true, 0.012
	return machine{
		DataMount: "/", Disks: []host.Disk{{Mountpoint: "/", TotalBytes: 100 << 30, FreeBytes: 50 << 30, InodesPercent: 10}},
		Memory:  host.Memory{TotalBytes: 8 << 30, AvailableBytes: 4 << 30},
		Process: host.Process{MaxOpenFiles: 65536},
		Clock:   host.Clock{Synchronized: &yes, ErrorSeconds: &bound},
	}
}

func examine(t *testing.T, m machine, client *http.Client, p doctor.Plan) map[string]doctor.Finding {
	t.Helper()
	if p.DataDir == "" {
		p.DataDir = t.TempDir()
	}
	if p.OpenFiles == 0 {
		p.OpenFiles = 4096
	}
	d := doctor.New(p.DataDir)
	d.Machine = m
	if client != nil {
		d.Client = client
	}
	found := map[string]doctor.Finding{}
	for _, f := range d.Examine(t.Context(), &p) {
		if (f.Fix == "") != (f.Verdict == doctor.Pass || f.Verdict == doctor.Skip) {
			t.Errorf("%s is %s, and its fix is %q", f.Check, f.Verdict, f.Fix)
		}
		if f.Detail == "" {
			t.Errorf("%s says nothing", f.Check)
		}
		found[f.Check] = f
	}
	return found
}

// want checks a verdict, and words of detail and fix.
func want(t *testing.T, found map[string]doctor.Finding, check string, v doctor.Verdict, words ...string) {
	t.Helper()
	f, ok := found[check]
	if !ok || f.Verdict != v {
		t.Errorf("%s: %+v, want %s", check, f, v)
	}
	for _, w := range words {
		if !strings.Contains(f.Detail+"\n"+f.Fix, w) {
			t.Errorf("%s does not say %q: %+v", check, w, f)
		}
	}
}

func TestSoundMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "made")
	found := examine(t, sound(), nil, doctor.Plan{DataDir: dir, FreeBytes: 1 << 30, FreePercent: 2, WantBytes: 4 << 30, Offline: true})
	for _, check := range []string{"data directory", "disk space", "disk inodes", "open files", "memory", "clock"} {
		want(t, found, check, doctor.Pass)
	}
	want(t, found, "reachability", doctor.Skip)
	if f := found["disk sync"]; f.Verdict == doctor.Fail || !strings.Contains(f.Detail, "4 KiB") { // how fast is a matter of the disk
		t.Errorf("disk sync: %+v", f)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory was made: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(filepath.Dir(dir))); err != nil || len(left) != 0 {
		t.Errorf("something was left behind: %v %v", left, err)
	}
}

func TestPoorMachine(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(*machine)
		check   string
		verdict doctor.Verdict
		words   string
	}{
		"no space":       {func(m *machine) { m.Disks[0].FreeBytes = 1 << 30 }, "disk space", doctor.Fail, "below 2048 MiB the journal refuses"},
		"little space":   {func(m *machine) { m.Disks[0].FreeBytes = 5 << 30 }, "disk space", doctor.Warn, "may grow to 4096 MiB"},
		"unknown disk":   {func(m *machine) { m.Disks = nil }, "disk space", doctor.Skip, "could not be measured"},
		"no inodes":      {func(m *machine) { m.Disks[0].InodesPercent = 95 }, "disk inodes", doctor.Warn, "95 %"},
		"few files":      {func(m *machine) { m.Process.MaxOpenFiles = 1024 }, "open files", doctor.Warn, "ulimit"},
		"no files":       {func(m *machine) { m.Process.MaxOpenFiles = 64 }, "open files", doctor.Fail, "LimitNOFILE"},
		"unknown limit":  {func(m *machine) { m.Process.MaxOpenFiles = 0 }, "open files", doctor.Skip, "not known"},
		"little memory":  {func(m *machine) { m.Memory.AvailableBytes = 1 << 20 }, "memory", doctor.Warn, "1 MiB"},
		"no memory":      {func(m *machine) { m.Memory = host.Memory{} }, "memory", doctor.Skip, "measured"},
		"a free clock":   {func(m *machine) { no := false; m.Clock.Synchronized = &no }, "clock", doctor.Warn, "timedatectl"},
		"a silent clock": {func(m *machine) { m.Clock.Synchronized = nil }, "clock", doctor.Skip, "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			m := sound()
			tc.change(&m)
			found := examine(t, m, nil, doctor.Plan{FreeBytes: 256 << 20, FreePercent: 2, WantBytes: 4 << 30, Offline: true})
			want(t, found, tc.check, tc.verdict, tc.words)
		})
	}
}

func TestDataDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, examine(t, sound(), nil, doctor.Plan{DataDir: file, Offline: true}), "data directory", doctor.Fail, "is a file", "node.data_dir")
	if os.Getuid() == 0 {
		t.Log("as root every directory can be written to: that it cannot is not tried")
		return
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	want(t, examine(t, sound(), nil, doctor.Plan{DataDir: closed, Offline: true}), "data directory", doctor.Fail, "chown")
}

func TestPorts(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	another := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"service":"monitoring-service","status":"healthy"}`))
	}))
	defer another.Close()
	freed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := freed.Close(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 300 * time.Millisecond}
	found := examine(t, sound(), client, doctor.Plan{Offline: true, Ports: []doctor.Port{
		{Name: "any", Address: "127.0.0.1:0", Setting: "a.port"},
		{Name: "free", Address: freed.Addr().String(), Setting: "b.port"},
		{Name: "taken", Address: silent.Addr().String(), Setting: "c.port"},
		{Name: "ours", Address: silent.Addr().String(), Setting: "d.port", Holder: 17},
		{Name: "another", Address: another.Listener.Addr().String(), Setting: "e.port"},
		{Name: "far", Address: "192.0.2.1:8080", Setting: "f.port"},
		{Name: "wrong", Address: "nowhere", Setting: "g.port"},
	}})
	want(t, found, "port of any", doctor.Pass, "any free one")
	want(t, found, "port of free", doctor.Pass, "is free")
	want(t, found, "port of taken", doctor.Fail, "is taken", "ss -ltnp", "c.port")
	want(t, found, "port of ours", doctor.Pass, "process 17")
	want(t, found, "port of another", doctor.Fail, "by the monitoring-service of another program")
	want(t, found, "port of far", doctor.Fail, "no address 192.0.2.1", "node.listen")
	want(t, found, "port of wrong", doctor.Fail, "g.port")
}

func TestPlaces(t *testing.T) {
	exchange := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(10*time.Second).UTC().Format(http.TimeFormat))
		switch r.URL.Path {
		case "/closed":
			w.WriteHeader(http.StatusUnavailableForLegalReasons)
		case "/often":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/hangs":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusNotFound) // it does answer
		}
	}))
	defer exchange.Close()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host := exchange.Listener.Addr().String()
	places := []doctor.Place{
		{Name: "rest", URL: "https://" + host, Exchange: true, Needed: true},
		{Name: "socket", URL: "wss://" + host, Exchange: true, Needed: true},
		{Name: "unix", URL: "unix://" + socket, Needed: true},
		{Name: "closed", URL: "https://" + host + "/closed", Needed: true, Setting: "x.rest_url"},
		{Name: "often", URL: "https://" + host + "/often", Needed: true},
		{Name: "nobody", URL: "tcp://127.0.0.1:1", Needed: true, Setting: "nats.url"},
		{Name: "nobody needed", URL: "http://127.0.0.1:1", Setting: "otlp"},
		{Name: "hangs", URL: "https://" + host + "/hangs", Needed: true},
		{Name: "nonsense", URL: "http://[", Setting: "y.url"},
	}
	client := exchange.Client()
	found := examine(t, sound(), client, doctor.Plan{Places: places, Within: 500 * time.Millisecond})
	want(t, found, "rest", doctor.Pass, "answers within")
	want(t, found, "socket", doctor.Pass, "answers within")
	want(t, found, "unix", doctor.Pass)
	want(t, found, "closed", doctor.Warn, "451", "x.rest_url")
	want(t, found, "often", doctor.Warn, "429", "wait")
	want(t, found, "nobody", doctor.Fail, "refused", "nats.url")
	want(t, found, "nobody needed", doctor.Warn, "refused", "otlp")
	want(t, found, "hangs", doctor.Fail, "no answer in time")
	want(t, found, "nonsense", doctor.Fail, "y.url")
	want(t, found, "clock skew", doctor.Warn, "1 servers", "timedatectl")

	// Strangers' certificates are not trusted.
	strict := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	found = examine(t, sound(), strict, doctor.Plan{Places: places[:2], Within: 2 * time.Second})
	want(t, found, "rest", doctor.Fail, "ca-certificates")
	want(t, found, "socket", doctor.Fail, "ca-certificates")
	want(t, found, "clock skew", doctor.Skip, "no exchange")
}

func TestSkew(t *testing.T) {
	for name, tc := range map[string]struct {
		ahead   time.Duration
		verdict doctor.Verdict
	}{"right": {0, doctor.Pass}, "odd": {-5 * time.Second, doctor.Warn}, "wrong": {time.Hour, doctor.Fail}} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(tc.ahead).UTC().Format(http.TimeFormat))
			}))
			defer s.Close()
			found := examine(t, sound(), nil, doctor.Plan{Places: []doctor.Place{{Name: "rest", URL: s.URL, Exchange: true}}})
			want(t, found, "clock skew", tc.verdict)
		})
	}
}
