package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/market"
)

// restartPatience is how long a service may take to come back.
const restartPatience = 10 * time.Second

// pollArchive is how often an archive under way is asked about.
const pollArchive = 500 * time.Millisecond

// archiveOptions are the flags of archive.
type archiveOptions struct {
	storageAt
	before string
	kinds  []string
	detach bool
}

func newArchive(s streams) *cobra.Command {
	var o archiveOptions
	c := &cobra.Command{
		Use: "archive", Short: "copy rows from the hot store into the cold one", Args: cobra.NoArgs,
		Long: `archive has the running data-storage-service copy rows from the hot store into
the cold one, and follows it. Age counts from when rows arrived, never from the
time that they are of. Rows stay readable all the time, and are read once.

One archive runs at a time; an archive that another one includes joins it. It goes
on when this command is ended, and when it is ended itself, the next one goes on
from there.`,
		Example: `  marketprism archive                              # what arrived more than 24 hours ago
  marketprism archive --before 0s                  # everything
  marketprism archive --before 2026-01-31 --kinds trade,candle`,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.flags(c)
	c.Flags().StringVar(&o.before, "before", "24h", "age (30m, 36h, 7d), date or RFC 3339 time that rows must have arrived before")
	c.Flags().StringSliceVar(&o.kinds, "kinds", nil, "kinds or tables (default: all)")
	c.Flags().BoolVar(&o.detach, "detach", false, "print the operation's id and do not follow it")
	c.AddCommand(newArchiveVerify(s), newArchiveRepair(s))
	return c
}

// age reads --before as an age.
func (o *archiveOptions) age(now time.Time) (time.Duration, error) {
	if o.before == "" {
		return 0, usage("--before: want an age, a date or a time")
	}
	t, err := pastTime("--before", o.before, now)
	if err != nil {
		return 0, err
	}
	return now.Sub(*t), nil
}

func (o *archiveOptions) run(ctx context.Context, s streams) error {
	age, err := o.age(time.Now())
	if err != nil {
		return err
	}
	for _, k := range o.kinds {
		if kind, ok := market.ParseKind(k); !ok || kind.Table() == "" {
			return usage("--kinds %q: no such kind is stored", k)
		}
	}
	ask, err := o.client(ctx, s)
	if err != nil {
		return err
	}
	begun, err := ask.Storage.Archive(ctx, age, o.kinds...)
	if err != nil {
		return err
	}
	if begun.Joined {
		fmt.Fprintln(s.err, "an archive that includes it is under way; following that one")
	}
	if o.detach {
		fmt.Fprintln(s.out, begun.OperationID)
		return nil
	}
	return o.follow(ctx, s, ask, begun.Operation)
}

// follow shows how an operation goes until it is over.
func (o *archiveOptions) follow(ctx context.Context, s streams, ask *client.Client, op client.Operation) error {
	show := newProgressLine(s.err)
	ticker := time.NewTicker(pollArchive)
	defer ticker.Stop()
	id, misses := op.OperationID, 0
	for {
		now, err := ask.Storage.Operation(ctx, id)
		switch {
		case ctx.Err() != nil:
			show.end()
			fmt.Fprintf(s.err, "the archive goes on without this command; GET /api/v1/storage/operations/%s tells how it is\n", id)
			return &exitError{ExitFailed, errors.New("ended before the archive was")}
		case err != nil:
			// A service that restarts is asked again for a while.
			if misses++; misses*int(pollArchive) > int(restartPatience) {
				show.end()
				return fmt.Errorf("asking about operation %s: %w; run archive again, and it goes on from there", id, err)
			}
		case now.State == client.OperationInterrupted && misses*int(pollArchive) < int(restartPatience):
			// It stops, and takes the operation up again when it has started.
			misses++
		default:
			misses, op = 0, now
			showArchive(show, op)
		}
		if op.Over() && misses == 0 {
			show.end()
			return o.report(s, op)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// report says what came of it.
func (o *archiveOptions) report(s streams, op client.Operation) error {
	if o.form == "json" {
		if err := json.NewEncoder(s.out).Encode(op); err != nil {
			return err
		}
	} else {
		took := op.Finished.Sub(op.Started)
		fmt.Fprintf(s.out, "archived %d rows in %d files (%s) in %v\n", op.Rows, op.Files, size(op.Bytes), took.Round(time.Millisecond))
		tables := make([]string, 0, len(op.ByTable))
		for table := range op.ByTable {
			tables = append(tables, table)
		}
		slices.Sort(tables)
		for _, table := range tables {
			fmt.Fprintf(s.out, "  %-20s %d\n", table, op.ByTable[table])
		}
	}
	if op.State != client.OperationSucceeded {
		return &exitError{ExitFailed, fmt.Errorf("the archive is not complete (%s): %s; run archive again, and it goes on from there", op.State, op.Problem)}
	}
	return nil
}

// size is bytes for people.
func size(n int64) string {
	for _, unit := range []struct {
		word string
		of   float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if float64(n) >= unit.of {
			return fmt.Sprintf("%.1f %s", float64(n)/unit.of, unit.word)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func showArchive(p *progressLine, op client.Operation) {
	p.draw(share(op), progressText(op, time.Now()))
}

// share is how much is done, 0 to 1.
func share(op client.Operation) float64 {
	switch {
	case op.Over() && op.State == client.OperationSucceeded:
		return 1
	case op.RowsTotal == 0:
		return 0
	}
	return min(1, float64(op.Rows)/float64(op.RowsTotal))
}

// progressText says state, rows, speed and how long it will take.
func progressText(op client.Operation, now time.Time) string {
	if op.State == client.OperationQueued {
		return "waiting for another operation"
	}
	text := fmt.Sprintf("%3.0f%%  %d of %d rows, %d files, %s", 100*share(op), op.Rows, op.RowsTotal, op.Files, size(op.Bytes))
	if op.Over() || op.Started.IsZero() {
		return text
	}
	took := now.Sub(op.Started).Seconds()
	if op.Rows == 0 || took <= 0 {
		return text
	}
	rate := float64(op.Rows) / took
	left := time.Duration(float64(max(0, op.RowsTotal-op.Rows)) / rate * float64(time.Second))
	return fmt.Sprintf("%s, %.0f rows/s, %v left", text, rate, left.Round(time.Second))
}
