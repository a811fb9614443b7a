package collector_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// ledger is a journal and a store in memory: it acknowledges as it is told to.
type ledger struct {
	poke func()

	mu      sync.Mutex
	records map[market.StreamID][]market.Record
	batches []*market.Batch
	refuse  error // what Record answers
	hold    bool  // acknowledgements wait
	held    []*persistence.Entry
	acks    sync.WaitGroup
	forget  bool // nothing is kept but how many books have begun
	begun   int
}

func (l *ledger) books() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun
}

func newLedger(poke func()) *ledger {
	return &ledger{records: map[market.StreamID][]market.Record{}, poke: poke}
}

// Record implements persistence.Recorder.
func (l *ledger) Record(e *persistence.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	if l.hold {
		l.held = append(l.held, e)
		l.poke()
		return nil
	}
	l.keep(e)
	l.acks.Go(func() { e.Done(e, persistence.Outcome{}) })
	return nil
}

// keep needs the lock.
func (l *ledger) keep(e *persistence.Entry) {
	if l.forget {
		for d := range market.Rows[market.BookDelta](&e.Batch) {
			if d.IsSnapshot {
				l.begun++
			}
		}
		l.poke()
		return
	}
	b := new(market.Batch)
	for r := range e.Batch.All() {
		own := b.Copy(r)
		id := own.Head().Instrument.ID()
		l.records[id] = append(l.records[id], own)
	}
	l.batches = append(l.batches, b)
	l.poke()
}

// Accepting implements persistence.Recorder.
func (l *ledger) Accepting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuse == nil
}

// set changes what becomes of entries; those held are settled with err.
func (l *ledger) set(refuse error, hold bool, err error) {
	l.mu.Lock()
	l.refuse, l.hold = refuse, hold
	held := l.held
	if !hold {
		l.held = nil
		if err == nil {
			for _, e := range held {
				l.keep(e)
			}
		}
	}
	l.mu.Unlock()
	if hold {
		return
	}
	for _, e := range held {
		e.Done(e, persistence.Outcome{Err: err})
	}
}

func (l *ledger) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// all lists the records of a stream; of a gap the last word alone.
func (l *ledger) all(id market.StreamID, kind market.Kind) []market.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []market.Record
	at := map[string]int{}
	for _, r := range l.records[id] {
		if r.Kind() != kind {
			continue
		}
		if g, ok := r.(*market.Gap); ok {
			key := fmt.Sprint(g.TS, g.Channel, g.FromSeq)
			if n, known := at[key]; known {
				out[n] = r
				continue
			}
			at[key] = len(out)
		}
		out = append(out, r)
	}
	return out
}

// Last implements persistence.Reader.
func (l *ledger) Last(_ context.Context, k market.Kind, id market.StreamID, _ persistence.OriginFilter, into *market.Batch) (market.Record, bool, error) {
	var last market.Record
	for _, r := range l.all(id, k) {
		if last == nil || less(last, r) {
			last = r
		}
	}
	if last == nil {
		return nil, false, nil
	}
	return into.Copy(last), true, nil
}

// less is the reading order: ts, then seq.
func less(a, b market.Record) bool {
	x, y := a.Head(), b.Head()
	if x.TS != y.TS {
		return x.TS < y.TS
	}
	return x.Seq.V <= y.Seq.V
}

// Query implements persistence.Reader, for one stream.
func (l *ledger) Query(_ context.Context, q persistence.Query) (persistence.Rows, error) {
	found := slices.DeleteFunc(l.all(*q.Stream, q.Kind), func(r market.Record) bool {
		at := r.Head().TS
		return at < q.From || q.To > 0 && at >= q.To
	})
	slices.SortStableFunc(found, func(a, b market.Record) int {
		return cmp.Or(cmp.Compare(a.Head().TS, b.Head().TS), cmp.Compare(a.Head().Seq.V, b.Head().Seq.V))
	})
	if q.Newest {
		slices.Reverse(found)
	}
	if q.Limit > 0 {
		found = found[:min(q.Limit, len(found))]
	}
	return &rows{found}, nil
}

// drop forgets records.
func (l *ledger) drop(id market.StreamID, which func(market.Record) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[id] = slices.DeleteFunc(l.records[id], which)
}

// Candles implements persistence.Reader.
func (l *ledger) Candles(context.Context, persistence.CandleQuery) (persistence.Rows, error) {
	return nil, persistence.ErrQuery
}

type rows struct{ left []market.Record }

func (r *rows) Next(_ context.Context, into *market.Batch) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	into.Copy(r.left[0])
	r.left = r.left[1:]
	return 1, nil
}
func (*rows) Cursor() string { return "" }
func (*rows) Close() error   { return nil }

// overlays keeps run-time subscriptions in memory.
type overlays struct {
	mu       sync.Mutex
	kept     map[string]collector.Overlay
	watchers []func()
}

func (o *overlays) Load(_ context.Context, exchange string, m market.Market) (collector.Overlay, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept[exchange+m.String()], nil
}

func (o *overlays) Save(_ context.Context, exchange string, m market.Market, v collector.Overlay) (uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil {
		o.kept = map[string]collector.Overlay{}
	}
	if v.Revision != o.kept[exchange+m.String()].Revision {
		return 0, collector.ErrChanged
	}
	v.Revision++
	o.kept[exchange+m.String()] = v
	for _, changed := range o.watchers {
		changed()
	}
	return v.Revision, nil
}

func (o *overlays) Watch(ctx context.Context, _ string, _ market.Market, changed func()) error {
	o.mu.Lock()
	at := len(o.watchers)
	o.watchers = append(o.watchers, changed)
	o.mu.Unlock()
	changed()
	<-ctx.Done()
	o.mu.Lock()
	o.watchers[at] = func() {}
	o.mu.Unlock()
	return nil
}
