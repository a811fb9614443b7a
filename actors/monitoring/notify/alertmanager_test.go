package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/monitoring/promtest"
	"github.com/marketprism/marketprism/actors/supervise"
)

// alertmanager runs a real one (Debian's prometheus-alertmanager) that tells hook, and
// returns its address.
func alertmanager(t *testing.T, hook string) string {
	t.Helper()
	binary := promtest.Tool(t, "prometheus-alertmanager")
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	text := "route: {receiver: hook, group_by: [alertname], group_wait: 200ms, group_interval: 500ms, repeat_interval: 1h}\nreceivers: [{name: hook, webhook_configs: [{url: '" + hook + "'}]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--config.file="+file, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(out)
		}
	})
	actorstest.Eventually(t, "Alertmanager", func() bool {
		r, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return "http://" + address
}

// hooks keeps webhook messages.
type hooks struct {
	mu   sync.Mutex
	seen []map[string]any
}

func (h *hooks) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var m map[string]any
	if err == nil && json.Unmarshal(text, &m) == nil {
		h.mu.Lock()
		h.seen = append(h.seen, m)
		h.mu.Unlock()
	}
}

func (h *hooks) statuses() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.seen {
		status, _ := m["status"].(string)
		all = append(all, status)
	}
	return all
}

// TestAlertmanager: a real Alertmanager takes what is forwarded, and tells of the same
// alert what our own webhook tells of it: the same members, times, and fingerprint of
// nothing but the labels.
func TestAlertmanager(t *testing.T) {
	theirs, ours := &hooks{}, &hooks{}
	theirHook, ourHook := httptest.NewServer(theirs), httptest.NewServer(ours)
	defer theirHook.Close()
	defer ourHook.Close()
	c := config()
	c.Route.GroupBy = []string{"alertname"}
	c.Route.Timing = notify.Timing{GroupWait: 200 * time.Millisecond, GroupInterval: 500 * time.Millisecond, RepeatInterval: time.Hour}
	c.Receivers[0].Webhooks[0].URL = ourHook.URL
	c.Alertmanagers = []notify.AlertmanagerConfig{{HTTPConfig: notify.HTTPConfig{URL: alertmanager(t, theirHook.URL)}}}
	h, err := notify.New(notify.Options{Config: c, Store: buckettest.New(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(context.Background(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(context.Background(), h.Spec()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := two()[0]
	a.ActiveAt, a.FiredAt, a.CheckedAt, a.Until, a.GeneratorURL = now, now, now, now.Add(time.Hour), "http://127.0.0.1:8084/graph"
	for _, state := range []alert.State{alert.Firing, alert.Resolved} {
		if a.State = state; state == alert.Resolved {
			a.ResolvedAt = time.Now().UTC().Truncate(time.Millisecond)
		}
		if err := h.Accept(t.Context(), []alert.Alert{a}); err != nil {
			t.Fatal(err)
		}
		for name, each := range map[string]*hooks{"Alertmanager": theirs, "we": ours} {
			actorstest.Eventually(t, name+" telling "+state.String(), func() bool { return slices.Contains(each.statuses(), state.String()) })
		}
	}
	for name, each := range map[string]*hooks{"Alertmanager": theirs, "we": ours} {
		if got := each.statuses(); !slices.Equal(got, []string{"firing", "resolved"}) {
			t.Errorf("%s told %v", name, got)
		}
	}
	for i := range ours.seen {
		compare(t, theirs.seen[i], ours.seen[i])
	}
}

// compare wants the same members with the same values, but for those that name the
// sender, and for the fingerprint's hash.
func compare(t *testing.T, theirs, ours map[string]any) {
	t.Helper()
	for _, m := range []map[string]any{theirs, ours} {
		delete(m, "externalURL")
		delete(m, "receiver")
		for _, a := range m["alerts"].([]any) {
			a := a.(map[string]any)
			if len(a["fingerprint"].(string)) != 16 {
				t.Errorf("fingerprint %v", a["fingerprint"])
			}
			delete(a, "fingerprint")
		}
	}
	want, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(ours)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("we told\n%s\nAlertmanager\n%s", got, want)
	}
}
