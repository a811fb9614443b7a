package questdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Positions keeps the journal positions of a store that cannot keep them itself.
type Positions interface {
	// Load is the saved position of a shard; its Seq is 0 when none was saved.
	Load(ctx context.Context, shard int) (persistence.Position, error)
	// Save replaces the position of a shard, unless somebody else has since Load or
	// the Save before, which is an error.
	Save(ctx context.Context, p persistence.Position) error
}

// Rejects takes the rows of one stream and kind that the server refuses for what
// they are, and makes them durable and visible elsewhere.
type Rejects func(ctx context.Context, kind market.Kind, stream market.StreamID, from *memtable.Table, rows *part.Merge) error

// Surroundings are what an engine needs of its process. Positions is needed.
type Surroundings struct {
	Positions Positions
	// Shards are those of the journal.
	Shards int
	// Rejects is the way of rows that the server refuses; without it they are kept
	// in memory, publishing fails, and the journal keeps them.
	Rejects Rejects
	// Names are shared with stores whose rows are merged with these.
	Names *part.Names
	// Now is the clock; time.Now.
	Now func() time.Time
	// Log gets what operators must know; nothing by default.
	Log *zap.Logger
	// Registerer takes the metrics; none by default.
	Registerer prometheus.Registerer
}

// Engine is one open store. See the package comment.
type Engine struct {
	cfg     Config
	with    Surroundings
	log     *zap.Logger
	metrics *metrics
	schemas *part.Schemas
	tables  [market.NumKinds]*Table
	memory  *memtable.Store
	writers [market.NumKinds]*writer
	reads   *pgxpool.Pool
	admin   *pgxpool.Pool
	scan.Reader

	closed    chan struct{}
	closeOnce sync.Once
	callsMu   sync.Mutex
	calls     sync.WaitGroup

	mu        sync.Mutex
	shards    map[int]*progress
	suspended map[string]string // table -> what the server says
	collected map[string]bool   // kind and stream that are known to be collected
	failures  atomic.Int64
}

// progress is how far a shard's records are sent, and how far that is saved.
type progress struct {
	publish sync.Mutex // one Publish at a time
	saved   persistence.Position
	sent    []mark // behind saved, oldest first
}

// mark is a position and when everything up to it had been sent.
type mark struct {
	position persistence.Position
	at       time.Time
}

var _ persistence.Engine = (*Engine)(nil)

// Open connects to the server, and makes the tables that it lacks.
func Open(ctx context.Context, cfg Config, with Surroundings) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("questdb configuration: %w", err)
	}
	if with.Positions == nil || with.Shards < 1 {
		return nil, errors.New("questdb: positions and shards are needed")
	}
	e := &Engine{
		cfg: cfg, with: with, log: with.Log, closed: make(chan struct{}), shards: map[int]*progress{},
		suspended: map[string]string{}, collected: map[string]bool{},
	}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	if e.with.Now == nil {
		e.with.Now = time.Now
	}
	if e.with.Names == nil {
		e.with.Names = part.NewNames()
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) (err error) {
	if e.metrics, err = newMetrics(e.with.Registerer); err != nil {
		return fmt.Errorf("questdb metrics: %w", err)
	}
	if e.schemas, err = part.NewSchemas(); err != nil {
		return err
	}
	e.memory = memtable.New(memtable.Options{
		Rows: e.cfg.FlushRows, Bytes: 64 << 20, Interval: e.cfg.FlushInterval, Now: e.with.Now, Names: e.with.Names, Schemas: e.schemas,
	})
	if e.reads, err = e.pool(ctx, e.cfg.Readers); err != nil {
		return err
	}
	if e.admin, err = e.pool(ctx, 2); err != nil {
		return err
	}
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		if e.tables[kind], err = NewTable(kind); err != nil {
			return err
		}
		e.writers[kind] = &writer{e: e, kind: kind}
	}
	if err := e.migrate(ctx); err != nil {
		return fmt.Errorf("questdb at %s: making the tables: %w", e.cfg.PG, err)
	}
	for shard := range e.with.Shards {
		p, err := e.with.Positions.Load(ctx, shard)
		if err != nil {
			return fmt.Errorf("questdb: loading the position of shard %d: %w", shard, err)
		}
		p.Shard = shard
		e.shards[shard] = &progress{saved: p}
		e.memory.Restore(p)
	}
	e.Reader = scan.Reader{
		Layers: []scan.Layer{scan.Memory{Store: e.memory}, (*serverLayer)(e)}, Schemas: e.schemas, Now: e.with.Now,
		Enter: e.enter, Leave: e.calls.Done,
		Read: func(kind market.Kind, n int) { e.metrics.Yielded(kind, n) },
	}
	return nil
}

// pool connects in the default mode: extended protocol, binary values, prepared
// statements kept.
func (e *Engine) pool(ctx context.Context, size int) (*pgxpool.Pool, error) {
	tls := "disable"
	if e.cfg.TLS {
		tls = "require"
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(e.cfg.User, e.cfg.Password), Host: e.cfg.PG, Path: "/" + e.cfg.Database,
		RawQuery: "sslmode=" + tls + "&statement_cache_capacity=64",
	}
	cfg, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("questdb: the address, user or password cannot be used") // the error would show them
	}
	cfg.MaxConns, cfg.MaxConnIdleTime = int32(size), 4*time.Minute
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("questdb at %s: %w", e.cfg.PG, err)
	}
	return p, nil
}

// Scan is how the engine answers queries, for whoever adds layers to it.
func (e *Engine) Scan() scan.Reader { return e.Reader }

func (e *Engine) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// enter begins a call that Close waits for.
func (e *Engine) enter() error {
	e.callsMu.Lock()
	defer e.callsMu.Unlock()
	if e.isClosed() {
		return persistence.ErrClosed
	}
	e.calls.Add(1)
	return nil
}

// Close implements [persistence.Engine].
func (e *Engine) Close() error {
	var errs []error
	e.closeOnce.Do(func() {
		e.callsMu.Lock()
		close(e.closed)
		e.callsMu.Unlock()
		if e.memory != nil {
			e.memory.Close()
		}
		e.calls.Wait()
		for _, w := range e.writers {
			if w != nil {
				w.close()
			}
		}
		for _, p := range []*pgxpool.Pool{e.reads, e.admin} {
			if p != nil {
				p.Close()
			}
		}
	})
	return errors.Join(errs...)
}

// Apply implements [persistence.Writer].
func (e *Engine) Apply(shard int, seq uint64, batch *market.Batch) error {
	done, err := e.memory.Apply(shard, seq, batch)
	if err == nil {
		e.metrics.Observe(&done)
	}
	return err
}

// Due implements [persistence.Writer].
func (e *Engine) Due(shard int) bool { return e.memory.Due(shard) }

// Seal implements [persistence.Writer].
func (e *Engine) Seal(p persistence.Position) error { return e.memory.Seal(p) }

// Applied implements [persistence.Visibility].
func (e *Engine) Applied(shard int) uint64 { return e.memory.Applied(shard) }

// WaitApplied implements [persistence.Visibility].
func (e *Engine) WaitApplied(ctx context.Context, shard int, seq uint64) error {
	return e.memory.WaitApplied(ctx, shard, seq)
}

// Position implements [persistence.Visibility]: what is saved, which trails what
// the server has.
func (e *Engine) Position(shard int) persistence.Position {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.shards[shard]; p != nil {
		return p.saved.Clone()
	}
	return persistence.Position{Shard: shard}
}

// Published implements [persistence.Visibility].
func (e *Engine) Published(shard int) uint64 { return e.memory.Position(shard).Seq }

// Publish implements [persistence.Writer]: the tables are sent at once, each by
// its own writer.
func (e *Engine) Publish(ctx context.Context, shard int) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.Done()
	e.mu.Lock()
	p := e.shards[shard]
	e.mu.Unlock()
	if p == nil {
		return fmt.Errorf("questdb: shard %d is not one of the %d of the journal", shard, e.with.Shards)
	}
	p.publish.Lock()
	defer p.publish.Unlock()
	for {
		t := e.memory.Oldest(shard)
		if t == nil {
			return e.settle(ctx, p)
		}
		if err := e.send(ctx, t); err != nil {
			e.failures.Add(1)
			e.metrics.Retries.Inc()
			return fmt.Errorf("sending shard %d up to %d: %w", shard, t.Position.Seq, err)
		}
		e.failures.Store(0)
		e.metrics.Queue.Sub(float64(t.Rows()))
		e.memory.Drop(t) // now that every row is visible in its table
		e.mu.Lock()
		p.sent = append(p.sent, mark{t.Position, e.with.Now()})
		e.mu.Unlock()
	}
}

// send sends one sealed table of memory, and returns when all of it is visible.
func (e *Engine) send(ctx context.Context, t *memtable.Table) error {
	began := e.with.Now()
	var all sync.WaitGroup
	errs := make([]error, market.NumKinds)
	for kind, w := range e.writers {
		if w == nil || t.KindRows(market.Kind(kind)) == 0 {
			continue
		}
		all.Go(func() { errs[kind] = w.send(ctx, t) })
	}
	all.Wait()
	err := errors.Join(errs...)
	if err == nil {
		e.metrics.BatchRows.Observe(float64(t.Rows()))
		e.metrics.Flush.Observe(e.with.Now().Sub(began).Seconds())
	}
	return err
}

// settle saves the newest position that was sent long enough ago.
func (e *Engine) settle(ctx context.Context, p *progress) error {
	e.mu.Lock()
	n := 0
	for n < len(p.sent) && e.with.Now().Sub(p.sent[n].at) >= e.cfg.Trail {
		n++
	}
	var due *persistence.Position
	if n > 0 {
		due = &p.sent[n-1].position
	}
	e.mu.Unlock()
	if due == nil {
		return nil
	}
	if err := e.with.Positions.Save(ctx, *due); err != nil {
		return fmt.Errorf("saving the position of shard %d: %w", due.Shard, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p.saved = due.Clone()
	p.sent = append([]mark(nil), p.sent[n:]...)
	return nil
}

// Maintain implements [persistence.Engine]: it looks for suspended tables, resumes
// them, and saves the positions that are due.
func (e *Engine) Maintain(ctx context.Context) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.Done()
	errs := []error{e.lookAfter(ctx)}
	for shard := range e.with.Shards {
		e.mu.Lock()
		p := e.shards[shard]
		e.mu.Unlock()
		p.publish.Lock()
		errs = append(errs, e.settle(ctx, p))
		p.publish.Unlock()
	}
	return errors.Join(errs...)
}
