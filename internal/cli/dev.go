package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/app"
)

type devOptions struct {
	simulateOptions
	data, listen string
	offset       int
	fresh        bool
}

// devPorts are the settings that --port-offset moves.
var devPorts = map[string]int{
	cluster.Storage + ".port": 8080, cluster.Scheduler + ".port": 8081, cluster.Collector + ".port": 8082,
	cluster.Gateway + ".port": 8083, cluster.Monitoring + ".port": 8084, cluster.Broker + ".port": 8085,
	cluster.Broker + ".nats.port": 4222,
}

// The market of dev, where nothing else is asked for.
const (
	devRate    = 10
	devSymbols = 4
)

func newDev(s streams) *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "run everything on this machine, on simulated exchanges",
		Long: `dev runs all six services with embedded storage and broker, and collects from
simulated exchanges (see simulate): nothing else is needed, no network either.

The simulated market goes on while dev is stopped. Started again on the same data
it finds the hole, and fetches the trades that it missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return dev(c.Context(), s, o, c.Flags().Changed("rate"))
		},
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", filepath.Join("data", "dev"), "data directory")
	f.StringVar(&o.listen, "listen", "127.0.0.1", "address that every service listens on")
	f.IntVar(&o.offset, "port-offset", 0, "added to every port, so that several run side by side")
	f.BoolVar(&o.fresh, "fresh", false, "begin with an empty data directory")
	o.flags(c, devRate, devSymbols)
	return c
}

func dev(ctx context.Context, s streams, o devOptions, rateGiven bool) error {
	begin := time.Now()
	if o.fresh {
		if err := empty(o.data); err != nil {
			return err
		}
	}
	known, err := readDevMarket(o.data)
	if err != nil {
		return err
	}
	if known.Rate > 0 && !rateGiven {
		o.rate = known.Rate
	}
	if known.Rate > 0 && o.rate != known.Rate {
		return usage("--rate %v: the market in %s has %v events a second; keep that, begin with --fresh, or take another --data", o.rate, o.data, known.Rate)
	}
	o.simulateOptions.seed, o.simulateOptions.listen = known.Seed, "127.0.0.1:0"
	opts, err := o.simulateOptions.options()
	if err != nil {
		return err
	}
	loaded, err := (&settings{}).load(s, o.overrides()...)
	if err != nil {
		return err
	}
	server, err := simulator.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer server.Close()
	collectFrom(&loaded.Config, server)
	if err := writeDevMarket(o.data, devMarket{Seed: opts.Seed, Rate: opts.Rate}); err != nil {
		return err
	}
	again := func() (*config.Loaded, error) {
		fresh, err := (&settings{}).load(streams{err: io.Discard, environ: s.environ}, o.overrides()...)
		if err == nil {
			collectFrom(&fresh.Config, server)
		}
		return fresh, err
	}
	return run(ctx, s, &loaded.Config, nil, newReloader(again, loaded), func(ctx context.Context, a *app.App) error {
		banner(s, a, server, time.Since(begin))
		select {
		case <-ctx.Done():
			return nil
		case err := <-server.Failed():
			return fmt.Errorf("a simulated exchange ended: %w", err)
		}
	})
}

// empty removes a data directory that nobody uses.
func empty(dir string) error {
	for _, name := range cluster.Services() {
		if pid, _, ok := app.Running(dir, name); ok {
			return fmt.Errorf("%s runs on %s as process %d: stop it first", name, dir, pid)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("emptying the data directory: %w", err)
	}
	return nil
}

// overrides are the settings that dev decides.
func (o *devOptions) overrides() []config.Override {
	by := "dev"
	list := []config.Override{
		{Path: "node.data_dir", Text: o.data, Name: by},
		{Path: "node.listen", Text: o.listen, Name: by},
		{Path: "monitoring-service.monitoring.actors.allow_operations", Text: "on", Name: by},
	}
	for _, path := range slices.Sorted(maps.Keys(devPorts)) {
		list = append(list, config.Override{Path: path, Text: strconv.Itoa(devPorts[path] + o.offset), Name: by})
	}
	return list
}

// collectFrom makes the collector connect to the simulated markets alone, with
// the settings that their exchanges have.
func collectFrom(cfg *config.Config, server *simulator.Server) {
	have := cfg.Exchanges
	cfg.Collector.Exchanges, cfg.Exchanges = nil, map[string]connectors.Config{}
	for _, e := range server.Endpoints() {
		x, known := cfg.Exchanges[e.Exchange]
		if !known {
			x = connectors.Config{Enabled: true, Markets: map[string]connectors.MarketConfig{}}
			cfg.Collector.Exchanges = append(cfg.Collector.Exchanges, e.Exchange)
		}
		m := have[e.Exchange].Markets[e.Market]
		m.Enabled, m.WSURL, m.RESTURL, m.Symbols, m.Top = true, e.WSURL, e.RESTURL, e.Symbols, 0
		x.Markets[e.Market] = m
		cfg.Exchanges[e.Exchange] = x
	}
}

func banner(s streams, a *app.App, server *simulator.Server, took time.Duration) {
	fmt.Fprintf(s.out, "\nMarketPrism is up after %.1f s\n\n", took.Seconds())
	for _, name := range cluster.Services() {
		fmt.Fprintf(s.out, "  %-24s %s/docs\n", name, a.URL(name))
	}
	fmt.Fprintf(s.out, "  %-24s %s/\n", "the dashboard", a.URL(cluster.Monitoring))
	fmt.Fprintln(s.out, "\nIt collects from simulated exchanges:")
	for _, e := range server.Endpoints() {
		fmt.Fprintf(s.out, "  %-24s %d instruments, %s\n", e.Exchange+" "+e.Market, len(e.Symbols), e.WSURL)
	}
	fmt.Fprintf(s.out, "  %-24s %s\n", "the truth about them", server.TruthURL())
	e := server.Endpoints()[0]
	fmt.Fprintf(s.out, `
Try:
  curl -s '%s/api/v1/storage/hot/trades/%s/%s?limit=3'
  curl -s '%s/api/v1/orderbook/%s/%s?depth=5'
  curl -s '%s/truth/trades?exchange=%s&market=%s&symbol=%s'

Ctrl-C stops it.

`, a.URL(cluster.Storage), e.Exchange, e.Symbols[0],
		a.URL(cluster.Collector), e.Exchange, e.Symbols[0],
		server.TruthURL(), e.Exchange, e.Market, e.Symbols[0])
}
