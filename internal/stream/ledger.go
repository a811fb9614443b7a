package stream

import (
	"slices"

	"github.com/marketprism/marketprism/internal/market"
)

// maxHoles bounds the open holes of one channel; the oldest beyond it is marked.
const maxHoles = 4096

// hole is a missing range of sequence numbers, still open.
type hole struct {
	// gap is the ledger entry as it was opened.
	gap market.Gap
	// missing is what is still missing of it, ascending.
	missing []span
	healed  int64
}

// span is a range of sequence numbers, both ends in it.
type span struct{ from, to int64 }

// channel is the continuity of one kind of record.
type channel struct {
	kind  market.Kind
	proof Proof
	// last is the highest sequence number taken.
	last market.OptInt
	// holes are open missing ranges by sequence number, ascending.
	holes []hole
	// outage is an interruption whose end is not known yet.
	outage *market.Gap
	recent *seqRing // of a rising channel
	stats  ChannelStats
}

// seqRing remembers the last sequence numbers of a rising channel, to tell a
// duplicate from a straggler.
type seqRing struct {
	seqs [128]int64
	n    int
}

func (r *seqRing) add(seq int64) {
	r.seqs[r.n%len(r.seqs)] = seq
	r.n++
}

func (r *seqRing) has(seq int64) bool {
	return slices.Contains(r.seqs[:min(r.n, len(r.seqs))], seq)
}

func (s *Stream) channel(k market.Kind) *channel {
	if c := s.channels[k]; c != nil {
		return c
	}
	c := &channel{kind: k, proof: s.cfg.Proofs[k]}
	if c.proof == Rising {
		c.recent = new(seqRing)
	}
	c.stats.Kind, c.stats.Proof = k, c.proof
	s.channels[k] = c
	s.order = append(s.order, c)
	return c
}

// openGap is a new ledger entry of the channel.
func (s *Stream) openGap(c *channel, cause string, now int64) market.Gap {
	c.stats.Gaps++
	g := market.Gap{
		Header:  market.Header{Instrument: s.cfg.Instrument, ReceiveTime: now, Epoch: s.cfg.Epoch},
		Channel: c.kind.String(), FromTime: c.stats.LastTime, Cause: cause, Outcome: market.OutcomeOpen,
	}
	if g.FromTime == 0 {
		g.FromTime = now
	}
	if c.last.OK {
		g.FromSeq = market.Int(c.last.V + 1)
	}
	return g
}

// write emits a ledger entry as it now stands.
func (s *Stream) write(g *market.Gap, now int64, out *Output) {
	rec := market.Add[market.Gap](&out.own)
	*rec = *g
	rec.ReceiveTime = now
	market.Stamp(rec)
	out.Records = append(out.Records, rec)
}

// interrupt opens the ledger entry of an interruption of c, unless one is open
// or nothing was ever received.
func (s *Stream) interrupt(c *channel, cause string, now int64, out *Output) {
	if c.outage != nil || c.stats.LastTime == 0 {
		return
	}
	g := s.openGap(c, cause, now)
	c.outage = &g
	s.write(&g, now, out)
}

// resume closes an interruption at the first record after it. missing is the
// last missing sequence number; absent where the channel has none. Without numbers
// the first record is the first that is of a later time than the last one before: what
// an exchange repeats, or tells of an older time in between, as of another period of a
// ratio, does not say how long the interruption was.
func (s *Stream) resume(c *channel, first *market.Header, missing market.OptInt, out *Output) {
	g := c.outage
	if g == nil {
		return
	}
	numbered := c.proof != Unproven && c.proof != Rising && missing.OK && g.FromSeq.OK
	if !numbered && first.TS <= g.FromTime && g.FromTime <= first.ReceiveTime {
		return
	}
	c.outage = nil
	if g.FromTime == 0 {
		s.endUnknown(c, g, first, missing, out)
		return
	}
	g.ToTime, g.ToSeq = max(first.TS, g.FromTime), missing
	switch {
	case !numbered: // nothing shows what was missed
		g.Outcome = market.OutcomeMarked
		g.ToSeq = market.OptInt{}
	case missing.V < g.FromSeq.V: // nothing is missing
		g.Outcome, g.ToSeq, g.HealedRecords = market.OutcomeHealed, market.OptInt{}, market.Int(0)
	default:
		s.addHole(c, *g, first.ReceiveTime, out)
		return
	}
	s.write(g, first.ReceiveTime, out)
}

// addHole takes up a missing range and asks for it where that is possible.
func (s *Stream) addHole(c *channel, g market.Gap, now int64, out *Output) {
	if len(c.holes) == maxHoles {
		s.giveUp(c, 0, now, out)
	}
	if c.kind == market.KindTrade && s.cfg.Backfills {
		out.Requests = append(out.Requests, Request{Kind: RequestTrades, From: g.FromSeq.V, To: g.ToSeq.V})
	}
	c.holes = append(c.holes, hole{gap: g, missing: []span{{g.FromSeq.V, g.ToSeq.V}}})
	s.write(&g, now, out)
}

// fill takes seq out of the hole that lacks it; false when none does.
func (s *Stream) fill(c *channel, seq, now int64, out *Output) bool {
	for i := range c.holes {
		h := &c.holes[i]
		if !h.take(seq) {
			continue
		}
		h.healed++
		c.stats.Healed++
		if len(h.missing) == 0 {
			s.close(h, now, out)
			c.holes = slices.Delete(c.holes, i, i+1)
		}
		return true
	}
	return false
}

// take removes seq from what is missing; false when it was not.
func (h *hole) take(seq int64) bool {
	for i, m := range h.missing {
		switch {
		case seq < m.from || seq > m.to:
			continue
		case m.from == m.to:
			h.missing = slices.Delete(h.missing, i, i+1)
		case seq == m.from:
			h.missing[i].from++
		case seq == m.to:
			h.missing[i].to--
		default:
			h.missing[i].to = seq - 1
			h.missing = slices.Insert(h.missing, i+1, span{seq + 1, m.to})
		}
		return true
	}
	return false
}

// giveUp closes hole i with what is still missing of it.
func (s *Stream) giveUp(c *channel, i int, now int64, out *Output) {
	s.close(&c.holes[i], now, out)
	c.holes = slices.Delete(c.holes, i, i+1)
}

// close writes the hole's last word: the entry that was opened keeps its key and
// covers the range up to where something stays missing; each range that stays
// missing has an entry with its exact bounds.
func (s *Stream) close(h *hole, now int64, out *Output) {
	first := h.gap
	first.HealedRecords = market.Int(h.healed)
	rest := h.missing
	switch {
	case len(rest) == 0:
		first.Outcome = market.OutcomeHealed
	case rest[0].from == first.FromSeq.V:
		first.Outcome, first.ToSeq = market.OutcomeMarked, market.Int(rest[0].to)
		rest = rest[1:]
	default:
		first.Outcome, first.ToSeq = market.OutcomeHealed, market.Int(rest[0].from-1)
	}
	s.write(&first, now, out)
	for _, m := range rest {
		g := h.gap
		g.FromSeq, g.ToSeq, g.Outcome = market.Int(m.from), market.Int(m.to), market.OutcomeMarked
		s.write(&g, now, out)
	}
}
