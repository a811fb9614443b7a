package monitoring

import (
	"encoding/json"
	"time"
)

// Status is how a service is.
type Status string

// The states of a service; the package comment draws them.
const (
	Unknown     Status = "unknown" // not checked yet
	Healthy     Status = "healthy"
	Unhealthy   Status = "unhealthy"
	Unreachable Status = "unreachable"
)

// Check is one question to one instance and its answer.
type Check struct {
	URL      string        // of the instance
	At       time.Time     // when it was asked
	Took     time.Duration // until the answer, or until it was given up
	Status   Status        // never Unknown
	Degraded bool          // healthy, but it warns
	Version  string        // as it says; "" when it does not
	// Details is its health report as it came; nil without one.
	Details json.RawMessage
	// Cause is why it is not healthy, or degraded; "" otherwise.
	Cause string
}

// Standing is how a service is, over all its instances.
type Standing struct {
	Service   string
	Status    Status
	Degraded  bool
	Cause     string        // as of Check
	Took      time.Duration // of the slowest instance that answered, else of the slowest
	Since     time.Time     // of Status
	Seen      bool          // it was reached at least once since the start
	Instances []Check       // in the registry's order
	Statistic Statistic
}

// Statistic sums up the checks of a service since the start.
type Statistic struct {
	Total, Healthy, Unhealthy, Unreachable uint64
	Mean                                   time.Duration // of the answers
	Last                                   time.Time     // zero before the first
}

// Uptime is the share of checks that found the service healthy, 0 to 100; 0 before the
// first.
func (s Statistic) Uptime() float64 {
	if s.Total == 0 {
		return 0
	}
	return 100 * float64(s.Healthy) / float64(s.Total)
}

// Change is a service that became another.
type Change struct {
	Seq      uint64    `json:"seq" doc:"higher for later changes"`
	Time     time.Time `json:"time"`
	Service  string    `json:"service"`
	From     Status    `json:"from" doc:"status before: healthy, unhealthy, unreachable or unknown"`
	To       Status    `json:"to" doc:"status since: healthy, unhealthy or unreachable"`
	Degraded bool      `json:"degraded" doc:"since then: healthy, but it warns, or not all instances are well"`
	Cause    string    `json:"cause" doc:"why it is not healthy, or degraded; empty otherwise"`
}

// Point is one past check of a service.
type Point struct {
	Time     time.Time `json:"time"`
	Status   Status    `json:"status" doc:"healthy, unhealthy or unreachable"`
	Degraded bool      `json:"degraded" doc:"healthy, but it warned, or not all instances were well"`
	Seconds  float64   `json:"response_time" doc:"in seconds, of the slowest instance that answered"`
}

// judge puts the instances of a service together.
func judge(checks []Check) (status Status, degraded bool, cause string, took time.Duration) {
	healthy, answered := 0, 0
	for i := range checks {
		c := &checks[i]
		if c.Status != Unreachable {
			answered++
		}
		if c.Status == Healthy {
			healthy++
		}
		if cause == "" && c.Cause != "" {
			cause = c.Cause
			if len(checks) > 1 {
				cause = c.URL + ": " + cause
			}
		}
		degraded = degraded || c.Degraded || c.Status != Healthy
	}
	for i := range checks {
		if answered == 0 || checks[i].Status != Unreachable {
			took = max(took, checks[i].Took)
		}
	}
	switch {
	case len(checks) == 0:
		return Unreachable, false, "it runs nowhere: the registry knows no instance", 0
	case healthy > 0:
		return Healthy, degraded, cause, took
	case answered > 0:
		return Unhealthy, false, cause, took
	}
	return Unreachable, false, cause, took
}

// record is what is kept of one service.
type record struct {
	standing Standing
	sum      time.Duration // of the answers
	answers  uint64
	points   []Point // a ring, the oldest at next once it is full
	next     int
}

// take adds the outcome of a round and reports whether the service became another.
func (r *record) take(checks []Check, at time.Time, keep int) bool {
	status, degraded, cause, took := judge(checks)
	s := &r.standing
	changed := s.Status != status || s.Degraded != degraded
	if s.Status != status {
		s.Since = at
	}
	s.Status, s.Degraded, s.Cause, s.Took, s.Instances = status, degraded, cause, took, checks
	s.Statistic.Total++
	s.Statistic.Last = at
	switch status {
	case Healthy:
		s.Statistic.Healthy++
	case Unhealthy:
		s.Statistic.Unhealthy++
	default:
		s.Statistic.Unreachable++
	}
	if status != Unreachable {
		s.Seen = true
		r.sum += took
		r.answers++
		s.Statistic.Mean = r.sum / time.Duration(r.answers) //nolint:gosec // far from its end
	}
	p := Point{Time: at, Status: status, Degraded: degraded, Seconds: took.Seconds()}
	if len(r.points) < keep {
		r.points = append(r.points, p)
	} else {
		r.points[r.next] = p
		r.next = (r.next + 1) % keep
	}
	return changed
}

// recent are the points, oldest first.
func (r *record) recent() []Point {
	out := make([]Point, 0, len(r.points))
	out = append(out, r.points[r.next:]...)
	return append(out, r.points[:r.next]...)
}
