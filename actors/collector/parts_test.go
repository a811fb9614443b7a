package collector

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

func TestOverlay(t *testing.T) {
	list := []*market.Instrument{}
	for _, base := range []string{"BTC", "ETH", "SOL"} {
		list = append(list, &market.Instrument{Exchange: "x", Symbol: base + "-USDT", Native: base + "USDT", Trading: base != "SOL"})
	}
	table := market.NewInstruments(list)
	add := func(symbol string, types ...string) Change {
		return Change{Add: true, Symbol: symbol, DataTypes: types}
	}
	remove := func(symbol string, types ...string) Change { return Change{Symbol: symbol, DataTypes: types} }
	for _, tc := range []struct {
		name    string
		config  []string
		changes []Change
		kept    int
		want    string
		unknown []string
	}{
		{"the configuration", []string{"btc/usdt"}, nil, 0, "BTC-USDT[trade]", nil},
		{"a pattern means what trades", []string{"*-USDT"}, nil, 0, "BTC-USDT[trade] ETH-USDT[trade]", nil},
		{"a name means what it says", []string{"SOLUSDT"}, nil, 0, "SOL-USDT[trade]", nil},
		{"what is not listed is left out", []string{"BTC-USDT", "FOO-BAR"}, nil, 0, "BTC-USDT[trade]", []string{"FOO-BAR"}},
		{"added and removed", []string{"BTC-USDT"}, []Change{add("ETH-USDT", "ticker", "trade"), remove("BTC-USDT", "trade"), remove("ETH-USDT", "trade")}, 3, "ETH-USDT[ticker]", nil},
		{"the last word counts", []string{"BTC-USDT"}, []Change{remove("*-USDT", "trade"), add("BTC-USDT", "trade")}, 2, "BTC-USDT[trade]", nil},
		{"the same said again takes no room", nil, []Change{add("ETH-USDT", "trade"), remove("ETH-USDT", "trade"), add("ETH-USDT", "trade")}, 1, "ETH-USDT[trade]", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var o Overlay
			for _, c := range tc.changes {
				o = o.with(c)
			}
			if len(o.Changes) != tc.kept {
				t.Errorf("%d changes kept, want %d", len(o.Changes), tc.kept)
			}
			want, unknown := wanted(table, &wish{symbols: tc.config, kinds: kindsOf(market.KindTrade)}, nil, o)
			got := ""
			for _, i := range table.All() {
				if k := want[i].kinds; k != 0 {
					got += fmt.Sprint(" ", i.Symbol, k.words())
				}
			}
			if got != " "+tc.want || !slices.Equal(unknown, tc.unknown) {
				t.Errorf("got%s, unknown %v; want %s, %v", got, unknown, tc.want, tc.unknown)
			}
		})
	}
}

func TestLaneKeepsOrder(t *testing.T) {
	var l lane
	l.put(5, "after five")
	l.put(0, "at once")
	l.put(9, "after nine")
	for _, step := range []struct {
		handled uint64
		want    string
	}{{0, "[at once]"}, {4, "[]"}, {7, "[after five]"}, {9, "[after nine]"}, {99, "[]"}} {
		if got := fmt.Sprint(l.take(step.handled, nil)); got != step.want {
			t.Errorf("handled %d: %s, want %s", step.handled, got, step.want)
		}
	}
}

func TestCoverage(t *testing.T) {
	h := newHistory(DefaultConfig())
	start := int64(bucketLength) * 1000
	h.beat(start, true, 0, 0, 0)
	for i := int64(1); i <= 30; i++ { // live in the first half of each minute of half an hour
		h.beat(start+i*int64(time.Minute)-int64(30*time.Second), true, 10, 8, 0)
		h.beat(start+i*int64(time.Minute), false, 0, 0, 1)
	}
	r := &route{history: h}
	r.figures.Store(&figures{})
	q := r.quality(0)
	if q.Coverage != 50 || q.Verified != 80 || len(q.Buckets) != 3 {
		t.Errorf("coverage %v, verified %v, %d buckets", q.Coverage, q.Verified, len(q.Buckets))
	}
	if q = r.quality(time.Hour); len(q.Buckets) != 1 || q.Buckets[0].Records != 300 || q.Buckets[0].Gaps != 30 {
		t.Errorf("buckets of an hour: %+v", q.Buckets)
	}
}

// A week of coverage is a week of hours, the last day of it by quarters: nothing is
// counted twice, and nothing left out.
func TestCoverageOfAWeek(t *testing.T) {
	h := newHistory(DefaultConfig())
	start := time.Date(2026, 11, 1, 9, 30, 0, 0, time.UTC).UnixNano()
	const quarters = 9*24*4 + 3
	for k := range int64(quarters) {
		h.beat(start+k*int64(bucketLength), k%4 != 0, 100, 50, 1)
	}
	r := &route{history: h}
	r.figures.Store(&figures{})
	q := r.quality(0)
	end := start + quarters*int64(bucketLength)
	next := q.From
	records := int64(0)
	for _, b := range q.Buckets {
		if b.Start != next {
			t.Fatalf("a bucket begins at %v, want %v", time.Unix(0, b.Start).UTC(), time.Unix(0, next).UTC())
		}
		next, records = b.Start+int64(b.Length), records+b.Records
		if want := int64(b.Length/bucketLength) * 100; b.Records != want || b.Gaps != want/100 || b.Verified != 50 {
			t.Errorf("%+v, want %d records", b, want)
		}
	}
	if next != end {
		t.Errorf("buckets end at %v, want %v", time.Unix(0, next).UTC(), time.Unix(0, end).UTC())
	}
	if span := time.Duration(end - q.From); span < 7*24*time.Hour-time.Hour || span > 8*24*time.Hour+12*time.Hour {
		t.Errorf("coverage reaches back %v", span)
	}
	if q.Coverage < 74.5 || q.Coverage > 75.5 || q.Verified != 50 || records*int64(bucketLength) != 100*(end-q.From) {
		t.Errorf("coverage %v, verified %v, %d records in %v", q.Coverage, q.Verified, records, time.Duration(end-q.From))
	}
	days := r.quality(24 * time.Hour).Buckets
	for i, d := range days {
		if d.Length != 24*time.Hour || i > 0 && d.Start <= days[i-1].Start && d.Length == days[i-1].Length && d.Start < days[i-1].Start {
			t.Errorf("day %d: %+v", i, d)
		}
	}
}

func TestRingKeepsTheNewest(t *testing.T) {
	r := ring[int]{limit: 3}
	for i := range 8 {
		r.push(i)
	}
	if got := r.all(); !slices.Equal(got, []int{5, 6, 7}) {
		t.Errorf("got %v", got)
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, spoil := range map[string]func(*Config){
		"stream_mailbox":   func(c *Config) { c.StreamMailbox = 1 },
		"hold_records":     func(c *Config) { c.HoldRecords = 0 },
		"retry_last":       func(c *Config) { c.RetryLast = 1 },
		"book_interval":    func(c *Config) { c.BookInterval = -1 },
		"takeover_timeout": func(c *Config) { c.TakeoverTimeout = 0 },
		"resume_timeout":   func(c *Config) { c.ResumeTimeout = 0 },
		"restart":          func(c *Config) { c.Restart.Within = 0 },
	} {
		c := DefaultConfig()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What a stream has of the backlog comes back with its incarnation, and with its
// mailbox.
func TestShareOfTheBacklogComesBack(t *testing.T) {
	b := newBacklog(100)
	r := &route{venue: &venue{opts: &Options{backlog: b}}}
	other := &route{venue: r.venue}
	other.mailed(10)
	r.mailed(60)
	r.mailed(40)
	r.opened(25)
	r.holds(30)
	r.fills(100)
	if b.bytes() != 215 || b.full() || b.holdFull() || !b.fillFull() {
		t.Errorf("%d bytes, full %v, %v, %v", b.bytes(), b.full(), b.holdFull(), b.fillFull())
	}
	r.filled()
	r.fills(7)
	r.giveBack(false) // a panic: the mailbox stays
	if b.bytes() != 85 {
		t.Errorf("%d bytes after a new incarnation, want those of the mailboxes", b.bytes())
	}
	r.giveBack(true)
	if b.bytes() != 10 {
		t.Errorf("%d bytes after a new mailbox, want the other stream's", b.bytes())
	}
}
