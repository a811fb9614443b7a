package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// stream is one instrument that is collected, and what really happened on it.
type stream struct {
	exchange, market, symbol string
	kinds                    []string // that the market has
	truth                    *simulated
	wire                     *wire
}

// legacyOKX is OKX as it was until 2023.
const legacyOKX = "okx-legacy/spot"

// simulate starts exchanges, and lays a line to each of their markets.
func simulate(t *testing.T, args ...string) (*harness.Simulator, []*stream) {
	t.Helper()
	sim := harness.Simulate(t, args...)
	legacy := slices.Contains(args, legacyOKX)
	var all []*stream
	for _, m := range sim.Markets {
		w := newWire(t, m.WS, m.REST)
		for _, symbol := range m.Symbols {
			all = append(all, &stream{
				exchange: m.Exchange, market: m.Market, symbol: symbol, kinds: m.Kinds, wire: w,
				truth: &simulated{sim: sim, exchange: m.Exchange, market: m.Market, symbol: symbol, legacy: legacy},
			})
		}
	}
	return sim, all
}

// The names of the channels of book changes, and of trades.
var (
	bookChannels  = map[string]string{"binance": "depth", "okx": "books", "deribit": "book"}
	tradeChannels = map[string]string{"binance": "trade", "okx": "trades_all", "deribit": "trade"}
)

func (s *stream) String() string { return s.exchange + " " + s.market + " " + s.symbol }

func (s *stream) query() string {
	return s.exchange + "/" + s.symbol + "?market=" + s.market
}

// settings make a node collect trades and books of all the streams, over their wires.
func settings(streams []*stream, more harness.Settings) harness.Settings {
	s := harness.Settings{
		harness.Storage + ".embedded.publish_interval": "1s",
		harness.Collector + ".streams.retry_first":     "100ms",
		harness.Collector + ".streams.retry_last":      "1s",
	}
	var names []string
	for _, st := range streams {
		markets := "exchanges." + st.exchange + ".markets."
		if !slices.Contains(names, st.exchange) {
			names = append(names, st.exchange)
			s["exchanges."+st.exchange+".enabled"] = true
			for _, m := range []string{"spot", "perpetual"} { // those that are enabled by default
				s[markets+m+".enabled"] = false
			}
		}
		at := markets + st.market + "."
		s[at+"enabled"] = true
		s[at+"ws_url"], s[at+"rest_url"] = st.wire.WS, st.wire.REST
		symbols, _ := s[at+"symbols"].([]string)
		s[at+"symbols"], s[at+"data_types"] = append(symbols, st.symbol), []string{"trade", "book_delta"}
		s[at+"reconnect.initial_wait"], s[at+"reconnect.max_wait"] = "50ms", "500ms"
		s[at+"reconnect.ack_timeout"] = "1s"
		s[at+"watchdog.silence"] = map[string]string{bookChannels[st.exchange]: "1500ms", tradeChannels[st.exchange]: "2s"}
	}
	s[harness.Collector+".exchanges"] = names
	maps.Copy(s, more)
	return s
}

// figures are what the collector says of a stream.
type figures struct {
	Live     bool `json:"live"`
	Channels []struct {
		Kind       string `json:"kind"`
		Proof      string `json:"proof"`
		Records    int64  `json:"records"`
		Gaps       int64  `json:"gaps"`
		Open       int64  `json:"open_gaps"`
		Healed     int64  `json:"healed_gaps"`
		Duplicates int64  `json:"duplicates"`
		LastSeq    *int64 `json:"last_seq"`
	} `json:"channels"`
}

func (s *stream) figures(n *harness.Node) (figures, error) {
	var f figures
	a, err := harness.Get(n.Context(), n.URL(harness.Collector, "/api/v1/quality/"+s.query()))
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(a.Body, &f)
}

// records is how many of a kind have been taken since the process started.
func (f *figures) records(kind string) int64 {
	for _, c := range f.Channels {
		if c.Kind == kind {
			return c.Records
		}
	}
	return 0
}

// awaitRecovery waits until everything arrives again: the books are proven, changes
// and trades come, and nothing is being fetched any more.
func awaitRecovery(t *testing.T, n *harness.Node, streams []*stream, what string) {
	t.Helper()
	before, left := map[*stream]figures{}, slices.Clone(streams)
	var f figures
	var err error
	if harness.Eventually(t, 2*time.Minute, func() bool {
		left = slices.DeleteFunc(left, func(s *stream) bool {
			if f, err = s.figures(n); err != nil || len(f.Channels) == 0 {
				return false
			}
			was, known := before[s]
			if !known {
				before[s] = f
				return false
			}
			return f.whole() && f.records("trade") > was.records("trade") && f.records("book_delta") > was.records("book_delta")+2
		})
		return len(left) == 0
	}) {
		return
	}
	t.Fatalf("%s: %v does not recover: %+v %v", what, left, f, err)
}

// whole says that nothing is missing, or is being fetched.
func (f *figures) whole() bool {
	open := int64(0)
	for _, c := range f.Channels {
		open += c.Open
	}
	return f.Live && open == 0
}

// watcher asks for the books all the time and keeps what was served as live.
type watcher struct {
	stop context.CancelFunc
	wait sync.WaitGroup

	mu     sync.Mutex
	node   *harness.Node
	live   map[*stream]map[int64]ladder
	states map[*stream]map[string]int
	wrong  []string // two answers for one number
}

func watch(t *testing.T, n *harness.Node, streams []*stream) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{stop: cancel, node: n, live: map[*stream]map[int64]ladder{}, states: map[*stream]map[string]int{}}
	for _, s := range streams {
		w.live[s], w.states[s] = map[int64]ladder{}, map[string]int{}
	}
	w.wait.Go(func() {
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, s := range streams {
				w.look(ctx, s)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *watcher) end() {
	w.stop()
	w.wait.Wait()
}

// follow makes it ask another process.
func (w *watcher) follow(n *harness.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.node = n
}

type answered struct {
	State     string    `json:"state"`
	Sequence  int64     `json:"sequence"`
	Timestamp time.Time `json:"timestamp"`
	Bids      []rail    `json:"bids"`
	Asks      []rail    `json:"asks"`
	ProvenB   int       `json:"proven_bids"`
	ProvenA   int       `json:"proven_asks"`
}

type rail struct{ Price, Amount string }

func (w *watcher) look(ctx context.Context, s *stream) {
	w.mu.Lock()
	n := w.node
	w.mu.Unlock()
	a, err := harness.Get(ctx, n.URL(harness.Collector, "/api/v1/orderbook/"+s.query()+"&decimals=string&depth="+strconv.Itoa(levels)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || a.Status != http.StatusOK {
		w.states[s]["none"]++ // the process is down, or has no book yet
		return
	}
	var b answered
	if err := json.Unmarshal(a.Body, &b); err != nil {
		w.wrong = append(w.wrong, fmt.Sprintf("%v: %v in %.200s", s, err, a.Body))
		return
	}
	w.states[s][b.State]++
	if b.State != "live" {
		return
	}
	if s.truth.legacy {
		b.Sequence = b.Timestamp.UnixMilli()
	}
	is := ladder{rungs(b.Bids, b.ProvenB), rungs(b.Asks, b.ProvenA)}
	if had, ok := w.live[s][b.Sequence]; ok && !had.same(is) {
		w.wrong = append(w.wrong, fmt.Sprintf("%v: two books at %d:\n%v\n%v", s, b.Sequence, had, is))
	}
	w.live[s][b.Sequence] = is
}

// rungs are the levels that are said to be proven.
func rungs(side []rail, proven int) [][2]string {
	var list [][2]string
	for _, l := range side[:min(len(side), proven)] {
		list = append(list, [2]string{plain(l.Price), plain(l.Amount)})
	}
	return list
}

// check compares every book that was served as live with the truth.
func (w *watcher) check(t *testing.T, s *stream, least int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range w.wrong {
		t.Error(problem)
	}
	w.wrong = nil
	numbers := slices.Sorted(maps.Keys(w.live[s]))
	want := s.truth.books(t, numbers)
	for _, n := range numbers {
		switch is, ok := want[n]; {
		case !ok:
			t.Errorf("%v: a book %d was served as live; the exchange had none", s, n)
			return
		case !is.same(w.live[s][n]):
			t.Errorf("%v: the book %d was served as live\n got %v\nwant %v", s, n, w.live[s][n], is)
			return
		}
	}
	if len(numbers) < least {
		t.Errorf("%v: %d books were served as live: too few to say anything", s, len(numbers))
	}
	t.Logf("%v: %d different live books served, answers by state: %v", s, len(numbers), w.states[s])
}

// span is a range of numbers, both ends included.
type span struct{ from, to int64 }

// gap is an entry of the ledger.
type gap struct {
	harness.Record
	span
	bounded bool
}

func (s *stream) gaps(n *harness.Node, channel string) (all []gap) {
	for _, r := range n.MustQuery("gap", s.exchange, s.symbol, "market", s.market) {
		if r.Channel != channel {
			continue
		}
		g := gap{Record: r}
		if r.FromSeq != nil && r.ToSeq != nil {
			g.span, g.bounded = span{*r.FromSeq, *r.ToSeq}, true
		}
		all = append(all, g)
	}
	return all
}

// totals are what became of a stream.
type totals struct {
	trades, late, missing int
	changes, chains       int
	gaps, healed, marked  int
	bookGaps              int
	from, to              int64
}

// checkTrades: each trade between the first and the last is stored once and as it
// was, or the ledger says that it is missing; and the ledger says so of no other.
func (s *stream) checkTrades(t *testing.T, n *harness.Node) (sum totals) {
	t.Helper()
	got := map[int64]deal{}
	var last int64
	for _, stored := range n.MustQuery("trade", s.exchange, s.symbol, "market", s.market) {
		r := parse(t, stored.Line)
		number, d := r.deal(t)
		if _, twice := got[number]; twice {
			t.Errorf("%v: trade %d is stored twice", s, number)
		}
		if sum.trades++; sum.trades == 1 {
			sum.from = number
		}
		got[number], last = d, number
		sum.to = max(sum.to, last)
		sum.from = min(sum.from, number)
		if slices.Contains(r.Flags, "backfilled") {
			sum.late++
		}
	}
	if sum.trades == 0 {
		t.Fatalf("%v: no trade is stored", s)
	}
	want := s.truth.trades(t, sum.from, sum.to)
	absent := s.absent(t, n, &sum)
	for _, number := range slices.Sorted(maps.Keys(want)) {
		d, stored := got[number]
		switch {
		case stored && d != want[number]:
			t.Errorf("%v: trade %d\n got %v\nwant %v", s, number, d, want[number])
		case !stored && !within(number, absent):
			t.Errorf("%v: trade %d is not stored, and no gap says so\n%s", s, number, listed(s.gaps(n, "trade")))
			return sum
		case !stored:
			sum.missing++
		case within(number, absent):
			t.Errorf("%v: trade %d is stored, and a gap calls it missing\n%s", s, number, listed(s.gaps(n, "trade")))
			return sum
		}
		delete(got, number)
	}
	for number, d := range got {
		t.Errorf("%v: trade %d never was: %v", s, number, d)
	}
	return sum
}

// absent is what the ledger says is missing for good.
func (s *stream) absent(t *testing.T, n *harness.Node, sum *totals) (all []span) {
	t.Helper()
	for _, g := range s.gaps(n, "trade") {
		sum.gaps++
		switch g.Outcome {
		case "healed":
			sum.healed++
		case "marked":
			sum.marked++
			if g.bounded {
				all = append(all, g.span)
			}
		default:
			t.Errorf("%v: a gap is still %s: %s", s, g.Outcome, g.Line)
		}
	}
	return all
}

func within(n int64, spans []span) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return n >= s.from && n <= s.to })
}

func listed(gaps []gap) string {
	var all []string
	for _, g := range gaps {
		all = append(all, g.Line)
	}
	return strings.Join(all, "\n")
}

// checkBooks rebuilds the book from what is stored and compares it with the truth
// after every change, or as many of them as asked.
func (s *stream) checkBooks(t *testing.T, n *harness.Node, every int, sum *totals) {
	t.Helper()
	b, at, sound := newPlainBook(), map[int64]ladder{}, false
	for _, stored := range n.MustQuery("book_delta", s.exchange, s.symbol, "market", s.market) {
		r := parse(t, stored.Line)
		if sum.changes == 0 && !r.Snapshot {
			t.Errorf("%v: the first book change is no snapshot", s)
		}
		sum.changes++
		if sound = r.Snapshot || sound && !slices.Contains(r.Flags, "suspect"); !sound {
			continue // the book was forgotten, until the next snapshot
		}
		b.apply(t, &r)
		if r.Snapshot {
			sum.chains++
		}
		if r.Snapshot || sum.changes%every == 0 {
			at[r.number()] = b.ladder()
		}
	}
	sum.bookGaps = len(s.gaps(n, "book_delta"))
	numbers := slices.Sorted(maps.Keys(at))
	want := s.truth.books(t, numbers)
	for _, number := range numbers {
		if w, ok := want[number]; !ok || !w.same(at[number]) {
			t.Errorf("%v: the book rebuilt from the store at %d\n got %v\nwant %v", s, number, at[number], w)
			return
		}
	}
	if sum.changes < 50 {
		t.Errorf("%v: %d book changes are stored: too few to say anything", s, sum.changes)
	}
}
