package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// Peers are the other stores that read the same journal.
type Peers interface {
	// Offers asks each what it has; those that answered are in the map, by their place.
	// The error says why others did not, and is nil when all did.
	Offers(ctx context.Context) (map[string]persistence.Offer, error)
	// Fetch writes the content of a file at a place, from an offset on. Error:
	// persistence.ErrNoCopy when it is not there any more.
	Fetch(ctx context.Context, place string, f persistence.CopyFile, offset int64, to io.Writer) error
}

// copyingOf is the engine as one that gives and takes files; nil when it does not.
func copyingOf(e persistence.Engine) persistence.Copying {
	c, _ := e.(persistence.Copying)
	return c
}

// copying is what a shard lacks that the journal has forgotten, and how far it is.
type copying struct {
	// lacks says what, problem why nothing is copied at the moment; nil while it is.
	lacks   error
	problem error
	now     CopyStatus
}

func (c *copying) trouble() error {
	if c.problem != nil {
		return fmt.Errorf("%w, and cannot be copied: %w", c.lacks, c.problem)
	}
	return c.lacks
}

// CopyStatus is how far the copying of a shard's parts from another node is.
type CopyStatus struct {
	From       string    `json:"from" doc:"the giver's name among the journal's readers; empty while none is found"`
	After      uint64    `json:"after" doc:"position behind which the journal lacks messages"`
	To         uint64    `json:"to" doc:"position up to which the journal lacks messages, inclusive; 0 while no peer has offered it"`
	Files      int       `json:"files" doc:"copied so far"`
	FilesTotal int       `json:"files_total" doc:"to be copied"`
	Bytes      int64     `json:"bytes" doc:"copied so far"`
	BytesTotal int64     `json:"bytes_total" doc:"to be copied"`
	Began      time.Time `json:"began" doc:"when it was found lacking"`
	Problem    string    `json:"problem,omitempty" doc:"why nothing is copied at the moment; absent while something is"`
}

// ErrIncomplete: the store lacks records that the journal has forgotten.
var ErrIncomplete = errors.New("the store lacks what the journal has forgotten")

// lacking is why the shard's answers are not complete; nil when they are.
func (p *progress) lacking() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.copying != nil:
		return p.copying.trouble()
	case errors.Is(p.fault, journal.ErrPurged), errors.Is(p.fault, journal.ErrUnregistered):
		return fmt.Errorf("%w: %w", ErrIncomplete, p.fault)
	}
	return nil
}

// copyStatus is nil when nothing has to be copied.
func (p *progress) copyStatus() *CopyStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.copying == nil {
		return nil
	}
	s := p.copying.now
	if p.copying.problem != nil {
		s.Problem = p.copying.problem.Error()
	}
	return &s
}

// Incomplete says why answers may lack records that other nodes have; nil when they do
// not. It asks nobody.
func (h *Handle) Incomplete() error {
	var errs []error
	for _, p := range h.shards {
		if err := p.lacking(); err != nil {
			errs = append(errs, fmt.Errorf("shard %d: %w", p.shard, err))
		}
	}
	return errors.Join(errs...)
}

// Offer is what this store can give to others. Error: persistence.ErrNoCopy where it
// keeps no files.
func (h *Handle) Offer(ctx context.Context) (persistence.Offer, error) {
	c := copyingOf(h.options.Engine)
	if c == nil {
		return persistence.Offer{}, persistence.ErrNoCopy
	}
	o, err := c.Offer(ctx)
	o.Reader = h.options.ReaderID
	// A shard that lacks something itself is nothing to copy from.
	o.Positions = slices.DeleteFunc(o.Positions, func(p persistence.Position) bool {
		return p.Shard >= len(h.shards) || h.shards[p.Shard].lacking() != nil
	})
	return o, err
}

// OpenCopy opens a file of an offer.
func (h *Handle) OpenCopy(ctx context.Context, tier, name string) (persistence.CopyContent, int64, error) {
	c := copyingOf(h.options.Engine)
	if c == nil {
		return nil, 0, persistence.ErrNoCopy
	}
	return c.OpenCopy(ctx, tier, name)
}

// curable says whether an error that ends reading is cured by copying from a peer.
func (h *Handle) curable(err error) bool {
	return h.options.Peers != nil && (errors.Is(err, journal.ErrPurged) || errors.Is(err, journal.ErrUnregistered))
}

// complete returns where reading begins: at from, or behind what it has copied from
// another store when the journal has forgotten what follows from.
func (l *pipeline) complete(ctx context.Context, j *journal.Journal, registry *journal.Registry, from persistence.Position) (persistence.Position, error) {
	if l.h.options.Peers == nil {
		return from, nil
	}
	for round := 0; ; round++ {
		lacks, err := l.forgotten(ctx, j, registry, from)
		if err != nil {
			return from, err
		}
		if lacks == nil {
			l.p.set(func(p *progress) { p.copying = nil })
			return from, l.unstage()
		}
		l.p.set(func(p *progress) {
			if p.copying == nil {
				p.copying = &copying{now: CopyStatus{Began: time.Now().UTC()}}
			}
			p.copying.lacks, p.copying.now.After = lacks, from.Seq
		})
		if round == 0 {
			l.c.Log().Warn("parts are copied from another node", zap.Error(lacks))
			l.c.After(0, incomplete{})
		}
		err = l.copyOnce(ctx, j, registry, from)
		l.p.set(func(p *progress) { p.copying.problem = err })
		l.h.metrics.copyEnded(l.shard, err)
		if err != nil {
			return from, fmt.Errorf("copying what the journal has forgotten: %w", err)
		}
		from = l.engine.Position(l.shard)
	}
}

// forgotten says what the journal has forgotten that the store lacks and somebody else
// may have; nil for nothing.
func (l *pipeline) forgotten(ctx context.Context, j *journal.Journal, registry *journal.Registry, from persistence.Position) (error, error) {
	st, err := j.State(ctx, l.shard)
	if err != nil {
		return nil, err
	}
	if st.First <= from.Seq+1 {
		return nil, nil
	}
	if from.JournalID == "" { // a store that is new: perhaps there never was another
		readers, err := registry.Readers(ctx, l.shard)
		if err != nil {
			return nil, err
		}
		another := func(r journal.Registered) bool { return r.FullCopy && r.Reader != l.h.options.ReaderID }
		if !slices.ContainsFunc(readers, another) {
			return nil, nil
		}
	}
	return fmt.Errorf("%w: %d to %d", ErrIncomplete, from.Seq+1, st.First-1), nil
}

// copyOnce takes over what the best of the peers has.
func (l *pipeline) copyOnce(ctx context.Context, j *journal.Journal, registry *journal.Registry, from persistence.Position) error {
	offers, err := l.h.options.Peers.Offers(ctx)
	st, stateErr := j.State(ctx, l.shard)
	if stateErr != nil {
		return stateErr
	}
	place, best, to, why := choose(offers, l.h.options.ReaderID, j.ID(), from, l.shard, st.First)
	if best == nil {
		return errors.Join(errors.New("no other node can give it"), why, err)
	}
	// From here on the journal keeps what follows.
	if _, err := registry.Register(ctx, l.h.options.ReaderID, l.h.options.FullCopy, l.shard, to.Seq); err != nil {
		return err
	}
	l.p.set(func(p *progress) {
		c := &p.copying.now
		c.From, c.To, c.Files, c.FilesTotal, c.Bytes, c.BytesTotal = best.Reader, to.Seq, 0, 0, 0, 0
		p.copying.problem = nil
	})
	engine := copyingOf(l.engine)
	for _, tier := range []string{persistence.CopyCold, persistence.CopyHot} {
		files, err := engine.Lacking(best, l.shard, tier)
		if err != nil {
			return err
		}
		if err := l.fetchAll(ctx, j.Config().GuardDir(l.staging()), place, files); err != nil {
			return err
		}
		if err := engine.Take(ctx, best, l.shard, tier, files, l.staged); err != nil {
			return l.reject(err, files)
		}
	}
	l.c.Log().Info("parts were copied from another node", zap.String("from", best.Reader), zap.Uint64("seq", to.Seq))
	return nil
}

// choose is the offer that reaches furthest of those that can be used; why says what was
// wrong with others.
func choose(offers map[string]persistence.Offer, own, journalID string, from persistence.Position, shard int, first uint64) (place string, best *persistence.Offer, to persistence.Position, why error) {
	var errs []error
	for at, o := range offers {
		pos, ok := o.Position(shard)
		switch {
		case o.Reader == own:
			continue
		case !ok:
			errs = append(errs, fmt.Errorf("%s has nothing complete of shard %d", o.Reader, shard))
			continue
		case pos.JournalID != journalID:
			errs = append(errs, fmt.Errorf("%s reads the journal %s", o.Reader, pos.JournalID))
			continue
		case pos.Seq <= from.Seq || pos.Seq+1 < first:
			errs = append(errs, fmt.Errorf("%s is at %d itself", o.Reader, pos.Seq))
			continue
		}
		bad := func(f persistence.CopyFile) bool { return f.Shard == shard && f.LastSeq > from.Seq }
		if i := slices.IndexFunc(o.Damaged, bad); i >= 0 {
			errs = append(errs, fmt.Errorf("%s has a damaged file of it, %s", o.Reader, o.Damaged[i].Name))
			continue
		}
		if best == nil || pos.Seq > to.Seq || pos.Seq == to.Seq && o.Reader < best.Reader {
			place, best, to = at, &o, pos
		}
	}
	return place, best, to, errors.Join(errs...)
}
