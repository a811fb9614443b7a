package upstream

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Why no instance can be picked.
var (
	// ErrNone: the service has no instances.
	ErrNone = errors.New("the service is not running anywhere")
	// ErrUnhealthy: no instance is healthy.
	ErrUnhealthy = errors.New("no instance of the service is healthy")
	// ErrOpen: the breakers of the healthy instances are open.
	ErrOpen = errors.New("the circuit breakers of the service are open")
	// ErrTried: every instance that could be picked has been tried.
	ErrTried = errors.New("every instance of the service has been tried")
)

// Pool is the instances of one service. It is safe for concurrent use; Set is called
// by one goroutine.
type Pool struct {
	service   string
	now       func() time.Time
	settings  atomic.Pointer[Config]
	instances atomic.Pointer[[]*Instance]
	ejections atomic.Uint64
	trips     atomic.Uint64
	set       sync.Mutex // of Set and Configure
}

// NewPool makes a pool without instances. now is the clock; nil is time.Now.
func NewPool(service string, c Config, now func() time.Time) *Pool {
	if now == nil {
		now = time.Now
	}
	p := &Pool{service: service, now: now}
	p.settings.Store(&c)
	p.instances.Store(&[]*Instance{})
	return p
}

// Service is the name of the service.
func (p *Pool) Service() string { return p.service }

func (p *Pool) config() *Config { return p.settings.Load() }

// Configure takes up new settings. Breakers start anew where theirs have changed.
func (p *Pool) Configure(c Config) {
	p.set.Lock()
	defer p.set.Unlock()
	before := p.settings.Swap(&c)
	if before.Breaker == c.Breaker {
		return
	}
	for _, i := range *p.instances.Load() {
		i.breaker.Store(p.newBreaker())
	}
}

func (p *Pool) newBreaker() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	c := p.config().Breaker
	if !c.Enabled {
		return nil
	}
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: uint32(c.Trials), Interval: c.Window, BucketPeriod: c.Window / 10, Timeout: c.OpenFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			judged := n.TotalSuccesses + n.TotalFailures
			return judged >= uint32(c.MinRequests) && float64(n.TotalFailures) >= c.Ratio*float64(judged)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errUnclear) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				p.trips.Add(1)
			}
		},
	})
}

// Set says which instances there are. Those that were there before keep what is known
// of them.
func (p *Pool) Set(list []Listing) {
	p.set.Lock()
	defer p.set.Unlock()
	old := *p.instances.Load()
	next := make([]*Instance, 0, len(list))
	for _, l := range list {
		same := func(i *Instance) bool { return i.Address == l.Address }
		if slices.ContainsFunc(next, same) {
			continue // listed twice
		}
		at := slices.IndexFunc(old, same)
		switch {
		case at < 0:
			next = append(next, newInstance(p, l))
		case old[at].Listing == l:
			next = append(next, old[at])
		default: // probed elsewhere, or somebody else's word
			next = append(next, newInstance(p, l))
		}
	}
	p.instances.Store(&next)
}

// Instances are those that there are; the slice is not to be changed.
func (p *Pool) Instances() []*Instance { return *p.instances.Load() }

// Trips counts how often a breaker has opened, Ejections how often an instance was
// ejected.
func (p *Pool) Trips() uint64 { return p.trips.Load() }

// Ejections counts how often an instance was ejected.
func (p *Pool) Ejections() uint64 { return p.ejections.Load() }

// maxInstances is how many instances are looked at for one request.
const maxInstances = 32

// Pick chooses an instance for one request, none of those in tried. The request is
// judged and ended by the caller. Errors: ErrNone, ErrUnhealthy, ErrOpen, ErrTried.
func (p *Pool) Pick(tried []*Instance) (*Try, error) {
	all := *p.instances.Load()
	if len(all) == 0 {
		return nil, ErrNone
	}
	now := p.now()
	var space [maxInstances]*Instance
	for _, want := range [...]standing{yes, lastResort} {
		usable := space[:0]
		for _, i := range all {
			if len(usable) < maxInstances && !slices.Contains(tried, i) && i.standing(now) >= want {
				usable = append(usable, i)
			}
		}
		for len(usable) > 0 {
			at := choose(usable)
			t, err := usable[at].begin()
			if err == nil {
				return t, nil
			}
			usable[at] = usable[len(usable)-1]
			usable = usable[:len(usable)-1]
		}
	}
	return nil, p.whyNot(tried, now)
}

// choose takes the less busy of two at random.
func choose(usable []*Instance) int {
	if len(usable) == 1 {
		return 0
	}
	a := rand.IntN(len(usable))
	b := rand.IntN(len(usable) - 1)
	if b >= a {
		b++
	}
	if usable[b].under.Load() < usable[a].under.Load() {
		return b
	}
	return a
}

func (p *Pool) whyNot(tried []*Instance, now time.Time) error {
	healthy, left := false, false
	for _, i := range *p.instances.Load() {
		if i.standing(now) == no {
			continue
		}
		healthy = true
		left = left || !slices.Contains(tried, i)
	}
	switch {
	case !healthy:
		return ErrUnhealthy
	case left:
		return ErrOpen
	}
	return ErrTried
}

// othersUsable says whether an instance beside this one takes requests.
func (p *Pool) othersUsable(but *Instance, now time.Time) bool {
	return slices.ContainsFunc(*p.instances.Load(), func(i *Instance) bool {
		return i != but && i.standing(now) == yes && !i.open()
	})
}

func (i *Instance) open() bool {
	b := i.breaker.Load()
	return b != nil && b.State() == gobreaker.StateOpen
}
