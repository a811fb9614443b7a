package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
)

func newJournal(s streams) *cobra.Command {
	c := &cobra.Command{
		Use: "journal", Short: "see who reads the journal and whether it is the store's, join them again, and take it into a cluster", Args: cobra.NoArgs,
		Long: `journal asks the running data-storage-service how its store and the broker's
journal stand to each other.

They stop belonging together when a copy of one of them is put in its place. An
older journal, or another one, is not written to: its places are taken, and
nobody would read them. The best repair is the right copy. Where there is none,
adopt joins the two as they are.`,
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(newJournalStatus(s), newJournalAdopt(s), newJournalReaders(s), newJournalRetire(s), newJournalMigrate(s))
	return c
}

// storageAt are the flags that find the storage service.
type storageAt struct {
	settings
	url  string
	form string
}

func (o *storageAt) flags(c *cobra.Command) {
	o.settings.flags(c)
	c.Flags().StringVar(&o.url, "url", "", "address of the data-storage-service (default: as configured, or as it says itself)")
	c.Flags().StringVarP(&o.form, "output", "o", "table", "table or json")
}

func (o *storageAt) find(ctx context.Context, s streams) (string, error) {
	if o.form != "table" && o.form != "json" {
		return "", usage("-o %q: want table or json", o.form)
	}
	if o.url != "" {
		return strings.TrimSuffix(o.url, "/"), nil
	}
	loaded, err := o.load(s)
	if err != nil {
		return "", err
	}
	if _, url, ok := app.Running(loaded.Config.Node.DataDir, cluster.Storage); ok {
		return url, nil
	}
	found, err := app.Registry(&loaded.Config).Instances(ctx, cluster.Storage)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no address of the %s is known: %w", cluster.Storage, err)
	}
	return found[0].URL(), nil
}

// client asks the service.
func (o *storageAt) client(ctx context.Context, s streams) (*client.Client, error) {
	base, err := o.find(ctx, s)
	if err != nil {
		return nil, err
	}
	return clientAt(ctx, cluster.Storage, base)
}

func newJournalStatus(s streams) *cobra.Command {
	var o storageAt
	c := &cobra.Command{
		Use: "status", Short: "say whether the journal and the store belong together", Args: cobra.NoArgs,
		Long: `status says, for each shard, up to which position the store has the journal, and
what the journal holds. The exit code is 1 when they do not belong together.`,
		RunE: func(c *cobra.Command, _ []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			standing, err := ask.Storage.Journal(c.Context())
			if err != nil {
				return err
			}
			return printStanding(s.out, &standing, o.form)
		},
	}
	o.flags(c)
	return c
}

func printStanding(w io.Writer, st *client.JournalStanding, form string) error {
	if form == "json" {
		if err := json.NewEncoder(w).Encode(st); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "journal %s, store filled from %s\n", st.JournalID, orNone(st.StoreJournalID))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SHARD\tVERDICT\tSTORE HAS\tJOURNAL HOLDS\tDETAIL")
		for _, k := range st.Shards {
			fmt.Fprintf(t, "%d\t%s\t%d\t%d to %d\t%s\n", k.Shard, k.Verdict, k.Position, k.JournalFirst, k.JournalLast, k.Detail)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, k := range st.Shards {
		switch {
		case k.Adoptable():
			return &exitError{ExitFailed, fmt.Errorf("the journal is not the store's: put the right copy in its place, or join them with `marketprism journal adopt --accept-loss`")}
		case k.Detail != "":
			return &exitError{ExitFailed, fmt.Errorf("shard %d cannot be read on: %s", k.Shard, k.Detail)}
		}
	}
	return nil
}

func orNone(id string) string {
	if id == "" {
		return "none yet"
	}
	return id
}

func newJournalAdopt(s streams) *cobra.Command {
	var o storageAt
	var accept bool
	c := &cobra.Command{
		Use: "adopt", Short: "join a foreign or older journal to the store, marking what is lost", Args: cobra.NoArgs,
		Long: `adopt joins a journal that is another one than the store was filled from, or an
older copy of it, to the store again. What it holds and the store lacks is
stored. What had been acknowledged behind the store's position and is in neither
is lost: adopt says from which position and time on, and marks it in the gap
ledger of every channel that was alive. Collecting goes on by itself. It may be
repeated, also after it was interrupted; where nothing is wrong it does nothing.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if !accept {
				return usage("adopt gives up what is in neither journal nor store; look at `marketprism journal status`, then say --accept-loss")
			}
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			shards, message, err := ask.Storage.AdoptJournal(c.Context())
			if err != nil {
				return err
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(shards)
			}
			for i := range shards {
				printAdoption(s.out, &shards[i])
			}
			fmt.Fprintln(s.out, message)
			return nil
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&accept, "accept-loss", false, "give up what is in neither journal nor store")
	return c
}

func printAdoption(w io.Writer, a *client.Adoption) {
	if a.JoinedAt == 0 {
		fmt.Fprintf(w, "shard %d: %s, left alone\n", a.Shard, a.Verdict)
		return
	}
	fmt.Fprintf(w, "shard %d: was %s\n", a.Shard, a.Verdict)
	fmt.Fprintf(w, "  the store has everything up to position %d of the journal that it was filled from;\n", a.LostAfterPosition)
	fmt.Fprintf(w, "  what was acknowledged behind it is lost, but for %d records in %d batches that were in this one\n", a.RecoveredRecords, a.RecoveredBatches)
	if a.DamagedBatches > 0 {
		fmt.Fprintf(w, "  %d batches could not be read\n", a.DamagedBatches)
	}
	if !a.LostFrom.IsZero() && !a.LostTo.IsZero() {
		fmt.Fprintf(w, "  lost, if anything, between %s and %s: %d gaps marked\n", a.LostFrom.Format(time.RFC3339Nano), a.LostTo.Format(time.RFC3339Nano), a.MarkedGaps)
	}
	fmt.Fprintf(w, "  they go on together behind position %d\n", a.JoinedAt)
}
