package monitoring_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/actors/monitoring/logs"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/monitoring"
)

// logged is a façade with a ring and the logger that fills it.
func logged(t *testing.T) (*chassis.Server, *zap.Logger) {
	ring := logs.NewRing(logs.Config{Lines: 100, Bytes: 1 << 20})
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, _ *supervise.System) { o.Logs = ring })
	return s, zap.New(ring.Core(zapcore.DebugLevel, "n", func(string) string { return "" }))
}

type line struct {
	Seq     uint64
	Message string
	Level   string
	Fields  map[string]any
}

func TestLogs(t *testing.T) {
	s, log := logged(t)
	log.Debug("a", zap.String("service", "one"))
	log.Info("b", zap.String("service", "one"), zap.Int("n", 5))
	log.Warn("c", zap.String("service", "two"), zap.String("trace_id", "tt"))
	for query, want := range map[string]string{
		"": "b c", "?level=debug": "a b c", "?level=warn": "c", "?service=one&level=debug": "a b", "?trace_id=tt": "c", "?q=N%22:5": "b",
		"?limit=1": "c", "?before=3": "b", "?after=2": "c", "?after=0&limit=1&level=debug": "a", "?from=2100-01-01": "", "?to=2010-01-01": "",
	} {
		var answer struct {
			Logs  []line
			Count int
			First uint64 `json:"first_seq"`
			Last  uint64 `json:"last_seq"`
		}
		get(t, s, "/api/v1/logs"+query, 200, &answer)
		var got []string
		for _, l := range answer.Logs {
			got = append(got, l.Message)
		}
		if strings.Join(got, " ") != want || answer.Count != len(got) || answer.First != 1 || answer.Last != 3 {
			t.Errorf("%q: %q of %d to %d, want %q", query, got, answer.First, answer.Last, want)
		}
	}
	for _, query := range []string{"?level=loud", "?limit=0", "?before=x", "?after=-1", "?from=yesterday"} {
		get(t, s, "/api/v1/logs"+query, 422, nil)
	}
}

// TestTail: the last lines, then those that come; and one that comes back misses none.
func TestTail(t *testing.T) {
	for name, tc := range map[string]struct {
		query, lastID string
		want          []string
	}{
		"with the last line": {"?follow=true&limit=1", "", []string{"older than the last one", "new", "newer"}},
		"where it left off":  {"", "1", []string{"older than the last one", "new", "newer"}},
		"only warnings":      {"?level=warn", "", []string{"newer"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := logged(t)
			log.Info("old")
			log.Info("older than the last one")
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/v1/logs"+tc.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/event-stream")
			r.Header.Set("Last-Event-ID", tc.lastID)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			log.Info("new")
			log.Warn("newer")
			lines := bufio.NewScanner(resp.Body)
			for _, want := range tc.want {
				if got := nextLine(t, lines); got.Message != want {
					t.Fatalf("got %q, want %q", got.Message, want)
				}
			}
		})
	}
}

func nextLine(t *testing.T, lines *bufio.Scanner) line {
	t.Helper()
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var l line
			if err := json.Unmarshal([]byte(data), &l); err != nil {
				t.Fatal(err)
			}
			return l
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return line{}
}
