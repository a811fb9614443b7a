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

// Rejected are the rows of one stream and day (UTC) that the server refuses for
// what they are.
type Rejected struct {
	// Meta has the kind, the journal range that they are from, and when they were
	// written.
	Meta   part.Meta
	Stream market.StreamID
	// Day is a time of that day, Unix ns.
	Day  int64
	Rows *part.Merge
}

// Rejects makes rows durable and visible elsewhere. The same ones may come again.
type Rejects func(ctx context.Context, r Rejected) error

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
	states  *states
	reads   *pgxpool.Pool
	admin   *pgxpool.Pool
	scan.Reader
	moving

	prepared  atomic.Bool   // the tables are there
	preparing chan struct{} // a place for one who makes them

	gate      scan.Gate
	closeOnce sync.Once

	mu        sync.Mutex
	shards    map[int]*progress
	suspended map[string]string // table -> what the server says
	taken     map[string]int64  // table -> the highest transaction that the server is known to have taken
	collected map[string]bool   // kind and stream that are known to be collected
	failures  atomic.Int64

	maxBuffer int // of a request, in bytes
}

// progress is how far a shard's records are sent, and how far that is saved.
type progress struct {
	shard   int
	writing *memtable.Writing[struct{}]
	settle  sync.Mutex // one save at a time

	// Guarded by Engine.mu.
	saved persistence.Position
	sent  []mark        // behind saved, oldest first
	lost  bool          // the server was set back
	next  chan struct{} // closed when the next is sealed
}

// mark is a position and when everything up to it was visible on the server.
type mark struct {
	position persistence.Position
	at       time.Time
}

// marks is how many there are within the trail, more or less.
const marks = 16

// note remembers that everything up to a position was visible at an instant. Marks
// that are close to each other are one, the later.
func (p *progress) note(position persistence.Position, at time.Time, trail time.Duration) {
	m := mark{position, at}
	if n := len(p.sent); n >= 2 && at.Sub(p.sent[n-2].at) < trail/marks {
		p.sent[n-1] = m
		return
	}
	p.sent = append(p.sent, m)
}

var (
	_ persistence.Engine  = (*Engine)(nil)
	_ persistence.Resumer = (*Engine)(nil)
	_ persistence.Shared  = (*Engine)(nil)
)

// Open makes an engine, loads its positions, and makes the tables that the server
// lacks. A server that does not answer is no error: what is applied waits in memory
// and in the journal until it does.
func Open(ctx context.Context, cfg Config, with Surroundings) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("questdb configuration: %w", err)
	}
	if with.Positions == nil || with.Shards < 1 {
		return nil, errors.New("questdb: positions and shards are needed")
	}
	e := &Engine{
		cfg: cfg, with: with, log: with.Log, shards: map[int]*progress{},
		suspended: map[string]string{}, taken: map[string]int64{}, collected: map[string]bool{}, preparing: make(chan struct{}, 1),
		maxBuffer: 10 * requestBytes,
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
	e.moving = newMoving(e.with.Now())
	if e.metrics, err = newMetrics(e.with.Registerer); err != nil {
		return fmt.Errorf("questdb metrics: %w", err)
	}
	if e.schemas, err = part.NewSchemas(); err != nil {
		return err
	}
	e.states = newStates(e.askStates)
	e.memory = memtable.New(memtable.Options{
		Rows: e.cfg.FlushRows, Backlog: e.cfg.BacklogRows, Bytes: 32 << 20, Interval: e.cfg.FlushInterval, Now: e.with.Now, Names: e.with.Names, Schemas: e.schemas,
	})
	if e.reads, err = e.pool(ctx, e.cfg.Readers); err != nil {
		return err
	}
	if e.admin, err = e.pool(ctx, adminConnections); err != nil {
		return err
	}
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		if e.tables[kind], err = NewTable(kind); err != nil {
			return err
		}
		e.writers[kind] = newWriter(e, kind)
	}
	if err := e.prepare(ctx); errors.Is(err, persistence.ErrUnavailable) && ctx.Err() == nil {
		e.log.Error("starting without the QuestDB server: the journal keeps what comes", zap.Error(err))
	} else if err != nil {
		return err
	}
	for shard := range e.with.Shards {
		p, err := e.with.Positions.Load(ctx, shard)
		if err != nil {
			return fmt.Errorf("questdb: loading the position of shard %d: %w", shard, err)
		}
		p.Shard = shard
		e.shards[shard] = &progress{
			shard: shard, saved: p, writing: memtable.NewWriting[struct{}](e.memory, shard), next: make(chan struct{}),
		}
		e.memory.Restore(p)
		if p.Seq > 0 { // what is stored had arrived by now
			e.mu.Lock()
			e.arrived(placeWord(p.JournalID, shard), p.Seq)
			e.mu.Unlock()
		}
	}
	e.Reader = scan.Reader{
		Layers: []scan.Layer{scan.Memory{Store: e.memory}, (*serverLayer)(e)}, Schemas: e.schemas, Now: e.with.Now,
		Gate: &e.gate,
		Read: func(kind market.Kind, n int) { e.metrics.Yielded(kind, n) },
	}
	return nil
}

// adminConnections are for tables and their state, apart from queries.
const adminConnections = 4

// pool connects when it is used, in the default mode: extended protocol, binary values, prepared
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
	cfg.ConnConfig.ConnectTimeout = e.cfg.RequestTimeout
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("questdb at %s: %w", e.cfg.PG, err)
	}
	return p, nil
}

// Scan is how the engine answers queries, for whoever adds layers to it.
func (e *Engine) Scan() scan.Reader { return e.Reader }

// Close implements [persistence.Engine].
func (e *Engine) Close() error {
	var errs []error
	e.closeOnce.Do(func() {
		e.gate.Shut()
		if e.memory != nil {
			e.memory.Close()
		}
		e.gate.Wait()
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
	if e.lost(shard) {
		return persistence.ErrRewind
	}
	done, err := e.memory.Apply(shard, seq, batch)
	if err == nil {
		e.metrics.Observe(&done)
	}
	return err
}

// Due implements [persistence.Writer]: while something is being sent, what comes is
// collected, so that the more there is, the more goes at once. It is sealed when
// what was sent only has to be shown.
func (e *Engine) Due(shard int) bool {
	if e.lost(shard) {
		return true
	}
	if !e.memory.Due(shard) {
		return false
	}
	switch e.memory.Waiting(shard) {
	case 0:
		return true
	case 1:
		t := e.memory.Oldest(shard)
		return t == nil || e.delivered(t)
	}
	return false
}

// delivered says whether the server has taken all of a sealed table.
func (e *Engine) delivered(t *memtable.Table) bool {
	for _, w := range e.writers {
		if w != nil && w.wants(t) {
			return false
		}
	}
	return true
}

// Seal implements [persistence.Writer].
func (e *Engine) Seal(p persistence.Position) error {
	if e.lost(p.Shard) {
		return persistence.ErrRewind
	}
	if err := e.memory.Seal(p); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if shard := e.shards[p.Shard]; shard != nil {
		close(shard.next)
		shard.next = make(chan struct{})
	}
	return nil
}

// sealing is closed when the next records of a shard are sealed.
func (e *Engine) sealing(shard int) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shards[shard].next
}

func (e *Engine) lost(shard int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.shards[shard]
	return p != nil && p.lost
}

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
