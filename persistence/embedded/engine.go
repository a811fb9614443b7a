package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Surroundings are what an engine needs of its process. Every field may be left
// out.
type Surroundings struct {
	// Now is the clock; time.Now.
	Now func() time.Time
	// Log gets what operators must know; nothing by default.
	Log *zap.Logger
	// Registerer takes the metrics; none by default.
	Registerer prometheus.Registerer
	// Names are shared with stores whose rows are merged with these; its own by
	// default.
	Names *part.Names
	// Disk lets tests make steps fail.
	Disk part.Disk
}

// Engine is one open store. See the package comment.
type Engine struct {
	dir     string
	cfg     Config
	now     func() time.Time
	log     *zap.Logger
	metrics *metrics
	disk    part.Disk
	lock    *os.File
	// readOnly: nothing in the directory is changed; see Reading.
	readOnly bool
	names    *part.Names
	schemas  *part.Schemas
	memory   *memtable.Store
	scan.Reader

	gate      scan.Gate // of Publish, Maintain and reads
	closeOnce sync.Once
	closeErr  error

	// manifest is locked before mu.
	manifestMu sync.Mutex
	manifest   *part.Manifest
	maintain   sync.Mutex

	// mu guards which parts there are.
	mu      sync.RWMutex
	parts   [market.NumKinds][]*stored // by shard and last sequence
	garbage []*stored
	damaged []part.Damaged
	// damagedLogs are manifests that were salvaged, and that nobody has removed yet.
	damagedLogs []string
	// archived is the journal position up to which the cold store has a table.
	archived map[tableShard]uint64

	// publishing keeps how far each shard's publication is.
	publishingMu sync.Mutex
	publishing   map[int]*memtable.Writing[finished]
	writers      chan struct{} // a place for each part that is being written

	nextFile atomic.Uint64
	failures atomic.Int64
	counted  part.Counted
}

var _ persistence.Engine = (*Engine)(nil)

// Open opens the store in dir, and makes it if there is none. It removes files
// that the manifest does not list, and moves aside listed ones that are missing or
// of another size. Errors: persistence.ErrLocked, a *persistence.CorruptError for
// a manifest that a newer program has written, a *persistence.IOError.
func Open(dir string, cfg Config, with Surroundings) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("embedded store configuration: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("embedded store directory: %w", err)
	}
	e := &Engine{
		dir: dir, cfg: cfg, now: with.Now, log: with.Log, disk: with.Disk,
		names: with.Names, publishing: map[int]*memtable.Writing[finished]{}, archived: map[tableShard]uint64{},
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	if e.names == nil {
		e.names = part.NewNames()
	}
	e.writers = make(chan struct{}, runtime.GOMAXPROCS(0))
	if e.schemas, err = part.NewSchemas(); err != nil {
		return nil, err
	}
	e.memory = memtable.New(memtable.Options{
		Rows: cfg.PublishRows, Bytes: cfg.PublishBytes, Interval: cfg.PublishInterval, Now: e.now, Names: e.names, Schemas: e.schemas,
	})
	e.Reader = scan.Reader{
		Layers: []scan.Layer{scan.Memory{Store: e.memory}, (*partsLayer)(e)}, Schemas: e.schemas, Now: e.now,
		Gate: &e.gate,
		Read: func(kind market.Kind, n int) { e.metrics.Yielded(kind, n) },
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &persistence.IOError{Op: "create store", Path: dir, Err: err}
	}
	if e.lock, err = lockDirectory(dir); err != nil {
		return nil, err
	}
	if err := e.load(with.Registerer); err != nil {
		if e.manifest != nil {
			err = errors.Join(err, e.manifest.Close())
		}
		return nil, errors.Join(err, e.lock.Close())
	}
	return e, nil
}

// load reads the manifest and brings the directory in line with it.
func (e *Engine) load(r prometheus.Registerer) (err error) {
	if e.metrics, err = newMetrics(r); err != nil {
		return fmt.Errorf("embedded store metrics: %w", err)
	}
	if e.manifest, err = part.OpenManifest(e.disk, e.dir, e.complete); err != nil {
		return err
	}
	if e.manifest.Cut > 0 {
		e.log.Warn("a torn record was cut off the manifest; its publication had not been acknowledged", zap.Int64("bytes", e.manifest.Cut))
	}
	if e.manifest.Damage != "" {
		e.log.Error("the manifest was damaged, and was made again from its readable records and the files", zap.String("damage", e.manifest.Damage))
	}
	if e.damagedLogs, err = part.QuarantinedManifests(e.dir); err != nil {
		return err
	}
	keep, err := e.mend()
	if err != nil {
		return err
	}
	state := e.manifest.State()
	e.damaged = state.Quarantined
	for _, p := range state.Positions {
		e.memory.Restore(p)
	}
	for _, m := range state.Parts {
		keep[m.File] = true
		e.parts[m.Kind] = append(e.parts[m.Kind], e.newStored(m))
		e.nextFile.Store(max(e.nextFile.Load(), fileNumber(m.File)))
	}
	if err := e.removeUnlisted(keep); err != nil {
		return err
	}
	for kind := range e.parts {
		sortParts(e.parts[kind])
		for _, p := range slices.Clone(e.parts[kind]) {
			if reason := e.missing(p); reason != "" {
				if err := e.quarantine(p, reason); err != nil {
					return err
				}
			}
		}
	}
	e.refreshGauges()
	return nil
}

func (e *Engine) missing(p *stored) string {
	info, err := os.Stat(e.path(p.meta))
	switch {
	case err != nil:
		return err.Error()
	case info.Size() != p.meta.Bytes:
		return fmt.Sprintf("it has %d bytes, the manifest says %d", info.Size(), p.meta.Bytes)
	}
	return ""
}

func (e *Engine) path(m *part.Meta) string { return filepath.Join(e.dir, m.File) }

// removeUnlisted unlinks what a crash has left behind.
func (e *Engine) removeUnlisted(listed map[string]bool) error {
	for _, schema := range e.schemas {
		if schema == nil {
			continue
		}
		table := schema.Kind.Table()
		entries, err := os.ReadDir(filepath.Join(e.dir, table))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return &persistence.IOError{Op: "list parts", Path: filepath.Join(e.dir, table), Err: err}
		}
		for _, entry := range entries {
			name := filepath.Join(table, entry.Name())
			ours := strings.HasSuffix(name, ".parquet") || strings.HasSuffix(name, ".parquet.tmp")
			if !ours || listed[name] {
				continue
			}
			if err := e.disk.Unlink(filepath.Join(e.dir, name)); err != nil {
				return err
			}
			e.log.Info("removed a file that the manifest does not list", zap.String("file", name))
		}
	}
	return nil
}

// fileName names a new part: shard, journal range and a number that no other file
// of this store has.
func (e *Engine) fileName(kind market.Kind, shard int, first, last uint64) string {
	return filepath.Join(kind.Table(), fmt.Sprintf("%d-%012d-%012d-%d.parquet", shard, first, last, e.nextFile.Add(1)))
}

func fileNumber(file string) uint64 {
	base := strings.TrimSuffix(file, ".parquet")
	n, err := strconv.ParseUint(base[strings.LastIndexByte(base, '-')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
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

// Position implements [persistence.Visibility].
func (e *Engine) Position(shard int) persistence.Position { return e.memory.Position(shard) }

// Published implements [persistence.Visibility].
func (e *Engine) Published(shard int) uint64 { return e.memory.Position(shard).Seq }

// Applied implements [persistence.Visibility].
func (e *Engine) Applied(shard int) uint64 { return e.memory.Applied(shard) }

// WaitApplied implements [persistence.Visibility].
func (e *Engine) WaitApplied(ctx context.Context, shard int, seq uint64) error {
	return e.memory.WaitApplied(ctx, shard, seq)
}

// Scan is how the engine answers queries, for whoever adds layers to it.
func (e *Engine) Scan() scan.Reader { return e.Reader }

// Close implements [persistence.Engine]. The next call on Rows that are still open
// answers persistence.ErrClosed.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		e.gate.Shut()
		e.memory.Close()
		e.gate.Wait()
		var errs []error
		for _, parts := range e.parts {
			for _, p := range parts {
				errs = append(errs, p.closeFile())
			}
		}
		for _, p := range e.garbage {
			errs = append(errs, p.closeFile())
		}
		errs = append(errs, e.manifest.Close(), e.lock.Close())
		e.closeErr = errors.Join(errs...)
	})
	return e.closeErr
}
