package simulator_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// A frame that says when, but not its number, can be placed all the same.
func TestSeqAt(t *testing.T) {
	s, e := simulate(t, simulator.Options{Seed: 3, Rate: 50, Markets: map[string][]market.Market{"binance": {market.Perpetual}}})
	id := market.StreamID{Exchange: "binance", Market: market.Perpetual, Symbol: e.Symbols[0]}
	for _, ev := range dial(t, e, "btcusdt@depth").events(10) {
		got, err := s.SeqAt(id, (ev.Data.Time+1)*1e6-1)
		if err != nil || got != ev.Data.Last {
			t.Errorf("at %d: event %d, %v; the frame says %d", ev.Data.Time, got, err, ev.Data.Last)
		}
		at := s.TruthURL() + "/truth/book?exchange=binance&market=perpetual&symbol=" + e.Symbols[0]
		_, _, byTime := get(t, at+"&time_ms="+strconv.FormatInt(ev.Data.Time, 10))
		_, _, bySeq := get(t, at+"&seq="+strconv.FormatInt(ev.Data.Last, 10))
		if a, b := answered(t, byTime), answered(t, bySeq); a != b || a != ev.Data.Last {
			t.Errorf("by time %d, by number %d, want %d", a, b, ev.Data.Last)
		}
	}
	for _, at := range []time.Time{simulator.Genesis.Add(-time.Hour), time.Now().Add(time.Hour)} {
		if n, err := s.SeqAt(id, at.UnixNano()); !errors.Is(err, simulator.ErrUnknown) {
			t.Errorf("at %v: %d, %v", at, n, err)
		}
	}
}

func answered(t *testing.T, body []byte) int64 {
	t.Helper()
	var book struct {
		Seq int64 `json:"seq"`
	}
	if err := json.Unmarshal(body, &book); err != nil {
		t.Fatal(err)
	}
	return book.Seq
}
