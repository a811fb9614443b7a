package consul

import (
	"slices"
	"strings"
	"time"
)

// Member is one announced service of a node.
type Member struct {
	// ID is unique in the datacenter: service@node.
	ID      string
	Service string
	Node    string
	// Host is an address or name without port.
	Host string
	Port int
	Meta map[string]string
}

// sighting is a member as Consul lists it.
type sighting struct {
	Member
	passing bool
	// warned: it says itself that it cannot do everything. It is listed for as long as
	// it can be reached.
	warned bool
}

// trust is what our own heartbeats say of Consul.
type trust struct {
	// steady is since when Consul has known us without being told anew, and had our
	// heartbeats in time; zero while it does not.
	steady time.Time
	// accepted is when the last heartbeat began that it took.
	accepted time.Time
}

// knewAt reports whether Consul has its data from before a time, and still had them
// after it.
func (t trust) knewAt(at time.Time) bool {
	return !t.steady.IsZero() && t.steady.Before(at) && t.accepted.After(at)
}

// roster holds the members of one service. It is pure: time, Consul's answers and
// probes are given to it.
type roster struct {
	self  string // ID that is never given up
	grace time.Duration
	known map[string]*standing
}

type standing struct {
	Member
	// suspected is since when it is not well; zero when it is.
	suspected time.Time
	warned    bool
	// listed is when Consul has listed it last, and unlisted since when it does not; zero
	// when it does.
	listed, unlisted time.Time
}

func newRoster(self string, grace time.Duration) *roster {
	return &roster{self: self, grace: grace, known: map[string]*standing{}}
}

// see takes an answer of Consul.
func (r *roster) see(now time.Time, listed []sighting) {
	seen := map[string]bool{}
	for _, l := range listed {
		seen[l.ID] = true
		s := r.known[l.ID]
		if s == nil {
			if !l.passing {
				continue // it may come
			}
			s = &standing{}
			r.known[l.ID] = s
		}
		s.Member, s.listed, s.unlisted, s.warned = l.Member, now, time.Time{}, l.warned
		switch {
		case l.passing && !l.warned:
			s.suspected = time.Time{}
		case s.suspected.IsZero():
			s.suspected = now
		}
	}
	for id, s := range r.known {
		if seen[id] || !s.unlisted.IsZero() {
			continue
		}
		s.unlisted, s.warned = now, false
		if s.suspected.IsZero() {
			s.suspected = now
		}
	}
}

// suspects are the members that are to be probed.
func (r *roster) suspects() (all []Member) {
	for id, s := range r.known {
		if !s.suspected.IsZero() && id != r.self {
			all = append(all, s.Member)
		}
	}
	return all
}

// judge gives up the members that are gone; closed are those whose port did not
// answer.
func (r *roster) judge(now time.Time, t trust, closed map[string]bool) (gone []Member) {
	for id, s := range r.known {
		if s.suspected.IsZero() || id == r.self {
			continue
		}
		// A Consul that has forgotten everything may have heard of us again before it hears
		// of others: who left was listed since it has known us.
		left := !s.unlisted.IsZero() && t.knewAt(s.unlisted) && s.listed.After(t.steady)
		ill := !s.warned && now.Sub(s.suspected) > r.grace && !t.steady.IsZero() && t.accepted.Sub(t.steady) > r.grace
		if closed[id] || left || ill {
			gone = append(gone, s.Member)
			delete(r.known, id)
		}
	}
	return gone
}

// others are all that are not given up, but us.
func (r *roster) others() (all []peer) {
	for id, s := range r.known {
		if id != r.self {
			all = append(all, peer{s.Member, s.suspected.IsZero()})
		}
	}
	return all
}

// members are all that are not given up, by ID.
func (r *roster) members() []Member {
	all := make([]Member, 0, len(r.known))
	for _, s := range r.known {
		all = append(all, s.Member)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return all
}
