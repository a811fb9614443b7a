package live_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/internal/market"
)

// patience bounds every wait for a signal; no test needs a fraction of it.
const patience = 20 * time.Second

// listed is what the exchanges of the tests list.
type listed []*market.Instrument

func (l listed) ExchangeNames() []string {
	names := []string{"okx"}
	for _, i := range l {
		names = append(names, i.Exchange)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (l listed) Lists(symbol string, allows func(string, market.Market) bool) bool {
	return slices.ContainsFunc(l, func(i *market.Instrument) bool {
		_, err := market.NewInstruments([]*market.Instrument{i}).Resolve(symbol)
		return err == nil && allows(i.Exchange, i.Market)
	})
}

func instrument(symbol string) *market.Instrument {
	return &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: symbol, Native: strings.ReplaceAll(symbol, "-", "")}
}

// world is a hub that runs, with streams.
type world struct {
	testing.TB
	hub  *live.Hub
	list listed
	stop context.CancelFunc
	done chan struct{}
}

func newWorld(t testing.TB, change func(*live.Config), symbols ...string) *world {
	t.Helper()
	w := &world{TB: t, done: make(chan struct{})}
	for _, s := range symbols {
		w.list = append(w.list, instrument(s))
	}
	cfg := live.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.hub, err = live.New(live.Options{Config: cfg, Directory: w.list}); err != nil {
		t.Fatal(err)
	}
	w.run()
	t.Cleanup(func() { w.stop(); <-w.done })
	return w
}

// run runs the relay.
func (w *world) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.stop, w.done = stop, done
	go func() { defer close(done); w.hub.Run(ctx) }()
}

// actor is a stream: whatever touches the source runs on one goroutine at a time,
// as in the real one.
type actor struct {
	w      *world
	i      *market.Instrument
	source *live.Source

	mu         sync.Mutex
	form       market.JSON
	seq        int64
	state      string
	bids, asks map[int]int64 // price in cents -> amount
	trades     int64
	random     *rand.Rand
	pending    sync.WaitGroup // wakes
}

func (w *world) actor(n int) *actor {
	a := &actor{w: w, i: w.list[n], state: "live", bids: map[int]int64{}, asks: map[int]int64{}, random: rand.New(rand.NewPCG(uint64(n), 7)), seq: 1000}
	for k := range 50 {
		a.bids[10_000-k], a.asks[10_001+k] = int64(k+1), int64(k+2)
	}
	a.mu.Lock() // until the source is known
	defer a.mu.Unlock()
	a.source = w.hub.Open(a.i, func() {
		a.pending.Go(func() { a.step(func() {}) })
	})
	w.Cleanup(a.pending.Wait)
	return a
}

// step runs fn as a step of the actor.
func (a *actor) step(fn func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn()
	a.source.Stepped(a)
}

// BookState implements live.Books.
func (a *actor) BookState() (string, int64, bool) { return a.state, a.seq, true }

// WholeBook implements live.Books.
func (a *actor) WholeBook() *market.BookDelta {
	if a.state == "syncing" {
		return nil
	}
	d := a.record()
	d.IsSnapshot, d.Flags = true, market.FlagSnapshot
	d.Bids, d.Asks = levels(a.bids, true), levels(a.asks, false)
	return d
}

func (a *actor) record() *market.BookDelta {
	now := time.Now().UnixNano()
	return &market.BookDelta{Header: market.Header{Instrument: a.i, ExchangeTime: now, ReceiveTime: now, Seq: market.Int(a.seq), Epoch: 3, Conn: 1}}
}

func levels(side map[int]int64, descending bool) (out []market.Level) {
	for _, p := range slices.SortedFunc(maps.Keys(side), func(a, b int) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(a, b)
	}) {
		out = append(out, level(p, side[p]))
	}
	return out
}

func level(cents int, amount int64) market.Level {
	return market.Level{Price: market.MustDecimal(fmt.Sprintf("%d.%02d", cents/100, cents%100)), Amount: market.MustDecimal(strconv.FormatInt(amount, 10))}
}

func (a *actor) shape() string { return shape(textSide(a.bids), textSide(a.asks)) }

func textSide(side map[int]int64) map[string]string {
	out := map[string]string{}
	for p, n := range side {
		l := level(p, n)
		out[l.Price.String()] = l.Amount.String()
	}
	return out
}

func shape(bids, asks map[string]string) string { return fmt.Sprint(bids, asks) }

// changes makes n steps of one change each.
func (a *actor) changes(n int) {
	for range n {
		a.step(func() { a.change(1 + a.random.IntN(5)) })
	}
}

func (a *actor) change(size int) {
	prev := a.seq
	a.seq += 1 + int64(a.random.IntN(3))
	d := a.record()
	d.PrevSeq = market.Int(prev)
	for range size {
		p, n := 9_951+a.random.IntN(50), int64(a.random.IntN(9))
		d.Bids = append(d.Bids, level(p, n))
		set(a.bids, p, n)
		p, n = 10_001+a.random.IntN(50), int64(a.random.IntN(9))
		d.Asks = append(d.Asks, level(p, n))
		set(a.asks, p, n)
	}
	a.publish(d)
}

func set(side map[int]int64, p int, n int64) {
	if n == 0 {
		delete(side, p)
		return
	}
	side[p] = n
}

func (a *actor) publish(r market.Record) { a.source.Publish(r, a.form.Append(nil, r)) }

// trade makes n trades, one a step.
func (a *actor) trade(n int) {
	for range n {
		a.step(func() {
			a.trades++
			now := time.Now().UnixNano()
			a.publish(&market.Trade{Header: market.Header{Instrument: a.i, ReceiveTime: now, ExchangeTime: now, Seq: market.Int(a.trades)},
				ID: market.NumID(a.trades), Price: market.MustDecimal("100.01"), Amount: market.MustDecimal("0.5"), Side: market.Buy})
		})
	}
}

// tick publishes a ticker.
func (a *actor) tick(last string) {
	a.step(func() {
		a.publish(&market.Ticker{Header: market.Header{Instrument: a.i, ReceiveTime: 1}, Last: market.MustDecimal(last)})
	})
}

// at says where the book stands.
func (a *actor) at() (seq int64, shape string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seq, a.shape()
}

// message is what a client reads.
type message struct {
	Type         string          `json:"type"`
	ID           json.RawMessage `json:"id"`
	Subscription string          `json:"subscription"`
	N            uint64          `json:"n"`
	Coalesced    int             `json:"coalesced"`
	Data         data            `json:"data"`
	Streams      int             `json:"streams"`
	Waiting      []string        `json:"waiting"`
	Messages     uint64          `json:"messages"`
	Kinds        []string        `json:"kinds"`
	eventID      string
}

type data struct {
	Kind       string          `json:"kind"`
	Symbol     string          `json:"symbol"`
	State      string          `json:"state"`
	Seq        int64           `json:"seq"`
	PrevSeq    int64           `json:"prev_seq"`
	IsSnapshot bool            `json:"is_snapshot"`
	ID         json.RawMessage `json:"id"`
	Last       string          `json:"last"`
	Flags      []string        `json:"flags"`
	Bids       [][2]string     `json:"bids"`
	Asks       [][2]string     `json:"asks"`
}

// follower is a client that checks what it is given.
type follower struct {
	testing.TB
	client *live.Client
	n      map[string]uint64
	books  map[string]*rebuilt
	all    []message
	lastID string
	ended  chan struct{}
}

// rebuilt is a book as a follower makes it.
type rebuilt struct {
	seq        int64
	state      string
	bids, asks map[string]string
	snapshots  int
}

func (w *world) follower(consumer live.Consumer) *follower {
	w.Helper()
	f := &follower{TB: w, n: map[string]uint64{}, books: map[string]*rebuilt{}, ended: make(chan struct{})}
	var err error
	if f.client, err = w.hub.Connect(consumer, func() { close(f.ended) }); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(f.client.Close)
	return f
}

func (w *world) subscribed(consumer live.Consumer, filter live.Filter) *follower {
	w.Helper()
	f := w.follower(consumer)
	if _, err := f.client.Subscribe(live.Asked{Filter: filter}); err != nil {
		w.Fatal(err)
	}
	return f
}

// read takes what waits until cond holds.
func (f *follower) read(what string, cond func() bool) {
	f.Helper()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-f.client.Ready():
		case <-deadline:
			f.Fatalf("waited in vain for %s; %d messages, books %v", what, len(f.all), f.books)
		}
		f.take()
	}
}

func (f *follower) take() {
	f.Helper()
	messages, err := f.client.Take()
	if err != nil {
		f.Fatal(err)
	}
	for i := range messages {
		var m message
		text := messages[i].AppendTo(nil)
		if err := json.Unmarshal(text, &m); err != nil {
			f.Fatalf("%v in %s", err, text)
		}
		m.eventID = messages[i].ID
		f.see(&m)
	}
}

func (f *follower) see(m *message) {
	f.Helper()
	f.all = append(f.all, *m)
	if m.eventID != "" {
		f.lastID = m.eventID
	}
	if m.Type != "record" && m.Type != "state" {
		return
	}
	if f.n[m.Subscription]++; m.N != f.n[m.Subscription] {
		f.Fatalf("message %d of %s where %d is due", m.N, m.Subscription, f.n[m.Subscription])
	}
	b := f.books[m.Data.Symbol]
	switch {
	case m.Type == "state" && b != nil:
		b.state = m.Data.State
	case m.Data.Kind != "book_delta":
	case m.Data.IsSnapshot:
		snapshots := 1
		if b != nil {
			snapshots += b.snapshots
		}
		f.books[m.Data.Symbol] = &rebuilt{seq: m.Data.Seq, bids: sides(nil, m.Data.Bids), asks: sides(nil, m.Data.Asks), snapshots: snapshots, state: "live"}
	case b == nil:
		f.Fatalf("a change before the book: %+v", m)
	case m.Data.PrevSeq != b.seq:
		f.Fatalf("a change of %d..%d on a book at %d", m.Data.PrevSeq, m.Data.Seq, b.seq)
	default:
		b.seq, b.bids, b.asks = m.Data.Seq, sides(b.bids, m.Data.Bids), sides(b.asks, m.Data.Asks)
	}
}

func sides(side map[string]string, levels [][2]string) map[string]string {
	if side == nil {
		side = map[string]string{}
	}
	for _, l := range levels {
		if side[l[0]] = l[1]; l[1] == "0" {
			delete(side, l[0])
		}
	}
	return side
}

// same waits until the follower's book is the actor's, and compares them.
func (f *follower) same(a *actor) {
	f.Helper()
	seq, want := a.at()
	f.read(fmt.Sprintf("%s at %d", a.i.Symbol, seq), func() bool { b := f.books[a.i.Symbol]; return b != nil && b.seq >= seq })
	b := f.books[a.i.Symbol]
	if got := shape(b.bids, b.asks); b.seq != seq || got != want {
		f.Errorf("%s at %d:\n got %s\nwant %s at %d", a.i.Symbol, b.seq, got, want, seq)
	}
}

// begun waits for the last ticker, which says that what comes from now on is given.
func (f *follower) begun() {
	f.Helper()
	f.read("the last ticker", func() bool { return len(f.records("ticker")) > 0 })
}

// records are those of a kind.
func (f *follower) records(kind string) (out []message) {
	for _, m := range f.all {
		if m.Type == "record" && m.Data.Kind == kind {
			out = append(out, m)
		}
	}
	return out
}
