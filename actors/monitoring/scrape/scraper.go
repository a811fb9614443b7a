package scrape

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

type (
	due     struct{}
	scraped struct{ outcome }
)

// scraper is one actor below root/monitoring/scrape: it scrapes one target.
type scraper struct {
	h    *Handle
	task task
	key  string
	op   supervise.InFlight
	sink *sink
	down bool
}

func newScraper(h *Handle, t task) *scraper {
	return &scraper{h: h, task: t, key: t.key(), sink: newSink(h.options.Store, t.labels())}
}

// Receive handles one message.
func (s *scraper) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		c.Note(s.task.Job + " at " + s.task.Instance)
		c.After(s.task.stagger(s.h.options.Now(), s.h.options.Config.Interval), due{})
	case due:
		// The next turn is where it would be without the time this one took.
		c.After(max(s.task.stagger(s.h.options.Now().Add(time.Millisecond), s.h.options.Config.Interval), time.Millisecond), due{})
		s.op.Start(c, func(ctx context.Context) any { return scraped{s.scrape(ctx)} })
	case scraped:
		s.note(c, m.outcome)
	case *actor.Stopping, *actor.Restarting:
		s.sink.leave(s.h.options.Now().UnixMilli())
	case *actor.Stopped:
		s.h.forget(s.key)
	}
}

// note says what became of a scrape; in the log, only when it is another than before.
func (s *scraper) note(c *supervise.Context, o outcome) {
	status := Status{Target: s.task.Target, Health: Up, Last: o.at, Duration: o.took, Samples: o.samples}
	if o.err != nil {
		status.Health, status.Err = Down, o.err.Error()
	}
	if down := o.err != nil; down != s.down {
		s.down = down
		if down {
			c.Log().Warn("target is down", zap.String("job", s.task.Job), zap.String("instance", s.task.Instance), zap.Error(o.err))
		} else {
			c.Log().Info("target is up again", zap.String("job", s.task.Job), zap.String("instance", s.task.Instance))
		}
	}
	s.h.note(s.key, status, o.about)
	s.h.metrics.scraped(s.task.Job, o)
}
