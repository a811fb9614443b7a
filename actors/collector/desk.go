package collector

import (
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// desk is the memory that a stream actor needs while it handles a message, and not
// between two: there are many streams, and few of them work at the same moment. A
// whole book is in it twice, as a record and as text.
type desk struct {
	out     stream.Output
	text    []byte
	scratch []market.Record
}

// sit takes a desk for a message.
func (s *streamActor) sit() { s.desk = s.opts.desks.Get().(*desk) }

// rise gives it back. A desk at which the actor panicked is left to the collector
// of garbage.
func (s *streamActor) rise() {
	d := s.desk
	s.desk = nil
	d.out.Reset()
	clear(d.scratch)
	s.opts.desks.Put(d)
}
