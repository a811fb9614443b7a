package cluster

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// record is what is read of a stored record, and of one of the truth.
type record struct {
	ID       json.RawMessage `json:"id"`
	Seq      *int64          `json:"seq"`
	Prev     *int64          `json:"prev_seq"`
	Price    string          `json:"price"`
	Amount   string          `json:"amount"`
	Side     string          `json:"side"`
	Snapshot bool            `json:"is_snapshot"`
	Epoch    int64           `json:"epoch"`
	Channel  string          `json:"channel"`
	Cause    string          `json:"cause"`
	Outcome  string          `json:"outcome"`
	FromTime int64           `json:"from_time_ns"`
	FromSeq  *int64          `json:"from_seq"`
	ToSeq    *int64          `json:"to_seq"`
}

func (c *nodes) parse(line string) record {
	c.t.Helper()
	var r record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		c.t.Fatalf("%v in %.200s", err, line)
	}
	return r
}

// number is a trade's in the exchange's own sequence.
func (c *nodes) number(r *record) int64 {
	c.t.Helper()
	if r.Seq != nil {
		return *r.Seq
	}
	id := strings.Trim(string(r.ID), `"`)
	n, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// plain takes trailing zeros off.
func plain(digits string) string {
	if !strings.Contains(digits, ".") {
		return digits
	}
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

// trades are the stored trades of a stream, by the order in which they are read.
func (c *nodes) trades(stream string) []record {
	c.t.Helper()
	exchange, market, symbol := split(stream)
	var all []record
	for _, r := range c.all[c.asks].MustQuery("trade", exchange, symbol, "market", market) {
		all = append(all, c.parse(r.Line))
	}
	return all
}

// awaitStored waits until a trade of each stream that happened after a moment is
// stored.
func (c *nodes) awaitStored(after time.Time) {
	c.t.Helper()
	left := slices.Clone(c.streams)
	if !harness.Eventually(c.t, time.Minute, func() bool {
		left = slices.DeleteFunc(left, func(s string) bool {
			exchange, market, symbol := split(s)
			found, err := c.all[c.asks].Query(c.t.Context(), "trade", exchange, symbol, "market", market, "from", after.UTC().Format(time.RFC3339Nano))
			return err == nil && len(found) > 0
		})
		return len(left) == 0
	}) {
		c.t.Fatalf("no trade since %v is stored of %v", after, left)
	}
}

// complete compares the stored trades of every stream with what happened: from the
// first to the last, each is there as it was, once.
func (c *nodes) complete() {
	c.t.Helper()
	total, epochs := 0, 0
	for _, s := range c.streams {
		stored := c.trades(s)
		if len(stored) < 20 {
			c.t.Errorf("%s: %d trades are stored, too few to say anything", s, len(stored))
			continue
		}
		exchange, market, symbol := split(s)
		first, last := c.number(&stored[0]), c.number(&stored[len(stored)-1])
		truth := map[int64]record{}
		for from := first; from <= last; from += 10_000 {
			var answer struct {
				Trades []json.RawMessage `json:"trades"`
			}
			c.sim.Ask(c.t, &answer, "trades", "exchange", exchange, "market", market, "symbol", symbol,
				"from_id", strconv.FormatInt(from, 10), "to_id", strconv.FormatInt(min(last, from+9_999), 10))
			for _, line := range answer.Trades {
				r := c.parse(string(line))
				truth[c.number(&r)] = r
			}
		}
		had := map[int64]bool{}
		by := map[int64]bool{}
		for i := range stored {
			r := &stored[i]
			n := c.number(r)
			if had[n] {
				c.t.Errorf("%s: trade %d is stored twice", s, n)
			}
			had[n], by[r.Epoch] = true, true
			if want, ok := truth[n]; !ok || plain(want.Price) != plain(r.Price) || plain(want.Amount) != plain(r.Amount) || want.Side != r.Side {
				c.t.Errorf("%s: stored %+v, happened %+v", s, *r, want)
			}
		}
		for n := range truth {
			if !had[n] {
				c.t.Errorf("%s: trade %d is missing", s, n)
			}
		}
		total, epochs = total+len(stored), epochs+len(by)
	}
	c.t.Logf("%d trades of %d streams, recorded by %d owners", total, len(c.streams), epochs)
}

// ledger lists the entries of the gap ledger that begin in a time and are not healed.
func (c *nodes) ledger(from, to time.Time) (holes []string) {
	c.t.Helper()
	for _, s := range c.streams {
		exchange, market, symbol := split(s)
		for _, line := range c.all[c.asks].MustQuery("gap", exchange, symbol, "market", market) {
			g := c.parse(line.Line)
			if g.Outcome != "healed" && g.FromTime >= from.UnixNano() && g.FromTime < to.UnixNano() {
				holes = append(holes, s+": "+line.Line)
			}
		}
	}
	return holes
}

// whole checks that nothing is missing of a time: what a new owner asks the exchange
// for, to be sure, is in the ledger until it is there.
func (c *nodes) whole(what string, from, to time.Time) {
	c.t.Helper()
	var holes []string
	if !harness.Eventually(c.t, 30*time.Second, func() bool { holes = c.ledger(from, to); return len(holes) == 0 }) {
		c.t.Errorf("holes of %s:\n%v", what, holes)
	}
}

// chains checks that every stored change of a Binance book follows the one before it,
// or begins anew.
func (c *nodes) chains() {
	c.t.Helper()
	for _, s := range c.streams {
		exchange, market, symbol := split(s)
		if exchange != "binance" {
			continue
		}
		begun, changes, last := 0, 0, int64(0)
		var before record
		for _, line := range c.all[c.asks].MustQuery("book_delta", exchange, symbol, "market", market) {
			r := c.parse(line.Line)
			changes++
			switch {
			case r.Snapshot:
				begun++
			case changes == 1:
				c.t.Errorf("%s: the first change is no snapshot", s)
			case r.Epoch != before.Epoch:
				c.t.Errorf("%s: a chain crosses owners: %+v after %+v", s, r, before)
			case r.Prev != nil && *r.Prev != last && !before.Snapshot:
				c.t.Errorf("%s: change %+v follows %+v", s, r, before)
			}
			if r.Seq != nil {
				last = *r.Seq
			}
			before = r
		}
		c.t.Logf("%s: %d changes in %d chains", s, changes, begun)
	}
}
