package cold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Tier is a cold store that may be out of reach, also when the program starts:
// [Tier.Tend] opens it as soon as it can be. Until then queries of it fail with
// persistence.ErrAway: nobody can say which rows it has. It is safe for concurrent
// use.
type Tier struct {
	cfg   Config
	place string
	with  Surroundings
	hot   scan.Hot // nil when it cannot be archived

	opening sync.Mutex // one attempt at a time

	mu      sync.RWMutex
	store   *Store // nil until it is open
	closed  bool
	problem error // why it is not open, or did not answer last
}

// NewTier is a cold store that is not open yet, where cfg says; dir is the directory
// when it names none. hot is told what the store has; it may be nil.
func NewTier(cfg Config, dir string, hot scan.Hot, with Surroundings) (*Tier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cold store configuration: %w", err)
	}
	if with.Log == nil {
		with.Log = zap.NewNop()
	}
	t := &Tier{cfg: cfg, with: with, hot: hot, problem: errors.New("it has not been opened yet")}
	switch {
	case cfg.S3.Used():
		t.place = strings.TrimSuffix("s3://"+cfg.S3.Endpoint+"/"+cfg.S3.Bucket+"/"+strings.Trim(cfg.S3.Prefix, "/"), "/")
	case cfg.Path != "":
		t.place = cfg.Path
	default:
		t.place = dir
	}
	return t, nil
}

// Open opens the store if it is not open. After an error it can be called again.
func (t *Tier) Open(ctx context.Context) error {
	t.opening.Lock()
	defer t.opening.Unlock()
	t.mu.RLock()
	open, closed := t.store != nil, t.closed
	t.mu.RUnlock()
	if closed {
		return persistence.ErrClosed
	}
	if open {
		return nil
	}
	store, err := t.open(ctx)
	if err != nil {
		t.note(err)
		return err
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return errors.Join(persistence.ErrClosed, store.Close())
	}
	t.store, t.problem = store, nil
	t.mu.Unlock()
	if t.hot != nil { // only now: what the hot store leaves out is read here
		store.Keep(t.hot)
	}
	t.with.Log.Info("the cold store is open", zap.String("place", t.place), zap.Int("files", len(store.Parts())))
	return nil
}

func (t *Tier) open(ctx context.Context) (*Store, error) {
	bucket, err := NewBucket(ctx, t.cfg, t.place)
	if err != nil {
		return nil, err
	}
	return Open(ctx, bucket, t.cfg, t.with)
}

// NewBucket is where cfg says that the store is; dir is the directory when it names
// none. Error: persistence.ErrAway.
func NewBucket(ctx context.Context, cfg Config, dir string) (b Bucket, err error) {
	if cfg.Path != "" {
		dir = cfg.Path
	}
	if cfg.S3.Used() {
		b, err = NewS3(ctx, cfg.S3)
	} else {
		b, err = NewLocal(dir)
	}
	if err != nil {
		return nil, away(err)
	}
	return b, nil
}

// note remembers how the medium answered last.
func (t *Tier) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store != nil && err != nil && !errors.Is(err, persistence.ErrAway) {
		return // it answered
	}
	t.problem = err
}

// get is the open store.
func (t *Tier) get() (*Store, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	switch {
	case t.closed:
		return nil, persistence.ErrClosed
	case t.store == nil && errors.Is(t.problem, persistence.ErrAway):
		return nil, t.problem
	case t.store == nil:
		return nil, fmt.Errorf("%w: %w", persistence.ErrAway, t.problem)
	}
	return t.store, nil
}

// Tend opens the store, or reads what others have committed since and deletes files
// whose time has come.
func (t *Tier) Tend(ctx context.Context) error {
	s, err := t.get()
	if err != nil {
		return t.Open(ctx)
	}
	if err = s.Refresh(ctx); err == nil {
		if t.hot != nil {
			s.Keep(t.hot)
		}
		err = errors.Join(s.Examine(ctx), s.Clean(ctx), s.CloseIdle())
	}
	t.note(err)
	return err
}

// Upkeep joins small files, removes files that nothing lists, and compares the
// checksums of some. It ends with ctx, and goes on from there the next time; told is
// told what is done so far.
func (t *Tier) Upkeep(ctx context.Context, told func(persistence.UpkeepReport)) (persistence.UpkeepReport, error) {
	var r persistence.UpkeepReport
	s, err := t.get()
	if err != nil {
		return r, err
	}
	if told == nil {
		told = func(persistence.UpkeepReport) {}
	}
	swept, err := s.Sweep(ctx)
	r.Swept, r.Leftovers = swept.Files, swept.Leftovers
	told(r)
	if !errors.Is(err, persistence.ErrAway) {
		joined, joinErr := s.Join(ctx, func(j Joined) {
			r.Joined, r.Made, r.Rows, r.Bytes, r.Dropped = j.Files, j.Made, j.Rows, j.Bytes, j.Dropped
			told(r)
		})
		r.Joined, r.Made, r.Rows, r.Bytes, r.Dropped = joined.Files, joined.Made, joined.Rows, joined.Bytes, joined.Dropped
		var verifyErr error
		r.Verified, verifyErr = s.Verify(ctx)
		err = errors.Join(err, joinErr, verifyErr, s.Examine(ctx), s.Count(ctx))
	}
	told(r)
	t.note(err)
	return r, err
}

// Count makes the counts of Stats those of keys; see [Store.Count].
func (t *Tier) Count(ctx context.Context) error {
	s, err := t.get()
	if err != nil {
		return err
	}
	err = s.Count(ctx)
	t.note(err)
	return err
}

// Archive copies what is old enough of the hot store.
func (t *Tier) Archive(ctx context.Context, shards int, o persistence.ArchiveOptions) (persistence.ArchiveReport, error) {
	s, err := t.get()
	if err != nil {
		return persistence.ArchiveReport{}, err
	}
	report, err := s.Archive(ctx, t.hot, shards, o)
	t.note(err)
	return report, err
}

// Retain removes files; see [Store.Retain].
func (t *Tier) Retain(ctx context.Context, age time.Duration) (int64, error) {
	s, err := t.get()
	if err != nil {
		return 0, err
	}
	rows, err := s.Retain(ctx, age)
	t.note(err)
	return rows, err
}

// Pin implements [scan.Layer].
func (t *Tier) Pin(ctx context.Context, sel scan.Selection) (scan.View, error) {
	s, err := t.get()
	if err != nil {
		return nil, err
	}
	return s.Pin(ctx, sel)
}

// HasCollected implements [scan.Layer].
func (t *Tier) HasCollected(ctx context.Context, kind market.Kind, stream market.StreamID) (bool, error) {
	s, err := t.get()
	if err != nil {
		return false, err
	}
	return s.HasCollected(ctx, kind, stream)
}

// Failed implements [scan.Layer]: the query that meets a damaged file fails, and those
// after it do without; see [Store.Failed].
func (t *Tier) Failed(err error) error {
	s, openErr := t.get()
	if openErr != nil {
		return err
	}
	var replaced *replacedError
	if err = s.Failed(err); errors.Is(err, persistence.ErrAway) && !errors.As(err, &replaced) {
		t.note(err)
	}
	return err
}

// Streams lists the streams that have rows of a kind; persistence.ErrAway.
func (t *Tier) Streams(kind market.Kind) ([]market.StreamID, error) {
	s, err := t.get()
	if err != nil {
		return nil, err
	}
	return s.Streams(kind), nil
}

// Parts lists the files.
func (t *Tier) Parts() ([]persistence.PartInfo, error) {
	s, err := t.get()
	if err != nil {
		return nil, err
	}
	parts, aside := s.Parts(), s.asideNames()
	list := make([]persistence.PartInfo, len(parts))
	for i := range parts {
		list[i] = t.info(s, &parts[i])
		list[i].Damaged = aside[parts[i].File]
	}
	return list, nil
}

func (t *Tier) info(s *Store, p *Part) persistence.PartInfo {
	kind, _ := market.ParseKind(p.Table) // it was checked when the record was read
	return persistence.PartInfo{
		Table: p.Table, Kind: kind, Tier: "cold", Path: s.String() + "/" + p.File, Bytes: p.Bytes, Rows: p.Rows, MinTime: p.MinTime, MaxTime: p.MaxTime,
		Shard: p.Shard, FirstSeq: p.FirstSeq, LastSeq: p.LastSeq, Created: time.Unix(0, p.Created).UTC(), Checksum: p.Checksum,
	}
}

// Stats counts what the manifest lists.
func (t *Tier) Stats() persistence.ColdStats {
	st := persistence.ColdStats{Place: t.place, Tables: []persistence.TableStats{}, Archived: []persistence.ArchivedTo{}, Damaged: []persistence.Quarantined{}}
	t.mu.RLock()
	if t.problem != nil {
		st.Problem, st.Corrupt = t.problem.Error(), errors.Is(t.problem, persistence.ErrCorrupt)
	}
	t.mu.RUnlock()
	s, err := t.get()
	if err != nil {
		return st
	}
	st.Open = true
	repeats, exact := s.Repeated()
	st.Exact = exact
	at, parts := map[string]int{}, s.Parts()
	for _, d := range s.Damaged() {
		q := persistence.Quarantined{Path: s.pathOf(d.File), Reason: d.Reason}
		if i := slices.IndexFunc(parts, func(p Part) bool { return p.File == d.File }); i >= 0 {
			q.Part = t.info(s, &parts[i])
		}
		st.Damaged = append(st.Damaged, q)
	}
	for _, p := range parts {
		i, ok := at[p.Table]
		if !ok {
			kind, _ := market.ParseKind(p.Table)
			i = len(st.Tables)
			at[p.Table] = i
			st.Tables = append(st.Tables, persistence.TableStats{Table: p.Table, Kind: kind, Rows: -repeats[p.Table]})
		}
		row := &st.Tables[i]
		row.Rows, row.Bytes, row.Parts = row.Rows+p.Rows, row.Bytes+p.Bytes, row.Parts+1
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Record = s.record
	for _, a := range s.archive {
		st.Archived = append(st.Archived, a)
	}
	slices.SortFunc(st.Archived, func(a, b persistence.ArchivedTo) int {
		return strings.Compare(fmt.Sprint(a.Table, a.Shard, a.JournalID), fmt.Sprint(b.Table, b.Shard, b.JournalID))
	})
	return st
}

// Close closes the store.
func (t *Tier) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.store == nil {
		return nil
	}
	return t.store.Close()
}
