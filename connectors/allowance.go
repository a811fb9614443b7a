package connectors

import "time"

// allowance counts things against a rate as exchanges do that allow bursts: up to
// N in any window of the rate's length. It is not safe for concurrent use; a nil
// allowance allows everything.
type allowance struct {
	per  time.Duration
	past []time.Time // the last N, a ring
	next int
}

func newAllowance(r Rate) *allowance {
	if r.N <= 0 || r.Per <= 0 {
		return nil
	}
	return &allowance{per: r.Per, past: make([]time.Time, 0, r.N)}
}

// free reports whether one more is allowed now.
func (a *allowance) free(now time.Time) bool {
	return a == nil || len(a.past) < cap(a.past) || now.Sub(a.past[a.next]) >= a.per
}

// take counts one.
func (a *allowance) take(now time.Time) {
	switch {
	case a == nil:
	case len(a.past) < cap(a.past):
		a.past = append(a.past, now)
	default:
		a.past[a.next] = now
		a.next = (a.next + 1) % len(a.past)
	}
}
