package supervise

import (
	"errors"
	"fmt"
	"time"
)

// Scope says which siblings a failing child takes with it.
type Scope uint8

const (
	// OneForOne restarts the failed child alone, in place: PID and mailbox stay.
	OneForOne Scope = iota
	// OneForAll stops all children in reverse order and starts them again in order.
	// Their mailboxes are lost.
	OneForAll
	// RestForOne does so with the failed child and those started after it.
	RestForOne
)

// String returns one_for_one, one_for_all or rest_for_one.
func (s Scope) String() string {
	switch s {
	case OneForOne:
		return "one_for_one"
	case OneForAll:
		return "one_for_all"
	case RestForOne:
		return "rest_for_one"
	}
	return fmt.Sprintf("Scope(%d)", uint8(s))
}

// Backoff is the delay before a restart: min(Cap, Base·2ⁿ) ± Jitter, where n
// counts the child's failures since it last ran for ResetAfter.
type Backoff struct {
	Base       time.Duration `yaml:"base" doc:"Wait before the first restart; it doubles with each failure."`                    // > 0
	Cap        time.Duration `yaml:"cap" doc:"Longest wait before a restart."`                                                   // >= Base
	Jitter     float64       `yaml:"jitter" doc:"Random part of a wait, 0 to 1: 0.2 is 20 % more or less."`                      // 0 to 1; 0.2 is ± 20 %
	ResetAfter time.Duration `yaml:"reset_after" doc:"How long a child must run without a failure for its waits to start anew."` // > 0
}

// Delay returns the delay before restart n (0 is the first) for a jitter draw u
// in [0, 1): 0 gives the shortest delay, 0.5 the one without jitter.
func (b Backoff) Delay(n int, u float64) time.Duration {
	d := b.Cap
	if n < 62 && b.Base <= b.Cap>>n {
		d = b.Base << n
	}
	return time.Duration(float64(d) * (1 + b.Jitter*(2*u-1)))
}

// Strategy is how a branch answers the failures of its children.
type Strategy struct {
	Scope Scope `yaml:"-"`
	// Restarts is how many restarts, over all children, Within allows; one more is
	// a failure of the branch. 0 means that the first failure already is.
	Restarts int           `yaml:"restarts" doc:"Restarts that are allowed within the time; one more fails the parent."`
	Within   time.Duration `yaml:"within" doc:"Time in which restarts are counted."`
	Backoff  Backoff       `yaml:"backoff" doc:"Waits before restarts."`
}

// DefaultStrategy is one_for_one with 10 restarts a minute and a backoff from
// 100 ms to 10 s, reset after 30 s of health.
func DefaultStrategy() Strategy {
	return Strategy{
		Scope:    OneForOne,
		Restarts: 10,
		Within:   time.Minute,
		Backoff: Backoff{
			Base:       100 * time.Millisecond,
			Cap:        10 * time.Second,
			Jitter:     0.2,
			ResetAfter: 30 * time.Second,
		},
	}
}

// Validate reports the first value out of range.
func (s Strategy) Validate() error {
	switch {
	case s.Scope > RestForOne:
		return fmt.Errorf("strategy: unknown scope %s", s.Scope)
	case s.Restarts < 0:
		return errors.New("strategy: restarts must not be negative")
	case s.Within <= 0:
		return errors.New("strategy: within must be positive")
	case s.Backoff.Base <= 0:
		return errors.New("strategy: backoff.base must be positive")
	case s.Backoff.Cap < s.Backoff.Base:
		return errors.New("strategy: backoff.cap must not be below backoff.base")
	case s.Backoff.Jitter < 0 || s.Backoff.Jitter > 1:
		return errors.New("strategy: backoff.jitter must be between 0 and 1")
	case s.Backoff.ResetAfter <= 0:
		return errors.New("strategy: backoff.reset_after must be positive")
	}
	return nil
}

// String is the strategy as the tree shows it.
func (s Strategy) String() string {
	return fmt.Sprintf("%s, %d restarts in %s, backoff %s to %s ±%.0f%%, reset after %s",
		s.Scope, s.Restarts, s.Within, s.Backoff.Base, s.Backoff.Cap, s.Backoff.Jitter*100, s.Backoff.ResetAfter)
}

// window counts restarts over a sliding time. It never holds more than limit+1
// instants.
type window struct {
	limit  int
	within time.Duration
	at     []time.Time
}

// add records a restart at now and reports whether it is still within the limit.
func (w *window) add(now time.Time) bool {
	w.trim(now)
	if len(w.at) <= w.limit {
		w.at = append(w.at, now)
	}
	return len(w.at) <= w.limit
}

func (w *window) trim(now time.Time) {
	i := 0
	for i < len(w.at) && now.Sub(w.at[i]) >= w.within {
		i++
	}
	w.at = append(w.at[:0], w.at[i:]...)
}
