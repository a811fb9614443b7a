package top

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/internal/cli/sse"
)

// Feed follows what the monitoring-service says.
type Feed struct {
	// Base is its address, scheme and host.
	Base string
	// Do sends a request.
	Do func(*http.Request) (*http.Response, error)
	// Refused turns an answer that is not 200 into an error.
	Refused func(*http.Response) error

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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Base+"/api/v1/ui/live?topics="+topics(), nil)
	if err != nil {
		return fmt.Errorf("the address of the monitoring-service: %w", err)
	}
	r.Header.Set("Accept", "text/event-stream")
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no word for %v", silence)) })
	defer quiet.Stop()
	res, err := f.Do(r)
	if err != nil {
		return fmt.Errorf("asking the monitoring-service (does it run?): %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return f.Refused(res)
	}
	s, stream := newState(), sse.NewReader(res.Body)
	for {
		name, data, err := stream.Next(func() { quiet.Reset(silence) })
		if err != nil {
			if why := context.Cause(ctx); why != nil {
				err = why
			}
			return fmt.Errorf("following %s: %w", f.Base, err)
		}
		if name != "snapshot" && name != "diff" && name != "beat" {
			continue
		}
		if err := s.take(name, data); err != nil {
			return err
		}
		deliver(s.picture())
	}
}
