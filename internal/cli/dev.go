package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/app"
)

type devOptions struct {
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

func newDev(s streams) *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "run everything on this machine, without a network",
		Long: `dev runs all six services with embedded storage and broker. No exchange is
connected: POST records, or replay a capture into it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return dev(c.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", filepath.Join("data", "dev"), "data directory")
	f.StringVar(&o.listen, "listen", "127.0.0.1", "address that every service listens on")
	f.IntVar(&o.offset, "port-offset", 0, "added to every port, so that several run side by side")
	f.BoolVar(&o.fresh, "fresh", false, "begin with an empty data directory")
	return c
}

func dev(ctx context.Context, s streams, o devOptions) error {
	if o.fresh {
		for _, name := range cluster.Services() {
			if pid, _, ok := app.Running(o.data, name); ok {
				return fmt.Errorf("%s runs on %s as process %d: stop it first", name, o.data, pid)
			}
		}
		if err := os.RemoveAll(o.data); err != nil {
			return fmt.Errorf("emptying the data directory: %w", err)
		}
	}
	by := "dev"
	runtime := []config.Override{
		{Path: "node.data_dir", Text: o.data, Name: by},
		{Path: "node.listen", Text: o.listen, Name: by},
		{Path: cluster.Collector + ".exchanges", Text: "", Name: by},
	}
	for path, port := range devPorts {
		runtime = append(runtime, config.Override{Path: path, Text: strconv.Itoa(port + o.offset), Name: by})
	}
	loaded, err := (&settings{}).load(s, runtime...)
	if err != nil {
		return err
	}
	begin := time.Now()
	return run(ctx, s, &loaded.Config, nil, nil, func(ctx context.Context, a *app.App) error {
		banner(s, a, time.Since(begin))
		<-ctx.Done()
		return nil
	})
}

func banner(s streams, a *app.App, took time.Duration) {
	fmt.Fprintf(s.out, "\nMarketPrism is up after %.1f s\n\n", took.Seconds())
	for _, name := range cluster.Services() {
		fmt.Fprintf(s.out, "  %-24s %s/docs\n", name, a.URL(name))
	}
	storage, now := a.URL(cluster.Storage), time.Now().UTC().Format(time.RFC3339)
	fmt.Fprintf(s.out, `
Try:
  curl -s %s/api/v1/storage/hot/trades -H 'Content-Type: application/json' \
    -d '{"timestamp":"%s","exchange":"binance","symbol":"BTCUSDT","price":"61000.10","amount":"0.5","side":"buy","trade_id":"1"}'
  curl -s %s/api/v1/storage/hot/trades/binance/BTC-USDT
  curl -s %s/api/v1/actors/tree

Ctrl-C stops it.

`, storage, now, storage, a.URL(cluster.Monitoring))
}
