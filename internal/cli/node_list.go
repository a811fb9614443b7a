package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/client"
)

// clusterNodes are the commands about the nodes of a cluster.
func clusterNodes(s streams) []*cobra.Command {
	return []*cobra.Command{newNodeList(s), newNodeStatus(s), newNodeDrain(s), newNodeUndrain(s), newNodeMove(s), newNodeUnpin(s)}
}

// nodeOptions are what they share.
type nodeOptions struct{ serviceOptions }

func newNodeOptions() *nodeOptions {
	return &nodeOptions{serviceOptions{service: cluster.Monitoring}}
}

func newNodeList(s streams) *cobra.Command {
	o := newNodeOptions()
	c := &cobra.Command{
		Use: "list", Short: "list the nodes of the cluster", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v, err := o.look(c.Context(), s, false)
			if err != nil {
				return err
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(v.Nodes)
			}
			complain(s.err, &v)
			return printNodes(s.out, v.Nodes, time.Now())
		},
	}
	o.flags(c)
	return c
}

// look finds the service and asks it; owners are the streams with their nodes.
func (o *nodeOptions) look(ctx context.Context, s streams, owners bool) (v client.Cluster, err error) {
	c, err := o.client(ctx, s)
	if err != nil {
		return v, err
	}
	return c.Monitoring.Cluster(ctx, owners)
}

// complain says what could not be found out.
func complain(w io.Writer, v *client.Cluster) {
	for _, p := range v.Problems {
		fmt.Fprintln(w, "not known:", p)
	}
}

// printNodes prints one line a node.
func printNodes(w io.Writer, nodes []client.Node, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tADDRESS\tSTREAMS\tPLANNED\tWAITING\tWEIGHT\tUP\tVERSION\tSERVICES\tNOTE")
	for i := range nodes {
		n := &nodes[i]
		up := "-"
		if n.Since != nil {
			up = now.Sub(*n.Since).Round(time.Second).String()
		}
		var services []string
		for _, p := range n.Services {
			services = append(services, strings.TrimSuffix(p.Service, "-service"))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%.3g\t%s\t%s\t%s\t%s\n",
			n.ID, n.State, n.Address, n.Recording, n.Planned, n.Waiting, n.Weight, up, n.Version, strings.Join(services, ","), oneLine(noteOf(n)))
	}
	return t.Flush()
}

// noteOf is what is to be known of a node beyond its figures.
func noteOf(n *client.Node) string {
	switch {
	case n.Problem != "":
		return n.Problem
	case n.Consul != nil && !n.Consul.Reached:
		return "Consul: " + n.Consul.Problem
	case n.Drain != nil && n.Drain.Reason != "":
		return n.Drain.Reason
	}
	return ""
}

func newNodeStatus(s streams) *cobra.Command {
	o := newNodeOptions()
	c := &cobra.Command{
		Use: "status [NODE]", Short: "tell how the cluster stands, or what one node has", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v, err := o.look(c.Context(), s, true)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				v.Nodes = slices.DeleteFunc(v.Nodes, func(n client.Node) bool { return n.ID != args[0] })
				v.Placement.Owners = slices.DeleteFunc(v.Placement.Owners, func(w client.Owner) bool { return w.Node != args[0] })
				v.Moves = slices.DeleteFunc(v.Moves, func(m client.Move) bool { return m.From != args[0] && m.To != args[0] })
				v.Leases = slices.DeleteFunc(v.Leases, func(l client.Lease) bool { return l.Holder != args[0] })
				if len(v.Nodes) == 0 {
					return &exitError{ExitFailed, fmt.Errorf("no node %q; `marketprism node list` prints those there are", args[0])}
				}
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(v)
			}
			complain(s.err, &v)
			return printCluster(s.out, &v, len(args) > 0)
		},
	}
	o.flags(c)
	return c
}

// shownMoves is how many of the last moves are printed.
const shownMoves = 10

// printCluster prints everything, and the streams when they are one node's.
func printCluster(w io.Writer, v *client.Cluster, streams bool) error {
	now := time.Now()
	if err := printNodes(w, v.Nodes, now); err != nil {
		return err
	}
	p := &v.Placement
	if p.Revision > 0 {
		fmt.Fprintf(w, "\nplan %d by %s: %d streams, %d without a place\n", p.Revision, p.By, p.Streams, len(p.Unplaced))
	}
	printJournal(w, v.Journal)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	printPins(t, p.Pins, now)
	if len(v.Leases) > 0 {
		fmt.Fprintln(t, "\nLEASE\tHOLDER\tFENCE\tFOR")
	}
	for _, l := range v.Leases {
		held, holder := "-", l.Holder
		if holder == "" {
			holder = "nobody"
		}
		if l.Since != nil {
			held = now.Sub(*l.Since).Round(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", l.Job, holder, l.Fence, held)
	}
	if len(v.Moves) > 0 {
		fmt.Fprintln(t, "\nMOVED\tFROM\tTO\tPLAN\tAGO")
	}
	for _, m := range v.Moves[:min(len(v.Moves), shownMoves)] {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", m.Stream, orDash(m.From), orDash(m.To), m.Revision, now.Sub(m.At).Round(time.Second))
	}
	if streams {
		fmt.Fprintln(t, "\nSTREAM\tSTATE")
		for _, o := range p.Owners {
			fmt.Fprintf(t, "%s\t%s\n", o.Stream, o.State)
		}
	}
	return t.Flush()
}

func orDash(name string) string {
	if name == "" {
		return "-"
	}
	return name
}

// pollDrain is how often a node that is being emptied is asked about.
const pollDrain = 500 * time.Millisecond

func newNodeDrain(s streams) *cobra.Command {
	o := newNodeOptions()
	var reason string
	var within time.Duration
	var detach bool
	c := &cobra.Command{
		Use: "drain NODE", Short: "have the other nodes take everything that a node has", Args: cobra.ExactArgs(1),
		Long: `drain moves the streams of a node to the others, without a hole, has it give back
the leases that another node can have, and waits until it is done. The node goes on
running and gets nothing, also after a restart, until ` + "`node undrain`" + `.`,
		Example: `  marketprism node drain node-2 --reason "new disk"
  marketprism node undrain node-2`,
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			if _, err := ask.Monitoring.Drain(c.Context(), args[0], reason); err != nil {
				return err
			}
			if detach {
				_, err := fmt.Fprintf(s.out, "%s is being emptied\n", args[0])
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), within)
			defer cancel()
			return o.awaitEmpty(ctx, s, ask, args[0])
		},
	}
	o.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log and whoever looks")
	c.Flags().DurationVar(&within, "timeout", 5*time.Minute, "how long to wait; the order stays")
	c.Flags().BoolVar(&detach, "detach", false, "do not wait")
	return c
}

// holds reports whether a node has a lease that another one could have.
func holds(v *client.Cluster, node string) bool {
	jobs := map[string]string{"placement": cluster.Collector, "scheduler": cluster.Scheduler}
	return slices.ContainsFunc(v.Leases, func(l client.Lease) bool {
		return l.Holder == node && slices.ContainsFunc(v.Nodes, func(n client.Node) bool {
			return n.ID != node && n.Drain == nil && slices.ContainsFunc(n.Services, func(p client.Place) bool { return p.Service == jobs[l.Job] })
		})
	})
}

// awaitEmpty waits until a node has nothing, and tells how far it is.
func (o *nodeOptions) awaitEmpty(ctx context.Context, s streams, ask *client.Client, node string) error {
	look := time.NewTicker(pollDrain)
	defer look.Stop()
	last := int64(-1)
	for {
		v, err := ask.Monitoring.Cluster(ctx, false)
		if err == nil {
			i := slices.IndexFunc(v.Nodes, func(n client.Node) bool { return n.ID == node })
			if i < 0 {
				return &exitError{ExitFailed, fmt.Errorf("%s is there no more", node)}
			}
			n := &v.Nodes[i]
			if n.State == client.Drained && n.Waiting == 0 && !holds(&v, node) {
				_, err := fmt.Fprintf(s.out, "%s is empty\n", node)
				return err
			}
			if left := n.Recording; left != last && o.form == "table" {
				last = left
				fmt.Fprintf(s.err, "%d streams left\n", left)
			}
		}
		select {
		case <-ctx.Done():
			return &exitError{ExitFailed, fmt.Errorf("%s is not empty yet; the order stays, and `marketprism node status %s` tells how far it is", node, node)}
		case <-look.C:
		}
	}
}

func newNodeUndrain(s streams) *cobra.Command {
	o := newNodeOptions()
	c := &cobra.Command{
		Use: "undrain NODE", Short: "give a node streams again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			if _, err := ask.Monitoring.Undrain(c.Context(), args[0], ""); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s is used again\n", args[0])
			return err
		},
	}
	o.flags(c)
	return c
}
