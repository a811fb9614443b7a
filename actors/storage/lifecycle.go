package storage

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/persistence"
)

// The lifecycle's messages.
type (
	maintainDue struct{}
	maintained  struct {
		quarantined []persistence.Quarantined
		err         error
	}
)

// lifecycle runs the engine's maintenance, one run at a time.
type lifecycle struct {
	h       *Handle
	op      supervise.InFlight
	counted time.Time // when damaged files were looked for last
}

// countInterval is the time between two looks for damaged files, which make the
// engine count.
const countInterval = time.Minute

func newLifecycle(h *Handle) *lifecycle { return &lifecycle{h: h} }

// Receive handles one message.
func (l *lifecycle) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		l.maintain(c)
		c.Every(l.h.options.Config.MaintainInterval, maintainDue{})
	case maintainDue:
		l.maintain(c)
	case maintained:
		l.h.lifecycle.set(time.Now(), m.quarantined, m.err)
		if m.err != nil {
			c.Log().Error("maintenance of the store fails", zap.Error(m.err))
		}
	}
}

func (l *lifecycle) maintain(c *supervise.Context) {
	engine := l.h.options.Engine
	count := time.Since(l.counted) >= countInterval
	began := l.op.Start(c, func(ctx context.Context) any {
		err := engine.Maintain(ctx)
		if err != nil || !count {
			return maintained{err: err}
		}
		st, err := engine.Stats(ctx)
		if err != nil {
			return maintained{err: err}
		}
		return maintained{quarantined: append([]persistence.Quarantined{}, st.Quarantined...)}
	})
	if began && count {
		l.counted = time.Now()
	}
}
