package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/cluster/placement"
)

// drainPrefix begins the keys of the orders to empty nodes, beside the plan.
const drainPrefix = "drain."

// Drain is an order that a node is to have no streams, and none of the leases that
// another can have. It holds over restarts of the node, until it is lifted.
type Drain struct {
	Node   string    `json:"node"`
	By     string    `json:"by,omitempty"` // who gave it
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// Order gives an order; one that there is stays as it is. Errors are those of the store.
func Order(ctx context.Context, plans bucket.Store, d Drain) error {
	value, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("writing the order to empty %s: %w", d.Node, err)
	}
	if _, err := plans.Put(ctx, drainPrefix+d.Node, value, 0); err != nil && !errors.Is(err, bucket.ErrConflict) {
		return fmt.Errorf("ordering that %s is emptied: %w", d.Node, err)
	}
	return nil
}

// Lift takes an order back, and reports whether there was one. Errors are those of the
// store.
func Lift(ctx context.Context, plans bucket.Store, node string) (bool, error) {
	d, there, err := plans.Get(ctx, drainPrefix+node)
	if err == nil && there {
		err = plans.Remove(ctx, d.Key, d.Revision)
	}
	if err != nil {
		return false, fmt.Errorf("taking back that %s is emptied: %w", node, err)
	}
	return there, nil
}

// Situation is the plan in force with what it is made by.
type Situation struct {
	Plan   Plan // of Revision 0: there is none
	Drains []Drain
	Pins   []Pin // by stream; those that have ended are not in it
	// Abilities are what nodes say that they can collect, by node: also of those that are
	// there no more.
	Abilities map[string]Ability
}

// Read reads the situation, for those who do not follow it. What is of a version that
// this one does not know is left out.
func Read(ctx context.Context, plans bucket.Store) (s Situation, err error) {
	all, err := plans.Load(ctx, "")
	if err != nil {
		return s, fmt.Errorf("reading the plan: %w", err)
	}
	s.Abilities = map[string]Ability{}
	for _, d := range all {
		switch {
		case d.Key == planKey:
			if s.Plan, err = decode(d.Value, d.Revision); err != nil {
				return s, err
			}
		case strings.HasPrefix(d.Key, drainPrefix):
			if one, err := drainOf(d); err == nil {
				s.Drains = append(s.Drains, one)
			}
		case strings.HasPrefix(d.Key, pinPrefix):
			if one, err := pinOf(d); err == nil && !one.Over(time.Now()) {
				s.Pins = append(s.Pins, one)
			}
		case strings.HasPrefix(d.Key, abilityPrefix):
			if one, err := abilityOf(d); err == nil {
				s.Abilities[one.Node] = one
			}
		}
	}
	slices.SortFunc(s.Drains, func(a, b Drain) int { return strings.Compare(a.Node, b.Node) })
	slices.SortFunc(s.Pins, func(a, b Pin) int { return strings.Compare(a.Stream, b.Stream) })
	return s, nil
}

func drainOf(d bucket.Document) (one Drain, err error) {
	if err := json.Unmarshal(d.Value, &one); err != nil {
		return one, fmt.Errorf("reading the order %s: %w", d.Key, err)
	}
	one.Node = strings.TrimPrefix(d.Key, drainPrefix)
	return one, nil
}

// ordered takes an order, or that one is lifted.
func (c *Coordinator) ordered(change bucket.Change) error {
	node := strings.TrimPrefix(change.Key, drainPrefix)
	var one Drain
	if !change.Removed {
		var err error
		if one, err = drainOf(change.Document); err != nil {
			return err
		}
	}
	c.change(func() {
		drains := make(map[string]Drain, len(c.drains)+1)
		for name, d := range c.drains {
			drains[name] = d
		}
		delete(drains, node)
		if !change.Removed {
			drains[node] = one
		}
		c.drains = drains
	})
	if node == c.o.Node && c.o.Drained != nil {
		c.o.Drained(!change.Removed)
	}
	return nil
}

// emptied marks the nodes that are to have nothing; where that is all of them, none is.
func (s *state) emptied(nodes []placement.Node) []placement.Node {
	marked := slices.Clone(nodes)
	for i := range marked {
		_, marked[i].Draining = s.drains[marked[i].ID]
	}
	if slices.ContainsFunc(marked, func(n placement.Node) bool { return !n.Draining }) {
		return marked
	}
	return nodes
}

// stepsDown reports whether this node leaves the plan to others: it is to have nothing,
// and there is one that is not.
func (c *Coordinator) stepsDown(s state) bool {
	if _, ordered := s.drains[c.o.Node]; !ordered {
		return false
	}
	others, _ := c.others(c.o.Members)
	return slices.ContainsFunc(others, func(name string) bool { _, too := s.drains[name]; return !too })
}

// Move is a stream that has another owner by a plan than by the one before.
type Move struct {
	Stream   string    `json:"stream"`
	From     string    `json:"from"` // "" when nobody had it
	To       string    `json:"to"`   // "" when it has no place any more
	Revision uint64    `json:"revision"`
	At       time.Time `json:"at"` // when the plan was made
}

// keptMoves are those that are remembered.
const keptMoves = 200

// moves are what a plan changes, in order of the streams.
func moves(before, next Plan) (all []Move) {
	for id, to := range next.Owners {
		if from := before.Owners[id]; from != to {
			all = append(all, Move{id, from, to, next.Revision, next.Made})
		}
	}
	for id, from := range before.Owners {
		if _, still := next.Owners[id]; !still {
			all = append(all, Move{id, from, "", next.Revision, next.Made})
		}
	}
	slices.SortFunc(all, func(a, b Move) int { return strings.Compare(a.Stream, b.Stream) })
	return all
}

// Standing is how a node stands in the cluster, as it sees that itself.
type Standing struct {
	Node string `json:"node" required:"true"`
	// Revision is of the plan that it follows, Epoch the ownership number of its streams.
	Revision uint64 `json:"revision" required:"true"`
	Epoch    int64  `json:"epoch" required:"true"`
	// Recording streams are collected here, Waiting ones are to be and are not yet.
	Recording int  `json:"recording" required:"true"`
	Waiting   int  `json:"waiting" required:"true"`
	Plans     bool `json:"makes_plans" required:"true"`
	Draining  bool `json:"draining" required:"true"`
	Leaving   bool `json:"leaving" required:"true"`
	// Problem is why it cannot follow plans; "" when it can.
	Problem string `json:"problem,omitempty"`
	// Moves are the last ones, newest first, since this process follows plans.
	Moves []Move `json:"moves" required:"true"`
}

// Standing reads how this node stands.
func (c *Coordinator) Standing() Standing {
	recording, waiting := c.o.Collector.Streams()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, draining := c.drains[c.o.Node]
	s := Standing{
		Node: c.o.Node, Revision: c.plan.Revision, Epoch: c.share.Epoch, Recording: recording, Waiting: waiting,
		Plans: c.plans, Draining: draining, Leaving: c.leaving, Moves: slices.Clone(c.moves),
	}
	if c.trouble != nil {
		s.Problem = c.trouble.Error()
	}
	slices.Reverse(s.Moves)
	return s
}
