package top

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/http/client"
)

// Feed follows what the monitoring-service says.
type Feed struct {
	// Service is asked.
	Service *client.Monitoring

	pauses []time.Duration // between two tries; nil is defaultPauses
}

// Update is a new picture, or why none comes: Lost while the feed connects again.
type Update struct {
	Picture *Picture
	Lost    error
}

// defaultPauses are those between two tries to connect again; the last one stays.
var defaultPauses = [...]time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}

// Run calls deliver, one call after the other, until ctx ends. It fails only when the
// first connection does: later ones are made again for as long as it takes.
func (f *Feed) Run(ctx context.Context, deliver func(Update)) error {
	pauses, tries := f.pauses, 0
	if pauses == nil {
		pauses = defaultPauses[:]
	}
	for begun := false; ; {
		came := false
		err := f.follow(ctx, func(p *Picture) {
			begun, came = true, true
			deliver(Update{Picture: p})
		})
		if over(ctx) {
			return nil
		}
		if !begun {
			return err
		}
		if came {
			tries = 0
		}
		deliver(Update{Lost: err})
		pause := time.NewTimer(pauses[min(tries, len(pauses)-1)])
		tries++
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
	}
}

// over reports whether the feed was ended, which is no failure.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// silence is how long a connection may say nothing: there is a beat every second.
const silence = 15 * time.Second

// follow reads one connection until it ends, and returns why.
func (f *Feed) follow(ctx context.Context, deliver func(*Picture)) error {
	stream, err := f.Service.Watch(ctx, silence, topics()...)
	if err != nil {
		return err
	}
	defer stream.Close()
	s := newState()
	for {
		e, err := stream.Next()
		if err != nil {
			return err
		}
		if e.Name != "snapshot" && e.Name != "diff" && e.Name != "beat" {
			continue
		}
		if err := s.take(e.Name, e.Data); err != nil {
			return err
		}
		deliver(s.picture())
	}
}
