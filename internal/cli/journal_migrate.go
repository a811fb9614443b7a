package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/internal/app"
)

func newJournalMigrate(s streams) *cobra.Command {
	var o settings
	var dry bool
	var form string
	c := &cobra.Command{
		Use: "migrate", Short: "make the broker's store of a node that stood alone one of a cluster", Args: cobra.NoArgs,
		Long: `migrate makes of the message broker's store of a stopped node, which stood alone,
that of the first node of a cluster: the journal, users, keys, tasks, silences,
and every other bucket, stream and consumer, with sequences and revisions as they
were. The configuration is the one that the node will start with: cluster.bootstrap_expect
is 3 or 5, and node.id is set. Nothing has to be drained: a reader goes on where it stands.

The new store is built beside the old one, and they change places when it is whole.
Until then the node may start as it was; an interrupted migration is run again. The
old store stays beside the new one, and may be removed by hand.

Start the node then, and the others with empty stores.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if form != "table" && form != "json" {
				return usage("-o %q: want table or json", form)
			}
			loaded, err := o.load(s)
			if err != nil {
				return err
			}
			if !loaded.Config.Broker.NATS.Clustered() {
				return usage("message-broker-service.nats is not of a cluster: set cluster.bootstrap_expect to 3 or 5, as the node will start with it")
			}
			line := newProgressLine(s.err)
			r, err := app.Migrate(c.Context(), &loaded.Config, dry, func(p broker.MigrationProgress) {
				line.draw(float64(p.Bytes)/float64(max(1, p.Total)), fmt.Sprintf("%s of %s, %s", size(int64(p.Bytes)), size(int64(p.Total)), p.Stream))
			})
			line.end()
			if errors.Is(err, app.ErrRuns) {
				return usage("%w", err)
			}
			if err != nil {
				return err
			}
			if form == "json" {
				return json.NewEncoder(s.out).Encode(r)
			}
			return printMigration(s.out, r, dry)
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be carried, and make nothing")
	c.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	return c
}

func printMigration(w io.Writer, r broker.MigrationReport, dry bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ACCOUNT\tSTREAM\tMESSAGES\tSIZE\tSEQUENCES\tCONSUMERS")
	for _, c := range r.Streams {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d to %d\t%d\n", c.Account, c.Name, c.Messages, size(int64(c.Bytes)), c.First, c.Last, len(c.Consumers))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	switch {
	case dry:
		fmt.Fprintf(w, "%d messages, %s, would be carried into a store for %d nodes.\n", r.Messages, size(int64(r.Bytes)), r.Nodes)
		return nil
	case r.Done:
		fmt.Fprintln(w, "It was whole already.")
	}
	fmt.Fprintf(w, "%d messages, %s, are in %s, which is a cluster's.\nThe old store is %s.\nStart this node, and the other %d with empty stores.\n",
		r.Messages, size(int64(r.Bytes)), r.Store, r.Aside, r.Nodes-1)
	return nil
}
