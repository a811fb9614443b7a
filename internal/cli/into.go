package cli

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/cli/replay"
)

// intoOptions say how the platform runs on a replayed exchange.
type intoOptions struct {
	settings
	dir string
	// stay keeps the services up after the end of the capture.
	stay bool
}

// replayInto runs the whole platform on a replayed exchange: the live collector
// on real sockets, the journal, the store and the HTTP services. When every frame
// has been taken it drains, which makes all of it durable, and returns.
func replayInto(ctx context.Context, s streams, server *replay.Server, o intoOptions) error {
	loaded, err := o.load(s, intoSettings(o)...)
	if err != nil {
		return err
	}
	cfg := &loaded.Config
	if err := pointAt(cfg, server.Endpoints()); err != nil {
		return err
	}
	show := newProgressLine(s.err).patient()
	s.err = show // what the services say stands above the bar
	return run(ctx, s, cfg, nil, nil, func(ctx context.Context, a *app.App) error {
		for _, name := range cluster.Services() {
			fmt.Fprintf(s.err, "%-24s %s\n", name, a.URL(name))
		}
		watchReplay(ctx, show, server)
		err := taken(ctx, server, a)
		show.end()
		if err != nil {
			return err
		}
		if err := intoSummary(ctx, s, server, a); err != nil {
			return err
		}
		if o.stay {
			fmt.Fprintln(s.err, "the capture is over; the services stay until Ctrl-C")
			<-ctx.Done()
		}
		return nil
	})
}

// intoSettings are the settings that a replay decides: free ports, unless it stays
// for others to ask.
func intoSettings(o intoOptions) []config.Override {
	by := "replay --into"
	list := []config.Override{
		{Path: "node.data_dir", Text: o.dir, Name: by},
		// As fast as the collector can: a burst waits in the sockets.
		{Path: "market-data-collector.streams.mailbox_wait", Text: "5s", Name: by},
	}
	if !o.stay {
		for _, name := range cluster.Services() {
			list = append(list, config.Override{Path: name + ".port", Text: "0", Name: by})
		}
		list = append(list, config.Override{Path: "message-broker-service.nats.port", Text: "0", Name: by})
	}
	return list
}

// pointAt makes the collector connect to the replayed markets alone.
func pointAt(cfg *config.Config, endpoints []replay.Endpoint) error {
	cfg.Collector.Exchanges = nil
	cfg.Exchanges = map[string]connectors.Config{}
	for _, e := range endpoints {
		i := slices.IndexFunc(all.Exchanges(), func(x connectors.Exchange) bool { return x.Name() == e.Exchange })
		if i < 0 {
			return fmt.Errorf("no exchange %q", e.Exchange)
		}
		x, known := cfg.Exchanges[e.Exchange]
		if !known {
			x = connectors.Config{Enabled: true, Markets: map[string]connectors.MarketConfig{}}
			cfg.Collector.Exchanges = append(cfg.Collector.Exchanges, e.Exchange)
		}
		m := all.Exchanges()[i].DefaultConfig().Markets[e.Market]
		m.Enabled = true
		m.WSURL, m.RESTURL, m.Symbols, m.DataTypes = e.WSURL, e.RESTURL, e.Symbols, e.DataTypes
		// A replay may be slower or faster than the market was: silence means nothing.
		m.Watchdog.Enabled = false
		x.Markets[e.Market] = m
		cfg.Exchanges[e.Exchange] = x
	}
	return nil
}

// taken waits until the collector has taken every frame that was sent to it.
func taken(ctx context.Context, server *replay.Server, a *app.App) error {
	select {
	case <-server.Done():
	case <-ctx.Done():
		return nil
	}
	const patience = 30 * time.Second
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, since := int64(-1), time.Now()
	for {
		sent, have := server.Report().Sent, int64(a.Collector().Status(ctx).CollectorMetrics.MessagesProcessed)
		if have >= sent {
			return nil
		}
		if have != last {
			last, since = have, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("the collector took %d of %d frames and no more", have, sent)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// intoSummary drains the collector and says what is stored now.
func intoSummary(ctx context.Context, s streams, server *replay.Server, a *app.App) error {
	if err := a.Drain(ctx); err != nil {
		return err
	}
	stats, err := a.Stored(ctx)
	if err != nil {
		return err
	}
	r := server.Report()
	fmt.Fprintf(s.out, "%d frames sent, %d responses, %d frames that nobody asked for\n", r.Sent, r.Responses, r.Unasked)
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "table\tstored\t")
	for _, table := range stats.Tables {
		if table.Rows > 0 {
			fmt.Fprintf(t, "%s\t%d\t\n", table.Table, table.Rows)
		}
	}
	return t.Flush()
}
