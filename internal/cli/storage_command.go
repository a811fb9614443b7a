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

func newStorage(s streams) *cobra.Command {
	c := &cobra.Command{
		Use: "storage", Short: "see how the store stands", Args: cobra.NoArgs,
		Long: `storage asks the running data-storage-service. What is done to the store has
commands of its own: archive, query, and journal for what it reads.`,
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(newStorageStatus(s))
	return c
}

func newStorageStatus(s streams) *cobra.Command {
	var o storageAt
	c := &cobra.Command{
		Use: "status", Short: "say how far the store is behind the journal, and what ails it", Args: cobra.NoArgs,
		Long: `status shows, of each shard of the journal, how far the store has it; what is
being copied from another node; the writers that fail; the ways into the journal;
and how far rows are archived. The exit code is 1 when something has failed.`,
		RunE: func(c *cobra.Command, _ []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			status, err := ask.Storage.Status(c.Context())
			if err != nil {
				return err
			}
			if o.form == "json" {
				err = json.NewEncoder(s.out).Encode(&status)
			} else {
				err = printStorage(s.out, &status, time.Now())
			}
			if err == nil && len(status.Failures) > 0 {
				return &exitError{ExitFailed, fmt.Errorf("%d things have failed", len(status.Failures))}
			}
			return err
		},
	}
	o.flags(c)
	return c
}

// printStorage prints what there is to know, and nothing about what is well and has no
// figure.
func printStorage(w io.Writer, st *client.StorageStatus, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SHARD\tSTATE\tJOURNAL HOLDS\tVISIBLE TO\tDURABLE TO\tBEHIND\tDUE FOR\tJOURNAL SIZE\tNOTE")
	for i := range st.Shards {
		k := &st.Shards[i]
		var j client.JournalStatus
		if k.Journal != nil {
			j = *k.Journal
		}
		fmt.Fprintf(t, "%d\t%s\t%d to %d\t%d\t%d\t%d\t%s\t%s of %s\t%s\n", k.Shard, k.State, j.First, j.Last, k.Applied, k.Position,
			j.Lag, seconds(k.BehindSeconds), size(j.Bytes), size(j.MaxBytes), noteOfShard(k))
	}
	printFailing(t, st.Shards)
	fmt.Fprintln(t, "\nWAY INTO THE JOURNAL\tSTATE\tBATCHES\tMEMORY\tACKNOWLEDGED\tNOTE")
	for _, r := range st.Recorders {
		fmt.Fprintf(t, "shard %d\t%s\t%d\t%s of %s\t%s\t%s\n", r.Shard, r.State, r.Batches, size(r.Bytes), size(r.LimitBytes), ago(r.Acknowledged, now), r.Reason)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	printArchiving(w, st.Archiving)
	fmt.Fprintf(w, "\n%d of %d queries have rows open; maintained %s", st.Leases, st.MaxLeases, ago(st.Maintained, now))
	if !st.Writable {
		fmt.Fprint(w, "; it takes no writes")
	}
	fmt.Fprintln(w)
	printSetAside(w, "set aside", st.Quarantined)
	for _, warning := range st.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	for _, failure := range st.Failures {
		fmt.Fprintln(w, "failed:", failure)
	}
	return nil
}

// noteOfShard is what is to be known of a shard beyond its figures.
func noteOfShard(k *client.ShardStatus) string {
	switch {
	case k.Fault != "":
		return oneLine(k.Fault)
	case k.Copying != nil && k.Copying.Problem != "":
		return "copying waits: " + oneLine(k.Copying.Problem)
	case k.Copying != nil:
		return fmt.Sprintf("copying from %s: %s of %s, %d of %d files", orDash(k.Copying.From),
			size(k.Copying.Bytes), size(k.Copying.BytesTotal), k.Copying.Files, k.Copying.FilesTotal)
	case k.TurnOf != "":
		return k.TurnOf + " writes"
	}
	return ""
}

// printFailing prints the writers that do not get on.
func printFailing(w io.Writer, shards []client.ShardStatus) {
	begun := false
	for _, k := range shards {
		for _, writer := range k.Writers {
			if writer.FailuresInRow == 0 {
				continue
			}
			if !begun {
				begun = true
				fmt.Fprintln(w, "\nTABLE\tSHARD\tFAILED IN A ROW\tERROR")
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", writer.Table, k.Shard, writer.FailuresInRow, oneLine(writer.Error))
		}
	}
}

func printArchiving(w io.Writer, a *client.Archiving) {
	if a == nil || a.Cold == nil || a.Cold.Place == "" {
		return
	}
	fmt.Fprintf(w, "\ncold store %s", a.Cold.Place)
	if !a.Cold.Open {
		fmt.Fprintf(w, ", out of reach: %s", a.Cold.Problem)
	}
	if a.WaitingRows > 0 {
		fmt.Fprintf(w, "; %d rows are not archived, the oldest arrived %s ago", a.WaitingRows, seconds(a.LagSeconds))
	}
	if !a.Automatic {
		fmt.Fprint(w, "; nothing is archived by itself")
	}
	fmt.Fprintln(w)
	printSetAside(w, "damaged", a.Cold.Damaged)
}

// printSetAside prints files that are not read.
func printSetAside(w io.Writer, what string, files []client.Quarantined) {
	for _, q := range files {
		path := q.MovedTo
		if q.Part != nil && q.Part.Path != "" {
			path = q.Part.Path
		}
		fmt.Fprintf(w, "%s: %s: %s\n", what, path, q.Reason)
	}
}

// seconds writes a time that is given so.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
