package stream

import (
	"cmp"
	"slices"

	"github.com/marketprism/marketprism/internal/market"
)

// maxPastSpans bounds what a [Past] remembers; beyond it, numbers that are stored
// count as missing too, and what comes of them replaces itself.
const maxPastSpans = 65_536

// Past is the step function of trades of a time that is over: what is missing of a
// range of their numbers, beside the live stream of the instrument and without its
// knowledge. It is fed what is stored, then what is fetched, and lets each number
// through once. A Past of an entry of the ledger ([PastOf]) says in the end what
// became of it. It is not safe for concurrent use.
//
//	Have … Have ──► Missing ──► ask ──► Take … Passed ──► Missing … none ──► Close
type Past struct {
	s     *Stream
	hole  hole
	entry bool
	// at is where asking has got to: what is missing below it is not to be had.
	at    int64
	found int64 // numbers that were missing and have come, or were stored
}

// NewPast is the trades with numbers from one to another, both in it.
func NewPast(cfg Config, from, to int64) *Past {
	p := &Past{s: New(cfg), at: from}
	p.hole.gap.FromSeq, p.hole.gap.ToSeq = market.Int(from), market.Int(to)
	if from <= to {
		p.hole.missing = []span{{from, to}}
	}
	return p
}

// PastOf is the trades that an entry of the ledger says are missing; ok is false for
// one that names none.
func PastOf(cfg Config, g *market.Gap) (p *Past, ok bool) {
	if g.Channel != market.KindTrade.String() || !g.FromSeq.OK || !g.ToSeq.OK || g.FromSeq.V > g.ToSeq.V {
		return nil, false
	}
	p = NewPast(cfg, g.FromSeq.V, g.ToSeq.V)
	p.hole.gap, p.entry = *g, true
	return p, true
}

// Have says that the trade with a number is stored.
func (p *Past) Have(number int64) {
	if len(p.hole.missing) < maxPastSpans && p.take(number) {
		p.found++
	}
}

// take removes a number from what is missing; false when it was not.
func (p *Past) take(number int64) bool {
	at, ok := slices.BinarySearchFunc(p.hole.missing, number, func(m span, n int64) int {
		switch {
		case n < m.from:
			return 1
		case n > m.to:
			return -1
		}
		return 0
	})
	if !ok {
		return false
	}
	one := hole{missing: p.hole.missing[at : at+1 : at+1]}
	one.take(number)
	p.hole.missing = slices.Replace(p.hole.missing, at, at+1, one.missing...)
	return true
}

// Missing is the first range that is missing and was not asked for yet.
func (p *Past) Missing() (from, to int64, ok bool) {
	i, _ := slices.BinarySearchFunc(p.hole.missing, p.at, func(m span, n int64) int { return cmp.Compare(m.to, n) })
	if i == len(p.hole.missing) {
		return 0, 0, false
	}
	return max(p.at, p.hole.missing[i].from), p.hole.missing[i].to, true
}

// Passed says that everything up to a number was asked for.
func (p *Past) Passed(number int64) { p.at = max(p.at, number+1) }

// Take passes on those of the trades fetched that were missing, and returns how many
// they are.
func (p *Past) Take(in *market.Batch, out *Output) (taken int) {
	c := p.s.channel(market.KindTrade)
	for t := range market.Rows[market.Trade](in) {
		if n, ok := t.Number(); !ok || !p.take(n) {
			continue
		}
		p.found++
		taken++
		p.s.Recovered(t)
		p.s.emit(c, t, out)
	}
	return taken
}

// Range is the first and the last number.
func (p *Past) Range() (from, to int64) { return p.hole.gap.FromSeq.V, p.hole.gap.ToSeq.V }

// Left is how many numbers are still missing.
func (p *Past) Left() (n int64) {
	for _, m := range p.hole.missing {
		n += m.to - m.from + 1
	}
	return n
}

// Close writes the ledger's last word on the entry, unless nothing of it was found:
// healed, or each range that stays missing with its exact bounds. healed says that
// nothing is missing any more.
func (p *Past) Close(now int64, out *Output) (healed bool) {
	healed = len(p.hole.missing) == 0
	if !p.entry || p.found == 0 {
		return healed
	}
	p.hole.healed = p.hole.gap.HealedRecords.V + p.found
	p.hole.gap.HealedRecords = market.OptInt{} // of the first range alone
	p.s.close(&p.hole, now, out)
	return healed
}

// Recovered stamps a record that was fetched later than its time.
func (s *Stream) Recovered(r market.Record) {
	h := r.Head()
	h.Epoch = s.cfg.Epoch
	h.Flags |= market.FlagBackfilled
	market.Stamp(r)
}
