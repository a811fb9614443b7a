package placement_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/cluster/placement"
)

var options = placement.Options{Tolerance: placement.DefaultTolerance}

func streams(n int) []placement.Stream {
	all := make([]placement.Stream, n)
	for i := range all {
		all[i] = placement.Stream{ID: fmt.Sprintf("binance.spot.COIN%05d-USDT", i), Group: fmt.Sprint("market-", i%7), Cost: 1 + float64(i%5), Slots: 1 + i%3}
	}
	return all
}

func nodes(weights ...float64) []placement.Node {
	all := make([]placement.Node, len(weights))
	for i, w := range weights {
		all[i] = placement.Node{ID: fmt.Sprint("node-", i+1), Weight: w}
	}
	return all
}

func place(t testing.TB, before placement.Plan, s []placement.Stream, n []placement.Node, o placement.Options) placement.Plan {
	t.Helper()
	p, err := placement.Place(before, s, n, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// check fails unless each stream has one owner, which is there, or is named as
// unplaced, and no limit is exceeded. It returns the load of each node.
func check(t *testing.T, p placement.Plan, s []placement.Stream, n []placement.Node, o placement.Options) map[string]float64 {
	t.Helper()
	load, slots := map[string]float64{}, map[string]int{}
	for _, one := range s {
		owner, placed := p.Owners[one.ID]
		if placed == slices.Contains(p.Unplaced, one.ID) {
			t.Fatalf("%s: owner %q, and unplaced: %v", one.ID, owner, !placed)
		}
		if !placed {
			continue
		}
		if !slices.ContainsFunc(n, func(n placement.Node) bool { return n.ID == owner && !n.Draining }) {
			t.Fatalf("%s belongs to %s, which is not there or drains", one.ID, owner)
		}
		load[owner] += one.Cost
		slots[owner+one.Group] += one.Slots
		if limit, ok := o.Limits[one.Group]; ok && slots[owner+one.Group] > limit {
			t.Fatalf("%s has more than %d slots of %s", owner, limit, one.Group)
		}
	}
	if len(p.Owners)+len(p.Unplaced) != len(s) {
		t.Fatalf("%d placed and %d not, of %d", len(p.Owners), len(p.Unplaced), len(s))
	}
	return load
}

// even fails unless each node has what its weight deserves, within 10 %.
func even(t *testing.T, load map[string]float64, n []placement.Node) {
	t.Helper()
	total, weights := 0.0, 0.0
	for _, l := range load {
		total += l
	}
	for _, one := range n {
		if !one.Draining {
			weights += one.Weight
		}
	}
	for _, one := range n {
		if one.Draining {
			continue
		}
		if share := total * one.Weight / weights; math.Abs(load[one.ID]-share) > .1*share {
			t.Errorf("%s has %.0f, its weight deserves %.0f", one.ID, load[one.ID], share)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, weights := range [][]float64{{1}, {1, 1}, {1, 1, 1}, {1, 2, 3}, {5, 1, 1, 1, .5}, slices.Repeat([]float64{1}, 20)} {
		s, n := streams(5000), nodes(weights...)
		p := place(t, placement.Plan{}, s, n, options)
		even(t, check(t, p, s, n, options), n)
		if len(p.Unplaced) > 0 {
			t.Errorf("%d streams are unplaced although nothing is limited", len(p.Unplaced))
		}
	}
}

// TestJoin: a new node takes its share, and nothing moves but to it.
func TestJoin(t *testing.T) {
	for n := 2; n <= 10; n++ {
		s := streams(5000)
		before := place(t, placement.Plan{}, s, nodes(slices.Repeat([]float64{1}, n-1)...), options)
		all := nodes(slices.Repeat([]float64{1}, n)...)
		after := place(t, before, s, all, options)
		even(t, check(t, after, s, all, options), all)
		if moved, most := before.Moves(after), int(float64(len(s))*(1/float64(n)+.05)); moved > most {
			t.Errorf("the join of node %d moved %d streams, want %d at most", n, moved, most)
		}
	}
}

// TestLeave: the streams of a node that leaves or drains are spread over the others,
// and when it comes back it takes its share again.
func TestLeave(t *testing.T) {
	s, all := streams(5000), nodes(1, 1, 1, 1)
	before := place(t, placement.Plan{}, s, all, options)
	owned := 0
	for _, owner := range before.Owners {
		if owner == "node-2" {
			owned++
		}
	}
	draining := slices.Clone(all)
	draining[1].Draining = true
	for name, left := range map[string][]placement.Node{"gone": slices.Delete(slices.Clone(all), 1, 2), "draining": draining} {
		after := place(t, before, s, left, options)
		even(t, check(t, after, s, left, options), left)
		if moved := before.Moves(after); moved > owned+len(s)/20 {
			t.Errorf("%s: %d streams moved, %d had to", name, moved, owned)
		}
		back := place(t, after, s, all, options)
		even(t, check(t, back, s, all, options), all)
		if moved := after.Moves(back); moved > len(s)*3/10 {
			t.Errorf("%s and back: %d streams moved", name, moved)
		}
	}
}

// TestHysteresis: streams that come and go move no others while all nodes stay within
// the tolerance, and a plan that is made again is the same.
func TestHysteresis(t *testing.T) {
	s, n := streams(3000), nodes(1, 1, 1)
	before := place(t, placement.Plan{}, s, n, options)
	if again := place(t, before, s, n, options); !again.Same(before) {
		t.Error("the same streams and nodes give another plan")
	}
	fewer := slices.Delete(slices.Clone(s), 0, 60)
	after := place(t, before, fewer, n, options)
	check(t, after, fewer, n, options)
	if moved := before.Moves(after); moved != 0 {
		t.Errorf("%d streams moved although nothing was out of balance", moved)
	}
	// A whole node's worth of streams goes: now it has to.
	var rest []placement.Stream
	for _, one := range s {
		if before.Owners[one.ID] != "node-1" {
			rest = append(rest, one)
		}
	}
	after = place(t, before, rest, n, options)
	even(t, check(t, after, rest, n, options), n)
}

func TestDeterministic(t *testing.T) {
	s, n := streams(2000), nodes(1, 2, 1)
	want := place(t, placement.Plan{}, s, n, options)
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		r.Shuffle(len(n), func(i, j int) { n[i], n[j] = n[j], n[i] })
		if got := place(t, placement.Plan{}, s, n, options); !got.Same(want) {
			t.Fatal("the order of streams and nodes changes the plan")
		}
	}
}

// TestLimits: what one address may have is not exceeded, neither by what a node had
// before nor by what another leaves; what fits nowhere is named.
func TestLimits(t *testing.T) {
	var s []placement.Stream
	for i := range 300 {
		s = append(s, placement.Stream{ID: fmt.Sprint("s", i), Group: "small", Cost: 1, Slots: 2})
	}
	o := placement.Options{Tolerance: placement.DefaultTolerance, Limits: placement.Limits{"small": 220}}
	n := nodes(1, 1, 1)
	before := place(t, placement.Plan{}, s, n, o)
	if check(t, before, s, n, o); len(before.Unplaced) != 0 {
		t.Errorf("%d streams are unplaced although there is room", len(before.Unplaced))
	}
	two := n[:2]
	after := place(t, before, s, two, o)
	if check(t, after, s, two, o); len(after.Unplaced) != 80 {
		t.Errorf("%d streams are unplaced, want 80: two nodes have room for 220", len(after.Unplaced))
	}
	if again := place(t, after, s, n, o); len(again.Unplaced) != 0 {
		t.Errorf("%d streams stay unplaced although there is room again", len(again.Unplaced))
	}
}

// TestRandom holds the promises through any sequence of joins, leaves and drains.
func TestRandom(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 8))
		all, p := streams(400), placement.Plan{}
		o := placement.Options{Tolerance: placement.DefaultTolerance, Limits: placement.Limits{"market-0": 200, "market-3": 90}}
		for range 30 {
			var n []placement.Node
			for i := range 6 {
				if r.IntN(3) > 0 {
					n = append(n, placement.Node{ID: fmt.Sprint("node-", i), Weight: 1 + float64(r.IntN(3)), Draining: r.IntN(6) == 0})
				}
			}
			s := slices.DeleteFunc(slices.Clone(all), func(placement.Stream) bool { return r.IntN(10) == 0 })
			next, err := placement.Place(p, s, n, o)
			open := slices.ContainsFunc(n, func(n placement.Node) bool { return !n.Draining })
			if !open {
				if !errors.Is(err, placement.ErrNoNode) {
					t.Fatalf("seed %d: nowhere to place: %v", seed, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			check(t, next, s, n, o)
			p = next
		}
	}
}

func TestRefused(t *testing.T) {
	ok, n := streams(2), nodes(1)
	for name, place := range map[string]func() (placement.Plan, error){
		"tolerance": func() (placement.Plan, error) { return placement.Place(placement.Plan{}, ok, n, placement.Options{}) },
		"weight":    func() (placement.Plan, error) { return placement.Place(placement.Plan{}, ok, nodes(0), options) },
		"cost": func() (placement.Plan, error) {
			return placement.Place(placement.Plan{}, []placement.Stream{{ID: "a"}}, n, options)
		},
		"stream twice": func() (placement.Plan, error) {
			return placement.Place(placement.Plan{}, append(ok, ok[0]), n, options)
		},
		"node twice": func() (placement.Plan, error) { return placement.Place(placement.Plan{}, ok, append(n, n[0]), options) },
	} {
		if _, err := place(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// BenchmarkPlaceJoin is a node that joins nine others with 100,000 streams.
func BenchmarkPlaceJoin(b *testing.B) {
	s := streams(100_000)
	before := place(b, placement.Plan{}, s, nodes(slices.Repeat([]float64{1}, 9)...), options)
	all := nodes(slices.Repeat([]float64{1}, 10)...)
	for b.Loop() {
		place(b, before, s, all, options)
	}
}
