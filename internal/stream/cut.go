package stream

import (
	"hash/fnv"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// top emits the best levels after an applied change.
func (s *Stream) top(d *market.BookDelta, out *Output) {
	rec := market.Add[market.BookTop](&out.own)
	rec.Header = d.Header
	rec.Flags = s.unproven(1)
	if l, ok := s.books.book.BestBid(); ok {
		rec.BidPrice, rec.BidAmount = l.Price, l.Amount
	}
	if l, ok := s.books.book.BestAsk(); ok {
		rec.AskPrice, rec.AskAmount = l.Price, l.Amount
	}
	out.Records = append(out.Records, rec)
}

// unproven is the flag of a view of n levels a side that may lack some.
func (s *Stream) unproven(n int) market.Flags {
	if s.books.book.Narrow(n) {
		return market.FlagUnverifiable
	}
	return 0
}

// phase is when within an interval an instrument's book is cut, in ns: thousands of
// books that were all cut at the full second would be so much work at one moment. It
// depends on nothing but the instrument and the interval, so that a replay cuts the
// same; whole milliseconds.
func phase(i *market.Instrument, interval time.Duration) int64 {
	if i == nil || interval < time.Millisecond {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(i.ID().String())) // a hash takes everything
	return int64(h.Sum64()%uint64(interval.Milliseconds())) * int64(time.Millisecond)
}

// cut emits the book_snapshot of the last boundary that lies between the book's
// time and the change about to be applied.
func (s *Stream) cut(d *market.BookDelta, out *Output) {
	b := &s.books
	step := s.cfg.BookInterval.Nanoseconds()
	if step <= 0 || s.cfg.BookDepth <= 0 || b.time == 0 || d.ExchangeTime == 0 || b.state != Live {
		return
	}
	boundary := d.ExchangeTime - (d.ExchangeTime-s.phase)%step
	if boundary <= b.time || boundary > d.ExchangeTime {
		return
	}
	rec := market.Add[market.BookSnapshot](&out.own)
	rec.Header = market.Header{
		Instrument: s.cfg.Instrument, ExchangeTime: boundary, ReceiveTime: d.ReceiveTime, Seq: market.Int(b.seq),
		Conn: d.Conn, Epoch: s.cfg.Epoch, Flags: s.unproven(s.cfg.BookDepth),
	}
	rec.Depth, rec.State = market.Int(int64(s.cfg.BookDepth)), Live.String()
	out.levels[0] = b.book.AppendBids(out.levels[0][:0], s.cfg.BookDepth)
	out.levels[1] = b.book.AppendAsks(out.levels[1][:0], s.cfg.BookDepth)
	rec.Bids, rec.Asks = out.own.CopyLevels(out.levels[0]), out.own.CopyLevels(out.levels[1])
	market.Stamp(rec)
	s.emit(s.channel(market.KindBookSnapshot), rec, out)
}
