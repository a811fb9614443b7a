package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// ErrNotAdoptable: the journal and the store cannot be joined as they are.
var ErrNotAdoptable = errors.New("cannot be joined")

// Adopt joins a journal that is another one than the store was filled from, or an
// older copy, to the store again. For each shard, in this order, so that a crash at
// any point leaves what a further call completes:
//
//  1. what the journal holds and the store lacks goes into a file, behind it an
//     entry of the gap ledger for every channel that was alive; it is synced;
//  2. the store's position moves behind both, in one commit;
//  3. the journal goes on behind that position, without what it held;
//  4. the file's batches are written to it again, and the file is removed;
//  5. the reader reads on.
//
// A shard that needs none of it is left alone, but for what an interrupted call has
// left. Errors: ErrNotAdoptable with the reason, and those of the journal and the
// disk, after which it can be called again.
func (h *Handle) Adopt(ctx context.Context) ([]Adoption, error) {
	if !h.adopting.TryLock() {
		return nil, fmt.Errorf("%w: it is being done already", ErrBusy)
	}
	defer h.adopting.Unlock()
	j, err := h.options.Journal(ctx)
	if err != nil {
		return nil, err
	}
	w, err := h.options.Writing(ctx)
	if err != nil {
		return nil, err
	}
	var all []Adoption
	for k := range h.shards {
		a, err := h.adopt(ctx, j, w, k)
		if err != nil {
			return all, fmt.Errorf("shard %d: %w", k, err)
		}
		all = append(all, a)
	}
	return all, h.raiseEpoch(ctx, w)
}

// epochAttempts is how often a broker that does not answer in time is asked.
const epochAttempts = 6

// raiseEpoch makes a collector that starts now own above everything that is stored.
func (h *Handle) raiseEpoch(ctx context.Context, j *journal.Journal) (err error) {
	for range epochAttempts {
		if _, err = j.NextEpoch(ctx, uint64(h.highestEpoch())+1); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// adopt reads by j and writes by w.
func (h *Handle) adopt(ctx context.Context, j, w *journal.Journal, k int) (Adoption, error) {
	s, _, _, err := h.standing(ctx, j, k)
	if err != nil {
		return Adoption{}, err
	}
	a := Adoption{ShardStanding: s}
	if !s.Adoptable() {
		if s.Verdict == VerdictPurged || s.Verdict == VerdictFaulted {
			return a, fmt.Errorf("%w: %s", ErrNotAdoptable, s.Detail)
		}
		return a, h.replayRescued(ctx, w, k)
	}
	if err := h.checkReaders(ctx, j, k); err != nil {
		return a, err
	}
	p := h.shards[k]
	if err := p.lend(); err != nil {
		return a, err
	}
	defer p.giveBack()
	// A position may follow what was published; here it must not.
	if err := h.options.Engine.Settle(ctx, k); err != nil {
		return a, fmt.Errorf("saving the store's position: %w", err)
	}
	s, pos, _, err := h.standing(ctx, j, k)
	if err != nil {
		return a, err
	}
	a.ShardStanding = s
	if s.Applied != s.Position {
		return a, fmt.Errorf("%w: the store has applied %d and published %d; it cannot publish now", ErrNotAdoptable, s.Applied, s.Position)
	}
	now := time.Now()
	channels, newest, err := h.alive(ctx, k)
	if err != nil {
		return a, err
	}
	unread, err := h.rescue(ctx, j, pos, channels, now)
	if err != nil {
		return a, err
	}
	a.LostAfter, a.Joined, a.MarkedGaps = s.Position, max(s.Position, unread.Last)+1, len(channels)
	a.RecoveredBatches, a.RecoveredRecords, a.DamagedBatches = unread.Messages, unread.Rows, unread.Damaged
	if newest != 0 {
		from, to := time.Unix(0, newest).UTC(), now.UTC()
		a.From, a.To = &from, &to
	}
	if err := h.move(ctx, persistence.Position{JournalID: j.ID(), Shard: k, Seq: a.Joined, Recorders: unread.Recorders}); err != nil {
		return a, err
	}
	if err := j.SkipTo(ctx, k, a.Joined); err != nil {
		return a, err
	}
	return a, h.replayRescued(ctx, w, k)
}

// lend lets an adoption use the engine in the place of a reader that has stopped.
func (p *progress) lend() (err error) {
	p.set(func(p *progress) {
		if p.fault == nil {
			err = fmt.Errorf("%w: the reader has not stopped yet", ErrNotAdoptable)
			return
		}
		p.adopting = true
	})
	return err
}

// giveBack makes the reader read again; what is still wrong it finds by itself.
func (p *progress) giveBack() {
	p.set(func(p *progress) { p.adopting, p.fault, p.state = false, nil, opening })
	if r := p.reader.Load(); r != nil {
		// Refused only when the branch is stopping.
		_ = r.system.Tell(r.pid, resume{})
	}
}

// checkReaders refuses when another store reads this journal: it would be led astray.
func (h *Handle) checkReaders(ctx context.Context, j *journal.Journal, k int) error {
	registry, err := j.Registry(ctx)
	if err != nil {
		return err
	}
	readers, err := registry.Readers(ctx, k)
	if err != nil {
		return err
	}
	for _, r := range readers {
		if r.Reader != h.options.ReaderID {
			return fmt.Errorf("%w: %s reads this journal too", ErrNotAdoptable, r.Reader)
		}
	}
	return nil
}

// rescue puts what the journal holds and the store lacks into a file, and behind it
// the ledger's entries of what was lost.
func (h *Handle) rescue(ctx context.Context, j *journal.Journal, pos persistence.Position, channels []market.Gap, now time.Time) (journal.Unread, error) {
	recorder, err := j.NewRecorder(pos.Shard, journal.DiskGuard{}, nil)
	if err != nil {
		return journal.Unread{}, err
	}
	path := filepath.Join(h.options.Dir, rescueName(pos.Shard)+strconv.FormatInt(now.UnixNano(), 10))
	file, err := journal.CreateRescue(path)
	if err != nil {
		return journal.Unread{}, err
	}
	unread, err := j.FindUnread(ctx, pos, file.Add)
	if err == nil {
		err = mark(recorder, channels, now, file.Add)
	}
	if err != nil {
		return unread, errors.Join(err, file.Discard())
	}
	return unread, file.Close()
}

func rescueName(shard int) string { return "journal-rescue-" + strconv.Itoa(shard) + "-" }

// move publishes a position without records.
func (h *Handle) move(ctx context.Context, to persistence.Position) error {
	e := h.options.Engine
	if err := e.Apply(to.Shard, to.Seq, &market.Batch{}); err != nil {
		return fmt.Errorf("moving the store's position to %d: %w", to.Seq, err)
	}
	if err := e.Seal(to); err != nil {
		return fmt.Errorf("moving the store's position to %d: %w", to.Seq, err)
	}
	if err := e.Publish(ctx, to.Shard); err != nil {
		return fmt.Errorf("publishing the position %d: %w", to.Seq, err)
	}
	if err := e.Settle(ctx, to.Shard); err != nil {
		return fmt.Errorf("saving the position %d: %w", to.Seq, err)
	}
	return nil
}

// replayRescued writes the batches of every rescue file to the journal, and removes
// it. A batch that is written twice, because of a crash between, is stored once:
// its records have keys.
func (h *Handle) replayRescued(ctx context.Context, j *journal.Journal, k int) error {
	files, err := filepath.Glob(filepath.Join(h.options.Dir, rescueName(k)+"*[0-9]"))
	if err != nil || len(files) == 0 {
		return err
	}
	recorder, err := j.NewRecorder(k, journal.DiskGuard{}, nil)
	if err != nil {
		return err
	}
	slices.Sort(files) // by time
	for _, path := range files {
		if err := journal.ReadRescue(path, func(raw []byte) error { return recorder.Replay(ctx, raw) }); err != nil {
			return fmt.Errorf("writing what %s holds to the journal: %w", path, err)
		}
		if err := os.Remove(path); err != nil {
			return &persistence.IOError{Op: "remove", Path: path, Err: err}
		}
	}
	return nil
}

// aliveFor is how long before the newest record of the store a channel may have been
// silent to count as one that was collected when the journal was lost.
const aliveFor = 24 * time.Hour

// alive returns, as gaps to be marked, the channels of a shard that were collected
// when the store last heard of them, and when its newest record was received.
func (h *Handle) alive(ctx context.Context, k int) (channels []market.Gap, newest int64, err error) {
	e := h.options.Engine
	var last []market.Gap
	for _, kind := range market.Kinds() {
		if kind.Table() == "" || kind == market.KindGap {
			continue
		}
		streams, err := e.Streams(ctx, kind)
		if err != nil {
			return nil, 0, fmt.Errorf("listing the streams of %s: %w", kind.Table(), err)
		}
		for _, id := range streams {
			if journal.Shard(id.Exchange, id.Market.String(), id.Symbol, len(h.shards)) != k {
				continue
			}
			r, ok, err := e.Last(ctx, kind, id, persistence.OriginCollected, &market.Batch{})
			if err != nil {
				return nil, 0, fmt.Errorf("looking for the last %s of %v: %w", kind, id, err)
			}
			if !ok {
				continue
			}
			head := r.Head()
			newest = max(newest, head.ReceiveTime)
			g := market.Gap{Header: *head, Channel: kind.String(), FromTime: head.TS, Cause: market.CauseJournalForeign, Outcome: market.OutcomeMarked}
			g.ExchangeTime, g.PrevSeq, g.Flags, g.Conn = 0, market.OptInt{}, 0, 0
			g.FromSeq, g.Seq = behind(r), market.OptInt{}
			last = append(last, g)
		}
	}
	for _, g := range last {
		if g.ReceiveTime >= newest-int64(aliveFor) {
			channels = append(channels, g)
		}
	}
	return channels, newest, nil
}

// behind is the number that follows a record, where the channel has contiguous ones.
func behind(r market.Record) market.OptInt {
	switch r := r.(type) {
	case *market.Trade:
		if n, ok := r.Number(); ok {
			return market.Int(n + 1)
		}
	case *market.BookDelta:
		if r.Seq.OK {
			return market.Int(r.Seq.V + 1)
		}
	}
	return market.OptInt{}
}

// gapsAtOnce go into one message.
const gapsAtOnce = 1000

// mark makes batches of the ledger's entries of what was lost.
func mark(recorder *journal.Recorder, channels []market.Gap, now time.Time, keep func(raw []byte) error) error {
	encoder := journal.NewEncoder()
	for some := range slices.Chunk(channels, gapsAtOnce) {
		var b market.Batch
		for _, c := range some {
			g := market.Add[market.Gap](&b)
			*g = c
			g.ToTime, g.ReceiveTime = now.UnixNano(), now.UnixNano()
			market.Stamp(g)
		}
		encoder.Reset()
		if err := encoder.AddBatch(&b); err != nil {
			return fmt.Errorf("marking what was lost: %w", err)
		}
		raw, err := recorder.Envelope(encoder.Payload(), encoder.Rows())
		if err != nil {
			return fmt.Errorf("marking what was lost: %w", err)
		}
		if err := keep(raw); err != nil {
			return err
		}
	}
	return nil
}
