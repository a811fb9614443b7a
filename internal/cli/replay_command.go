package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/cli/replay"
)

// replayOptions are the flags of the replay command.
type replayOptions struct {
	exchange, market string
	listen, speed    string
	expect           int
	settle           time.Duration
	exit             bool
	// recorded: see replay.Options.
	recorded bool
}

func newReplay(s streams) *cobra.Command {
	var o replayOptions
	var into intoOptions
	c := &cobra.Command{
		Use:   "replay CAPTURE...",
		Short: "serve captures as the exchange itself would",
		Long: `replay serves captures (- for standard input) on loopback as the exchange itself
would: its WebSocket and its REST interface. Point any client at the URLs that it
prints; its subscriptions are matched by channel and symbol, whatever host, speed
or depth they name. Several captures are one time line.

The time line begins when the first subscription has come and no other for
--settle, or when there are --expect of them. At --speed max it moves as fast as
the clients read. At the end the connections stay open; --exit ends the program.

--into DIR runs the whole platform on the replayed exchange: live collector,
journal, store and services, with their data in DIR. At the end of the capture it
drains and ends, or, with --stay, goes on to answer on the configured ports.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			if into.dir != "" && !c.Flags().Changed("speed") {
				o.speed = "max"
			}
			o.recorded = into.dir != ""
			server, done, err := startReplay(c.Context(), s, paths, o)
			if err != nil {
				return err
			}
			defer done()
			if into.dir != "" {
				return replayInto(c.Context(), s, server, into)
			}
			return serveReplay(c.Context(), s, server, o.exit)
		},
	}
	o.flags(c)
	into.flags(c)
	c.Flags().StringVar(&into.dir, "into", "", "run the platform on it, with its data in this directory")
	c.Flags().BoolVar(&into.stay, "stay", false, "with --into: keep the services up afterwards")
	c.Flags().BoolVar(&o.exit, "exit", false, "end when every frame has been sent")
	return c
}

func (o *replayOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.exchange, "exchange", "", "where the captures are from, when their URLs do not say")
	f.StringVar(&o.market, "market", "", "spot, perpetual, future or option")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the first host; each further one has the next port")
	f.StringVar(&o.speed, "speed", "1", "how many times as fast as recorded, or max")
	f.IntVar(&o.expect, "expect", 0, "subscriptions to wait for before the time line begins")
	f.DurationVar(&o.settle, "settle", 0, "time without a new subscription after which it begins (default 2s)")
}

// startReplay starts to serve captures. done ends it and whatever it needed.
func startReplay(ctx context.Context, s streams, paths []string, o replayOptions) (server *replay.Server, done func(), err error) {
	speed, err := replaySpeed(o.speed)
	if err != nil {
		return nil, nil, err
	}
	opts := replay.Options{
		Exchanges: all.Exchanges(), Exchange: o.exchange, Market: o.market,
		Listen: o.listen, Speed: speed, Expect: o.expect, Settle: o.settle,
		Recorded: o.recorded,
	}
	var cleanup []func()
	done = func() {
		for _, f := range cleanup {
			f()
		}
	}
	for _, path := range paths {
		open, closed, err := openCapture(s, path)
		if err != nil {
			done()
			return nil, nil, err
		}
		cleanup = append(cleanup, closed)
		opts.Captures = append(opts.Captures, replay.Capture{Name: path, Open: open})
	}
	server, err = replay.Start(ctx, opts)
	if err != nil {
		done()
		return nil, nil, replayError(err)
	}
	cleanup = append([]func(){server.Close}, cleanup...)
	return server, done, nil
}

func replaySpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) || n > 1e9 {
		return 0, usage("--speed %q: want a number above zero, or max", text)
	}
	return n, nil
}

// replayError gives an error its exit code.
func replayError(err error) error {
	var at *connectors.CaptureError
	switch {
	case errors.Is(err, replay.ErrVenue):
		return usage("%w", err)
	case errors.As(err, &at):
		return &exitError{ExitInput, err}
	}
	return err
}

// serveReplay serves until ctx ends, or with exit until the captures do.
func serveReplay(ctx context.Context, s streams, server *replay.Server, exit bool) error {
	printEndpoints(s.out, server.Endpoints())
	show := newProgressLine(s.err).patient()
	over := watchReplay(ctx, show, server)
	show.end()
	if over {
		if err := server.Err(); err != nil {
			return replayError(err)
		}
		if !exit {
			fmt.Fprintln(s.err, "every frame has been sent; the connections stay open until Ctrl-C")
			<-ctx.Done()
		}
	}
	server.Close()
	printReplayReport(s.err, server.Report())
	if r := server.Report(); len(r.Truncated) > 0 {
		return &exitError{ExitInput, fmt.Errorf("%s: %w", strings.Join(r.Truncated, ", "), connectors.ErrTruncated)}
	}
	return nil
}

// lookReplay is how often a replay is asked how far it is.
const lookReplay = 200 * time.Millisecond

// watchReplay shows how far a replay is until it is over; false when ctx ends before.
func watchReplay(ctx context.Context, show *progressLine, server *replay.Server) (over bool) {
	tick := time.NewTicker(lookReplay)
	defer tick.Stop()
	var begun time.Time
	for {
		p := server.Progress()
		switch {
		case p.Frames == 0 && show.columns != nil:
			show.draw(0, "waiting for subscriptions")
		case p.Frames > 0:
			if begun.IsZero() {
				begun = time.Now()
			}
			show.draw(p.Share(), replayText(p, time.Since(begun)))
		}
		select {
		case <-ctx.Done():
			return false
		case <-server.Done():
			if p := server.Progress(); p.Frames > 0 && !begun.IsZero() {
				show.draw(p.Share(), replayText(p, time.Since(begun)))
			}
			return true
		case <-tick.C:
		}
	}
}

// replayText says where a time line is, and how long it will take.
func replayText(p replay.Progress, took time.Duration) string {
	return fmt.Sprintf("%3.0f%%  %v of %v recorded, %d frames", 100*p.Share(), p.At.Round(time.Second), p.Of.Round(time.Second), p.Frames) + timeLeft(p.Share(), took)
}

// printEndpoints prints the settings that lead a collector here.
func printEndpoints(w io.Writer, list []replay.Endpoint) {
	for i, e := range list {
		if i == 0 || list[i-1].Exchange != e.Exchange {
			fmt.Fprintf(w, "# exchanges/%s.yaml\nmarkets:\n", e.Exchange)
		}
		fmt.Fprintf(w, "  %s:\n    enabled: true\n    ws_url: %s\n    rest_url: %s\n", e.Market, e.WSURL, e.RESTURL)
		fmt.Fprintf(w, "    symbols: [%s]\n    data_types: [%s]\n", strings.Join(e.Symbols, ", "), strings.Join(e.DataTypes, ", "))
	}
}

func printReplayReport(w io.Writer, r replay.Report) {
	fmt.Fprintf(w, "%d frames: %d sent, %d that nobody asked for, %d answers to the recorder; %d recorded responses given\n",
		r.Frames, r.Sent, r.Unasked, r.Control, r.Responses)
	for _, c := range r.Composed {
		fmt.Fprintf(w, "composed, %d times: %s\n", c.Times, c.Key)
	}
	for _, c := range r.Unanswered {
		fmt.Fprintf(w, "not in the capture, %d times: %s\n", c.Times, c.Key)
	}
	if len(r.Silent) > 0 {
		fmt.Fprintf(w, "never asked for: %s\n", strings.Join(r.Silent, ", "))
	}
}
