package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/http/client"
)

func newJournalReaders(s streams) *cobra.Command {
	var o storageAt
	c := &cobra.Command{
		Use: "readers", Short: "list the stores that the journal is kept for", Args: cobra.NoArgs,
		Long: `readers lists the stores that read the journal, each with the position up to
which it has it. The journal keeps everything for each of them; one that nobody
uses any more, and that holds it back, is retired.`,
		RunE: func(c *cobra.Command, _ []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			readers, err := ask.Storage.Readers(c.Context())
			if err != nil {
				return err
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(readers)
			}
			return printReaders(s.out, readers, time.Now())
		},
	}
	o.flags(c)
	return c
}

func printReaders(w io.Writer, readers []client.ReaderStanding, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "READER\tSHARD\tNODE\tPOSITION\tBEHIND\tMOVED\tFULL COPY\tNOTE")
	for _, r := range readers {
		note := ""
		switch {
		case r.Own:
			note = "of the node that was asked"
		case r.HoldsBack:
			note = "holds the journal back"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\t%s\t%s\t%s\n", r.Reader, r.Shard, orDash(r.Node), r.Position, r.Behind, ago(r.Moved, now), yesNo(r.FullCopy), note)
	}
	return t.Flush()
}

func newJournalRetire(s streams) *cobra.Command {
	var o storageAt
	c := &cobra.Command{
		Use: "retire READER", Short: "keep nothing any more for a reader that nobody uses", Args: cobra.ExactArgs(1),
		Long: `retire takes a name out of the journal's readers: that of a node that will not
come back, or of a store that has got another name. The journal is purged up to
where the others are. It is refused for one that is, or may be, in use: of a node
that is known, silent for less than data-storage-service.actors.retire_after, or
at the journal's end; and for the only full copy.`,
		Example: `  marketprism journal readers
  marketprism journal retire embedded`,
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			gone, err := ask.Storage.RetireReader(c.Context(), args[0])
			if err != nil {
				return err
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(gone)
			}
			for _, r := range gone {
				fmt.Fprintf(s.out, "nothing is kept for %s in shard %d any more; it was at %d, %d behind\n", r.Reader, r.Shard, r.Position, r.Behind)
			}
			return nil
		},
	}
	o.flags(c)
	return c
}

// ago is how long ago something was, "-" for never.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return max(0, now.Sub(at)).Round(time.Second).String() + " ago"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
