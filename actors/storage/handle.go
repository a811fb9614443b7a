package storage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// Options of the branch.
type Options struct {
	Config Config
	// Engine is the store. It is the caller's to close, once the branch has stopped.
	Engine persistence.Engine
	// Journal returns the open journal. It may block, and is called again after an
	// error.
	Journal func(ctx context.Context) (*journal.Journal, error)
	// Writing is Journal with the right to write, which Adopt needs; nil is Journal.
	Writing func(ctx context.Context) (*journal.Journal, error)
	// Shards is the journal's number of shards.
	Shards int
	// Dir is where files of an adoption stand, and the operations are noted; "" is the
	// working directory, and notes no operations.
	Dir string
	// ReaderID is this store's name in the journal's registry, the same at every
	// start: 1 to 64 letters, digits, - and _.
	ReaderID string
	// FullCopy says that the engine keeps everything on this node.
	FullCopy bool
	// Tiers moves rows between the hot store and the cold one; nil: nothing is moved.
	Tiers persistence.Tiers
	// Policy is when; the zero value is DefaultPolicyConfig.
	Policy PolicyConfig
	// Recorder takes the writes of clients, into shard 0; nil refuses them.
	Recorder persistence.Recorder
	// Peers are other stores of the journal, to copy from what it has forgotten; nil:
	// there are none. With them the Engine is a persistence.Copying.
	Peers Peers
	// Share says that other processes bring the journal into the same store, which is a
	// persistence.Shared then: each shard by one of them at a time. Nil: this one alone.
	Share *Share
	// Archives says whether this node has what is due archived by itself; nil is always.
	Archives func() bool
	// Owner is the node that uses a reader's name, as far as that is known; nil knows none.
	Owner func(reader string) (node string, known bool)
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer
}

// Handle is how the rest of the program asks the store. It outlives the actors,
// and is safe for concurrent use. Its methods fail with the errors of
// supervise.Ask, and with ErrBusy; both mean to try again later.
type Handle struct {
	options   Options
	metrics   *metrics
	shards    []*progress
	lifecycle *upkeep
	leases    chan struct{} // a place for each open lease
	router    atomic.Pointer[ref]
	adopting  sync.Mutex

	lifecycleAt atomic.Pointer[ref]
	operations  operations
	policy      atomic.Pointer[PolicyConfig]
	// archiveFault is why the last archive failed; nil when it did not.
	archiveFault atomic.Pointer[error]
}

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// New makes the handle of a branch that starts with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("storage configuration: %w", err)
	}
	switch {
	case o.Engine == nil:
		return nil, errors.New("storage without an engine")
	case o.Journal == nil:
		return nil, errors.New("storage without a journal")
	case o.Peers != nil && copyingOf(o.Engine) == nil:
		return nil, errors.New("storage that copies from others with an engine that cannot")
	case o.Share != nil && sharedOf(o.Engine) == nil:
		return nil, errors.New("storage that shares an engine that cannot be shared")
	case o.Shards < 1 || o.Shards > journal.MaxShards:
		return nil, fmt.Errorf("storage of %d shards, allowed 1 to %d", o.Shards, journal.MaxShards)
	}
	if o.Writing == nil {
		o.Writing = o.Journal
	}
	h := &Handle{options: o, lifecycle: &upkeep{}, leases: make(chan struct{}, o.Config.MaxLeases)}
	h.operations.load(o.Dir)
	for k := range o.Shards {
		h.shards = append(h.shards, newProgress(k))
	}
	if o.Policy == (PolicyConfig{}) {
		o.Policy = DefaultPolicyConfig()
	}
	err := h.SetPolicy(o.Policy)
	if err != nil {
		return nil, err
	}
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("storage metrics: %w", err)
	}
	return h, nil
}

// Spec is the branch "storage", with reader/<shard>, lifecycle and router. It is
// ready when every reader reads, or has found that it cannot.
func (h *Handle) Spec() supervise.Spec {
	readers := make([]supervise.Spec, 0, len(h.shards))
	for _, p := range h.shards {
		readers = append(readers, supervise.Spec{
			Name:            strconv.Itoa(p.shard),
			Kind:            "reader",
			New:             func() supervise.Actor { return newReader(h, p) },
			AwaitReady:      true,
			StartTimeout:    2 * time.Minute,
			ShutdownTimeout: h.options.Config.StopTimeout,
			Mailbox:         supervise.Mailbox{Capacity: 16},
		})
	}
	return supervise.Branch("storage", supervise.DefaultStrategy(),
		supervise.Branch("reader", supervise.DefaultStrategy(), readers...),
		supervise.Spec{
			Name:            "lifecycle",
			New:             func() supervise.Actor { return newLifecycle(h) },
			ShutdownTimeout: 30 * time.Second,
			Mailbox:         supervise.Mailbox{Capacity: 16},
		},
		supervise.Spec{
			Name: "router",
			New:  func() supervise.Actor { return newRouter(h) },
		})
}

// ErrBusy: too many requests of this sort are under way. Retry later.
var ErrBusy = errors.New("too many storage requests at once")

// ErrReadOnly: this node takes no writes.
var ErrReadOnly = errors.New("this node takes no writes")

// What a wait for a position of the journal meets.
var (
	// ErrNoShard: the journal has no such shard.
	ErrNoShard = errors.New("no such shard of the journal")
	// ErrNeverReached: the store will not get there by itself.
	ErrNeverReached = errors.New("the store does not read on to it")
)

// ErrInvalidWrite: a batch that clients cannot write: empty, or with records that
// are not external.
var ErrInvalidWrite = errors.New("invalid write")

// UnavailableError refuses a write for now. Whether it was stored is uncertain
// only when Err matches persistence.ErrDoubt; the same write again is harmless.
type UnavailableError struct {
	Err error
	// RetryAfter is when to try again.
	RetryAfter time.Duration
}

// Error implements error.
func (e *UnavailableError) Error() string { return "storage takes no writes: " + e.Err.Error() }

// Unwrap gives the cause to errors.Is.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Query opens a query. The rows are a lease: close them. Further errors: those of
// the engine, persistence.ErrQuery, ErrCursor, ErrClosed.
func (h *Handle) Query(ctx context.Context, q persistence.Query) (persistence.Rows, error) {
	t := &ticket{}
	return lease(ctx, h, t, query{ctx, q, t})
}

// Candles opens a query for candles, as Query does.
func (h *Handle) Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error) {
	t := &ticket{}
	return lease(ctx, h, t, candles{ctx, q, t})
}

// lease asks for rows; what comes after the asker has left is closed.
func lease(ctx context.Context, h *Handle, t *ticket, message any) (persistence.Rows, error) {
	rows, err := ask[persistence.Rows](ctx, h, message)
	if err != nil {
		return nil, errors.Join(err, t.abandon())
	}
	return rows, nil
}

// Last returns the last record, in reading order, of a stream's channel. The
// record is the caller's; ok is false when there is none.
func (h *Handle) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter) (r market.Record, ok bool, err error) {
	found, err := ask[lastFound](ctx, h, last{ctx, kind, stream, origin})
	return found.record, found.record != nil, err
}

// Stats counts what is stored.
func (h *Handle) Stats(ctx context.Context) (persistence.Stats, error) {
	return ask[persistence.Stats](ctx, h, stats{ctx})
}

// ColdStats counts what is archived; it has no place where this node has no cold
// store.
func (h *Handle) ColdStats() persistence.ColdStats {
	if h.options.Tiers == nil {
		return persistence.ColdStats{Tables: []persistence.TableStats{}, Archived: []persistence.ArchivedTo{}, Damaged: []persistence.Quarantined{}}
	}
	return h.options.Tiers.ColdStats()
}

// ColdParts lists the archived files; persistence.ErrAway.
func (h *Handle) ColdParts() ([]persistence.PartInfo, error) {
	if h.options.Tiers == nil {
		return nil, nil
	}
	return h.options.Tiers.ColdParts()
}

// Parts lists the published files of the hot store.
func (h *Handle) Parts(ctx context.Context) ([]persistence.PartInfo, error) {
	return ask[[]persistence.PartInfo](ctx, h, parts{ctx})
}

// Streams lists the streams that have records of a kind.
func (h *Handle) Streams(ctx context.Context, kind market.Kind) ([]market.StreamID, error) {
	return ask[[]market.StreamID](ctx, h, streams{ctx, kind})
}

// Status says how far the store is behind the journal, and what ails it.
func (h *Handle) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, h, statusRequest{ctx})
}

// Written is the answer to a write.
type Written struct {
	// Stored is the number of records, all of them in the journal, synced.
	Stored int
	// Visible says that queries on this node see them already.
	Visible bool
	// Shard and Seq say where they are in the journal.
	Shard int
	Seq   uint64
}

// Write stores the external records of a client, all or none, and waits until they
// are visible, at most Config.VisibleTimeout. The batch belongs to the store from
// then on, whatever the outcome. Errors: ErrInvalidWrite, ErrReadOnly,
// persistence.ErrTooLarge, an [*UnavailableError]; when ctx ends before the journal
// has answered, the records may still be stored.
func (h *Handle) Write(ctx context.Context, batch *market.Batch) (Written, error) {
	return ask[Written](ctx, h, write{ctx, batch})
}

// CaughtUp waits until queries see all that a shard's journal held when it was
// called. Errors: the reader's fault, ctx's error.
func (h *Handle) CaughtUp(ctx context.Context, shard int) error {
	j, err := h.options.Journal(ctx)
	if err != nil {
		return err
	}
	st, err := j.State(ctx, shard)
	if err != nil {
		return err
	}
	if why := h.shards[shard].lacking(); why != nil {
		return why
	}
	// An empty journal may be one that was purged and made anew.
	if st.Messages == 0 {
		return h.shards[shard].faulted()
	}
	return h.reached(ctx, shard, st.Last)
}

// Reached waits until queries see everything of a shard of the journal with that id, or
// with none of the one that the store reads, up to seq, and returns up to where they do.
// Errors: ErrNoShard, ErrNeverReached
// (with the reader's fault, or journal.ErrOtherJournal), ctx's error.
func (h *Handle) Reached(ctx context.Context, journalID string, shard int, seq uint64) (applied uint64, err error) {
	if shard < 0 || shard >= len(h.shards) {
		return 0, fmt.Errorf("%w: %d of %d", ErrNoShard, shard, len(h.shards))
	}
	if journalID != "" {
		j, err := h.options.Journal(ctx)
		if err != nil {
			return 0, err
		}
		if j.ID() != journalID {
			return 0, fmt.Errorf("%w: %w: asked about %s, this is %s", ErrNeverReached, journal.ErrOtherJournal, journalID, j.ID())
		}
	}
	err = h.reached(ctx, shard, seq)
	if isFault(err) {
		err = fmt.Errorf("%w: %w", ErrNeverReached, err)
	}
	return h.options.Engine.Applied(shard), err
}

func (h *Handle) reached(ctx context.Context, shard int, seq uint64) error {
	p := h.shards[shard]
	for {
		if turn := p.standby(); turn != "" {
			return h.reachedElsewhere(ctx, p, shard, seq)
		}
		if err := p.faulted(); err != nil {
			return err
		}
		if h.options.Engine.Applied(shard) >= seq {
			return nil
		}
		turn, cancel := context.WithTimeout(ctx, faultLook)
		err := h.options.Engine.WaitApplied(turn, shard, seq)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for shard %d to be applied up to %d: %w", shard, seq, ctx.Err())
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
}

// faultLook is how often one who waits looks whether the reader has failed.
const faultLook = 500 * time.Millisecond

func ask[T any](ctx context.Context, h *Handle, message any) (T, error) {
	return askAt[T](ctx, h.router.Load(), message)
}

func askAt[T any](ctx context.Context, r *ref, message any) (T, error) {
	if r == nil {
		var zero T
		return zero, supervise.ErrStopped
	}
	return supervise.Ask[T](ctx, r.system, r.pid, message)
}
