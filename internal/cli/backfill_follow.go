package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
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

// backfillOperation is an operation as the collector tells of it, and the text that it
// told it in.
type backfillOperation struct {
	ID         string  `json:"operation_id"`
	Exchange   string  `json:"exchange"`
	Market     string  `json:"market"`
	Symbol     string  `json:"symbol"`
	State      string  `json:"state"`
	Problem    string  `json:"problem"`
	Doing      string  `json:"doing"`
	Gaps       bool    `json:"gaps"`
	Progress   float64 `json:"progress"`
	Records    int64   `json:"records"`
	Stored     int64   `json:"stored"`
	Missing    int64   `json:"missing"`
	Calls      int64   `json:"calls"`
	GapsFound  int     `json:"gaps_found"`
	GapsHealed int     `json:"gaps_healed"`
	GapsLeft   int     `json:"gaps_left"`

	Unobtainable []struct {
		Channel string `json:"channel"`
		Entries int    `json:"entries"`
		Reason  string `json:"reason"`
	} `json:"unobtainable"`

	text json.RawMessage
}

func (o *backfillOperation) over() bool { return o.State != "queued" && o.State != "running" }

// UnmarshalJSON implements json.Unmarshaler.
func (o *backfillOperation) UnmarshalJSON(text []byte) error {
	type plain backfillOperation
	if err := json.Unmarshal(text, (*plain)(o)); err != nil {
		return err
	}
	o.text = bytes.Clone(text)
	return nil
}

// follow begins an operation for each stream at a collector, and shows how they go
// until all are over. A command that is ended cancels them.
func (o *backfillOptions) follow(ctx context.Context, s streams, base string, body backfillBody, configured []target) error {
	targets, err := o.targets(ctx, base, configured)
	if err != nil {
		return err
	}
	var ops []*backfillOperation
	for _, t := range targets {
		op, err := beginBackfill(ctx, base, t, body)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", t, err), cancelBackfills(ctx, base, ops))
		}
		ops = append(ops, op)
	}
	if o.detach {
		for _, op := range ops {
			fmt.Fprintln(s.out, op.ID)
		}
		return nil
	}
	if err := watchBackfills(ctx, s, base, ops); err != nil {
		return err
	}
	return o.report(s, ops)
}

// beginBackfill asks for one operation, until the collector knows its instruments.
func beginBackfill(ctx context.Context, base string, t target, body backfillBody) (*backfillOperation, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	at := base + "/api/v1/quality/" + url.PathEscape(t.Exchange) + "/" + url.PathEscape(t.Symbol) + "/backfill"
	if t.Market != "" {
		at += "?market=" + url.QueryEscape(t.Market)
	}
	for begun := time.Now(); ; {
		var answer struct {
			Operation backfillOperation `json:"operation"`
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		err = send(req, &answer, http.StatusAccepted)
		var refused *statusError
		switch {
		case err == nil:
			return &answer.Operation, nil
		case !errors.As(err, &refused):
			return nil, err
		case refused.status == http.StatusBadRequest || refused.status == http.StatusNotFound || refused.status == http.StatusUnprocessableEntity:
			return nil, usage("%s", refused.detail)
		case refused.status != http.StatusServiceUnavailable || time.Since(begun) > awaitStart:
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
func watchBackfills(ctx context.Context, s streams, base string, ops []*backfillOperation) error {
	show := newProgressLine(s.err)
	defer show.end()
	begun, heard := time.Now(), time.Now()
	for i := 0; i < len(ops); {
		var now backfillOperation
		err := call(ctx, http.MethodGet, base+"/api/v1/backfills/"+ops[i].ID+"?wait="+pollBackfill.String(), nil, &now)
		var refused *statusError
		switch {
		case ctx.Err() != nil:
			show.end()
			err := cancelBackfills(ctx, base, ops)
			fmt.Fprintln(s.err, "ended; what was fetched is stored, and the same command goes on from there")
			return &exitError{ExitFailed, errors.Join(errors.New("ended before the backfill was"), err)}
		case errors.As(err, &refused):
			return fmt.Errorf("asking about operation %s: %w; give the same command again, and it goes on from there", ops[i].ID, err)
		case err != nil && time.Since(heard) > unansweredFor:
			return fmt.Errorf("asking about operation %s: %w; give the same command again, and it goes on from there", ops[i].ID, err)
		case err != nil: // it may be restarting
			if wait(ctx, pollBackfill) != nil {
				continue
			}
		default:
			heard, *ops[i] = time.Now(), now
			show.draw(sharesOf(ops), backfillText(ops, i, time.Since(begun)))
			if now.over() {
				i++
			}
		}
	}
	return nil
}

// cancelBackfills ends what is under way, also when the command is being ended.
func cancelBackfills(ctx context.Context, base string, ops []*backfillOperation) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	var errs []error
	for _, op := range ops {
		if op.over() {
			continue
		}
		if err := call(ctx, http.MethodDelete, base+"/api/v1/backfills/"+op.ID, nil, op); err != nil {
			errs = append(errs, fmt.Errorf("cancelling %s: %w", op.ID, err))
		}
	}
	return errors.Join(errs...)
}

// sharesOf is how much of all operations is done, 0 to 1.
func sharesOf(ops []*backfillOperation) (done float64) {
	for _, op := range ops {
		if op.over() {
			done++
		} else {
			done += op.Progress
		}
	}
	return done / float64(len(ops))
}

// backfillText says what is under way, what came of it, and how long it will take.
func backfillText(ops []*backfillOperation, at int, took time.Duration) string {
	var records, calls int64
	for _, op := range ops {
		records += op.Records
		calls += op.Calls
	}
	op, done := ops[at], sharesOf(ops)
	text := fmt.Sprintf("%3.0f%%  %s %s %s", 100*done, op.Exchange, op.Symbol, op.Doing)
	if op.State == "queued" {
		text = fmt.Sprintf("%3.0f%%  %s %s waits for another backfill", 100*done, op.Exchange, op.Symbol)
	}
	text = fmt.Sprintf("%s, %d records in %d calls", strings.TrimRight(text, " "), records, calls)
	if done > 0 && done < 1 && took > time.Second {
		left := time.Duration(float64(took) * (1 - done) / done)
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	if op.Problem != "" && !op.over() {
		text += "; " + op.Problem
	}
	return text
}

// report says what came of it.
func (o *backfillOptions) report(s streams, ops []*backfillOperation) error {
	failed := 0
	for _, op := range ops {
		if op.State != "succeeded" {
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

func backfillJSON(s streams, ops []*backfillOperation) error {
	list := make([]json.RawMessage, len(ops))
	for i, op := range ops {
		list[i] = op.text
	}
	return json.NewEncoder(s.out).Encode(map[string]any{"operations": list})
}

func backfillTable(s streams, ops []*backfillOperation) error {
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
