package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/cli/capture"
	"github.com/marketprism/marketprism/internal/market"
)

// captureOptions are the flags of the capture command.
type captureOptions struct {
	settings
	exchange, market   string
	symbols, dataTypes []string
	wsURL, restURL     string
	out, rotate        string
	duration           time.Duration
}

func newCapture(s streams) *cobra.Command {
	var o captureOptions
	c := &cobra.Command{
		Use:   "capture --exchange NAME --symbols SYMBOL,... --out FILE.ndjson.gz",
		Short: "record an exchange's live traffic",
		Long: `capture records the traffic of one market as it is on the wire: every frame and
every REST response. It subscribes as the collector does, so that the file holds
what a book and its repair need. Everything older than a second survives a kill.

--rotate begins another file (FILE.1.ndjson.gz, and so on) after a size, such as
64MiB, or a time, such as 1h. The connection is that of the configuration;
--ws-url and --rest-url name another host that speaks the same protocol.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCapture(c.Context(), s, o) },
	}
	o.flags(c)
	f := c.Flags()
	f.StringVar(&o.exchange, "exchange", "", "exchange to record (required)")
	f.StringVar(&o.market, "market", "spot", "spot, perpetual, future or option")
	f.StringSliceVar(&o.symbols, "symbols", nil, `symbols in any spelling, or patterns such as "*-USDT" (default as configured)`)
	f.StringSliceVar(&o.dataTypes, "data-types", nil, "kinds of records wanted (default as configured)")
	f.StringVar(&o.wsURL, "ws-url", "", "WebSocket host to use instead")
	f.StringVar(&o.restURL, "rest-url", "", "REST host to use instead")
	f.StringVar(&o.out, "out", "", "file to write; it must not exist (required)")
	f.DurationVar(&o.duration, "duration", 0, "stop after this time (default at Ctrl-C)")
	f.StringVar(&o.rotate, "rotate", "", "begin another file after this size or time")
	return c
}

func runCapture(ctx context.Context, s streams, o captureOptions) error {
	if o.exchange == "" || o.out == "" {
		return usage("--exchange and --out are needed; see `marketprism capture --help`")
	}
	files, err := rotation(o.rotate)
	if err != nil {
		return err
	}
	opts, err := o.recording(s)
	if err != nil {
		return err
	}
	file, err := connectors.CreateCapture(o.out, files)
	if err != nil {
		return err
	}
	opts.Write = file.Write
	opts.Live = func() { fmt.Fprintf(s.err, "recording %s %s to %s\n", o.exchange, o.market, o.out) }
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	sum, err := capture.Run(ctx, opts)
	err = errors.Join(err, file.Close())
	var unknown *market.SymbolError
	if errors.As(err, &unknown) {
		err = usage("%w", err)
	}
	fmt.Fprintf(s.err, "%s: %d frames and %d responses of %s; %d gaps, %d books begun anew, %d calls failed\n",
		strings.Join(file.Files(), ", "), sum.Frames, sum.Responses, strings.Join(sum.Symbols, ", "), sum.Gaps, sum.Resyncs, sum.Failed)
	return err
}

// recording is the market as configured, with what the flags say otherwise.
func (o *captureOptions) recording(s streams) (capture.Options, error) {
	x, ok := all.Find(o.exchange)
	if !ok {
		return capture.Options{}, usage("--exchange: %q is not known", o.exchange)
	}
	m, ok := market.ParseMarket(o.market)
	if !ok {
		return capture.Options{}, usage("--market: %q is none of spot, perpetual, future and option", o.market)
	}
	loaded, err := o.load(s)
	if err != nil {
		return capture.Options{}, err
	}
	cfg, ok := loaded.Config.Exchanges[o.exchange].Markets[o.market]
	if !ok {
		return capture.Options{}, usage("%s has no %s market", o.exchange, o.market)
	}
	if len(o.symbols) > 0 {
		cfg.Symbols = o.symbols
	}
	if len(o.dataTypes) > 0 {
		cfg.DataTypes = o.dataTypes
	}
	if o.wsURL != "" {
		cfg.WSURL = o.wsURL
	}
	if o.restURL != "" {
		cfg.RESTURL = o.restURL
	}
	v, err := x.Venue(m, cfg)
	if err != nil {
		return capture.Options{}, usage("%w", err)
	}
	return capture.Options{Venue: v, Config: cfg}, nil
}

// rotation reads a size or a time.
func rotation(text string) (connectors.CaptureFileOptions, error) {
	var o connectors.CaptureFileOptions
	if text == "" {
		return o, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		o.RotateEvery = d
		return o, nil
	}
	n, ok := byteSize(text)
	if !ok {
		return o, usage("--rotate %q: want a size, such as 64MiB, or a time, such as 1h", text)
	}
	o.RotateBytes = n
	return o, nil
}

// byteSize reads a number of bytes with an optional unit.
func byteSize(text string) (int64, bool) {
	units := []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		return n * u.bytes, err == nil && n > 0 && n < 1<<62/u.bytes
	}
	return 0, false
}
