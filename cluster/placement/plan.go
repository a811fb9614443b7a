package placement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Node is a place for streams.
type Node struct {
	ID string `json:"id"`
	// Weight is its share of the whole, relative to those of the others; above 0.
	Weight float64 `json:"weight"`
	// Draining nodes keep nothing that another can take.
	Draining bool `json:"draining,omitempty"`
	// Runs are the groups that it can have streams of; nil is all there are.
	Runs []string `json:"runs,omitzero"`
	// Address is where its connections come from: nodes of one address share what that
	// may have. "" is one of its own.
	Address string `json:"address,omitempty"`
}

// Equal reports whether two nodes are the same in everything.
func (n Node) Equal(other Node) bool {
	return n.ID == other.ID && n.Weight == other.Weight && n.Draining == other.Draining && n.Address == other.Address &&
		(n.Runs == nil) == (other.Runs == nil) && slices.Equal(n.Runs, other.Runs)
}

// Can reports whether the node can have streams of a group.
func (n Node) Can(group string) bool { return n.Runs == nil || slices.Contains(n.Runs, group) }

// Stream is what is placed.
type Stream struct {
	ID string
	// Group is whose limits it counts for: a market of an exchange.
	Group string
	// Cost is how much work it is, relative to other streams; above 0.
	Cost float64
	// Slots is how many subscriptions it needs, 0 and more.
	Slots int
	// Pin is the node that is to have it, as long as it is there, does not drain, and
	// can; "" is any.
	Pin string
}

// Limits are how many slots of a group one address may have; a group without an entry
// has no limit.
type Limits map[string]int

// Plan is who has which stream.
type Plan struct {
	// Nodes are those that it was made for, by ID.
	Nodes []Node
	// Owners are the nodes by stream.
	Owners map[string]string
	// Unplaced are streams that no node can have, or has room for, in order.
	Unplaced []string
}

// Options are what a placement goes by.
type Options struct {
	// Tolerance is by how much of its share a node may have more or less before
	// streams move for balance alone; above 0, below 1.
	Tolerance float64
	Limits    Limits
}

// DefaultTolerance is a tenth.
const DefaultTolerance = 0.1

// ErrNoNode: there is nowhere to place anything.
var ErrNoNode = errors.New("no node takes streams")

// Place makes the plan that follows a plan. Streams that are not listed are in it no
// more. The error is ErrNoNode, or says which input is wrong; then nothing is placed.
func Place(before Plan, streams []Stream, nodes []Node, o Options) (Plan, error) {
	w, err := newWork(before, streams, nodes, o)
	if err != nil {
		return Plan{}, err
	}
	w.keep(before)
	w.welcome(before)
	w.house()
	w.balance()
	return w.plan(), nil
}

// Moves counts the streams that have another owner in a later plan than in this one;
// those that are in one plan only do not count.
func (p Plan) Moves(later Plan) (n int) {
	for id, owner := range p.Owners {
		if next, ok := later.Owners[id]; ok && next != owner {
			n++
		}
	}
	return n
}

// Same reports whether two plans say the same.
func (p Plan) Same(other Plan) bool {
	if len(p.Owners) != len(other.Owners) || !slices.EqualFunc(p.Nodes, other.Nodes, Node.Equal) || !slices.Equal(p.Unplaced, other.Unplaced) {
		return false
	}
	for id, owner := range p.Owners {
		if other.Owners[id] != owner {
			return false
		}
	}
	return true
}

// seat is a node while a plan is made.
type seat struct {
	Node
	hash  uint64
	share float64 // of all costs, what its weight deserves
	load  float64
	slots []int  // used, by group; one for all seats of an address
	at    int    // the first seat of its address
	can   []bool // by group; nil is all
	fresh bool   // was not in the plan before
}

// work is a plan in the making. Streams and seats are numbers.
type work struct {
	o       Options
	streams []Stream
	hashes  []uint64
	group   []int     // of each stream
	limits  []int     // of each group; -1 is none
	costs   []float64 // of each group
	seats   []seat
	seatOf  map[string]int
	owner   []int // seat of each stream; -1 is none
}

func newWork(before Plan, streams []Stream, nodes []Node, o Options) (*work, error) {
	if !(o.Tolerance > 0 && o.Tolerance < 1) {
		return nil, fmt.Errorf("tolerance %v: want above 0 and below 1", o.Tolerance)
	}
	w := &work{o: o, streams: slices.Clone(streams), seatOf: map[string]int{}}
	slices.SortFunc(w.streams, func(a, b Stream) int { return cmp.Compare(a.ID, b.ID) })
	groups := map[string]int{}
	for i, s := range w.streams {
		if !(s.Cost > 0) || s.Slots < 0 {
			return nil, fmt.Errorf("stream %q: cost %v and %d slots: want a cost above 0, and slots of 0 and more", s.ID, s.Cost, s.Slots)
		}
		if i > 0 && w.streams[i-1].ID == s.ID {
			return nil, fmt.Errorf("stream %q is listed twice", s.ID)
		}
		g, ok := groups[s.Group]
		if !ok {
			g = len(groups)
			groups[s.Group] = g
			limit, limited := o.Limits[s.Group]
			if !limited {
				limit = -1
			}
			w.limits, w.costs = append(w.limits, limit), append(w.costs, 0)
		}
		w.costs[g] += s.Cost
		w.group = append(w.group, g)
		w.hashes = append(w.hashes, hashOf(s.ID))
		w.owner = append(w.owner, -1)
	}
	return w, w.sit(before, nodes, groups)
}

func (w *work) sit(before Plan, nodes []Node, groups map[string]int) error {
	all := slices.Clone(nodes)
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	weights := 0.0
	for i, n := range all {
		if !(n.Weight > 0) {
			return fmt.Errorf("node %q: weight %v: want one above 0", n.ID, n.Weight)
		}
		if i > 0 && all[i-1].ID == n.ID {
			return fmt.Errorf("node %q is listed twice", n.ID)
		}
		if !n.Draining {
			weights += n.Weight
		}
	}
	if weights == 0 {
		return ErrNoNode
	}
	first := map[string]int{} // of the addresses that are told
	for _, n := range all {
		s := seat{Node: n, hash: hashOf(n.ID), at: len(w.seats)}
		if at, shared := first[n.Address]; n.Address != "" && shared {
			s.at, s.slots = at, w.seats[at].slots
		} else {
			first[n.Address], s.slots = s.at, make([]int, len(w.limits))
		}
		if n.Runs != nil {
			s.can = make([]bool, len(w.limits))
			for _, group := range n.Runs {
				if g, ok := groups[group]; ok {
					s.can[g] = true
				}
			}
		}
		if !n.Draining {
			s.fresh = !slices.ContainsFunc(before.Nodes, func(b Node) bool { return b.ID == n.ID && !b.Draining })
		}
		w.seatOf[n.ID] = len(w.seats)
		w.seats = append(w.seats, s)
	}
	w.shares()
	return nil
}

func (w *work) plan() Plan {
	p := Plan{Owners: make(map[string]string, len(w.streams))}
	for i := range w.seats {
		p.Nodes = append(p.Nodes, w.seats[i].Node)
	}
	for i, at := range w.owner {
		if at < 0 {
			p.Unplaced = append(p.Unplaced, w.streams[i].ID)
			continue
		}
		p.Owners[w.streams[i].ID] = w.seats[at].ID
	}
	return p
}
