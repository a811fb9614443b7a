package access

import (
	"net/netip"
	"sync"
	"time"
)

// maxFailures bounds what is remembered of failed logins.
const maxFailures = 16 << 10

// throttle makes who fails to log in wait.
type throttle struct {
	config ThrottleConfig
	now    func() time.Time
	mu     sync.Mutex
	of     map[string]*failures
}

type failures struct {
	n     int
	last  time.Time
	until time.Time // no login is looked at before
}

func newThrottle(c ThrottleConfig, now func() time.Time) *throttle {
	return &throttle{config: c, now: now, of: map[string]*failures{}}
}

type counted struct {
	key  string
	free int
}

func (t *throttle) keys(user, address string) []counted {
	network := networkOf(address)
	return []counted{
		{"both " + user + " " + network, t.config.PerUserAndAddress},
		{"address " + network, t.config.PerAddress},
		{"user " + user, t.config.PerUser},
	}
}

// networkOf is what one client can change its address within: an IPv4 address, or a
// /64 of IPv6.
func networkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}

// wait is how long a login has to wait; 0 is not at all.
func (t *throttle) wait(user, address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	var longest time.Duration
	for _, k := range t.keys(user, address) {
		if f := t.of[k.key]; f != nil {
			longest = max(longest, f.until.Sub(now))
		}
	}
	return longest
}

// begin counts a login as failed until it succeeds: of many at once, no more pass than
// one after the other would.
func (t *throttle) begin(user, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, k := range t.keys(user, address) {
		f := t.of[k.key]
		if f == nil || now.Sub(f.last) > 2*t.config.MaxWait {
			t.makeRoom(now)
			f = &failures{}
			t.of[k.key] = f
		}
		f.n, f.last = f.n+1, now
		if over := f.n - k.free; over > 0 {
			f.until = now.Add(min(t.config.MaxWait, time.Second<<min(over-1, 20)))
		}
	}
}

// unjudged takes back what begin counted: the login was never looked at.
func (t *throttle) unjudged(user, address string) { t.takeBack(user, address, false) }

// succeeded takes it back, and forgets the failures of the user at the address.
func (t *throttle) succeeded(user, address string) { t.takeBack(user, address, true) }

func (t *throttle) takeBack(user, address string, forget bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, k := range t.keys(user, address) {
		f := t.of[k.key]
		if f == nil {
			continue
		}
		if f.n--; f.n <= k.free {
			f.until = time.Time{}
		}
		if f.n <= 0 || i == 0 && forget {
			delete(t.of, k.key)
		}
	}
}

// makeRoom forgets what is over, and then whoever failed least recently among a few.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.of) < maxFailures {
		return
	}
	var oldest string
	looked := 0
	for key, f := range t.of {
		if now.Sub(f.last) > 2*t.config.MaxWait {
			delete(t.of, key)
			return
		}
		if oldest == "" || f.last.Before(t.of[oldest].last) {
			oldest = key
		}
		if looked++; looked == 32 {
			break
		}
	}
	delete(t.of, oldest)
}
