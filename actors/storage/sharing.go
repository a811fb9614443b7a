package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// Share is how this process shares a store with others.
type Share struct {
	// Node is its name, which no other has.
	Node string
	// Reached waits until whoever brings a shard into the store has brought everything up
	// to seq, so that every process's queries see it; nil: nobody can be asked.
	Reached func(ctx context.Context, journalID string, shard int, seq uint64) error
}

// share is the right to bring a shard into the store; *journal.Share is.
type share interface {
	registration
	Held() error
	Beat(ctx context.Context) error
	Release(ctx context.Context) error
}

// sharedOf is the engine as one that several processes have together; nil when it is
// not.
func sharedOf(e persistence.Engine) persistence.Shared {
	s, _ := e.(persistence.Shared)
	return s
}

// standby is the node whose turn it is, where it is another's; "" else.
func (p *progress) standby() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turn
}

// held is nil while this process may write to the store.
func (p *progress) held() error {
	p.mu.Lock()
	s := p.share
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Held()
}

// openShared waits for this process's turn, and makes a reader behind what whoever had it
// before has saved.
func (l *pipeline) openShared(ctx, run context.Context, j *journal.Journal) (*journal.Reader, error) {
	registry, err := j.Registry(ctx)
	if err != nil {
		return nil, err
	}
	o := l.h.options
	right, err := registry.Contend(ctx, journal.Contender{
		Reader: o.ReaderID, Node: o.Share.Node, Shard: l.shard, Term: o.Config.Takeover,
		Waiting: func(node string) { l.stand(ctx, node) },
	})
	if err != nil {
		return nil, err
	}
	l.share = right
	if err := sharedOf(l.engine).Begin(ctx, l.shard); err != nil {
		return nil, err
	}
	from := l.engine.Position(l.shard)
	if from.JournalID == "" {
		if from, err = j.Start(ctx, l.shard); err != nil {
			return nil, err
		}
	}
	if from.JournalID != j.ID() {
		return nil, &fault{fmt.Errorf("%w: the store was filled from %s, this is %s", journal.ErrOtherJournal, from.JournalID, j.ID())}
	}
	if err := right.Beat(ctx); err != nil { // loading may have taken long
		return nil, err
	}
	before := ""
	l.p.set(func(p *progress) { before, p.turn, p.share = p.turn, "", right })
	if before != "" {
		l.c.Log().Info("it is this node's turn to bring the shard into the store", zap.String("before", before), zap.Uint64("position", from.Seq))
	}
	return l.read(run, j, registry, right, from)
}

// stand notes that it is another's turn.
func (l *pipeline) stand(ctx context.Context, node string) {
	before := ""
	l.p.set(func(p *progress) { before, p.turn = p.turn, node })
	if before == "" {
		l.c.After(0, standing{})
	}
	if before != node {
		l.c.Log().Info("another node brings the shard into the store", zap.String("node", node))
	}
	// What is known of the position is that of whoever has the turn.
	if err := sharedOf(l.engine).Begin(ctx, l.shard); err != nil {
		l.c.Log().Debug("the position of the store cannot be read", zap.Error(err))
	}
}

// beat says again and again that this process is there, as long as ctx lasts.
func (l *pipeline) beat(ctx context.Context) {
	if l.share == nil {
		return
	}
	tick := time.NewTicker(l.h.options.Config.Takeover / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := l.share.Beat(ctx)
		if held := l.share.Held(); held != nil {
			signalError(l.publisher.failed, held)
			return
		}
		if err != nil && ctx.Err() == nil {
			l.c.Log().Warn("the journal does not take that this node has the shard", zap.Error(err))
		}
	}
}

// yield ends this process's turn: what it has applied and not sent is the next one's, who
// reads it from the journal.
func (l *pipeline) yield() {
	if l.share == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.c.Ctx()), closeTimeout)
	defer cancel()
	l.p.set(func(p *progress) { p.share = ended{} })
	err := sharedOf(l.engine).Begin(ctx, l.shard)
	if err == nil && l.share.Held() == nil {
		err = l.share.Release(ctx)
	}
	if err != nil && !errors.Is(err, persistence.ErrClosed) {
		l.c.Log().Debug("another takes over after a while", zap.Error(err))
	}
}

// ended is the share of who has none any more.
type ended struct{ share }

// Held implements share.
func (ended) Held() error { return journal.ErrReaderTaken }

// final is an error after which this pipeline does not go on: of a store of its own it is
// a fault, of one that is shared it is another's turn.
func (l *pipeline) final(err error) error {
	if l.share != nil {
		return err
	}
	return &fault{err}
}

// reachedElsewhere waits until whoever has the turn has brought everything up to seq to
// the server. When the turn changes meanwhile, it is asked anew.
func (h *Handle) reachedElsewhere(ctx context.Context, p *progress, shard int, seq uint64) error {
	j, err := h.options.Journal(ctx)
	if err != nil {
		return err
	}
	for {
		err := errors.New("nobody can be asked")
		if ask := h.options.Share.Reached; ask != nil {
			turn, cancel := context.WithTimeout(ctx, elsewhereTurn)
			err = ask(turn, j.ID(), shard, seq)
			cancel()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to have shard %d up to %d: %w (%w)", p.standby(), shard, seq, ctx.Err(), err)
		case <-time.After(elsewherePause):
		}
		if p.standby() == "" {
			return h.reached(ctx, shard, seq)
		}
	}
}

const (
	elsewhereTurn  = 5 * time.Second
	elsewherePause = 100 * time.Millisecond
)

// ErrStandby: another node brings the shard into the store.
var ErrStandby = errors.New("another node brings the shard into the store")

// Stored waits until everything of a shard of the journal with that id up to seq is where
// it belongs, so that others who share the store see it, and has it brought there at once.
// Errors: ErrNoShard, ErrStandby, those of Reached.
func (h *Handle) Stored(ctx context.Context, journalID string, shard int, seq uint64) error {
	if shard >= 0 && shard < len(h.shards) && h.shards[shard].standby() != "" {
		return ErrStandby
	}
	if _, err := h.Reached(ctx, journalID, shard, seq); err != nil {
		return err
	}
	p := h.shards[shard]
	for {
		next := p.nextPublished()
		if h.options.Engine.Published(shard) >= seq {
			return nil
		}
		if p.standby() != "" {
			return ErrStandby
		}
		signal(p.flush)
		select {
		case <-next:
		case <-time.After(elsewhereTurn / 10): // what was sealed before may be under way
		case <-ctx.Done():
			return fmt.Errorf("waiting for shard %d to be stored up to %d: %w", shard, seq, ctx.Err())
		}
	}
}
