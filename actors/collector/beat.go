package collector

import (
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// tally is what coverage is reckoned from.
type tally struct{ records, verified, gaps int64 }

func tallyOf(channels []stream.ChannelStats) (t tally) {
	for i := range channels {
		c := &channels[i]
		t.gaps += c.Gaps
		if c.Kind != market.KindGap && !derived.has(c.Kind) {
			t.records += c.Records
			t.verified += c.Verified()
		}
	}
	return t
}

// beat comes once a second: figures for those that read, and what was not sent.
func (s *streamActor) beat() {
	s.figure()
	f := s.route.figures.Load()
	t := tallyOf(f.channels)
	s.route.history.beat(s.venue.now(), f.live, t.records-s.seen.records, t.verified-s.seen.verified, t.gaps-s.seen.gaps)
	s.seen = t
	s.learn()
	s.takeover.offer(s)
	s.errands.retry(s)
	s.errands.renewLost(s)
	if s.stream.Refusing() {
		s.retryLater()
	}
}

// figure copies the step function's figures to where others read them.
func (s *streamActor) figure() {
	f := &figures{
		channels: sum(s.before, s.stream.Stats()), hasBook: s.hasBook(),
		refusing: s.stream.Refusing(), resuming: s.phase == resuming, unknowing: s.unknown.any(), cause: s.cause,
	}
	_, f.book = s.stream.Book()
	want, up := kindSet(s.route.want.Load())&s.venue.made.Load().streamed, kindSet(s.route.up.Load())
	f.live = !f.resuming && want&^up == 0 && (!f.hasBook || f.book.State == stream.Live)
	s.route.figures.Store(f)
}
