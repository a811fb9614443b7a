package scrape

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// rounds is the time between two looks at which targets there are, and two upkeeps of
// the store.
const rounds = 5 * time.Second

var nobody = TargetsFunc(func(context.Context) ([]Target, error) { return nil, nil })

type (
	begun  struct{}
	look   struct{}
	listed struct {
		all []Target
		err error
	}
)

// pool is root/monitoring/scrape/pool.
type pool struct {
	h       *Handle
	running map[string]bool
	list    supervise.InFlight
}

// Receive handles one message.
func (p *pool) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		p.list.Start(c, func(ctx context.Context) any {
			select {
			case <-p.h.options.Begin:
				return begun{}
			case <-ctx.Done():
				return nil
			}
		})
	case begun:
		p.look(c)
		c.Every(rounds, look{})
	case look:
		p.look(c)
	case listed:
		p.take(c, m)
	case supervise.ChildReply:
		if m.Err != nil && !errors.Is(m.Err, supervise.ErrChildExists) && !errors.Is(m.Err, supervise.ErrNoChild) {
			c.Log().Error("scraper could not be started or stopped", zap.String("target", m.Name), zap.Error(m.Err))
			delete(p.running, m.Name)
		}
	}
}

// look asks for the targets, and keeps the store within its bounds.
func (p *pool) look(c *supervise.Context) {
	p.list.Start(c, func(ctx context.Context) any {
		p.h.options.Store.Maintain(p.h.options.Now())
		ctx, cancel := context.WithTimeout(ctx, rounds)
		defer cancel()
		all, err := p.h.options.Targets.Targets(ctx)
		return listed{all, err}
	})
}

// take starts scrapers of targets that are new and stops those of targets that are
// gone. Without a list everything stays as it is.
func (p *pool) take(c *supervise.Context, l listed) {
	if l.err != nil {
		c.Note("targets cannot be listed: " + l.err.Error())
		c.Log().Warn("targets cannot be listed; those known are scraped on", zap.Error(l.err))
		return
	}
	c.Note("")
	for _, e := range p.h.options.Config.Targets {
		if t, err := e.target(); err == nil { // validated at the start
			l.all = append(l.all, t)
		}
	}
	wanted := tasks(l.all)
	for key := range p.running {
		if _, ok := wanted[key]; !ok {
			delete(p.running, key)
			c.Request(c.Parent(), supervise.RemoveChild{Name: key})
		}
	}
	for key, t := range wanted {
		if p.running[key] {
			continue
		}
		p.running[key] = true
		p.h.begin(key, t.Target)
		c.Request(c.Parent(), supervise.AddChild{Spec: supervise.Spec{
			Name: key, Kind: "scraper", New: func() supervise.Actor { return newScraper(p.h, t) },
			Mailbox: supervise.Mailbox{Capacity: 16}, ShutdownTimeout: time.Second,
		}})
	}
}
