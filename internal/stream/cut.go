package stream

import "github.com/marketprism/marketprism/internal/market"

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

// cut emits the book_snapshot of the last boundary that lies between the book's
// time and the change about to be applied. Boundaries are the same for all
// instruments, so that their books can be put side by side.
func (s *Stream) cut(d *market.BookDelta, out *Output) {
	b := &s.books
	step := s.cfg.BookInterval.Nanoseconds()
	if step <= 0 || s.cfg.BookDepth <= 0 || b.time == 0 || d.ExchangeTime == 0 || b.state != Live {
		return
	}
	boundary := d.ExchangeTime - d.ExchangeTime%step
	if boundary <= b.time {
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
