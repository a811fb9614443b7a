package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// Message is what a run hands to an actor: it returns what is kept as the answer.
type Message func(ctx context.Context, payload json.RawMessage) (answer string, err error)

// Publish sends a message of a run to the broker and returns where it went.
type Publish func(ctx context.Context, subject string, header map[string]string, payload []byte) (answer string, err error)

// Options of the branch.
type Options struct {
	Config Config
	// Store has the ledger and the tasks.
	Store ledger.Store
	// Lease; nil is [Alone].
	Lease Lease
	// Services are the names that a task may call; Resolve finds where one answers, as
	// http://host:port.
	Services []string
	Resolve  func(ctx context.Context, service string) ([]string, error)
	// Carry wraps what carries requests to services, for what they need to be let in;
	// nil leaves it as it is. Requests to other addresses never pass it.
	Carry func(http.RoundTripper) http.RoundTripper
	// Publish reaches the broker; nil: tasks have no subjects. CheckSubject says why a
	// subject is none, or not for tasks.
	Publish      Publish
	CheckSubject func(subject string) error
	// Messages are those that actors take, by name.
	Messages map[string]Message
	// Told is told of every run that is over; it must not block. nil: nobody is.
	Told func(t Task, r ledger.Result)
	// Defaults are made at the first start; each needs an ID that never changes.
	Defaults []Task
	// Now is the clock by which tasks are due; nil is time.Now. Timers are those of
	// the actor system.
	Now func() time.Time
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer

	live *atomic.Pointer[Config] // the configuration in force
}

// config is the configuration in force; it does not change.
func (o *Options) config() *Config { return o.live.Load() }

func (o *Options) check() error {
	if err := o.Config.Validate(); err != nil {
		return fmt.Errorf("scheduler configuration: %w", err)
	}
	switch {
	case o.Store == nil:
		return errors.New("scheduler without a store")
	case o.Resolve == nil:
		return errors.New("scheduler without a registry")
	}
	c := o.Config
	o.live = &atomic.Pointer[Config]{}
	o.live.Store(&c)
	if o.Lease == nil {
		o.Lease = Alone{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

func (o *Options) messageNames() []string { return slices.Sorted(maps.Keys(o.Messages)) }

// checkSubject says whether a task may publish to a subject.
func (o *Options) checkSubject(subject string) error {
	switch {
	case o.Publish == nil:
		return errors.New("there is no message broker here")
	case o.CheckSubject != nil:
		return o.CheckSubject(subject)
	}
	return nil
}
