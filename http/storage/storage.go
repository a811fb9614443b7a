package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/journal"
	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// The questions that the façade asks; *storage.Handle answers them all.
type (
	// Writer stores what clients POST, all records of a batch or none.
	Writer interface {
		Write(ctx context.Context, batch *market.Batch) (branch.Written, error)
	}
	// Reader answers queries. Rows are the caller's to close; ctx bounds their
	// opening alone.
	Reader interface {
		Query(ctx context.Context, q persistence.Query) (persistence.Rows, error)
		Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error)
		Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter) (market.Record, bool, error)
	}
	// Inspector says what is stored, and how the store is.
	Inspector interface {
		Stats(ctx context.Context) (persistence.Stats, error)
		Streams(ctx context.Context, kind market.Kind) ([]market.StreamID, error)
		Parts(ctx context.Context) ([]persistence.PartInfo, error)
		Status(ctx context.Context) (branch.Status, error)
		Freshness() branch.Freshness
		Health() (failures, warnings []error)
		ColdStats() persistence.ColdStats
		ColdParts() ([]persistence.PartInfo, error)
	}
	// Archiver moves rows to the cold store and removes them from the hot one.
	Archiver interface {
		Archive(ctx context.Context, kinds []market.Kind, age time.Duration) (o branch.Operation, joined bool, err error)
		Cleanup(ctx context.Context, age time.Duration) (o branch.Operation, joined bool, err error)
		Operation(id string) (branch.Operation, error)
		Await(ctx context.Context, id string) (branch.Operation, error)
		Operations() []branch.Operation
	}
	// Joint says how the store and the journal stand to each other, and joins them.
	Joint interface {
		Standing(ctx context.Context) (branch.Standing, error)
		Adopt(ctx context.Context) ([]branch.Adoption, error)
		Reached(ctx context.Context, journalID string, shard int, seq uint64) (applied uint64, err error)
		Stored(ctx context.Context, journalID string, shard int, seq uint64) error
	}
	// Replica gives copies of what is stored to other nodes, and knows who reads the
	// journal.
	Replica interface {
		Incomplete() error
		Offer(ctx context.Context) (persistence.Offer, error)
		OpenCopy(ctx context.Context, tier, name string) (content persistence.CopyContent, size int64, err error)
		Readers(ctx context.Context) ([]branch.JournalReader, error)
		Retire(ctx context.Context, reader string) ([]branch.JournalReader, error)
	}
	// Branch is all of them.
	Branch interface {
		Writer
		Reader
		Inspector
		Archiver
		Joint
		Resumer
		Replica
	}
	// Recorders say how the ways into the journal are; *journal.Handle does.
	Recorders interface {
		Status(ctx context.Context) ([]journal.Status, error)
	}
)

// Options are what the façade stands on.
type Options struct {
	Branch Branch
	// Recorders is nil where nothing is recorded on this node.
	Recorders Recorders
	// Catalogue resolves symbols.
	Catalogue facade.Catalogue
	// Others are the stores of the other nodes, which know operations of their own; nil:
	// there are none.
	Others facade.Others
	// Files makes Parquet of records; nil answers that with 501.
	Files Files
	// Now stamps POSTed records and answers; nil is time.Now.
	Now func() time.Time
	// Patience is how long the store may look for the next rows of an answer; 0 is a
	// minute.
	Patience time.Duration
}

// service is the façade. Its only state are counters of what it was asked.
type service struct {
	Options
	batches sync.Pool // of *market.Batch, for reading
	reads   atomic.Uint64
	writes  atomic.Uint64

	archives, cleanups atomic.Uint64

	giving chan struct{} // a place for each piece of a file that is given to another node
}

// base is the path that all routes of the service begin with.
const base = "/api/v1/storage/"

// Tags of the documentation.
const (
	tagHot   = "hot"
	tagQuery = "query"
	tagCold  = "cold"
	tagAdmin = "administration"
)

// Register adds the routes and health checks of the façade to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Branch == nil || o.Catalogue == nil {
		return errors.New("storage façade: Branch and Catalogue are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience <= 0 {
		o.Patience = patience
	}
	f := &service{Options: o, batches: sync.Pool{New: func() any { return new(market.Batch) }}, giving: make(chan struct{}, maxGiving)}
	f.addChecks(s.Health())
	var routes []chassis.Route
	for _, group := range [][]chassis.Route{f.tradeRoutes(), f.tickerRoutes(), f.orderbookRoutes(), f.queryRoutes(), f.candleRoutes(), f.inspectRoutes(), f.streamRoutes(), f.journalRoutes(), f.tallyRoutes(), f.coldRoutes(), f.lifecycleRoutes(), f.resumeRoutes(), f.readerRoutes(), f.copyRoutes()} {
		routes = append(routes, group...)
	}
	for i := range routes {
		if r := &routes[i]; r.Method == http.MethodGet && r.Tag != tagAdmin {
			f.positioned(r)
		}
		routes[i].Handler = answered(routes[i].Handler)
	}
	return s.Handle(facade.Answered(routes)...)
}

// answered gives the branch's own errors their answers.
func answered(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return refusal(h(w, r))
	}
}

func refusal(err error) error {
	var unavailable *branch.UnavailableError
	switch {
	case errors.Is(err, branch.ErrBusy):
		return chassis.Unavailable(time.Second, "the store has more requests than it can take at the moment").WithCode("busy").WithCause(err)
	case errors.Is(err, persistence.ErrAway):
		return chassis.Unavailable(10*time.Second, "the cold store is out of reach, and an answer would lack the rows that it has; where there is a tier parameter, tier=hot reads the others").
			WithCode("cold_unavailable").WithCause(err)
	case errors.Is(err, persistence.ErrUnavailable):
		return chassis.Unavailable(5*time.Second, "the server that keeps the recent rows does not answer, and an answer would lack them").
			WithCode("store_unavailable").WithCause(err)
	case errors.Is(err, branch.ErrNoTiers):
		return chassis.Conflict("this node has no cold store").WithCode("no_cold_store")
	case errors.Is(err, branch.ErrReadOnly):
		return chassis.Unavailable(10*time.Second, "this node takes no writes; another one does").WithCode("read_only").WithCause(err)
	case errors.As(err, &unavailable):
		return &retry{facade.Refusal(err), unavailable.RetryAfter}
	}
	return err
}

// retry is a refusal of which the branch knows when to try again.
type retry struct {
	error
	after time.Duration
}

func (e *retry) Unwrap() error { return e.error }

// RetryAfter implements what the chassis asks for.
func (e *retry) RetryAfter() time.Duration { return e.after }

// find returns the instrument that a request is about. listed says whether an
// exchange's table knows it.
func (f *service) find(ctx context.Context, a facade.Asked, kind market.Kind) (i *market.Instrument, listed bool, err error) {
	return a.Stored(f.Catalogue, func(id market.StreamID) (bool, error) {
		return f.has(ctx, kind, id)
	})
}

// has reports whether anything of a kind is stored of a stream.
func (f *service) has(ctx context.Context, kind market.Kind, id market.StreamID) (bool, error) {
	_, ok, err := f.Branch.Last(ctx, kind, id, persistence.OriginAll)
	if errors.Is(err, persistence.ErrAway) { // what the hot store has is known all the same
		if hot, hotErr := f.hasHot(ctx, kind, id); hot || hotErr != nil {
			return hot, hotErr
		}
	}
	if err != nil {
		return false, fmt.Errorf("looking for records of %v: %w", id, err)
	}
	return ok, nil
}

func (f *service) hasHot(ctx context.Context, kind market.Kind, id market.StreamID) (bool, error) {
	rows, err := f.Branch.Query(ctx, persistence.Query{Kind: kind, Stream: &id, Limit: 1, Tier: persistence.TierHot})
	if err != nil {
		return false, fmt.Errorf("looking for hot records of %v: %w", id, err)
	}
	defer release(ctx, rows)
	b := f.batch()
	defer f.recycle(b)
	n, err := f.next(ctx, rows, b)
	return n > 0, err
}

func (f *service) batch() *market.Batch {
	return f.batches.Get().(*market.Batch)
}

func (f *service) recycle(b *market.Batch) {
	b.Reset()
	f.batches.Put(b)
}

// release ends a view. The answer stands by then, so that a failure is logged.
func release(ctx context.Context, rows persistence.Rows) {
	if err := rows.Close(); err != nil {
		chassis.Logger(ctx).Warn("releasing a view of the store failed", zap.Error(err))
	}
}

// originOf reads ?origin=.
func originOf(q *chassis.Query) persistence.OriginFilter {
	origin, _ := persistence.ParseOriginFilter(q.OneOf("origin", "", "all", "collected", "external"))
	return origin
}

// nanos is Unix ns; 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Parameters that several routes share, for the documentation.
var (
	paramFrom     = chassis.Param{Name: "from", Type: time.Time{}, Doc: "Earliest time, inclusive: RFC 3339, without zone (read as UTC), or a Unix epoch in s, ms, µs or ns.", Example: "2024-08-08T00:00:00Z"}
	paramTo       = chassis.Param{Name: "to", Type: time.Time{}, Doc: "Latest time, exclusive."}
	paramCursor   = chassis.Param{Name: "cursor", Doc: "The next_cursor of the answer before, with the same other parameters."}
	paramOrigin   = chassis.Param{Name: "origin", Enum: []string{"all", "collected", "external"}, Doc: "Who brought the records: our collector, or clients by POST."}
	paramNumbers  = chassis.Param{Name: "decimals", Enum: []string{"number", "string"}, Default: "number", Doc: "Whether prices and amounts are JSON numbers or text; both have every digit."}
	paramDecimals = chassis.Param{Name: "decimals", Enum: []string{"number", "string"}, Default: "string", Doc: "Whether prices and amounts are JSON numbers or text; both have every digit."}
)

func paramLimit(def, hi int) chassis.Param {
	return chassis.Param{Name: "limit", Type: 0, Default: def, Min: 1, Max: hi, Doc: "The most rows to return."}
}

// params joins what a route takes.
func params(path []chassis.Param, query ...chassis.Param) []chassis.Param {
	return append(path, query...)
}
