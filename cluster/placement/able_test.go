package placement_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/cluster/placement"
)

// owned are how many streams of a group a node has.
func owned(p placement.Plan, s []placement.Stream, node, group string) (n int) {
	for _, one := range s {
		if one.Group == group && p.Owners[one.ID] == node {
			n++
		}
	}
	return n
}

// TestKeptOff: a node has nothing of a market that it does not run, from the start, when
// it stops to run it, and when the others are gone; and its share of everything else.
func TestKeptOff(t *testing.T) {
	s, all := streams(5000), nodes(1, 1, 1)
	before := place(t, placement.Plan{}, s, all, options)
	const off = "market-3"
	without := slices.Clone(all)
	without[1].Runs = []string{"market-0", "market-1", "market-2", "market-4", "market-5", "market-6"}
	for name, from := range map[string]placement.Plan{"from the start": {}, "later": before} {
		p := place(t, from, s, without, options)
		even(t, check(t, p, s, without, options), without)
		if n := owned(p, s, "node-2", off); n > 0 || len(p.Unplaced) > 0 {
			t.Errorf("%s: a node has %d streams of what it does not run; %d are unplaced", name, n, len(p.Unplaced))
		}
		if again := place(t, p, s, without, options); !again.Same(p) {
			t.Errorf("%s: the same again is another plan", name)
		}
	}
	p := place(t, before, s, without[1:2], options)
	for _, one := range s {
		if slices.Contains(p.Unplaced, one.ID) != (one.Group == off) {
			t.Fatalf("%s of %s: owner %q", one.ID, one.Group, p.Owners[one.ID])
		}
	}
	nothing := slices.Clone(all)
	nothing[0].Runs = []string{}
	if load := check(t, place(t, before, s, nothing, options), s, nothing, options); load["node-1"] > 0 {
		t.Errorf("a node that runs nothing has %v", load["node-1"])
	}
}

// TestFewCan: where only some can have a market, they have less of the others.
func TestFewCan(t *testing.T) {
	s, all := streams(7000), nodes(1, 1, 1, 1)
	for i := range all[1:] { // market-0 is the first one's alone
		all[i+1].Runs = []string{"market-1", "market-2", "market-3", "market-4", "market-5", "market-6"}
	}
	p := place(t, placement.Plan{}, s, all, options)
	even(t, check(t, p, s, all, options), all)
	if n := owned(p, s, "node-1", "market-0"); n != 1000 {
		t.Errorf("the only one that can has %d of 1000", n)
	}
	// Two can have nothing but a small market: they have all of it, and the others the rest.
	all[2].Runs, all[3].Runs = []string{"market-6"}, []string{"market-6"}
	p = place(t, p, s, all, options)
	check(t, p, s, all, options)
	if n := owned(p, s, "node-3", "market-6") + owned(p, s, "node-4", "market-6"); n < 900 {
		t.Errorf("those that can have nothing else have %d of 1000", n)
	}
}

// TestOneAddress: nodes behind one address share its limits, through joins and leaves.
func TestOneAddress(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	s, all := streams(700), nodes(1, 1, 1, 1)
	all[0].Address, all[1].Address = "203.0.113.7", "203.0.113.7"
	o := options
	o.Limits = placement.Limits{"market-0": 70, "market-1": 40}
	p := placement.Plan{}
	for round := range 30 {
		present := slices.DeleteFunc(slices.Clone(all), func(placement.Node) bool { return r.IntN(3) == 0 })
		if len(present) == 0 {
			continue
		}
		if r.IntN(3) == 0 {
			present[0].Draining = len(present) > 1
		}
		p = place(t, p, s, present, o)
		check(t, p, s, present, o)
		used := map[string]int{}
		for _, one := range s {
			if owner := p.Owners[one.ID]; owner == "node-1" || owner == "node-2" {
				used[one.Group] += one.Slots
			}
		}
		for group, limit := range o.Limits {
			if used[group] > limit {
				t.Fatalf("round %d: one address has %d of %d slots of %s", round, used[group], limit, group)
			}
		}
	}
}

// TestPin: a stream is where it is pinned to while that is possible, nothing else moves
// for it, and it stays there in balance.
func TestPin(t *testing.T) {
	s, all := streams(300), nodes(1, 1, 1)
	before := place(t, placement.Plan{}, s, all, options)
	at := slices.IndexFunc(s, func(one placement.Stream) bool { return before.Owners[one.ID] != "node-3" })
	id := s[at].ID
	s[at].Pin = "node-3"
	p := place(t, before, s, all, options)
	check(t, p, s, all, options)
	if p.Owners[id] != "node-3" || before.Moves(p) != 1 {
		t.Fatalf("it is at %s, and %d streams have moved", p.Owners[id], before.Moves(p))
	}
	for name, change := range map[string]func(n []placement.Node) []placement.Node{
		"gone":     func(n []placement.Node) []placement.Node { return n[:2] },
		"draining": func(n []placement.Node) []placement.Node { n[2].Draining = true; return n },
		"not able": func(n []placement.Node) []placement.Node { n[2].Runs = []string{}; return n },
	} {
		without := change(slices.Clone(all))
		q := place(t, p, s, without, options)
		check(t, q, s, without, options)
		if q.Owners[id] == "node-3" {
			t.Errorf("%s: it is where it cannot be", name)
		}
		if q = place(t, q, s, all, options); q.Owners[id] != "node-3" {
			t.Errorf("%s, and back: it is at %s", name, q.Owners[id])
		}
	}
	for i := range s { // everything to one node: it stays there however uneven that is
		s[i].Pin = "node-1"
	}
	p = place(t, p, s, all, options)
	if load := check(t, p, s, all, options); load["node-2"]+load["node-3"] > 0 {
		t.Errorf("pinned to one node, and spread as %v", load)
	}
}
