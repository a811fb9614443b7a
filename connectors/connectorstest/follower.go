package connectorstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// Follower collects a simulated market as the live collector does, with sessions,
// REST client and streams, and holds every book and trade against the truth.
type Follower struct {
	t      testing.TB
	server *simulator.Server
	venue  *connectors.Venue
	client *connectors.Client
	table  *market.Instruments
	cancel context.CancelFunc
	tap    func(*connectors.CaptureRecord)
	tasks  sync.WaitGroup

	mu                             sync.Mutex
	changed                        chan struct{}
	stopped                        bool
	streams                        map[*market.Instrument]*stream.Stream
	sessions                       map[connectors.Subscription]*connectors.Session
	trades                         map[market.StreamID]map[int64]market.Trade
	records                        [market.NumKinds]int
	gaps                           []market.Gap
	books                          int
	notes                          [connectors.NumReasons]int
	malformed, reconnects, resyncs int
	problems                       []string
	out                            stream.Output
}

// Follow connects to the market and subscribes to every channel that gives its
// data types, of all instruments.
func Follow(t testing.TB, server *simulator.Server, v *connectors.Venue, cfg connectors.MarketConfig) *Follower {
	t.Helper()
	return follow(t, server, v, cfg, nil)
}

// follow lets tap see all that is sent and received, one record at a time; nil for
// nobody.
func follow(t testing.TB, server *simulator.Server, v *connectors.Venue, cfg connectors.MarketConfig, tap func(*connectors.CaptureRecord)) *Follower {
	t.Helper()
	if tap != nil {
		var mu sync.Mutex
		see := tap
		tap = func(r *connectors.CaptureRecord) {
			mu.Lock()
			defer mu.Unlock()
			see(r)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	f := &Follower{
		t: t, server: server, venue: v, cancel: cancel, tap: tap,
		client:  connectors.NewClient(connectors.ClientOptions{Venue: v, Tap: tap}),
		changed: make(chan struct{}, 1), streams: map[*market.Instrument]*stream.Stream{},
		sessions: map[connectors.Subscription]*connectors.Session{}, trades: map[market.StreamID]map[int64]market.Trade{},
	}
	t.Cleanup(f.Stop)
	list, err := f.client.Instruments(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.table = market.NewInstruments(list)
	kinds, err := cfg.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	var subs []connectors.Subscription
	for _, name := range cfg.Symbols {
		i, err := f.table.Resolve(name)
		if err != nil {
			t.Fatalf("the list of instruments has no %s: %v", name, err)
		}
		f.streams[i] = stream.New(feed.StreamConfig(v, i, feed.Options{Depth: cfg.Depth}))
		for _, c := range v.ChannelsFor(kinds) {
			subs = append(subs, connectors.Subscription{Channel: c, Instrument: i})
		}
	}
	f.connect(ctx, cfg, subs)
	for _, sub := range subs {
		if v.Channels[sub.Channel].Poll > 0 {
			f.tasks.Go(func() { f.poll(ctx, sub) })
		}
	}
	return f
}

// connect runs a session for each connection of the plan.
func (f *Follower) connect(ctx context.Context, cfg connectors.MarketConfig, subs []connectors.Subscription) {
	reconnect := cfg.Reconnect
	reconnect.InitialWait, reconnect.MaxWait = 20*time.Millisecond, 200*time.Millisecond
	next := int64(0)
	var sessions []*connectors.Session
	for _, c := range f.venue.Wire.Plan(subs) {
		s, err := connectors.NewSession(connectors.SessionOptions{
			Venue: f.venue, Connection: c, Instruments: f.table, Reconnect: reconnect, Sink: f, Tap: f.tap,
			NextConn: func() int64 {
				f.mu.Lock()
				defer f.mu.Unlock()
				next++
				return next
			},
		})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, sub := range c.Subs {
			f.sessions[sub] = s
		}
		sessions = append(sessions, s)
	}
	for _, s := range sessions { // a running session may ask for any other
		f.tasks.Go(func() {
			if err := s.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				f.problem("session: %v", err)
			}
		})
	}
}

// Stop ends the sessions and waits for all of it. It may be called again.
func (f *Follower) Stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.cancel()
	f.tasks.Wait()
}

// Wait returns when missing says nothing any more; it is called whenever something
// has come, under the follower's lock.
func (f *Follower) Wait(ctx context.Context, missing func() string) error {
	for {
		f.mu.Lock()
		what := missing()
		f.mu.Unlock()
		if what == "" {
			return nil
		}
		select {
		case <-f.changed:
		case <-ctx.Done():
			return fmt.Errorf("still missing: %s", what)
		}
	}
}

// Check reports what was wrong.
func (f *Follower) Check() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.problems {
		f.t.Error(p)
	}
	for id, got := range f.trades {
		f.checkTrades(id, got)
	}
	for _, r := range []connectors.Reason{connectors.UnknownChannel, connectors.UnknownSymbol} {
		if n := f.notes[r]; n > 0 {
			f.t.Errorf("%d frames: %s", n, r)
		}
	}
	f.t.Logf("records by kind %v, books compared %d, gaps %d, resyncs %d, reconnects %d", f.counted(), f.books, len(f.gaps), f.resyncs, f.reconnects)
}

func (f *Follower) counted() map[string]int {
	m := map[string]int{}
	for k, n := range f.records {
		if n > 0 {
			m[market.Kind(k).String()] = n
		}
	}
	return m
}

// checkTrades holds the trades of a stream against those that happened.
func (f *Follower) checkTrades(id market.StreamID, got map[int64]market.Trade) {
	first, last := int64(1<<62), int64(0)
	for n := range got {
		first, last = min(first, n), max(last, n)
	}
	want, err := f.server.TradesBetween(id, first, last)
	if err != nil {
		f.t.Error(err)
		return
	}
	missing := 0
	for i := range want {
		w := &want[i]
		g, ok := got[w.Seq.V]
		switch {
		case !ok:
			missing++
		case !same(g.Price, w.Price) || !same(g.Amount, w.Amount) || g.Side != w.Side || g.ExchangeTime/1e6 != w.ExchangeTime/1e6:
			f.t.Errorf("%s: trade %d is %v %v %v at %d, want %v %v %v at %d", id, w.Seq.V,
				g.Side, g.Amount, g.Price, g.ExchangeTime, w.Side, w.Amount, w.Price, w.ExchangeTime)
		}
	}
	if missing > 0 || len(got) != len(want) {
		f.t.Errorf("%s: %d trades from %d to %d, want %d; %d are missing", id, len(got), first, last, len(want), missing)
	}
}

func same(a, b market.Decimal) bool { return a.Cmp(b) == 0 }

func (f *Follower) problem(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(format, args...)
}

// note keeps the first problems; the lock is held.
func (f *Follower) note(format string, args ...any) {
	if len(f.problems) < 10 && !f.stopped {
		f.problems = append(f.problems, fmt.Sprintf(format, args...))
	}
}

// Deliver implements [connectors.Sink].
func (f *Follower) Deliver(d *connectors.Delivery) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes[d.Note.Reason]++
	for i := range d.Batch.Len() {
		r := d.Batch.At(i)
		s := f.streams[r.Head().Instrument]
		if s == nil {
			continue // of all instruments of the market, say
		}
		f.out.Reset()
		s.Step(r, &f.out)
		f.take(s)
	}
	d.Release()
	f.poke()
	return true
}

func (f *Follower) poke() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// take looks at what a stream emitted, and does what it asks for.
func (f *Follower) take(s *stream.Stream) {
	for _, r := range f.out.Records {
		f.records[r.Kind()]++
		switch r := r.(type) {
		case *market.Trade:
			f.keep(r)
		case *market.BookDelta:
			f.compare(s)
		case *market.Gap:
			f.gaps = append(f.gaps, *r)
		}
	}
	for _, req := range f.out.Requests {
		f.request(s, req)
	}
}

func (f *Follower) keep(t *market.Trade) {
	id := t.Instrument.ID()
	n, ok := t.Number()
	if !ok {
		f.note("%s: a trade without a number", id)
		return
	}
	if f.trades[id] == nil {
		f.trades[id] = map[int64]market.Trade{}
	}
	if _, twice := f.trades[id][n]; twice {
		f.note("%s: trade %d twice", id, n)
	}
	f.trades[id][n] = *t
}

// compare holds a live book against the market's at the same number.
func (f *Follower) compare(s *stream.Stream) {
	b, status := s.Book()
	if status.State != stream.Live {
		return
	}
	id := s.Instrument().ID()
	bids, asks, err := f.server.BookAt(id, status.Seq)
	if err != nil {
		f.note("%v", err)
		return
	}
	gotBids, gotAsks := b.AppendBids(nil, len(bids)+1), b.AppendAsks(nil, len(asks)+1)
	for _, side := range []struct {
		name      string
		got, want []market.Level
	}{{"bids", gotBids, bids}, {"asks", gotAsks, asks}} {
		if len(side.got) != len(side.want) {
			f.note("%s at %d: %d %s, want %d", id, status.Seq, len(side.got), side.name, len(side.want))
			return
		}
		for i := range side.got {
			if !same(side.got[i].Price, side.want[i].Price) || !same(side.got[i].Amount, side.want[i].Amount) {
				f.note("%s at %d: level %d of the %s is %v, want %v", id, status.Seq, i, side.name, side.got[i], side.want[i])
				return
			}
		}
	}
	f.books++
}

// Report implements [connectors.Sink].
func (f *Follower) Report(e connectors.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e.Kind {
	case connectors.SubscriptionRefused:
		f.note("refused: %v", e.Cause)
	case connectors.Malformed:
		f.malformed++
		f.t.Logf("malformed: %v", e.Cause)
	case connectors.Connected:
		f.reconnects++
		f.each(e.Subs, func(s *stream.Stream, kinds []market.Kind) {
			for _, k := range kinds {
				if k == market.KindBookDelta {
					s.Subscribed(&f.out)
				}
			}
		})
	case connectors.Disconnected:
		if !e.Replaced {
			f.each(e.Subs, func(s *stream.Stream, kinds []market.Kind) {
				s.Interrupted(market.CauseDisconnect, e.Time.UnixNano(), &f.out, kinds...)
			})
		}
	}
	f.poke()
}

func (f *Follower) each(subs []connectors.Subscription, do func(*stream.Stream, []market.Kind)) {
	for _, sub := range subs {
		f.out.Reset()
		s := f.streams[sub.Instrument]
		do(s, f.venue.Channels[sub.Channel].Kinds)
		f.take(s)
	}
}

// request does what a stream asks for; the lock is held.
func (f *Follower) request(s *stream.Stream, req stream.Request) {
	if f.stopped {
		return
	}
	switch req.Kind {
	case stream.RequestResubscribe:
		f.resyncs++
		for sub, session := range f.sessions {
			if sub.Instrument == s.Instrument() && f.venue.Channels[sub.Channel].Snapshot != connectors.NoSnapshot {
				session.Resubscribe(sub)
			}
		}
	case stream.RequestSnapshot:
		f.resyncs++
		f.tasks.Go(func() { f.snapshot(s) })
	case stream.RequestTrades:
		f.tasks.Go(func() { f.backfill(s, req) })
	}
}

// fetch makes a call until it succeeds.
func (f *Follower) fetch(need connectors.Need, out *market.Batch) (connectors.Request, bool) {
	req, err := f.venue.REST.Request(need)
	if err != nil {
		f.problem("%s: %v", need.Kind, err)
		return req, false
	}
	for {
		err := f.client.Fetch(f.t.Context(), req, out)
		var status *connectors.StatusError
		switch {
		case err == nil:
			return req, true
		case errors.As(err, &status) && status.Throttled():
		default:
			f.problem("%v", err)
			return req, false
		}
		f.mu.Lock()
		stopped := f.stopped
		f.mu.Unlock()
		if stopped {
			return req, false
		}
	}
}

func (f *Follower) snapshot(s *stream.Stream) {
	var batch market.Batch
	_, ok := f.fetch(connectors.Need{Kind: connectors.NeedSnapshot, Instrument: s.Instrument()}, &batch)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.Reset()
	if !ok {
		s.SnapshotFailed()
	}
	for d := range market.Rows[market.BookDelta](&batch) {
		s.Snapshot(d, &f.out)
	}
	f.take(s)
}

func (f *Follower) backfill(s *stream.Stream, req stream.Request) {
	for from := req.From; ; {
		var batch market.Batch
		need := connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: s.Instrument(), FromID: from, ToID: req.To}
		_, ok := f.fetch(need, &batch)
		last := from - 1
		for t := range market.Rows[market.Trade](&batch) {
			n, _ := t.Number()
			last = max(last, n)
		}
		done := !ok || last >= req.To || last < from
		f.mu.Lock()
		f.out.Reset()
		s.Backfilled(req, &batch, done, time.Now().UnixNano(), &f.out)
		f.take(s)
		f.mu.Unlock()
		f.poke()
		if done {
			return
		}
		from = last + 1
	}
}

// poll asks once for a polled channel.
func (f *Follower) poll(_ context.Context, sub connectors.Subscription) {
	var batch market.Batch
	need := connectors.Need{Kind: connectors.NeedPoll, Instrument: sub.Instrument, Channel: sub.Channel}
	if _, ok := f.fetch(need, &batch); !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if batch.Len() == 0 {
		f.note("%s of %s: an empty answer", f.venue.Channels[sub.Channel].Name, sub.Instrument.Symbol)
	}
	for i := range batch.Len() {
		if s := f.streams[batch.At(i).Head().Instrument]; s != nil {
			f.out.Reset()
			s.Step(batch.At(i), &f.out)
			f.take(s)
		}
	}
	f.poke()
}
