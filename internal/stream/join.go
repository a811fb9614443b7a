package stream

import "github.com/marketprism/marketprism/internal/market"

// ending is the last change that is stored of the chain of another owner.
type ending struct {
	seq  market.OptInt
	time int64
}

// Join is Resume for the book of a stream that began to listen before whoever recorded
// it ended. The book is made of what was received since, and nothing of it is passed on
// up to where the chain that is stored ends. With the first change beyond, a new chain
// begins: the book as it stands then. If the new book reaches back to that end nothing
// lies between, and the entry of the ledger says so.
func (s *Stream) Join(lastSeq market.OptInt, lastTime int64, cause string, now int64, out *Output) {
	s.Resume(market.KindBookDelta, lastSeq, lastTime, cause, now, out)
	s.books.joins = &ending{lastSeq, lastTime}
}

// stored reports whether the chain that another owner recorded holds a change, or a
// snapshot. Numbers of an in-band chain may fall, so that there the time tells.
func (s *Stream) stored(d *market.BookDelta) bool {
	e := s.books.joins
	switch {
	case e == nil:
		return false
	case s.cfg.SnapshotsInBand || !e.seq.OK || !d.Seq.OK:
		return d.TS <= e.time
	}
	return d.Seq.V <= e.seq.V
}

// join takes a change of a book that reaches back to where the stored chain ends.
func (s *Stream) join(c *channel, d *market.BookDelta, out *Output) {
	if s.stored(d) {
		c.stats.Dropped++
		s.verify(c, d, out)
		return
	}
	if !s.verify(c, d, out) {
		return
	}
	s.books.joins = nil
	if c.outage != nil {
		c.outage.HealedRecords = market.Int(0)
	}
	s.settle(c, d, market.OutcomeHealed, out)
	s.restartChain(c, d.ReceiveTime, out)
	if s.cfg.Tops {
		s.top(d, out)
	}
}
