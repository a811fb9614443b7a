package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// patience is for a machine that is busy with other tests.
const patience = time.Minute

// oneTrade is an exchange on this machine that answers every request of a socket
// with a trade of BTCUSDT, and knows nothing else.
func oneTrade(t *testing.T) (ws, rest string) {
	t.Helper()
	var upgrader websocket.Upgrader
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			http.NotFound(w, r)
			return
		}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // answered
		}
		defer c.Close()
		for id := 1; ; id++ {
			var request struct {
				ID json.RawMessage `json:"id"`
			}
			if c.ReadJSON(&request) != nil {
				return // it left
			}
			now := time.Now().UnixMilli()
			for _, frame := range []string{
				fmt.Sprintf(`{"result":null,"id":%s}`, request.ID),
				fmt.Sprintf(`{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2","T":%d,"m":false,"M":true}}`, now, id, now),
			} {
				if c.WriteMessage(websocket.TextMessage, []byte(frame)) != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http"), s.URL
}

// running is the whole program on free ports, with one instrument of that exchange, and
// what a test has changed of its settings.
func running(t *testing.T, changes ...func(*config.Config)) *app.App {
	t.Helper()
	cfg := config.Default()
	cfg.Node.DataDir = t.TempDir()
	cfg.Broker.NATS.Port = 0
	for _, port := range []*int{
		&cfg.Broker.Port, &cfg.Monitoring.Port, &cfg.Storage.Port, &cfg.Scheduler.Port, &cfg.Collector.Port, &cfg.Gateway.Port,
	} {
		*port = 0
	}
	i := slices.IndexFunc(all.Exchanges(), func(x connectors.Exchange) bool { return x.Name() == "binance" })
	spot := all.Exchanges()[i].DefaultConfig().Markets["spot"]
	spot.WSURL, spot.RESTURL = oneTrade(t)
	spot.Symbols, spot.DataTypes = []string{"BTC-USDT"}, []string{"trade"}
	cfg.Exchanges = map[string]connectors.Config{
		"binance": {Enabled: true, Markets: map[string]connectors.MarketConfig{"spot": spot}},
	}
	cfg.Collector.Exchanges = []string{"binance"}
	for _, change := range changes {
		change(&cfg)
	}
	a, err := app.New(app.Options{Config: &cfg, Exchanges: all.Exchanges(), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(a.Stop(ctx), a.Stop(ctx)); err != nil {
			t.Error(err)
		}
	})
	return a
}

// family is what is shown of a metric.
type family struct {
	kind, help string
	labels     [][]string // of each series, sorted
}

// shown are the families of /metrics, by name.
func shown(t *testing.T, a *app.App) map[string]family {
	t.Helper()
	r, err := http.Get(a.URL(cluster.Monitoring) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]family{}
	for name, f := range found {
		one := family{kind: strings.ToLower(f.GetType().String()), help: f.GetHelp()}
		for _, m := range f.GetMetric() {
			labels := []string{}
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			one.labels = append(one.labels, labels)
		}
		out[name] = one
	}
	return out
}

// store writes a trade through the storage service.
func store(t *testing.T, a *app.App) {
	t.Helper()
	body := fmt.Sprintf(`{"timestamp":%d,"symbol":"BTC-USDT","exchange":"lab","price":"1.5","amount":"2","side":"buy","trade_id":"1"}`, time.Now().UnixNano())
	r, err := http.Post(a.URL(cluster.Storage)+"/api/v1/storage/hot/trades", "application/json", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("storing a trade: %d %s %v", r.StatusCode, text, err)
	}
}

// await polls /metrics until a trade has gone all the way.
func await(t *testing.T, a *app.App) map[string]family {
	t.Helper()
	last := []catalogue.Name{catalogue.StreamReceiveToPublish, catalogue.StreamPublishToStore, catalogue.RecorderAcknowledge}
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		all := shown(t, a)
		if !slices.ContainsFunc(last, func(n catalogue.Name) bool { return all[string(n)].labels == nil }) {
			return all
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not all of %q are shown: %q", last, slices.Sorted(maps.Keys(all)))
		}
	}
}

// TestMetricsAreThoseOfTheCatalogue: what the running program shows is what the
// catalogue says, in every area of it.
func TestMetricsAreThoseOfTheCatalogue(t *testing.T) {
	a := running(t)
	store(t, a)
	all := await(t, a)
	for name, f := range all {
		if !strings.HasPrefix(name, "mp_") && !slices.Contains(catalogue.Promised(), catalogue.Name(name)) {
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "promhttp_") {
				t.Errorf("%s is shown and has no prefix of ours", name)
			}
			continue
		}
		m, ok := catalogue.Lookup(catalogue.Name(name))
		if !ok {
			t.Errorf("%s is shown and not in the catalogue", name)
			continue
		}
		if f.kind != string(m.Type) || f.help != m.Help {
			t.Errorf("%s is shown as a %s, %q; want a %s, %q", name, f.kind, f.help, m.Type, m.Help)
		}
		want := slices.Sorted(slices.Values(m.Labels))
		for _, got := range f.labels {
			if !slices.Equal(got, want) {
				t.Errorf("%s is shown with the labels %q, want %q", name, got, want)
			}
		}
	}
	for _, area := range catalogue.Areas() {
		n := 0
		for _, m := range area.Metrics {
			if all[string(m.Name)].labels != nil {
				n++
			}
		}
		if 2*n < len(area.Metrics) && !area.Optional {
			t.Errorf("%s: only %d of %d metrics are shown", area.Title, n, len(area.Metrics))
		}
		t.Logf("%s: %d of %d metrics are shown", area.Title, n, len(area.Metrics))
	}
}
