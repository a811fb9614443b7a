package coordinator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/placement"
)

// exchange is a market of the simulated world and what one address may have of it: a
// market that begins books by REST, of which each costs weight, or one that sends them
// on the channel, of which each is a subscription.
type exchange struct {
	name    string
	streams int
	weight  float64 // of one book by REST; 0 is on the channel
	minute  float64 // weight, or subscriptions, of a minute
}

// world is so many streams over markets whose sizes follow 1/n: a few have thousands of
// instruments, most have hundreds. Every second one begins its books by REST, at the
// pace of Binance's spot market (4,800 of weight a minute, 250 a book of 5,000 levels);
// the others take 480 subscriptions an hour on each of ten connections, as OKX.
func world(streams, markets int) (all []exchange) {
	total := 0.0
	for i := range markets {
		total += 1 / float64(i+1)
	}
	for i := range markets {
		e := exchange{name: fmt.Sprintf("x%02d/spot", i), streams: int(float64(streams) / float64(i+1) / total)}
		if i%2 == 0 {
			e.weight, e.minute = 250, 4800
		} else {
			e.minute = 480 * 10 / 60
		}
		all = append(all, e)
	}
	for i := 0; ; i++ { // what rounding has left
		n := 0
		for _, e := range all {
			n += e.streams
		}
		if n == streams {
			return all
		}
		all[i%markets].streams++
	}
}

// streamsOf are a world's, whose costs (messages a second) are spread log-normally: the
// busiest of 100,000 has some thousand times the median's.
func streamsOf(w []exchange, seed uint64) (all []placement.Stream) {
	r := rand.New(rand.NewPCG(seed, 1))
	for _, e := range w {
		for i := range e.streams {
			all = append(all, placement.Stream{
				ID: fmt.Sprintf("%s/C%05d-USDT", e.name, i), Group: e.name, Slots: 1, Cost: math.Exp(1.6 * r.NormFloat64()),
			})
		}
	}
	return all
}

func nodesOf(n int) (all []placement.Node) {
	for i := range n {
		all = append(all, placement.Node{ID: fmt.Sprintf("node-%02d", i), Weight: 1})
	}
	return all
}

// spread is how much more than its share the fullest node has, and less the emptiest.
func spread(p placement.Plan, streams []placement.Stream) (most, least float64) {
	load, total := map[string]float64{}, 0.0
	for _, s := range streams {
		load[p.Owners[s.ID]] += s.Cost
		total += s.Cost
	}
	share := total / float64(len(p.Nodes))
	most, least = -1, 1
	for _, n := range p.Nodes {
		most, least = max(most, load[n.ID]/share-1), min(least, load[n.ID]/share-1)
	}
	return most, least
}

// healed is how long it takes until all streams that moved have their books, at the pace
// of the exchanges: for each market the node that got most of it decides.
func healed(before, after placement.Plan, w []exchange, streams []placement.Stream) (half, all time.Duration) {
	pace := map[string]float64{} // seconds a book
	for _, e := range w {
		cost := e.weight
		if cost == 0 {
			cost = 1
		}
		pace[e.name] = 60 * cost / e.minute
	}
	queue := map[string]map[string]int{} // by market, by node
	var waits []float64
	for _, s := range streams {
		to := after.Owners[s.ID]
		if before.Owners[s.ID] == to {
			continue
		}
		if queue[s.Group] == nil {
			queue[s.Group] = map[string]int{}
		}
		queue[s.Group][to]++
		waits = append(waits, float64(queue[s.Group][to])*pace[s.Group])
	}
	if len(waits) == 0 {
		return 0, 0
	}
	slices.Sort(waits)
	seconds := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)).Round(time.Second) }
	return seconds(waits[len(waits)/2]), seconds(waits[len(waits)-1])
}

// TestLargeScaling places what docs/scaling.md is about, and prints its table.
func TestLargeScaling(t *testing.T) {
	for _, tc := range []struct{ streams, markets, nodes int }{
		{5_000, 10, 3}, {20_000, 20, 10}, {100_000, 40, 50},
	} {
		t.Run(fmt.Sprintf("%d streams, %d nodes", tc.streams, tc.nodes), func(t *testing.T) {
			w := world(tc.streams, tc.markets)
			streams, nodes := streamsOf(w, 7), nodesOf(tc.nodes)
			o := placement.Options{Tolerance: placement.DefaultTolerance}
			place := func(before placement.Plan, nodes []placement.Node) (placement.Plan, time.Duration) {
				began := time.Now()
				p, err := placement.Place(before, streams, nodes, o)
				if err != nil {
					t.Fatal(err)
				}
				return p, time.Since(began)
			}
			first, took := place(placement.Plan{}, nodes)
			most, least := spread(first, streams)
			if most > .1 || least < -.1 || len(first.Unplaced) > 0 {
				t.Errorf("between %+.1f%% and %+.1f%% of its share, %d unplaced", 100*least, 100*most, len(first.Unplaced))
			}

			began := time.Now()
			text, err := encode(Plan{Plan: first, Made: time.Unix(0, 0), By: "node-00"})
			if err != nil {
				t.Fatal(err)
			}
			written := time.Since(began)
			began = time.Now()
			if read, err := decode(text, 1); err != nil || len(read.Owners) != tc.streams {
				t.Fatal(err, len(read.Owners))
			}
			t.Logf("placed in %v, from %+.1f%% to %+.1f%% of a share; the plan has %d KiB, is written in %v and read in %v",
				took.Round(time.Millisecond), 100*least, 100*most, len(text)>>10, written.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			// A message of the broker has room for it, by default 8 MiB.
			if len(text) > 4<<20 {
				t.Errorf("a plan of %d bytes", len(text))
			}

			joined, took := place(first, nodesOf(tc.nodes+1))
			moved := first.Moves(joined)
			if limit := float64(tc.streams) * (1/float64(tc.nodes+1) + .05); float64(moved) > limit {
				t.Errorf("a node joins: %d streams move, want at most %.0f", moved, limit)
			}
			t.Logf("a node joins: %d of %d move (1/n is %d), planned in %v", moved, tc.streams, tc.streams/(tc.nodes+1), took.Round(time.Millisecond))

			for _, dead := range []int{1, max(1, tc.nodes/10)} {
				after, took := place(first, nodes[dead:])
				if _, lost := after.Owners[streams[0].ID]; !lost || len(after.Unplaced) > 0 {
					t.Errorf("%d dead: %d unplaced", dead, len(after.Unplaced))
				}
				half, all := healed(first, after, w, streams)
				most, least := spread(after, streams)
				t.Logf("%d of %d nodes die: %d streams move, planned in %v; half have their books after %v, all after %v; from %+.1f%% to %+.1f%%",
					dead, tc.nodes, first.Moves(after), took.Round(time.Millisecond), half, all, 100*least, 100*most)
				if most > .1 || least < -.1 {
					t.Errorf("%d dead: between %+.1f%% and %+.1f%%", dead, 100*least, 100*most)
				}
			}
		})
	}
}
