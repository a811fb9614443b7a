package stream

import "github.com/marketprism/marketprism/internal/market"

// Unknown says, instead of [Stream.Resume], that nobody could tell what is stored of
// a channel. Nothing is missed by that: at the channel's first record an entry of the
// ledger is opened that ends there and has no beginning ([Boundless]). Once it is
// known what was stored before it, [Stream.Learned] gives it one; until then it stays
// open, and whoever comes later finds it in the store.
func (s *Stream) Unknown(k market.Kind, cause string, now int64) {
	c := s.channel(k)
	if c.outage != nil || c.last.OK || c.stats.LastTime != 0 {
		return
	}
	g := s.openGap(c, cause, now)
	g.FromTime = 0
	c.outage = &g
}

// Boundless reports whether an entry of the ledger ends at a record and waits for
// its beginning to become known.
func Boundless(g *market.Gap) bool {
	return g.Outcome == market.OutcomeOpen && g.FromTime == g.ToTime && g.ToTime != 0 && !g.FromSeq.OK
}

// endUnknown writes the entry of [Stream.Unknown] at the first record.
func (s *Stream) endUnknown(c *channel, g *market.Gap, first *market.Header, missing market.OptInt, out *Output) {
	g.FromTime, g.ToTime = first.TS, first.TS
	if c.proof == Contiguous || c.proof == Chained {
		g.ToSeq = missing
	}
	s.write(g, first.ReceiveTime, out)
}

// Known tells what is stored of a channel that was [Stream.Unknown] and of which
// nothing has come yet; lastTime 0 is nothing. It reports false, and does nothing,
// when something has: then [Stream.Learned] is to be called.
func (s *Stream) Known(k market.Kind, lastSeq market.OptInt, lastTime int64, cause string, now int64, out *Output) bool {
	c := s.channel(k)
	if c.outage == nil || c.outage.FromTime != 0 {
		return false
	}
	c.outage = nil
	c.stats.Gaps--
	if lastTime != 0 {
		s.Resume(k, lastSeq, lastTime, cause, now, out)
	}
	return true
}

// Learned settles an entry without beginning, of this stream or of an earlier one:
// lastSeq and lastTime are those of the last record that is stored before its end;
// lastTime 0 says that there is none. What lies between gets an entry of its own,
// and is asked for where that is possible; the one without beginning is closed.
func (s *Stream) Learned(g *market.Gap, lastSeq market.OptInt, lastTime, now int64, out *Output) {
	k, ok := market.ParseKind(g.Channel)
	if !ok || !Boundless(g) {
		return
	}
	c := s.channel(k)
	if lastTime != 0 {
		s.between(c, *g, lastSeq, lastTime, now, out)
	}
	own := *g
	own.Outcome, own.HealedRecords = market.OutcomeHealed, market.Int(0)
	s.write(&own, now, out)
}

// between is the entry of what lies between the last record stored and the first one
// after it.
func (s *Stream) between(c *channel, g market.Gap, lastSeq market.OptInt, lastTime, now int64, out *Output) {
	g.FromTime = lastTime
	numbered := (c.proof == Contiguous || c.proof == Chained) && lastSeq.OK && g.ToSeq.OK
	switch {
	case numbered && g.ToSeq.V <= lastSeq.V: // nothing is missing
		return
	case numbered:
		g.FromSeq = market.Int(lastSeq.V + 1)
	default:
		g.ToSeq = market.OptInt{}
	}
	c.stats.Gaps++
	if numbered && c.proof == Contiguous {
		s.addHole(c, g, now, out)
		return
	}
	g.Outcome = market.OutcomeMarked
	s.write(&g, now, out)
}
