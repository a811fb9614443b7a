package upstream

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Address is where an instance answers, by HTTP.
type Address struct {
	Host string // name or address, without port
	Port int
	TLS  bool // it answers by HTTPS only
}

// String is host:port.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// URL is the base of its addresses, without a slash at the end.
func (a Address) URL() string { return a.Scheme() + "://" + a.String() }

// Scheme is http or https.
func (a Address) Scheme() string {
	if a.TLS {
		return "https"
	}
	return "http"
}

// Listing is an instance as it is known by: an address and how to look after it.
type Listing struct {
	Address
	// HealthPath is where the instance tells of its health, ProbePath what is asked
	// whether it takes requests: a 2xx is yes.
	HealthPath, ProbePath string
	// Registered says that a client has registered it: it is dialled only where
	// clients may lead the gateway.
	Registered bool
	// Since is when it was first known.
	Since time.Time
}

// Outcome is what one request has shown about the instance that it was sent to.
type Outcome uint8

// The outcomes.
const (
	Succeeded Outcome = iota
	// Failed: it could not be reached, did not answer in time, broke off, or answered
	// that it is broken.
	Failed
	// Unclear: the client left, or sent what could not be sent on.
	Unclear
)

// State is how an instance is.
type State string

// The states.
const (
	Unknown   State = "unknown" // not probed yet; it is used
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy"
	Ejected   State = "ejected"
)

// States are all of them, in a fixed order.
func States() []State { return []State{Unknown, Healthy, Unhealthy, Ejected} }

// Instance is one place where a service answers. It is safe for concurrent use.
type Instance struct {
	Listing
	pool    *Pool
	under   atomic.Int64 // requests under way
	breaker atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]

	mu       sync.Mutex
	state    State // by probes: never Ejected
	misses   int   // probes that failed in a row
	fault    string
	probed   time.Time
	failures int // requests that failed in a row
	ejected  time.Time
	out      bool // ejected, until ejected and then until a trial has succeeded
	trial    bool // one is under way
	times    int  // ejected so often without a good spell between
}

func newInstance(p *Pool, l Listing) *Instance {
	i := &Instance{Listing: l, pool: p, state: Unknown}
	i.breaker.Store(p.newBreaker())
	return i
}

// Service is the name of the service.
func (i *Instance) Service() string { return i.pool.service }

// Under is how many requests are under way there.
func (i *Instance) Under() int { return int(i.under.Load()) }

// Probed takes the outcome of a probe: nil, or what was wrong. Two in a row that fail
// make the instance unhealthy, one that passes makes it healthy. changed says that the
// state is another one now.
func (i *Instance) Probed(fault error, now time.Time) (changed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.state
	i.probed = now
	if fault == nil {
		i.state, i.misses, i.fault = Healthy, 0, ""
		return before != Healthy
	}
	i.misses++
	i.fault = fault.Error()
	if i.misses >= missesAllowed {
		i.state = Unhealthy
	}
	return before != i.state
}

// missesAllowed is how many probes in a row must fail.
const missesAllowed = 2

// standing is how far an instance may be used.
type standing uint8

const (
	no standing = iota
	lastResort
	yes
)

// standing says whether i may be picked now.
func (i *Instance) standing(now time.Time) standing {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.state == Unhealthy:
		return no
	case i.out && (now.Before(i.ejected) || i.trial):
		return lastResort
	}
	return yes
}

// begin counts a request to i, if its breaker lets it through.
func (i *Instance) begin() (*Try, error) {
	t := &Try{Instance: i}
	if b := i.breaker.Load(); b != nil {
		done, err := b.Allow()
		if err != nil {
			return nil, err
		}
		t.done = done
	}
	i.under.Add(1)
	i.mu.Lock()
	if i.out && !i.trial {
		i.trial, t.trial = true, true
	}
	i.mu.Unlock()
	return t, nil
}

// Try is one request to an instance.
type Try struct {
	*Instance
	done  func(error)
	trial bool
	ended atomic.Bool
	told  atomic.Bool
}

var (
	errFailed  = errors.New("failed")
	errUnclear = errors.New("unclear")
)

// Judge says what the request has shown; the first judgement counts.
func (t *Try) Judge(o Outcome) {
	if t.told.Swap(true) {
		return
	}
	if t.done != nil {
		switch o {
		case Succeeded:
			t.done(nil)
		case Failed:
			t.done(errFailed)
		default:
			t.done(errUnclear)
		}
	}
	t.judge(o, t.trial, t.pool.now())
}

// End counts the request as over; it has been judged, or is unclear.
func (t *Try) End() {
	if t.ended.Swap(true) {
		return
	}
	t.Judge(Unclear)
	t.under.Add(-1)
}

// judge ejects an instance, or takes it back.
func (i *Instance) judge(o Outcome, trial bool, now time.Time) {
	if o == Succeeded && !trial {
		i.mu.Lock()
		i.failures = 0
		i.mu.Unlock()
		return
	}
	c := i.pool.config().Ejection
	others := i.pool.othersUsable(i, now)
	i.mu.Lock()
	defer i.mu.Unlock()
	if trial {
		i.trial = false
	}
	switch {
	case o == Succeeded:
		i.out, i.failures = false, 0
	case o == Unclear:
	case trial && others:
		i.eject(c, now)
	case i.out:
	default:
		i.failures++
		if i.failures == 1 && now.Sub(i.ejected) > 10*c.Longest {
			i.times = 0
		}
		if c.Failures > 0 && i.failures >= c.Failures && others {
			i.eject(c, now)
		}
	}
}

// eject prefers the others for a while, longer each time.
func (i *Instance) eject(c EjectionConfig, now time.Time) {
	i.out, i.failures = true, 0
	i.ejected = now.Add(min(c.Base<<min(i.times, 20), c.Longest))
	i.times++
	i.pool.ejections.Add(1)
}

// View is an instance at one moment.
type View struct {
	Listing
	State State
	// Fault is what the last probe found; "" when it passed.
	Fault  string
	Probed time.Time // zero before the first
	// Breaker is closed, half-open or open; "" where there is none.
	Breaker string
	Counts  gobreaker.Counts // of the breaker's window
	Under   int
}

// View looks at an instance.
func (i *Instance) View(now time.Time) View {
	v := View{Listing: i.Listing, Under: i.Under()}
	if b := i.breaker.Load(); b != nil {
		v.Breaker, v.Counts = b.State().String(), b.Counts()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	v.State, v.Fault, v.Probed = i.state, i.fault, i.probed
	if i.out && i.state != Unhealthy && now.Before(i.ejected) {
		v.State = Ejected
	}
	return v
}
