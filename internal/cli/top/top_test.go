package top

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/marketprism/marketprism/http/client"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func stamp(after time.Duration) string { return began.Add(after).Format(time.RFC3339Nano) }

// row is a stream's quality as the event stream has it.
func row(symbol, state string, live bool, records int, received time.Duration) string {
	return fmt.Sprintf(`{"exchange":"binance","market":"spot","symbol":%q,"coverage_percent":99.999,"verified_percent":null,"live":%t,"book_state":%q,"resyncs":2,
		"channels":[{"records":%d,"gaps":3,"open_gaps":1,"last_time":%q,"last_received":%q}]}`,
		symbol, live, state, records, stamp(received-40*time.Millisecond), stamp(received))
}

func snapshot(after time.Duration) string {
	return fmt.Sprintf(`{"time":%q,"topics":{"quality":{"count":2,"streams/binance/spot/BTC-USDT":%s,"streams/binance/spot/ETH-USDT":%s},
		"actors":{"root":{"order":0,"kind":"supervisor","state":"running"},"root/b":{"order":1,"kind":"recorder","state":"backoff","busy_ratio":0.5,"restarts":4,"reason":"disk full\nstack"}},
		"services":{"data-storage-service":{"status":"healthy"},"scheduler-service":{"status":"unreachable","error":"refused"}},"alerts":{"a":{}}},"errors":{}}`,
		stamp(after), row("BTC-USDT", "live", true, 100, after), row("ETH-USDT", "stale", false, 0, after-time.Minute))
}

func taken(t *testing.T, events ...string) *state {
	t.Helper()
	s := newState()
	for i, e := range events {
		name := "diff"
		if i == 0 {
			name = "snapshot"
		}
		if err := s.take(name, []byte(e)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestPicture(t *testing.T) {
	s := taken(t, snapshot(0),
		fmt.Sprintf(`{"time":%q,"set":{"quality":{"streams/binance/spot/BTC-USDT":%s}},"del":{},"errors":{"services":"slow"}}`, stamp(time.Second), row("BTC-USDT", "live", true, 150, time.Second)),
		fmt.Sprintf(`{"time":%q,"set":{"quality":{"streams/binance/spot/BTC-USDT":%s}},"del":{"actors":["root/b"],"alerts":["a"]},"errors":{}}`, stamp(2*time.Second), row("BTC-USDT", "live", true, 200, 2*time.Second)))
	p := s.picture()
	if len(p.Streams) != 2 || len(p.Actors) != 1 || len(p.Services) != 2 || p.Alerts != 0 || len(p.Errors) != 0 {
		t.Fatalf("%+v", p)
	}
	btc, eth := p.Streams[0], p.Streams[1]
	if btc.Rate != 50 || btc.Lag != 0.04 || btc.Age != 0 || btc.State != "live" || btc.Gaps != 3 || btc.Open != 1 || btc.Resyncs != 2 {
		t.Errorf("%+v", btc)
	}
	if eth.Rate != 0 || eth.Age != 62 || eth.State != "stale" {
		t.Errorf("%+v", eth)
	}

	// A collector that begins anew counts from zero, and is not a rate below it.
	if err := s.take("diff", fmt.Appendf(nil, `{"time":%q,"set":{"quality":{"streams/binance/spot/BTC-USDT":%s}}}`, stamp(5*time.Second), row("BTC-USDT", "live", true, 10, 5*time.Second))); err != nil {
		t.Fatal(err)
	}
	if got := s.picture().Streams[0].Rate; got != 50 {
		t.Errorf("rate %v after a restart, want the last one", got)
	}
	// What is silent comes to zero by beats alone.
	if err := s.take("beat", fmt.Appendf(nil, `{"time":%q}`, stamp(8*time.Second))); err != nil {
		t.Fatal(err)
	}
	if got := s.picture().Streams[0].Rate; got != 0 {
		t.Errorf("rate %v of a silent stream", got)
	}
	if err := s.take("diff", []byte(`{"time":"2026-03-01T12:00:09Z","set":{"actors":{"x":[]}}}`)); err == nil {
		t.Error("nonsense is taken")
	}
}

func TestPrint(t *testing.T) {
	p := taken(t, snapshot(0)).picture()
	var b strings.Builder
	if err := p.Print(&b, Streams, 1, 1); err != nil { // by state: what needs a look comes first
		t.Fatal(err)
	}
	want := "2026-03-01T12:00:00Z  2 streams, 2 actors, 1 alerts\n" +
		"STREAM                 STATE  REC/S   LAG    AGE  COVERED  VERIFIED  OPEN  GAPS  RESYNCS\n" +
		"binance/spot/ETH-USDT  stale      -  40ms  60.0s  >99.99%         -     1     3        2\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := p.Print(&b, Actors, 0, 0); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "root/b  recorder    backoff   50%") || !strings.Contains(got, "disk full") || strings.Contains(got, "\x1b") {
		t.Errorf("got\n%s", got)
	}
}

// press sends keys, each by its name or as text.
func press(s *Screen, keys ...string) (quit bool) {
	named := map[string]rune{"tab": tea.KeyTab, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "down": tea.KeyDown, "end": tea.KeyEnd, "home": tea.KeyHome, "backspace": tea.KeyBackspace}
	for _, k := range keys {
		m := tea.KeyPressMsg{Code: []rune(k)[0], Text: k}
		if code, ok := named[k]; ok {
			m = tea.KeyPressMsg{Code: code}
		}
		if _, do := s.Update(m); do != nil {
			_, quit = do().(tea.QuitMsg)
		}
	}
	return quit
}

func TestScreen(t *testing.T) {
	s, now := NewScreen("http://127.0.0.1:8084", Streams, 0), began
	s.Now = func() time.Time { return now }
	shows := func(what string, parts ...string) {
		t.Helper()
		view := ansi.Strip(s.text())
		for _, part := range parts {
			if !strings.Contains(view, part) {
				t.Errorf("%s: %q is not in\n%s", what, part, view)
			}
		}
		for _, line := range strings.Split(s.text(), "\n") {
			if w := ansi.StringWidth(line); w > s.width {
				t.Errorf("%s: a line of %d in %d columns: %q", what, w, s.width, line)
			}
		}
		if n := strings.Count(view, "\n") + 1; n > s.height {
			t.Errorf("%s: %d lines in %d", what, n, s.height)
		}
	}
	shows("before anything", "connecting")
	s.Update(tea.WindowSizeMsg{Width: 120, Height: 12})
	p := taken(t, snapshot(0)).picture()
	s.Update(Update{Picture: p})
	shows("streams", "live", "1 of 2 services well", "scheduler-service unreachable refused", "1 alerts", "BTC-USDT", "ETH-USDT")
	press(s, "/", "e", "t", "x", "backspace", "h", "enter")
	if view := s.text(); strings.Contains(view, "BTC-USDT") || !strings.Contains(view, "ETH-USDT") {
		t.Errorf("the filter does not filter:\n%s", view)
	}
	press(s, "esc", "tab")
	shows("actors", "root/b", "disk full", "backoff")
	press(s, "tab", "s")
	shows("sorted", "by state")
	if v := ansi.Strip(s.text()); strings.Index(v, "ETH-USDT") > strings.Index(v, "BTC-USDT") {
		t.Error("what is stale does not come first by state")
	}
	press(s, "r")
	if v := ansi.Strip(s.text()); strings.Index(v, "ETH-USDT") < strings.Index(v, "BTC-USDT") {
		t.Error("reversed is not reversed")
	}

	now = now.Add(4 * time.Second)
	shows("no news", "4s old")
	s.Update(Update{Lost: errors.New("connection refused")})
	shows("lost", "4s old: connection refused")
	s.Update(Update{Picture: p})
	press(s, "p")
	s.Update(Update{Picture: &Picture{Time: now}})
	shows("held", "held 0s", "BTC-USDT")
	press(s, "p")
	s.Update(Update{Picture: &Picture{Time: now}})
	shows("empty", "1 streams 0")

	many := &Picture{Time: now}
	for i := range 1000 {
		many.Streams = append(many.Streams, Stream{Exchange: "x", Market: "spot", Symbol: fmt.Sprintf("S%04d-USDT", i), State: "live"})
	}
	s.Update(Update{Picture: many})
	press(s, "1", "S", "r", "end")
	shows("the end", "S0999")
	press(s, "home", "down", "down")
	if v := s.text(); strings.Contains(v, "S0001") || !strings.Contains(v, "S0002") {
		t.Errorf("two down:\n%s", v)
	}
	s.Update(tea.WindowSizeMsg{Width: 30, Height: 6})
	shows("small", "S0002")
	s.Update(tea.WindowSizeMsg{Width: 8, Height: 2})
	s.text()
	if !press(s, "q") {
		t.Error("q does not quit")
	}
}

// TestFeed loses its connection and goes on; it gives up where it never had one.
func TestFeed(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 2 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		text := strings.Join(strings.Fields(snapshot(0)), " ")
		fmt.Fprintf(w, ": hello\n\nid: 1\nevent: snapshot\ndata: %s\n\nevent: other\ndata: {\n\n", text)
	}))
	defer server.Close()
	c, err := client.New(client.Config{Services: map[string]string{client.MonitoringService: server.URL}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := &Feed{Service: c.Monitoring, pauses: []time.Duration{time.Millisecond}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	err = f.Run(ctx, func(u Update) {
		if u.Picture != nil {
			seen = append(seen, fmt.Sprint(len(u.Picture.Streams)))
		} else if client.StatusOf(u.Lost) == http.StatusServiceUnavailable {
			seen = append(seen, "not now")
		} else {
			seen = append(seen, "lost")
		}
		if len(seen) == 4 {
			cancel()
		}
	})
	if got := strings.Join(seen, ", "); err != nil || got != "2, lost, not now, 2" {
		t.Errorf("%s, %v", got, err)
	}
	server.Close()
	if err := f.Run(t.Context(), func(Update) {}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without a server: %v", err)
	}
}
