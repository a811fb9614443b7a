package notify

import (
	"cmp"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// standing is an alert that fires, or whose end is still to be told.
type standing struct {
	alert.Alert
	fingerprint alert.Fingerprint
	groups      int // that hold it
}

// group is the alerts of one route that are told together.
type group struct {
	route   *route
	key     string
	labels  alert.Labels
	members map[alert.Fingerprint]*standing
	next    time.Time       // of the next look
	looked  bool            // once at least
	open    map[string]bool // destinations with a message under way
	failed  bool            // a message of the last look was not told
}

// destination is one address of a receiver.
type destination struct {
	id       string // receiver/kind/number, as in the notification log
	receiver string
	tellsEnd bool
}

// order asks for a message to be told.
type order struct {
	destination string
	group       string
	message     *message
	entry       *entry
	// known is when it was told of the group last, as far as this node knows; zero when
	// it was not.
	known time.Time
	// deadline is when the next look at the group will see to it anyway.
	deadline time.Time
}

// desk decides who is told what and when: no clock, no I/O, one goroutine. Its
// callers give the time and carry out what it returns.
type desk struct {
	root         *route
	rules        []inhibitRule
	destinations map[string][]destination // by receiver
	maxAlerts    int
	grace        time.Time // nothing is told before

	alerts map[alert.Fingerprint]*standing
	groups map[string]*group
	log    map[string]*entry // by entryKey
}

func newDesk(root *route, rules []inhibitRule, destinations map[string][]destination, maxAlerts int) *desk {
	return &desk{
		root: root, rules: rules, destinations: destinations, maxAlerts: maxAlerts,
		alerts: map[alert.Fingerprint]*standing{}, groups: map[string]*group{}, log: map[string]*entry{},
	}
}

// taken is what accepting alerts has changed.
type taken struct {
	fired    []*alert.Alert // that did not fire before
	resolved []*alert.Alert
	refused  int // beyond max_alerts
}

// accept takes the alerts of an evaluation.
func (d *desk) accept(alerts []alert.Alert, now time.Time) (t taken) {
	for i := range alerts {
		a := &alerts[i]
		f := a.Fingerprint()
		s := d.alerts[f]
		switch {
		case a.State == alert.Firing && s == nil && len(d.alerts) >= d.maxAlerts:
			t.refused++
		case a.State == alert.Firing:
			if d.fire(a, f, s, now) {
				t.fired = append(t.fired, &d.alerts[f].Alert)
			}
		case a.State == alert.Resolved && s != nil && s.State == alert.Firing && !a.ResolvedAt.Before(s.FiredAt):
			s.State, s.ResolvedAt, s.CheckedAt = alert.Resolved, a.ResolvedAt, a.CheckedAt
			t.resolved = append(t.resolved, &s.Alert)
		}
	}
	return t
}

// fire takes an alert that fires, and reports whether it did not before.
func (d *desk) fire(a *alert.Alert, f alert.Fingerprint, s *standing, now time.Time) (anew bool) {
	anew = s == nil || s.State != alert.Firing
	if s == nil {
		s = &standing{fingerprint: f}
		d.alerts[f] = s
	}
	firedAt := a.FiredAt
	if firedAt.IsZero() {
		firedAt = a.CheckedAt
	}
	if !anew { // a rule engine that began anew may not know
		firedAt = s.FiredAt
	}
	s.Alert = *a
	s.FiredAt = firedAt
	for _, r := range d.root.find(a.Labels) {
		d.join(s, r, now)
	}
	return anew
}

// join puts an alert into its group of a route.
func (d *desk) join(s *standing, r *route, now time.Time) {
	labels := r.groupLabels(s.Labels)
	key := r.key + ":" + labels.String()
	g := d.groups[key]
	if g == nil {
		g = &group{
			route: r, key: key, labels: labels, members: map[alert.Fingerprint]*standing{}, open: map[string]bool{},
			next: latest(now.Add(r.wait), d.grace),
		}
		d.groups[key] = g
	}
	if g.members[s.fingerprint] == nil {
		g.members[s.fingerprint] = s
		s.groups++
	}
	if !g.looked && s.FiredAt.Add(r.wait).Before(now) { // it has waited already
		g.next = latest(now, d.grace)
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// lapse resolves what nothing was heard of for too long.
func (d *desk) lapse(now time.Time) (resolved []*alert.Alert) {
	for _, s := range d.alerts {
		if s.State == alert.Firing && !now.Before(s.Ends()) {
			s.ResolvedAt = s.Ends()
			s.State = alert.Resolved
			resolved = append(resolved, &s.Alert)
		}
	}
	return resolved
}

// muter says whether an alert that fires is muted.
type muter func(ls alert.Labels) bool

// look looks at all groups whose time has come and returns what is to be told.
func (d *desk) look(now time.Time, muted muter) (orders []order) {
	due := []*group{}
	for _, g := range d.groups {
		if !now.Before(g.next) {
			due = append(due, g)
		}
	}
	slices.SortFunc(due, func(a, b *group) int { return cmp.Compare(a.key, b.key) })
	for _, g := range due {
		g.looked, g.failed = true, false
		if g.next = g.next.Add(g.route.interval); !now.Before(g.next) { // it was held up
			g.next = now.Add(g.route.interval)
		}
		for _, to := range d.destinations[g.route.receiver] {
			if o, ok := d.order(g, to, now, muted); ok {
				orders = append(orders, o)
			}
		}
		d.settle(g)
	}
	return orders
}

// order is what a destination is to be told of a group now. What fires and is muted is
// left out; what is resolved is told to whom its firing was told, muted or not.
func (d *desk) order(g *group, to destination, now time.Time, muted muter) (order, bool) {
	if g.open[to.id] { // the last message is still under way
		g.failed = true
		return order{}, false
	}
	last := d.log[entryKey(to.id, g.key)]
	m := &message{receiver: to.receiver, groupKey: g.key, groupLabels: g.labels, now: now}
	e := &entry{Destination: to.id, GroupKey: g.key, At: now, Forget: now.Add(2 * max(g.route.repeat, g.route.interval))}
	for f, s := range g.members {
		switch {
		case s.State == alert.Firing && !muted(s.Labels):
			e.Firing = append(e.Firing, f)
		case s.State == alert.Resolved && last.told(f):
			e.Resolved = append(e.Resolved, f)
		default:
			continue
		}
		m.alerts = append(m.alerts, s.Alert)
	}
	slices.Sort(e.Firing)
	slices.Sort(e.Resolved)
	if len(m.alerts) == 0 || !last.outdated(e.Firing, e.Resolved, to.tellsEnd, now, g.route.repeat) {
		return order{}, false
	}
	slices.SortFunc(m.alerts, func(a, b alert.Alert) int {
		return cmp.Or(cmp.Compare(a.State, b.State), a.Labels.Compare(b.Labels))
	})
	if last != nil { // muted now, and told before: its end is still owed
		for _, f := range last.Firing {
			if s := g.members[f]; s != nil && s.State == alert.Firing {
				if at, found := slices.BinarySearch(e.Firing, f); !found {
					e.Firing = slices.Insert(e.Firing, at, f)
				}
			}
		}
	}
	if !to.tellsEnd {
		m = m.without()
	}
	g.open[to.id] = true
	o := order{destination: to.id, group: g.key, message: m, entry: e, deadline: g.next}
	if last != nil {
		o.known = last.At
	}
	return o, true
}

// told notes what became of an order. The entry that is to be kept is returned; nil
// when the destination was not told.
func (d *desk) told(o order, err error) *entry {
	g := d.groups[o.group]
	if g != nil {
		delete(g.open, o.destination)
	}
	var kept *entry
	if err == nil {
		kept = o.entry
		d.log[entryKey(o.destination, o.group)] = kept
	} else if g != nil {
		g.failed = true
	}
	if g != nil {
		d.settle(g)
	}
	return kept
}

// settle removes from a group what is resolved and was told so, and the group when
// nothing is left of it.
func (d *desk) settle(g *group) {
	if !g.looked || g.failed || len(g.open) > 0 {
		return
	}
	for f, s := range g.members {
		if s.State != alert.Resolved || d.owed(g, f) {
			continue
		}
		delete(g.members, f)
		if s.groups--; s.groups == 0 {
			delete(d.alerts, f)
		}
	}
	if len(g.members) == 0 {
		delete(d.groups, g.key)
	}
}

// owed says whether some destination was told that an alert fires, and not yet that it
// does no longer.
func (d *desk) owed(g *group, f alert.Fingerprint) bool {
	for _, to := range d.destinations[g.route.receiver] {
		if d.log[entryKey(to.id, g.key)].told(f) {
			return true
		}
	}
	return false
}

// forget removes entries that nobody needs any more and returns their keys: those of
// groups that are gone, once nothing fires in them or their time is over.
func (d *desk) forget(now time.Time) (keys []string) {
	for key, e := range d.log {
		if d.groups[e.GroupKey] == nil && (len(e.Firing) == 0 || now.After(e.Forget)) {
			delete(d.log, key)
			keys = append(keys, key)
		}
	}
	return keys
}

// next is when a group is to be looked at, or an alert lapses; zero when nothing waits.
func (d *desk) next() (at time.Time) {
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, g := range d.groups {
		sooner(g.next)
	}
	for _, s := range d.alerts {
		if s.State == alert.Firing {
			sooner(s.Ends())
		}
	}
	return at
}
