package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/cli/doctor"
)

// freePorts are --set flags by which every service takes any free port.
func freePorts(dir string) []string {
	args := []string{"--set", "node.data_dir=" + dir, "--set", "message-broker-service.nats.port=-1"}
	for _, service := range []string{"message-broker-service", "monitoring-service", "data-storage-service", "scheduler-service", "market-data-collector", "api-gateway-service"} {
		args = append(args, "--set", service+".port=0")
	}
	return args
}

func runDoctor(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), append([]string{"doctor"}, args...), strings.NewReader(""), &stdout, &stderr, nil)
	return code, stdout.String(), stderr.String()
}

func TestDoctorCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	well := append(freePorts(t.TempDir()), "--offline")
	if code, out, errs := runDoctor(t, well...); code != 0 || !strings.Contains(out, "port of data-storage-service    pass") || !strings.Contains(out, "configuration") {
		t.Errorf("offline: %d\n%s%s", code, out, errs)
	}
	code, out, _ := runDoctor(t, slices.Concat(well, []string{"-o", "json"})...)
	var answer struct {
		Well     bool
		Findings []doctor.Finding
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 || !answer.Well || len(answer.Findings) < 12 {
		t.Errorf("as JSON: %d %v %s", code, err, out)
	}
	for want, args := range map[string][]string{
		"table or json": {"-o", "xml"}, "at least 100ms": {"--within", "1ms"}, "path=value": {"--set", "x"},
	} {
		if code, _, errs := runDoctor(t, slices.Concat(well, args)...); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}

	// A configuration that is not valid is a finding like any other.
	if code, out, _ := runDoctor(t, slices.Concat(well, []string{"--set", "node.data_dri=x"})...); code != 1 || !strings.Contains(out, "config check") || !strings.Contains(out, "data_dri") {
		t.Errorf("a wrong setting: %d\n%s", code, out)
	}

	// So is a port that a stranger has.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	code, out, errs := runDoctor(t, slices.Concat(well, []string{"--set", "scheduler-service.port=" + port})...)
	if code != 1 || !strings.Contains(out, "port of scheduler-service") || !strings.Contains(out, "scheduler-service.port") || !strings.Contains(errs, "not everything is well") {
		t.Errorf("a port that is taken: %d\n%s%s", code, out, errs)
	}
}

// TestDoctorAsksExchanges: those of the configuration, each once.
func TestDoctorAsksExchanges(t *testing.T) {
	t.Chdir(t.TempDir())
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	args := append(freePorts(t.TempDir()), "-o", "json", "--set", "market-data-collector.exchanges=[okx]")
	for _, market := range []string{"spot", "perpetual", "future", "option"} {
		args = append(args, "--set", "exchanges.okx.markets."+market+".rest_url="+s.URL, "--set", "exchanges.okx.markets."+market+".ws_url=ws://"+s.Listener.Addr().String())
	}
	code, out, errs := runDoctor(t, args...)
	var answer struct{ Findings []doctor.Finding }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s %s", err, out, errs)
	}
	asked := 0
	for _, f := range answer.Findings {
		if strings.HasPrefix(f.Check, "okx ") {
			if asked++; f.Verdict != doctor.Pass {
				t.Errorf("%+v", f)
			}
		}
	}
	if code != 0 || asked != 2 {
		t.Errorf("code %d, %d places of okx: %s", code, asked, out)
	}
}

func TestPlan(t *testing.T) {
	c := config.Default()
	c.Node.DataDir, c.Collector.Exchanges = t.TempDir(), nil
	c.Broker.NATS.Mode, c.Broker.NATS.URL = "external", "nats://who:secret@nats.example:4333, nats2.example"
	c.Storage.Engine = config.EngineQuestDB
	c.Storage.Storage.Cold.S3.Endpoint, c.Storage.Storage.Cold.S3.TLS = "s3.example:9000", true
	c.Cluster.Provider, c.Cluster.Consul.Address = "consul", "unix:///run/consul.sock"
	c.Cluster.Services.Gateway = []string{"10.0.0.7:8083"}
	c.Monitoring.Monitoring.Traces.Endpoint = "http://otel.example:4318"
	p, err := planOf(&c)
	if err != nil {
		t.Fatal(err)
	}
	var places, ports []string
	for _, place := range p.Places {
		places = append(places, place.URL)
		if place.Setting == "" {
			t.Errorf("%s has no setting", place.URL)
		}
	}
	want := []string{
		"http://10.0.0.7:8083/livez", "tcp://nats.example:4333", "tcp://nats2.example:4222", "tcp://127.0.0.1:9000", "tcp://127.0.0.1:8812",
		"https://s3.example:9000", "unix:///run/consul.sock", "http://otel.example:4318",
	}
	if !slices.Equal(places, want) {
		t.Errorf("places %v, want %v", places, want)
	}
	for _, port := range p.Ports {
		ports = append(ports, port.Address)
	}
	if want := []string{"127.0.0.1:8085", "127.0.0.1:8084", "127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082"}; !slices.Equal(ports, want) {
		t.Errorf("ports %v, want %v", ports, want)
	}
}
