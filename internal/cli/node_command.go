package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
)

func newNode(s streams) *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "see and change which nodes there are", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(append(clusterNodes(s), newNodeRemove(s))...)
	return c
}

func newNodeRemove(s streams) *cobra.Command {
	o := serviceOptions{service: cluster.Broker}
	c := &cobra.Command{
		Use: "remove NODE", Short: "take a node that will not come back out of the broker", Args: cobra.ExactArgs(1),
		Long: `remove takes a node that is gone for good out of the broker's cluster. A node
never leaves by itself, however long it is away: it counts for the majority until
it is removed. What it held is on the others; streams get their next copy from a
node that joins in its place. What it said that it can collect, and an order to
empty it, go with it. A node that runs is not removed: stop it first.

A node that comes back under its name, even with an empty disk, need not be
removed: it gets what it lacks from the others.`,
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			if err := ask.Broker.RemoveNode(c.Context(), args[0]); err != nil {
				return err
			}
			if o.form == "json" {
				_, err = fmt.Fprintf(s.out, "{\"removed\":%q}\n", args[0])
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s is no node of the broker any more. Start another in its place: until then one more that is away may stop all writing.\n", args[0])
			return err
		},
	}
	o.flags(c)
	return c
}
