package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/cluster/placement"
)

// abilityPrefix begins the keys of what nodes say that they can collect, beside the plan.
const abilityPrefix = "node."

// abilityVersion is that of the document. Of a node that says something in a version that
// is not known what it said before counts, or what the plan in force was made with.
const abilityVersion = 1

// Ability is what a node can collect by its own settings.
type Ability struct {
	Version int    `json:"version"`
	Node    string `json:"node"`
	// Address is where its connections come from; "" is one of its own.
	Address string   `json:"address,omitempty"`
	Markets []Market `json:"markets"`
}

// Market is a market of an exchange that a node runs.
type Market struct {
	// Group is exchange/market.
	Group string `json:"market"`
	// Kinds are the data types that it collects of it, in order.
	Kinds []string `json:"data_types"`
	// Limit is how many slots one address may have of it; 0 is without limit.
	Limit int `json:"limit,omitempty"`
	// Wanted are its streams, where another node cannot know them, because it does not
	// run the market; else, and before they are known, nil.
	Wanted []Wanted `json:"wanted,omitempty"`
}

// Wanted is a stream that is to be collected.
type Wanted struct {
	ID    string  `json:"id"`
	Cost  float64 `json:"cost"`
	Slots int     `json:"slots"`
}

// groups are the markets that the node runs; never nil.
func (a Ability) groups() []string {
	all := []string{}
	for _, m := range a.Markets {
		all = append(all, m.Group)
	}
	return all
}

// Runs reports whether the node runs a market, named exchange/market.
func (a Ability) Runs(group string) bool {
	return slices.ContainsFunc(a.Markets, func(m Market) bool { return m.Group == group })
}

// errVersion: what a node says is not for this program.
var errVersion = errors.New("it is of another version")

func abilityOf(d bucket.Document) (a Ability, err error) {
	if err := unpack(d.Value, &a); err != nil {
		return a, fmt.Errorf("reading what %s can collect: %w", d.Key, err)
	}
	if a.Version != abilityVersion {
		return a, fmt.Errorf("what %s can collect: %w: %d, this program reads %d", d.Key, errVersion, a.Version, abilityVersion)
	}
	a.Node = strings.TrimPrefix(d.Key, abilityPrefix)
	return a, nil
}

// sayEvery is how often a node looks whether it has to say something else.
const sayEvery = time.Second

// say tells the others what this node can collect, whenever that changes, until ctx
// ends.
func (c *Coordinator) say(ctx context.Context, log *zap.Logger) {
	complained := false
	for {
		s := c.state()
		if s.known { // else it is not known what it has said
			err := c.saySo(ctx, s)
			if err != nil && !complained && ctx.Err() == nil {
				log.Warn("the others are not told what this node can collect", zap.Error(err))
			}
			complained = err != nil
		}
		timer := time.NewTimer(sayEvery)
		select {
		case <-timer.C:
		case <-s.changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// saySo writes what this node can collect, if it has said anything else before.
func (c *Coordinator) saySo(ctx context.Context, s state) error {
	mine := Ability{Version: abilityVersion, Node: c.o.Node, Address: c.o.Config.Address, Markets: slices.Clone(c.o.Collector.Markets())}
	if lacking := c.lacking(mine, s); len(lacking) > 0 {
		d := c.o.Collector.Demand()
		for i := range mine.Markets {
			if m := &mine.Markets[i]; lacking[m.Group] {
				m.Wanted = wantedOf(d, m.Group)
			}
		}
	}
	value, err := pack(mine)
	if err != nil {
		return fmt.Errorf("writing what this node can collect: %w", err)
	}
	said := s.abilities[c.o.Node]
	if bytes.Equal(value, said.value) {
		return nil
	}
	if _, err = c.o.Plans.Put(ctx, abilityPrefix+c.o.Node, value, said.revision); errors.Is(err, bucket.ErrConflict) {
		return nil // what there is comes by the watch, and this is looked at again
	}
	return err
}

// lacking are the markets of this node that another one does not run, so that it cannot
// know what is wanted of them.
func (c *Coordinator) lacking(mine Ability, s state) map[string]bool {
	lacking := map[string]bool{}
	for _, n := range c.o.Members().Nodes {
		other, said := s.abilities[n.ID]
		if !said || n.ID == c.o.Node {
			continue
		}
		for _, m := range mine.Markets {
			if !other.Runs(m.Group) {
				lacking[m.Group] = true
			}
		}
	}
	return lacking
}

// wantedOf are the streams of a market, in order; nil while they are not known.
func wantedOf(d Demand, group string) []Wanted {
	var all []Wanted
	for _, one := range d.Streams {
		if one.Group == group {
			all = append(all, Wanted{one.ID, one.Cost, one.Slots})
		}
	}
	slices.SortFunc(all, func(a, b Wanted) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// able takes what a node says that it can collect, or that it says nothing any more.
func (c *Coordinator) able(change bucket.Change) error {
	node := strings.TrimPrefix(change.Key, abilityPrefix)
	one := ability{value: change.Value, revision: change.Revision, known: true}
	var err error
	if !change.Removed {
		if one.Ability, err = abilityOf(change.Document); err != nil && !errors.Is(err, errVersion) {
			return err
		}
	}
	c.change(func() {
		all := maps.Clone(c.abilities)
		if all == nil {
			all = map[string]ability{}
		}
		if err != nil {
			one.Ability, one.known = all[node].Ability, all[node].known
		}
		delete(all, node)
		if !change.Removed {
			all[node] = one
		}
		c.abilities = all
	})
	return err
}

// ability is what a node says, as it is kept.
type ability struct {
	Ability
	// known is false where nothing that it said could be read; then Ability is zero.
	known    bool
	value    []byte
	revision uint64
}

// enabled gives each node what it says that it can collect. One that says so, and of
// which nothing was heard yet, can have nothing; one of a version that does not say it,
// everything. One that cannot be understood can have what the plan in force was made with.
func (s *state) enabled(m Members, nodes []placement.Node) []placement.Node {
	all := slices.Clone(nodes)
	for i := range all {
		one, said := s.abilities[all[i].ID]
		had := slices.IndexFunc(s.plan.Nodes, func(n placement.Node) bool { return n.ID == all[i].ID })
		switch {
		case one.known:
			all[i].Runs, all[i].Address = one.groups(), one.Address
		case said && had >= 0:
			all[i].Runs, all[i].Address = s.plan.Nodes[had].Runs, s.plan.Nodes[had].Address
		case said || m.Says[all[i].ID]:
			all[i].Runs = []string{}
		}
	}
	return all
}

// whole adds to what this node knows to be wanted the markets that it does not run
// itself, as those say that do.
func (s *state) whole(d Demand, own []Market, nodes []placement.Node) Demand {
	known := map[string]bool{}
	for _, m := range own {
		known[m.Group] = true
	}
	out := Demand{Streams: slices.Clone(d.Streams), Unknown: slices.Clone(d.Unknown), Limits: maps.Clone(d.Limits)}
	if out.Limits == nil {
		out.Limits = placement.Limits{}
	}
	told, open := map[string]bool{}, map[string]bool{}
	for _, n := range nodes { // the first that says it counts
		for _, m := range s.abilities[n.ID].Markets {
			switch {
			case known[m.Group] || told[m.Group]:
			case m.Wanted == nil:
				open[m.Group] = true
			default:
				told[m.Group] = true
				if m.Limit > 0 {
					out.Limits[m.Group] = m.Limit
				}
				for _, one := range m.Wanted {
					out.Streams = append(out.Streams, placement.Stream{ID: one.ID, Group: m.Group, Cost: one.Cost, Slots: one.Slots})
				}
			}
		}
	}
	for _, group := range slices.Sorted(maps.Keys(open)) {
		if !told[group] {
			out.Unknown = append(out.Unknown, group)
		}
	}
	return out
}
