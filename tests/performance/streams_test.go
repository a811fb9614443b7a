package performance

import (
	"bufio"
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// BenchmarkStreams is two thousand streams of five markets in one collector, their
// books included, against simulated exchanges that insist on their limits, and one
// client that follows every trade. A stream has two events a second.
//
// The collector has a process of its own, so that its memory is that of streams; the
// store's is beside it. stream-KB is what a stream adds to the live heap of a collector
// without any, less 24 bytes for each level of its book.
func BenchmarkStreams(b *testing.B) {
	const rate, seconds = 2, 20
	var bare, machine delays
	var m manyStreams
	for b.Loop() {
		m = runStreams(b, 2000, rate, seconds*time.Second)
		measure(b, &bare, &machine, int(m.perSecond), 4, func(x *paced, port int) (int, func()) { return startRelay(b, x, port, "") })
	}
	b.ReportMetric(0, "ns/op") // waiting, mostly
	b.ReportMetric(m.took.Seconds(), "start-s")
	b.ReportMetric(m.heap/1024, "stream-KB")
	b.ReportMetric(m.resident/1024, "rss-KB/stream")
	b.ReportMetric(m.perSecond, "messages/s")
	b.ReportMetric(m.cpu, "cpu-µs/message")
	b.ReportMetric(at(m.delays, 0.50), "p50-µs")
	b.ReportMetric(at(m.delays, 0.99), "p99-µs")
	b.ReportMetric(at(bare.read, 0.50), "relay-p50-µs")
	b.ReportMetric(at(bare.read, 0.99), "relay-p99-µs")
}

// streamKB bounds what a stream may take beside its book in a process that has just
// begun to collect few of them: what the process itself takes is shared by a tenth of
// the streams.
const streamKB = 100

// TestStreams is a tenth of the benchmark: every stream goes live within the
// exchanges' limits and stays so, and nothing is lost on the way to a client and to
// the store.
func TestStreams(t *testing.T) {
	m := runStreams(t, 200, 2, 5*time.Second)
	if m.heap > streamKB<<10 {
		t.Errorf("a stream takes %.1f KB beside its book, want at most %d", m.heap/1024, streamKB)
	}
}

// manyStreams is what was measured.
type manyStreams struct {
	took           time.Duration // until all were live
	heap, resident float64       // bytes a stream
	perSecond, cpu float64       // messages, µs of each
	delays         []time.Duration
}

// follower sees every trade of every stream.
type follower struct {
	delays []time.Duration
	last   map[string]int64 // number of the last trade, by stream
}

func runStreams(t testing.TB, streams, rate int, period time.Duration) (m manyStreams) {
	t.Helper()
	each := streams / 5
	sim := harness.Simulate(t, "--exchange", "binance/spot,binance/perpetual,okx,deribit",
		"--symbols", strconv.Itoa(each), "--rate", strconv.Itoa(rate), "--genesis", "now")
	settings, want := streamSettings(t, sim, each)
	data := t.TempDir()
	store := harness.Start(t, data, settings, harness.Broker, harness.Storage)
	settings[harness.Collector+".exchanges"] = []string{}
	idle := harness.Start(t, data, settings, harness.Collector)
	heap, rss := liveHeap(t, idle), resident(t, idle.PID())
	idle.Stop()
	settings[harness.Collector+".exchanges"] = []string{"binance", "okx", "deribit"}

	begin := time.Now()
	n := harness.Start(t, data, settings, harness.Collector)
	harness.Await(t, 10*time.Minute, "all streams live", func() bool {
		live := 0
		for _, k := range marketStats(t, n) {
			live += k.LiveStreams
		}
		return live == want
	})
	m.took = time.Since(begin)
	messages, used := processed(t, n), cpu(t, n.PID())
	f := followTrades(t, n, period)
	took := time.Since(begin) - m.took
	messages, used = processed(t, n)-messages, cpu(t, n.PID())-used
	m.perSecond, m.cpu, m.delays = float64(messages)/took.Seconds(), float64(used.Microseconds())/float64(messages), f.delays

	of := levels(t, n, sim)
	m.heap = float64(leastHeap(t, n)-heap)/float64(want) - 24*of
	m.resident = float64(resident(t, n.PID())-rss) / float64(want)
	checkSessions(t, n)
	checkWhole(t, n, want)
	n.Stop()
	checkStored(t, store, sim, f)
	store.Stop()
	t.Logf("%d streams: all live after %v; %.1f KB of live heap a stream beside its book of %.0f levels, %.1f KB resident; "+
		"%.0f messages/s, %.0f µs of CPU each; a trade is with a client after p50 %.2f ms, p99 %.2f ms (%d trades)",
		want, m.took.Round(10*time.Millisecond), m.heap/1024, of, m.resident/1024, m.perSecond, m.cpu,
		at(m.delays, 0.50)/1e3, at(m.delays, 0.99)/1e3, len(m.delays))
	return m
}

// streamSettings collect every simulated market, spot by pattern and the others by
// volume; want is how many streams that makes.
func streamSettings(t testing.TB, sim *harness.Simulator, each int) (s harness.Settings, want int) {
	t.Helper()
	s = harness.Settings{
		harness.Broker + ".nats.port": freePort(t), harness.Broker + ".nats.username": "node", harness.Broker + ".nats.password": "of-a-test",
		harness.Storage + ".port": freePort(t),
	}
	for _, m := range sim.Markets {
		at := "exchanges." + m.Exchange + ".markets." + m.Market + "."
		s["exchanges."+m.Exchange+".enabled"], s[at+"enabled"] = true, true
		s[at+"ws_url"], s[at+"rest_url"] = m.WS, m.REST
		s[at+"data_types"] = []string{"trade", "book_delta"}
		if m.Exchange == "binance" {
			s[at+"depth"] = 100
		}
		if m.Market != "spot" {
			s[at+"symbols"], s[at+"top"] = []string{}, each
			want += each
			continue
		}
		s[at+"symbols"] = []string{"*-USDT"}
		for _, symbol := range m.Symbols {
			if strings.HasSuffix(symbol, "-USDT") {
				want++
			}
		}
	}
	s["exchanges.binance.markets.future.enabled"] = false
	return s, want
}

// marketStat is a market in the answer of exchanges/…/stats.
type marketStat struct {
	exchange, market string

	Streams           int      `json:"streams"`
	LiveStreams       int      `json:"live_streams"`
	RefusedDeliveries int      `json:"refused_deliveries"`
	Unrouted          int      `json:"unrouted_deliveries"`
	Unrecorded        int      `json:"unrecorded_records"`
	RESTFailures      int      `json:"rest_failures"`
	UnknownSymbols    []string `json:"unknown_symbols"`
	Sessions          []struct {
		Name          string `json:"name"`
		Subscriptions int    `json:"subscriptions"`
		Connects      int    `json:"connects"`
		Disconnects   int    `json:"disconnects"`
		Refused       int    `json:"refused_subscriptions"`
		LastError     string `json:"last_error"`
	} `json:"sessions"`
}

func marketStats(t testing.TB, n *harness.Node) (all []marketStat) {
	t.Helper()
	for _, exchange := range []string{"binance", "okx", "deribit"} {
		var answer struct {
			Markets map[string]marketStat `json:"adapter_stats"`
		}
		harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/exchanges/"+exchange+"/stats"), &answer)
		for market, k := range answer.Markets {
			k.exchange, k.market = exchange, market
			all = append(all, k)
		}
	}
	return all
}

// limits of an exchange that the default settings respect: subscriptions of one
// connection, connections in five minutes.
var limits = map[string]struct{ subscriptions, connects int }{
	"binance": {200, 240}, "okx": {200, 720}, "deribit": {400, 80},
}

// checkSessions: connections within the limits, none of them ended or refused
// anything. The simulated exchanges end those that go beyond.
func checkSessions(t testing.TB, n *harness.Node) {
	t.Helper()
	for _, k := range marketStats(t, n) {
		connects, subscriptions := 0, 0
		for _, s := range k.Sessions {
			connects += s.Connects
			subscriptions += s.Subscriptions
			if s.Subscriptions > limits[k.exchange].subscriptions || s.Disconnects != 0 || s.Refused != 0 {
				t.Errorf("%s %s: %+v", k.exchange, k.market, s)
			}
		}
		if connects > limits[k.exchange].connects {
			t.Errorf("%s %s: %d connections", k.exchange, k.market, connects)
		}
		if k.RefusedDeliveries+k.Unrouted+k.Unrecorded+k.RESTFailures+len(k.UnknownSymbols) != 0 || k.LiveStreams != k.Streams {
			k.Sessions = nil
			t.Errorf("%+v", k)
		}
		if k.Streams > 0 {
			t.Logf("%s %s: %d streams, %d subscriptions on %d connections, made at most %d in five minutes", k.exchange, k.market,
				k.Streams, subscriptions, len(k.Sessions), limits[k.exchange].connects)
		}
	}
}

// checkWhole: every stream is live, has trades and a live book, and no gap.
func checkWhole(t testing.TB, n *harness.Node, want int) {
	t.Helper()
	var answer struct {
		Streams []struct {
			Exchange, Market, Symbol string
			Live                     bool
			Book                     string `json:"book_state"`
			Resyncs                  int
			Channels                 []struct {
				Kind, Proof string
				Records     int64
				Gaps        int `json:"gaps"`
				Dropped     int `json:"checksums_wrong"`
			}
		} `json:"streams"`
	}
	harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/quality"), &answer)
	if len(answer.Streams) != want {
		t.Errorf("%d streams, want %d", len(answer.Streams), want)
	}
	bad := 0
	for _, s := range answer.Streams {
		whole := s.Live && s.Book == "live" && s.Resyncs == 0
		for _, c := range s.Channels {
			whole = whole && c.Gaps == 0 && c.Dropped == 0
		}
		if !whole {
			if bad++; bad <= 5 {
				t.Errorf("%+v", s)
			}
		}
	}
	if bad > 5 {
		t.Errorf("and %d more", bad-5)
	}
}

// followTrades follows every trade for a while: each stream's come once and in order, none
// missing between the first and the last.
func followTrades(t testing.TB, n *harness.Node, period time.Duration) *follower {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(strings.Replace(n.URL(harness.Collector, "/ws/v1/stream?kinds=trade"), "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, ack, err := ws.ReadMessage(); err != nil || !bytes.Contains(ack, []byte(`"streams":`)) {
		t.Fatal(err, string(ack))
	}
	f := &follower{last: map[string]int64{}}
	end := time.Now().Add(period)
	for {
		if err := ws.SetReadDeadline(end); err != nil {
			t.Fatal(err)
		}
		_, text, err := ws.ReadMessage()
		now := time.Now()
		if !now.Before(end) {
			return f
		}
		if err == nil {
			err = f.take(text, now.UnixNano())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f *follower) take(text []byte, now int64) error {
	name, number, before, err := tradeOf(text)
	if err != nil {
		return err
	}
	if last, ok := f.last[name]; ok && last != before {
		return fmt.Errorf("after trade %d comes %s", last, text)
	}
	f.last[name] = number
	read, err := numberAfter(text, `"receive_time_ns":`)
	f.delays = append(f.delays, time.Duration(now-read))
	return err
}

// tradeOf reads which stream a trade is of, its number, and that of the trade before.
func tradeOf(text []byte) (name string, number, before int64, err error) {
	_, rest, ok := bytes.Cut(text, []byte(`"exchange":`))
	at, _, cut := bytes.Cut(rest, []byte(`,"native_symbol"`))
	if !ok || !cut {
		return "", 0, 0, fmt.Errorf("no trade: %s", text)
	}
	if number, err = numberAfter(text, `"seq":`); err != nil {
		if number, err = numberAfter(text, `"id":"`); err != nil {
			return "", 0, 0, err
		}
	}
	if before, err = numberAfter(text, `"prev_seq":`); err != nil {
		before = number - 1
	}
	return string(at), number, before, nil
}

// checkStored: what the follower saw is in the store, of one stream of each market,
// and nothing is missing before.
func checkStored(t testing.TB, store *harness.Node, sim *harness.Simulator, f *follower) {
	t.Helper()
	for _, m := range sim.Markets {
		name := func(symbol string) string {
			return fmt.Sprintf(`"%s","market":"%s","symbol":"%s"`, m.Exchange, m.Market, symbol)
		}
		at := slices.IndexFunc(m.Symbols, func(symbol string) bool { return f.last[name(symbol)] != 0 })
		if at < 0 {
			t.Errorf("no trade of %s %s was followed", m.Exchange, m.Market)
			continue
		}
		last := f.last[name(m.Symbols[at])]
		var before map[int64]int64
		harness.Await(t, time.Minute, "the last trade in the store", func() bool {
			before = storedTrades(t, store, m, m.Symbols[at])
			_, ok := before[last]
			return ok
		})
		upTo := 0
		for number := range before {
			if number <= last {
				upTo++
			}
		}
		chain, number := 0, last
		for {
			prev, ok := before[number]
			if !ok {
				break
			}
			chain, number = chain+1, prev
		}
		if chain != upTo {
			t.Errorf("%s: of %d stored trades %d follow each other up to the last one followed, %d", name(m.Symbols[at]), upTo, chain, last)
		}
	}
}

// storedTrades are the numbers of a stream's trades, each with that of the one before.
func storedTrades(t testing.TB, store *harness.Node, m harness.SimulatedMarket, symbol string) map[int64]int64 {
	t.Helper()
	trades := map[int64]int64{}
	for _, r := range store.MustQuery("trade", m.Exchange, symbol, "market", m.Market) {
		_, number, before, err := tradeOf([]byte(r.Line))
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := trades[number]; twice {
			t.Errorf("trade %d is stored twice: %s", number, r.Line)
		}
		trades[number] = before
	}
	return trades
}

// levels is how many levels a book has, on average over a sample.
func levels(t testing.TB, n *harness.Node, sim *harness.Simulator) float64 {
	t.Helper()
	sum, books := 0, 0
	for _, m := range sim.Markets {
		for i := 0; i < len(m.Symbols); i += max(1, len(m.Symbols)/5) {
			if m.Market == "spot" && !strings.HasSuffix(m.Symbols[i], "-USDT") {
				continue
			}
			var book struct {
				Bids int `json:"bid_levels"`
				Asks int `json:"ask_levels"`
			}
			v := url.Values{"market": {m.Market}, "depth": {"1"}, "format": {"enhanced"}}
			harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/orderbook/"+m.Exchange+"/"+m.Symbols[i]+"?"+v.Encode()), &book)
			sum += book.Bids + book.Asks
			books++
		}
	}
	return float64(sum) / float64(books)
}

// processed is how many messages a collector has handled.
func processed(t testing.TB, n *harness.Node) int {
	t.Helper()
	var status struct {
		Metrics struct {
			Processed int `json:"messages_processed"`
		} `json:"collector_metrics"`
	}
	harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/status"), &status)
	return status.Metrics.Processed
}

// leastHeap is the least live heap of a few seconds: what is on its way to the journal
// at one moment is not a stream's.
func leastHeap(t testing.TB, n *harness.Node) int64 {
	t.Helper()
	least := liveHeap(t, n)
	for range 5 {
		harness.Pause(t, time.Second)
		least = min(least, liveHeap(t, n))
	}
	return least
}

// liveHeap is what was reachable at the last collection of garbage: the next one is
// due at so much more, GOGC percent.
func liveHeap(t testing.TB, n *harness.Node) int64 {
	t.Helper()
	a, err := harness.Get(t.Context(), n.URL(harness.Collector, "/metrics"))
	if err != nil || a.Status != 200 {
		t.Fatal(err, a)
	}
	value := func(name string) float64 {
		lines := bufio.NewScanner(bytes.NewReader(a.Body))
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				v, err := strconv.ParseFloat(text, 64)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("no %s in /metrics", name)
		return 0
	}
	return int64(value("go_memstats_next_gc_bytes") / (1 + value("go_gc_gogc_percent")/100))
}
