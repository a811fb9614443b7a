package simulator

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// meter counts things in windows of time, all of one length.
type meter struct {
	window int64
	used   int
}

// spend counts n things at a time; false when that is more than the rate allows.
func (m *meter) spend(r connectors.Rate, n int, now int64) (used int, ok bool) {
	if r.N <= 0 || r.Per <= 0 {
		return 0, true
	}
	if w := now / int64(r.Per); w != m.window {
		m.window, m.used = w, 0
	}
	m.used += n
	return m.used, m.used <= r.N
}

// limits are an address's. All clients of the simulator come from one address.
type limits struct {
	off              bool
	connects, weight meter
	strikes          int   // calls in a row beyond the budget
	until            int64 // refused until then
	banned           bool
}

// banFor is how long a ban lasts.
const banFor = 2 * time.Minute

// connect counts a connection; the status is 0 when it may be made.
func (l *limits) connect(t *Terms, now int64) (status int) {
	if l.banned && now < l.until {
		return http.StatusTeapot
	}
	if _, ok := l.connects.spend(t.Connects, 1, now); !ok && !l.off {
		return http.StatusTooManyRequests
	}
	return 0
}

// spend counts a call; a refusal has a status.
func (l *limits) spend(t *Terms, weight int, now int64) (used int, r Refusal) {
	used, ok := l.weight.spend(t.Weight, weight, now)
	switch {
	case now < l.until:
		l.strikes++
		if t.BanAfter > 0 && l.strikes > t.BanAfter {
			l.ban(now, banFor)
		}
		r = Refusal{Status: http.StatusTooManyRequests, Until: l.until}
		if l.banned {
			r.Status = http.StatusTeapot
		}
		return used, r
	case l.banned:
		l.banned, l.strikes = false, 0
	}
	if ok || l.off {
		l.strikes = 0
		return used, Refusal{}
	}
	l.strikes++
	per := int64(t.Weight.Per)
	l.until = (now/per + 1) * per
	return used, Refusal{Status: http.StatusTooManyRequests, Until: l.until}
}

// ban refuses everything for a time.
func (l *limits) ban(now int64, d time.Duration) {
	l.banned, l.until = true, max(l.until, now+int64(d))
	l.strikes = 0
}
