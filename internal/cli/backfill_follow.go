package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/marketprism/marketprism/http/client"
)

const (
	// awaitStart bounds the wait for a collector that has no instruments yet.
	awaitStart = time.Minute
	// pollBackfill is how often operations under way are asked about, unansweredFor how
	// long one may be silent.
	pollBackfill  = 500 * time.Millisecond
	unansweredFor = 10 * time.Second
	// endWithin bounds the cancelling of operations when the command is ended.
	endWithin = 10 * time.Second
)

// follow begins an operation for each stream at a collector, and shows how they go
// until all are over. A command that is ended cancels them.
func (o *backfillOptions) follow(ctx context.Context, s streams, at *client.Collector, body client.BackfillRequest, configured []target) error {
	targets, err := o.targets(ctx, at, configured)
	if err != nil {
		return err
	}
	var ops []*client.Backfill
	for _, t := range targets {
		op, err := beginBackfill(ctx, at, t, body)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", t, err), cancelBackfills(ctx, at, ops))
		}
		ops = append(ops, op)
	}
	if o.detach {
		for _, op := range ops {
			fmt.Fprintln(s.out, op.OperationID)
		}
		return nil
	}
	if err := watchBackfills(ctx, s, at, ops); err != nil {
		return err
	}
	return o.report(s, ops)
}

// beginBackfill asks for one operation, until the collector knows its instruments.
func beginBackfill(ctx context.Context, at *client.Collector, t target, body client.BackfillRequest) (*client.Backfill, error) {
	for begun := time.Now(); ; {
		op, err := at.Backfill(ctx, t.Exchange, t.Symbol, t.Market, body)
		var said *client.Error
		switch {
		case err == nil:
			return &op, nil
		case !errors.As(err, &said):
			return nil, err
		case said.Status == http.StatusBadRequest || said.Status == http.StatusNotFound || said.Status == http.StatusUnprocessableEntity:
			return nil, usage("%s", said.Detail)
		case said.Status != http.StatusServiceUnavailable || time.Since(begun) > awaitStart:
			return nil, err
		}
		if err := wait(ctx, pollBackfill); err != nil {
			return nil, err
		}
	}
}

// wait waits d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchBackfills draws the progress of operations until all are over.
func watchBackfills(ctx context.Context, s streams, at *client.Collector, ops []*client.Backfill) error {
	show := newProgressLine(s.err)
	defer show.end()
	begun, heard := time.Now(), time.Now()
	for i := 0; i < len(ops); {
		now, err := at.BackfillStatus(ctx, ops[i].OperationID, pollBackfill)
		switch {
		case ctx.Err() != nil:
			show.end()
			err := cancelBackfills(ctx, at, ops)
			fmt.Fprintln(s.err, "ended; what was fetched is stored, and the same command goes on from there")
			return &exitError{ExitFailed, errors.Join(errors.New("ended before the backfill was"), err)}
		case client.StatusOf(err) != 0:
			return fmt.Errorf("asking about operation %s: %w; give the same command again, and it goes on from there", ops[i].OperationID, err)
		case err != nil && time.Since(heard) > unansweredFor:
			return fmt.Errorf("asking about operation %s: %w; give the same command again, and it goes on from there", ops[i].OperationID, err)
		case err != nil: // it may be restarting
			if wait(ctx, pollBackfill) != nil {
				continue
			}
		default:
			heard, *ops[i] = time.Now(), now
			show.draw(sharesOf(ops), backfillText(ops, i, time.Since(begun)))
			if now.Over() {
				i++
			}
		}
	}
	return nil
}

// cancelBackfills ends what is under way, also when the command is being ended.
func cancelBackfills(ctx context.Context, at *client.Collector, ops []*client.Backfill) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	var errs []error
	for _, op := range ops {
		if op.Over() {
			continue
		}
		now, err := at.CancelBackfill(ctx, op.OperationID)
		if err != nil {
			errs = append(errs, fmt.Errorf("cancelling %s: %w", op.OperationID, err))
			continue
		}
		*op = now
	}
	return errors.Join(errs...)
}

// sharesOf is how much of all operations is done, 0 to 1.
func sharesOf(ops []*client.Backfill) (done float64) {
	for _, op := range ops {
		if op.Over() {
			done++
		} else {
			done += op.Progress
		}
	}
	return done / float64(len(ops))
}

// backfillText says what is under way, what came of it, and how long it will take.
func backfillText(ops []*client.Backfill, at int, took time.Duration) string {
	var records, calls int64
	for _, op := range ops {
		records += op.Records
		calls += op.Calls
	}
	op, done := ops[at], sharesOf(ops)
	text := fmt.Sprintf("%3.0f%%  %s %s %s", 100*done, op.Exchange, op.Symbol, op.Doing)
	if op.State == client.BackfillQueued {
		text = fmt.Sprintf("%3.0f%%  %s %s waits for another backfill", 100*done, op.Exchange, op.Symbol)
	}
	text = fmt.Sprintf("%s, %d records in %d calls", strings.TrimRight(text, " "), records, calls) + timeLeft(done, took)
	if op.Problem != "" && !op.Over() {
		text += "; " + op.Problem
	}
	return text
}

// report says what came of it.
func (o *backfillOptions) report(s streams, ops []*client.Backfill) error {
	failed := 0
	for _, op := range ops {
		if op.State != client.BackfillSucceeded {
			failed++
		}
	}
	var err error
	if o.form == "json" {
		err = backfillJSON(s, ops)
	} else {
		err = backfillTable(s, ops)
	}
	if err == nil && failed > 0 {
		err = &exitError{ExitFailed, fmt.Errorf("%d of %d did not end well; give the same command again, and it goes on from there", failed, len(ops))}
	}
	return err
}

func backfillJSON(s streams, ops []*client.Backfill) error {
	return json.NewEncoder(s.out).Encode(map[string]any{"operations": ops})
}

func backfillTable(s streams, ops []*client.Backfill) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "stream\tstate\tfetched\tstored before\tmissing\tgaps healed\topen still\tcalls")
	for _, op := range ops {
		fmt.Fprintf(t, "%s %s %s\t%s\t%d\t%d\t%d\t%d of %d\t%d\t%d\n", op.Exchange, op.Market, op.Symbol, op.State,
			op.Records, op.Stored, op.Missing, op.GapsHealed, op.GapsFound, op.GapsLeft, op.Calls)
		if op.Problem != "" {
			fmt.Fprintf(t, "  %s\n", op.Problem)
		}
		for _, u := range op.Unobtainable {
			fmt.Fprintf(t, "  %d gaps of %s stay: %s\n", u.Entries, u.Channel, u.Reason)
		}
	}
	return t.Flush()
}
