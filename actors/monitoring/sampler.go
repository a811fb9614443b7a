package monitoring

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/actors/supervise"
)

type sampleDue struct{}

// sampler is root/monitoring/sampler: it reads the machine.
type sampler struct {
	h      *Handle
	reader *host.Reader
	op     supervise.InFlight
}

// Receive handles one message.
func (s *sampler) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.sample(c)
		c.Every(s.h.options.Config.System.Interval, sampleDue{})
	case sampleDue:
		s.sample(c)
	case host.Sample:
		s.h.sample.Store(&m)
		c.Ready()
	}
}

func (s *sampler) sample(c *supervise.Context) {
	s.op.Start(c, func(ctx context.Context) any { return s.reader.Read(ctx) })
}
