package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/cli/bench"
	"github.com/marketprism/marketprism/internal/cli/normalize"
	"github.com/marketprism/marketprism/internal/market"
)

type benchOptions struct {
	exchange, market, kind, mode, form string
	seconds                            float64
}

func newBench(s streams) *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench CAPTURE...",
		Short: "measure the way from recorded frames to records",
		Long: `bench takes the frames of captures from memory, on one core, after one round to
warm up. decode is bytes to records; full goes on through the step function,
without a book; full+book keeps the book too.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.form != "table" && o.form != "json" {
				return usage("-o %q: want table or json", o.form)
			}
			for _, path := range args {
				if err := o.run(c.Context(), s, path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.exchange, "exchange", "", "where the captures are from, when their URLs do not say")
	f.StringVar(&o.market, "market", "", "spot, perpetual, future or option")
	f.StringVar(&o.kind, "kind", "all", "all, or the kind of record of the frames to take")
	f.StringVar(&o.mode, "mode", string(bench.FullBook), "decode, full or full+book")
	f.Float64Var(&o.seconds, "seconds", 2, "least time of a measurement")
	f.StringVarP(&o.form, "output", "o", "table", "table or json")
	return c
}

func (o *benchOptions) run(ctx context.Context, s streams, path string) error {
	var kind market.Kind
	if o.kind != "all" {
		k, ok := market.ParseKind(o.kind)
		if !ok {
			return usage("--kind: %q is no kind of record (all, %s)", o.kind, kindNames())
		}
		kind = k
	}
	mode := bench.Mode(o.mode)
	if mode != bench.Decode && mode != bench.Full && mode != bench.FullBook {
		return usage("--mode %q: want decode, full or full+book", o.mode)
	}
	open, done, err := openCapture(s, path)
	if err != nil {
		return err
	}
	defer done()
	in, err := o.input(ctx, open, path)
	if err != nil {
		return inputError(path, err)
	}
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := in.Load(f, kind); err != nil {
		return inputError(path, err)
	}
	res, err := in.Run(mode, o.kind, time.Duration(o.seconds*float64(time.Second)))
	if err != nil {
		return inputError(path, err)
	}
	return o.print(s.out, res)
}

// input is the venue that a capture is from.
func (o *benchOptions) input(ctx context.Context, open func() (io.ReadCloser, error), path string) (*bench.Input, error) {
	place, err := normalize.Locate(ctx, all.Exchanges(), open, normalize.Options{Exchange: o.exchange, Market: o.market})
	if errors.Is(err, normalize.ErrVenue) {
		return nil, usage("%w", err)
	}
	if err != nil && !errors.Is(err, connectors.ErrTruncated) {
		return nil, err
	}
	return &bench.Input{Name: captureName(path), Venue: place.Venue, Known: place.Known, Depth: place.Depth}, nil
}

func (o *benchOptions) print(w io.Writer, r bench.Result) error {
	if o.form == "json" {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	per := func(n, of int64) float64 { return float64(n) / float64(max(of, 1)) }
	level := "-"
	if r.Levels > 0 {
		level = fmt.Sprintf("%.1f", per(r.CPUNS, r.Levels))
	}
	_, err := fmt.Fprintf(w, "%-32s %-12s %-10s %9d frames  %8.1f ns/frame  %8.1f cpu ns/frame  %6s cpu ns/level  %6.0f MB/s\n",
		r.Capture, r.Kind, r.Mode, r.Frames, per(r.NS, r.Frames), per(r.CPUNS, r.Frames), level, per(r.Bytes*1000, r.NS))
	return err
}
