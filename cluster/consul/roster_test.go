package consul

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }

func member(id string) Member { return Member{ID: id, Host: "10.0.0.1", Port: 8080} }

func ids(members []Member) (all []string) {
	for _, m := range members {
		all = append(all, m.ID)
	}
	return all
}

// known makes a roster that knows us and two others, all well, at second 0.
func known() *roster {
	r := newRoster("us", 10*time.Second)
	r.see(at(0), []sighting{{member("us"), true, false}, {member("a"), true, false}, {member("b"), true, false}})
	return r
}

func TestRoster(t *testing.T) {
	well := func(id string) sighting { return sighting{member(id), true, false} }
	ill := func(id string) sighting { return sighting{member(id), false, false} }
	warned := func(id string) sighting { return sighting{member(id), true, true} }
	steady := trust{steady: at(-100), accepted: at(1000)}
	for _, c := range []struct {
		name   string
		listed []sighting // at second 1
		trust  trust
		at     float64
		closed []string
		want   []string
	}{
		{"all are well", []sighting{well("us"), well("a"), well("b")}, steady, 2, nil, []string{"a", "b", "us"}},
		{"one is ill and its port answers", []sighting{well("us"), ill("a"), well("b")}, steady, 5, nil, []string{"a", "b", "us"}},
		{"one is ill and its port is closed", []sighting{well("us"), ill("a"), well("b")}, steady, 2, []string{"a"}, []string{"b", "us"}},
		{"one is ill for longer than the grace", []sighting{well("us"), ill("a"), well("b")}, steady, 12, nil, []string{"b", "us"}},
		{"all are ill while Consul does not take our heartbeats", []sighting{ill("us"), ill("a"), ill("b")}, trust{}, 60, nil, []string{"a", "b", "us"}},
		{"one warns for long and its port answers", []sighting{well("us"), warned("a"), well("b")}, steady, 100, nil, []string{"a", "b", "us"}},
		{"one warns and its port is closed", []sighting{well("us"), warned("a"), well("b")}, steady, 2, []string{"a"}, []string{"b", "us"}},
		{"one left, Consul knew us before and after", []sighting{well("us"), well("b")}, trust{at(-100), at(1.5)}, 2, nil, []string{"b", "us"}},
		{"one is not listed, no heartbeat was taken since", []sighting{well("us"), well("b")}, trust{at(-100), at(0.5)}, 2, nil, []string{"a", "b", "us"}},
		{"Consul is empty and has been told of us since", []sighting{well("us")}, trust{at(1.2), at(2)}, 3, nil, []string{"a", "b", "us"}},
		{"Consul is empty and had been told of us when it said so", []sighting{well("us")}, trust{at(0.5), at(2)}, 3, nil, []string{"a", "b", "us"}},
		{"Consul is empty and one is dead", nil, trust{}, 3, []string{"b"}, []string{"a", "us"}},
		{"we are ill ourselves, our port seems closed", []sighting{ill("us"), well("a"), well("b")}, steady, 100, []string{"us"}, []string{"a", "b", "us"}},
	} {
		r := known()
		r.see(at(1), c.listed)
		closed := map[string]bool{}
		for _, id := range c.closed {
			closed[id] = true
		}
		gone := r.judge(at(c.at), c.trust, closed)
		if got := ids(r.members()); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if len(gone)+len(c.want) != 3 {
			t.Errorf("%s: %d are gone, %d stay", c.name, len(gone), len(c.want))
		}
	}
}

// TestRosterAgain: who is well again, or comes back from an empty Consul, is no longer
// suspected, and its grace begins anew.
func TestRosterAgain(t *testing.T) {
	r := known()
	r.see(at(1), nil)
	if got := ids(r.suspects()); len(got) != 2 || slices.Contains(got, "us") {
		t.Errorf("suspects %v", got)
	}
	moved := member("a")
	moved.Port = 9090
	r.see(at(5), []sighting{{moved, true, false}, {member("us"), true, false}})
	if got := ids(r.suspects()); !slices.Equal(got, []string{"b"}) {
		t.Errorf("suspects %v", got)
	}
	if m := r.members()[0]; m.Port != 9090 {
		t.Errorf("%+v: not where it is now", m)
	}
	r.see(at(6), []sighting{{moved, false, false}})
	if gone := r.judge(at(12), trust{at(-100), at(5.5)}, nil); len(gone) != 1 || gone[0].ID != "b" {
		t.Errorf("gone %v", ids(gone))
	}
	if gone := r.judge(at(16.5), trust{at(-100), at(16)}, nil); len(gone) != 1 || gone[0].ID != "a" {
		t.Errorf("gone %v", ids(gone))
	}
}

// TestRosterNew: a member that has never been well is none yet.
func TestRosterNew(t *testing.T) {
	r := newRoster("us", time.Second)
	r.see(at(0), []sighting{{member("a"), false, false}})
	if got := r.members(); len(got) != 0 {
		t.Errorf("members %v", got)
	}
	r.see(at(1), []sighting{{member("a"), true, false}})
	if got := ids(r.members()); !slices.Equal(got, []string{"a"}) {
		t.Errorf("members %v", got)
	}
}

// TestMiss: a node is missing while Consul lists others that are well, and not it.
func TestMiss(t *testing.T) {
	d := newDirectory(&Node{name: "b"}, "storage")
	self, other := sighting{Member: member("storage@b")}, sighting{Member: member("storage@a"), passing: true}
	ill := sighting{Member: member("storage@c")}
	for i, tt := range []struct {
		answer answer
		want   time.Time
	}{
		{answer{}, time.Time{}},
		{answer{listed: []sighting{ill}}, time.Time{}}, // nobody is well
		{answer{listed: []sighting{other}}, at(2)},
		{answer{listed: []sighting{other, ill}}, at(2)},
		{answer{listed: []sighting{other, self}}, time.Time{}}, // listed, well or not
		{answer{listed: []sighting{other}}, at(5)},
		{answer{err: errors.New("silent")}, time.Time{}}, // nothing is known
		{answer{listed: []sighting{other}}, at(7)},
		{answer{}, time.Time{}}, // it has forgotten everything
	} {
		if d.miss(at(float64(i)), tt.answer); !d.missing.Equal(tt.want) {
			t.Errorf("answer %d: missing since %v, want %v", i, d.missing, tt.want)
		}
	}
}
