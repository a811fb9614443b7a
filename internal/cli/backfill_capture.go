package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/cli/normalize"
	"github.com/marketprism/marketprism/internal/market"
)

// importBytes is how much is sent to the collector at once.
const importBytes = 2 << 20

// importTotals are what came of captures.
type importTotals struct {
	Captures []string `json:"captures"`
	Records  int64    `json:"records"`
	Known    int64    `json:"known"`
	Gaps     int64    `json:"gaps"`
}

// importer sends the records of a capture to a collector.
type importer struct {
	ctx    context.Context
	at     *client.Collector
	form   market.JSON
	lines  []byte
	totals *importTotals
	show   func()
}

// importCaptures makes records of captures, as the live collector does, and has the
// collector store them.
func (o *backfillOptions) importCaptures(ctx context.Context, s streams, at *client.Collector) error {
	totals := &importTotals{Captures: o.captures}
	for _, path := range o.captures {
		if err := o.importCapture(ctx, s, at, path, totals); err != nil {
			if ctx.Err() != nil {
				fmt.Fprintln(s.err, "ended; the same command goes over it again, and stores nothing twice")
			}
			return err
		}
	}
	if o.form == "json" {
		return json.NewEncoder(s.out).Encode(totals)
	}
	_, err := fmt.Fprintf(s.out, "%d records stored, %d were before; %d entries of the gap ledger among them\n", totals.Records, totals.Known, totals.Gaps)
	return err
}

func (o *backfillOptions) importCapture(ctx context.Context, s streams, at *client.Collector, path string, totals *importTotals) error {
	open, done, err := openCapture(s, path)
	if err != nil {
		return err
	}
	defer done()
	kinds, err := parseKinds(o.kinds)
	if err != nil {
		return err
	}
	far := &distance{}
	show, begun := newProgressLine(s.err), time.Now()
	defer show.end()
	i := &importer{ctx: ctx, at: at, totals: totals}
	i.show = func() {
		done := far.share()
		show.draw(done, fmt.Sprintf("%3.0f%%  %s, %d records", 100*done, captureName(path), totals.Records)+timeLeft(done, time.Since(begun)))
	}
	live := collector.DefaultConfig() // what is stored is what the live collector would store
	_, err = normalize.Run(ctx, all.Exchanges(), far.of(open), i.add, normalize.Options{
		Name: captureName(path), Exchange: o.exchange, Market: o.market, Kinds: kinds, BookDepth: live.BookDepth, BookInterval: live.BookInterval,
	})
	if errors.Is(err, normalize.ErrVenue) {
		return usage("%w", err)
	}
	// What there is of a file that breaks off is stored.
	return errors.Join(inputError(path, err), i.send())
}

// add takes a record, and sends those taken when they are many.
func (i *importer) add(r market.Record) error {
	if r.Kind().Table() == "" {
		return nil
	}
	if r.Kind() == market.KindGap {
		i.totals.Gaps++
	}
	i.lines = append(i.form.Append(i.lines, r), '\n')
	if len(i.lines) < importBytes {
		return nil
	}
	return i.send()
}

// send waits until the journal has what was taken. A collector that does not take it
// now is asked again for a while.
func (i *importer) send() error {
	if len(i.lines) == 0 {
		return nil
	}
	for begun := time.Now(); ; {
		answer, err := i.at.Import(i.ctx, i.lines)
		switch {
		case err == nil:
			i.totals.Records += answer.Records
			i.totals.Known += answer.Known
			i.lines = i.lines[:0]
			i.show()
			return nil
		case client.StatusOf(err) != http.StatusServiceUnavailable || time.Since(begun) > awaitStart:
			return fmt.Errorf("sending records to the collector: %w", err)
		}
		if err := wait(i.ctx, pollBackfill); err != nil {
			return err
		}
	}
}
