package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// BackfillRequest asks for the past of one stream, subscribed or not: a range of
// time, or what its gap ledger says is missing.
type BackfillRequest struct {
	// Exchange, Market and Symbol name the stream as in [Collector.OrderBook].
	Exchange, Market, Symbol string
	// Kinds are names of kinds that the exchange remembers. Without any, a range is of
	// those of them that the market collects, and gaps are those of every channel.
	Kinds []string
	// Gaps asks for the entries of the ledger that are open or marked; From and To
	// then choose entries, and may be zero.
	Gaps bool
	// From and To bound the time, From inclusive and To exclusive; To zero is now.
	From, To time.Time
}

// BackfillState is where an operation is.
type BackfillState string

// The states. The last three are final.
const (
	BackfillQueued    BackfillState = "queued"
	BackfillRunning   BackfillState = "running"
	BackfillSucceeded BackfillState = "succeeded"
	BackfillCancelled BackfillState = "cancelled"
	BackfillFailed    BackfillState = "failed"
)

// BackfillStatus says how far an operation is.
type BackfillStatus struct {
	ID         string
	Instrument *market.Instrument
	// Parts are what it is of, in order: "trade", "candle 1m", "gaps". Doing is the
	// one under way.
	Parts []string
	Doing string
	Gaps  bool
	// From and To are as in [BackfillRequest]; zero where gaps have no bound.
	From, To time.Time
	State    BackfillState
	// Problem is why it failed, or what it waits for.
	Problem string
	// Created, Started and Finished are zero before they happened.
	Created, Started, Finished time.Time
	// Progress is from 0 to 1.
	Progress float64
	BackfillCounts
	// Unobtainable are entries of the ledger that stay as they are, and why.
	Unobtainable []Unobtainable
	// Resumed counts the processes that took it up again after the one before had ended
	// over it. The counts are of the last of them, which finds stored what those before
	// it have brought.
	Resumed int
}

// BackfillCounts say what an operation has done.
type BackfillCounts struct {
	// Records were fetched and are in the journal; Stored were there before, and
	// Missing are those that the exchange did not give, where that can be told.
	Records int64 `json:"records"`
	Stored  int64 `json:"stored"`
	Missing int64 `json:"missing"`
	// Calls were made to the exchange.
	Calls int64 `json:"calls"`
	// GapsFound are entries of the ledger that the exchange may have something of,
	// GapsHealed those that nothing is missing of any more. GapsLeft are still open and
	// with the stream itself, which was asked to try again.
	GapsFound  int `json:"gaps_found"`
	GapsHealed int `json:"gaps_healed"`
	GapsLeft   int `json:"gaps_left"`
}

// Unobtainable says of how many entries of the ledger nothing is to be had.
type Unobtainable struct {
	Channel string `json:"channel" doc:"the kind, as in the entries"`
	Entries int    `json:"entries" doc:"of the ledger, how many"`
	Reason  string `json:"reason" doc:"why nothing is to be had of them"`
}

// Over reports whether the state is final.
func (s BackfillState) Over() bool { return s != BackfillQueued && s != BackfillRunning }

// ErrBackfillsFull: too many operations wait for one market: HTTP 503.
var ErrBackfillsFull = errors.New("too many backfills wait")

const (
	backfillsWaiting = 1000 // operations of one market
	backfillsKept    = 200  // that are over
)

// backfills are the operations of one market. They outlive the actor's incarnations,
// and, with [Options.Backfills], the process: one that was under way begins again, and
// finds what it had brought stored.
type backfills struct {
	mu   sync.Mutex
	list []*backfill // in the order in which they came
	n    int
	gone []*backfill // forgotten, and still to be removed where they are kept
	// recalled: what processes before have left is known.
	recalled bool

	// Counts go up for as long as the process lives.
	records, calls, failures atomic.Int64
}

// backfill is one operation. Its lock guards the status.
type backfill struct {
	venue     *venue
	request   BackfillRequest
	histories []chosen // what it may bring by time
	trades    bool     // whether gaps of trades are wanted
	// again: a process before has accepted it, and it is checked when it begins.
	again bool

	keeping sync.Mutex // one writing of its document at a time; before mu

	mu       sync.Mutex
	status   BackfillStatus
	cancel   context.CancelFunc // nil while it does not run
	ended    bool               // somebody has cancelled it
	over     chan struct{}      // closed with a final state
	ending   BackfillState      // the final state that is about to be; "" before
	finished time.Time          // when ending came about
	changed  bool               // since its document was written
	lost     bool               // another node has taken it over
	revision uint64             // of that; 0 before
	idle     int                // processes that ended over it without a step, the last ones
}

// chosen is a history with its index in the table.
type chosen struct {
	index int
	connectors.History
}

// BeginBackfill takes a request up and returns at once. Operations of one market run
// one after the other, whenever nothing live needs the exchange, within a share of
// its budget ([Config.BackfillShare]). Errors: [UnknownError], [MarketError],
// [*market.SymbolError], [InvalidError], [ErrNotStarted], [ErrNoStore],
// [ErrBackfillsFull], [documents.ErrUnavailable] when it cannot be kept over a restart,
// those of supervise.Ask.
func (c *Collector) BeginBackfill(ctx context.Context, r BackfillRequest) (BackfillStatus, error) {
	v, i, err := c.market(r.Exchange, r.Market, r.Symbol)
	if err != nil {
		return BackfillStatus{}, err
	}
	if c.opts.Reader == nil {
		return BackfillStatus{}, ErrNoStore
	}
	b := &backfill{venue: v, request: r, over: make(chan struct{}), changed: true, status: BackfillStatus{Instrument: i, Gaps: r.Gaps, From: r.From, To: r.To, State: BackfillQueued, Created: c.opts.Now()}}
	if err := b.choose(); err != nil {
		return BackfillStatus{}, err
	}
	if err := v.backfills.add(b, v.opts.Epoch); err != nil {
		return BackfillStatus{}, err
	}
	if err := b.keep(ctx); err != nil { // who is told of it finds it after a crash too
		v.backfills.remove(b)
		return BackfillStatus{}, err
	}
	if err := c.opts.System.Tell(v.child(backfillName), backfillsDue{}); err != nil {
		v.backfills.remove(b)
		return BackfillStatus{}, fmt.Errorf("handing the backfill over: %w", err)
	}
	return b.read(), ctx.Err()
}

// choose checks what is asked for against what the exchange remembers.
func (b *backfill) choose() error {
	r := b.request
	b.histories, b.status.Parts = nil, nil
	table := b.venue.table()
	if table == nil {
		return ErrNotStarted
	}
	all := table.HistoriesOf()
	var offered []string
	for i := range all {
		if w := all[i].Kind.String(); !slices.Contains(offered, w) {
			offered = append(offered, w)
		}
	}
	if len(offered) == 0 {
		return &InvalidError{Field: "exchange", Value: b.venue.exchange + ", which tells nothing of the past,"}
	}
	wanted, err := offeredKinds(r.Kinds, offered)
	if err != nil {
		return err
	}
	if r.Gaps {
		return b.chooseGaps(wanted, all)
	}
	if wanted == 0 {
		wanted = b.venue.wish.Load().kinds
	}
	for i, h := range all {
		if wanted.has(h.Kind) {
			b.histories = append(b.histories, chosen{i, h})
			b.status.Parts = append(b.status.Parts, h.Label())
			if !slices.Contains(b.request.Kinds, h.Kind.String()) { // so that it is the same when it is taken up again
				b.request.Kinds = append(slices.Clone(b.request.Kinds), h.Kind.String())
			}
		}
	}
	if len(b.histories) == 0 {
		return &InvalidError{Field: "kinds", Value: strings.Join(wanted.words(), ","), Allowed: offered}
	}
	return b.chooseRange()
}

// offeredKinds reads names of kinds that are on offer.
func offeredKinds(names, offered []string) (s kindSet, err error) {
	for _, n := range names {
		k, ok := market.ParseKind(n)
		if !ok || !slices.Contains(offered, k.String()) {
			return 0, &InvalidError{Field: "kinds", Value: n, Allowed: offered}
		}
		s |= kindsOf(k)
	}
	return s, nil
}

func (b *backfill) chooseGaps(wanted kindSet, all []connectors.History) error {
	r := b.request
	b.trades = wanted == 0 || wanted.has(market.KindTrade)
	for i, h := range all {
		if h.Kind != market.KindTrade && (wanted == 0 || wanted.has(h.Kind)) {
			b.histories = append(b.histories, chosen{i, h})
		}
	}
	if !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) {
		return &InvalidError{Field: "from", Value: r.From.UTC().Format(time.RFC3339) + ", which is not before to,"}
	}
	b.status.Parts = []string{"gaps"}
	return nil
}

// chooseRange checks the time; without an end it ends now.
func (b *backfill) chooseRange() error {
	now, s := b.venue.opts.Now(), &b.status
	if s.To.IsZero() {
		s.To = now
	}
	switch text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }; {
	case s.From.IsZero():
		return &InvalidError{Field: "from", Value: ""}
	case s.To.After(now):
		return &InvalidError{Field: "to", Value: text(s.To) + ", which is in the future,"}
	case !s.From.Before(s.To):
		return &InvalidError{Field: "from", Value: text(s.From) + ", which is not before to,"}
	}
	for _, h := range b.histories {
		if oldest := now.Add(-h.Reach); h.Reach > 0 && s.From.Before(oldest) {
			return &InvalidError{Field: "from", Value: fmt.Sprintf("%s: %s remembers %s for %s only, since %s, so that it",
				s.From.UTC().Format(time.RFC3339), b.venue.name, h.Label(), days(h.Reach), oldest.UTC().Format(time.RFC3339))}
		}
	}
	return nil
}

func days(d time.Duration) string { return fmt.Sprintf("%g days", d.Hours()/24) }

// Backfills lists the operations that wait, run, or are over and not yet forgotten,
// the newest first.
func (c *Collector) Backfills(context.Context) []BackfillStatus {
	var out []BackfillStatus
	for _, v := range c.venues {
		for _, b := range v.backfills.all() {
			out = append(out, b.read())
		}
	}
	slices.SortStableFunc(out, func(a, b BackfillStatus) int { return b.Created.Compare(a.Created) })
	return out
}

// BackfillStatus is one operation. Errors: [UnknownError], and [ErrNotStarted] while it
// is not known yet what a process before has left.
func (c *Collector) BackfillStatus(_ context.Context, id string) (BackfillStatus, error) {
	b, err := c.backfill(id)
	if err != nil {
		return BackfillStatus{}, err
	}
	return b.read(), nil
}

// CancelBackfill ends an operation; what it has brought stays, and a like one goes on
// from there. One that is over stays as it is. Errors: [UnknownError], and
// [documents.ErrUnavailable] when it is over here, and a process to come may take it up again.
func (c *Collector) CancelBackfill(ctx context.Context, id string) (BackfillStatus, error) {
	b, err := c.backfill(id)
	if err != nil {
		return BackfillStatus{}, err
	}
	b.mu.Lock()
	switch {
	case b.cancel != nil:
		b.ended = true
		b.cancel()
	case b.status.State == BackfillQueued:
		b.ends(BackfillCancelled)
	}
	b.mu.Unlock()
	// One that was running is kept by the actor, as it ends.
	return b.read(), b.keep(ctx)
}

func (c *Collector) backfill(id string) (*backfill, error) {
	for _, v := range c.venues {
		for _, b := range v.backfills.all() {
			if b.status.ID == id {
				return b, nil
			}
		}
		if v.opts.Backfills != nil && !v.backfills.isRecalled() && strings.HasPrefix(id, v.name+"-") {
			return nil, ErrNotStarted
		}
	}
	return nil, &UnknownError{What: "backfill", Name: id}
}

// AwaitBackfill is [Collector.BackfillStatus] once the operation is over, or when ctx
// ends, whichever comes first.
func (c *Collector) AwaitBackfill(ctx context.Context, id string) (BackfillStatus, error) {
	b, err := c.backfill(id)
	if err != nil {
		return BackfillStatus{}, err
	}
	select {
	case <-b.over:
	case <-ctx.Done():
	}
	return b.read(), nil
}

// ends gives an operation its final state; the caller holds the lock.
func (b *backfill) ends(as BackfillState) {
	at := b.finished
	if b.ending != as { // nobody has written it down yet
		at = b.venue.opts.Now()
	}
	b.status.State, b.status.Finished, b.status.Doing, b.cancel = as, at, "", nil
	b.changed = true
	close(b.over)
}

func (b *backfill) read() BackfillStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// note changes the status.
func (b *backfill) note(change func(*BackfillStatus)) {
	b.mu.Lock()
	change(&b.status)
	b.changed = true
	b.mu.Unlock()
}

// add takes an operation up and names it: after the ownership under which it began,
// so that no other, of any process, has its name.
func (l *backfills) add(b *backfill, epoch int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.forget() >= backfillsWaiting {
		return ErrBackfillsFull
	}
	l.n++
	b.status.ID = fmt.Sprintf("%s-%d-%d", b.venue.name, epoch, l.n)
	l.list = append(l.list, b)
	return nil
}

// forget gives up the oldest of those that are over, beyond a number, and returns how
// many are not over. The lock is held.
func (l *backfills) forget() (waiting int) {
	over := 0
	for _, o := range l.list {
		if o.read().State.Over() {
			over++
		} else {
			waiting++
		}
	}
	for i := 0; i < len(l.list) && over > backfillsKept; {
		if l.list[i].read().State.Over() {
			l.gone = append(l.gone, l.list[i])
			l.list = slices.Delete(l.list, i, i+1)
			over--
			continue
		}
		i++
	}
	return waiting
}

// underWay is how many wait or run.
func (l *backfills) underWay() (n int) {
	for _, b := range l.all() {
		if !b.read().State.Over() {
			n++
		}
	}
	return n
}

func (l *backfills) remove(b *backfill) {
	l.mu.Lock()
	l.list = slices.DeleteFunc(l.list, func(o *backfill) bool { return o == b })
	l.mu.Unlock()
}

func (l *backfills) all() []*backfill {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}
