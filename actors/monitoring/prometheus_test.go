package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promtest"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/actors/supervise"
)

// trouble is a page of metrics on which nearly every built-in rule fires; without
// trouble the gauges are well and the counters stand still.
func trouble(bad bool, since time.Duration) string {
	n := 0.0
	if bad {
		n = since.Seconds() * 100
	}
	gauge := func(well, ill float64) float64 {
		if bad {
			return ill
		}
		return well
	}
	var b strings.Builder
	for series, v := range map[string]float64{
		`mp_actor_restarted_total{kind="session",exchange="binance"}`:      n,
		`mp_actor_mailbox_dropped_total{kind="stream"}`:                    n,
		`mp_actor_mailbox_wait_seconds_bucket{kind="stream",le="1"}`:       0,
		`mp_actor_mailbox_wait_seconds_bucket{kind="stream",le="5"}`:       n,
		`mp_actor_mailbox_wait_seconds_bucket{kind="stream",le="+Inf"}`:    n,
		`mp_actor_dead_letters_total{kind="writer"}`:                       n,
		`mp_broker_consumer_pending_messages{stream="TASKS",consumer="c"}`: gauge(0, 20000),
		`mp_broker_majority`:                       gauge(1, 0),
		`mp_placement_revision`:                    gauge(7, 0),
		`mp_placement_streams{outcome="unplaced"}`: gauge(0, 3),
		`mp_consul_heartbeats_total{service="marketprism-node",outcome="accepted"}`:               9,
		`mp_consul_heartbeats_total{service="marketprism-node",outcome="failed"}`:                 n,
		`mp_scheduler_fires_total{outcome="missed"}`:                                              n,
		`mp_stream_up{exchange="okx",market="spot",symbol="BTC-USDT"}`:                            gauge(1, 0),
		`mp_stream_sequence_gaps_total{exchange="okx",market="spot",symbol="BTC-USDT"}`:           n,
		`mp_stream_resyncs_total{exchange="okx",market="spot",symbol="BTC-USDT"}`:                 n,
		`mp_stream_exchange_to_receive_seconds_bucket{exchange="okx",channel="trades",le="5"}`:    0,
		`mp_stream_exchange_to_receive_seconds_bucket{exchange="okx",channel="trades",le="10"}`:   n,
		`mp_stream_exchange_to_receive_seconds_bucket{exchange="okx",channel="trades",le="+Inf"}`: n,
		`mp_stream_clock_offset_seconds{exchange="okx",market="spot"}`:                            gauge(0.1, -7),
		`mp_stream_rate_limit_remaining_ratio{exchange="okx",market="spot"}`:                      gauge(0.9, 0.05),
		`mp_stream_parse_errors_total{exchange="okx",market="spot"}`:                              n,
		`mp_stream_messages_total{exchange="okx",market="spot"}`:                                  2 * n,
		`mp_stream_receive_to_publish_seconds_bucket{exchange="okx",channel="trades",le="0.5"}`:   0,
		`mp_stream_receive_to_publish_seconds_bucket{exchange="okx",channel="trades",le="1"}`:     n,
		`mp_stream_receive_to_publish_seconds_bucket{exchange="okx",channel="trades",le="+Inf"}`:  n,
		`service_status{service_name="scheduler-service"}`:                                        gauge(1, 0),
		`service_response_time_seconds{service_name="scheduler-service"}`:                         gauge(0.1, 6),
		`mp_series_refused_samples_total{outcome="series_limit"}`:                                 n,
		`mp_broker_certificate_expiry_timestamp_seconds`:                                          gauge(4e9, 1e9),
		`mp_series_shortened_total`:                          0,
		`system_cpu_usage_percent`:                           gauge(10, 95),
		`system_memory_usage_percent`:                        gauge(10, 99),
		`system_disk_usage_percent{mountpoint="/data"}`:      gauge(10, 95),
		`mp_recorder_credit_used_bytes{stream="JOURNAL_0"}`:  gauge(10, 95),
		`mp_recorder_credit_limit_bytes{stream="JOURNAL_0"}`: 100,
		`mp_reader_faulted{stream="JOURNAL_0"}`:              gauge(0, 1),
		`mp_writer_suspended_tables`:                         gauge(0, 1),
		`mp_storage_archive_lag_seconds{table="trades"}`:     gauge(0, 300_000),
	} {
		fmt.Fprintf(&b, "%s %g\n", series, v)
	}
	return b.String()
}

// hasty makes every `for` a second.
var hasty = regexp.MustCompile(`(?m)^(\s+for:) .*$`)

// firing lists the alerts that fire, with their labels and annotations.
func firing(t *testing.T, data []byte) []string {
	t.Helper()
	var d struct {
		Alerts []struct {
			State               string
			Labels, Annotations map[string]string
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, a := range d.Alerts {
		if a.State == "firing" {
			out = append(out, alert.LabelsOf(a.Labels).String()+" "+alert.LabelsOf(a.Annotations).String())
		}
	}
	slices.Sort(out)
	return out
}

// ours lists the same of the built-in one.
func ours(p *monitoring.Prometheus) []string {
	out := []string{}
	for _, g := range p.Rules.Groups() {
		for _, r := range g.Rules {
			for _, a := range r.Alerts {
				if a.State == alert.Firing {
					out = append(out, a.Labels.String()+" "+a.Annotations.String())
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestSameAlerts lets a real Prometheus and the built-in one scrape the same targets
// and judge them by the built-in rules, only hastier: the same alerts fire, and end.
func TestSameAlerts(t *testing.T) {
	promtest.Tool(t, "prometheus")
	var bad atomic.Bool
	begin := time.Now()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, trouble(bad.Load(), time.Since(begin)))
	}))
	t.Cleanup(target.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	host, dead := strings.TrimPrefix(target.URL, "http://"), strings.TrimPrefix(gone.URL, "http://")

	dir, alerts := t.TempDir(), map[string]bool{}
	for _, name := range builtin(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(text), -1) {
			alerts[m[1]] = true
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), hasty.ReplaceAll(text, []byte("$1 1s")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	real := promtest.Start(t, "", fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - {job_name: market-data-collector, static_configs: [{targets: [%q]}]}
  - {job_name: scheduler-service, static_configs: [{targets: [%q]}]}
`, filepath.Join(dir, "*.yaml"), host, dead))

	c := monitoring.DefaultPrometheusConfig()
	c.Scrape.Interval, c.Scrape.Timeout, c.Rules.Interval = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	c.Rules.Files = []string{filepath.Join(dir, "*.yaml")}
	p, err := monitoring.NewPrometheus(monitoring.PrometheusOptions{Config: c, Targets: scrape.TargetsFunc(func(context.Context) ([]scrape.Target, error) {
		return []scrape.Target{
			{Job: "market-data-collector", Instance: host, URL: target.URL + "/metrics"},
			{Job: "scheduler-service", Instance: dead, URL: gone.URL + "/metrics"},
		}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(t.Context(), supervise.Branch("monitoring", supervise.DefaultStrategy(), p.Specs()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := sys.Stop(ctx); err != nil {
			t.Error(err)
		}
		p.Close()
	})

	var mine, theirs []string
	same := func(what string, enough func(names map[string]bool) bool) {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Logf("ours:\n%s\ntheirs:\n%s", strings.Join(mine, "\n"), strings.Join(theirs, "\n"))
			}
		}()
		actorstest.Eventually(t, what, func() bool {
			answer, err := promtest.Ask(t.Context(), real.URL, "alerts", nil)
			if err != nil {
				t.Fatal(err)
			}
			mine, theirs = ours(p), firing(t, answer.Data)
			names := map[string]bool{}
			for _, a := range mine {
				names[regexp.MustCompile(`alertname="(\w+)"`).FindStringSubmatch(a)[1]] = true
			}
			return slices.Equal(mine, theirs) && enough(names)
		})
	}
	same("what fires without trouble", func(names map[string]bool) bool {
		return names["Watchdog"] && names["RoleDown"] && names["TargetScrapeFailing"] && len(names) == 3
	})
	bad.Store(true)
	same("what fires with trouble", func(names map[string]bool) bool {
		maps.DeleteFunc(alerts, func(name string, _ bool) bool { return names[name] })
		return len(names) >= 29
	})
	t.Logf("%d alerts fire in both; not in this test: %v", len(mine), slices.Sorted(maps.Keys(alerts)))
	bad.Store(false)
	same("what ends with the trouble", func(names map[string]bool) bool {
		return !names["WriterQueueNearFull"] && !names["DiskLow"] && !names["service_down"]
	})
}

// builtin are the built-in rule files.
func builtin(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("../../config/rules", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, "_test.yaml") && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("built-in rules: %q, %v", out, err)
	}
	return out
}
