package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/market"
)

// backfillOptions are the flags of backfill.
type backfillOptions struct {
	settings
	url, form, data  string
	exchange, market string
	symbols, kinds   []string
	from, to         string
	gaps, detach     bool
	captures         []string
}

func newBackfill(s streams) *cobra.Command {
	var o backfillOptions
	c := &cobra.Command{
		Use: "backfill", Short: "fetch what is missing, or a time that is over, from the exchange", Args: cobra.NoArgs,
		Long: `backfill asks exchanges for the past: with --gaps for what the gap ledger says
is missing, with --from for a range of time of any listed symbol. With
--capture it takes the past from recorded traffic.

A running collector does it, so that one rate limit holds: its live calls go first.
Where none runs on the data directory, the program runs itself on it for as long as
that takes, without collecting anything live.

What is stored is not fetched again, and records have the keys of live ones. So the
same command may be given twice, and goes on where the last one was ended: by
Ctrl-C, kill -9 or a power cut.`,
		Example: `  marketprism backfill --gaps
  marketprism backfill --gaps --exchange binance --symbols BTC-USDT,ETH-USDT
  marketprism backfill --exchange binance --market perpetual --symbols BTC-USDT --from 2026-01-01 --to 2026-02-01 --kinds trade,candle,funding
  marketprism backfill --exchange okx --symbols BTC-USDT --from 36h
  marketprism backfill --capture btcusdt_20240808.ndjson.gz`,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.settings.flags(c)
	f := c.Flags()
	f.BoolVar(&o.gaps, "gaps", false, "fetch the trades that the gap ledger says are missing; without symbols, of every stream")
	f.StringVar(&o.exchange, "exchange", "", "exchange")
	f.StringVar(&o.market, "market", "", "spot, perpetual, future or option (default: spot where the symbol is listed there, else its only market)")
	f.StringSliceVar(&o.symbols, "symbols", nil, "symbols, in any spelling")
	f.StringSliceVar(&o.kinds, "kinds", nil, "kinds (default: those that are collected and that the exchange remembers)")
	f.StringVar(&o.from, "from", "", "beginning: a date, RFC 3339 time, or age (36h, 7d)")
	f.StringVar(&o.to, "to", "", "end, not in it (default: now)")
	f.StringArrayVar(&o.captures, "capture", nil, "take the records of this capture instead (- for standard input); may be repeated")
	f.StringVar(&o.url, "url", "", "address of the market-data-collector (default: the one on the data directory, else the configured one)")
	f.StringVar(&o.data, "data", "", "data directory (default: as configured)")
	f.BoolVar(&o.detach, "detach", false, "print the operations' ids and do not follow them")
	f.StringVarP(&o.form, "output", "o", "table", "table or json")
	return c
}

// target is one stream to fetch the past of.
type target struct{ Exchange, Market, Symbol string }

func (t target) String() string {
	return strings.Join(slices.DeleteFunc([]string{t.Exchange, t.Market, t.Symbol}, func(s string) bool { return s == "" }), " ")
}

// body checks the flags before anything is asked or started.
func (o *backfillOptions) body(now time.Time) (b client.BackfillRequest, err error) {
	b = client.BackfillRequest{Gaps: o.gaps, Kinds: o.kinds}
	switch {
	case o.form != "table" && o.form != "json":
		return b, usage("-o %q: want table or json", o.form)
	case len(o.captures) > 0 && (o.gaps || o.from != "" || o.to != "" || len(o.symbols) > 0 || o.detach):
		return b, usage("--capture goes with --exchange, --market and --kinds alone")
	case len(o.captures) > 0:
		return b, o.named()
	case !o.gaps && o.from == "":
		return b, usage("want --gaps, or --from (and --to) for a range of time")
	case !o.gaps && (o.exchange == "" || len(o.symbols) == 0):
		return b, usage("a range needs --exchange and --symbols")
	case len(o.symbols) > 0 && o.exchange == "":
		return b, usage("--symbols need --exchange")
	}
	if err := o.named(); err != nil {
		return b, err
	}
	from, err := pastTime("--from", o.from, now)
	if err != nil {
		return b, err
	}
	to, err := pastTime("--to", o.to, now)
	if err != nil {
		return b, err
	}
	if from != nil && to != nil && !from.Before(*to) {
		return b, usage("--from %s: it is not before --to", o.from)
	}
	if from != nil {
		b.From = *from
	}
	if to != nil {
		b.To = *to
	}
	return b, nil
}

// named checks exchange, market and kinds.
func (o *backfillOptions) named() error {
	var known []string
	for _, x := range all.Exchanges() {
		known = append(known, x.Name())
	}
	if o.exchange = strings.ToLower(o.exchange); o.exchange != "" && !slices.Contains(known, o.exchange) {
		return usage("--exchange %q: there are %s", o.exchange, strings.Join(known, ", "))
	}
	if _, ok := market.ParseMarket(o.market); o.market != "" && !ok {
		return usage("--market %q: want spot, perpetual, future or option", o.market)
	}
	for _, k := range o.kinds {
		if kind, ok := market.ParseKind(k); !ok || kind.Table() == "" {
			return usage("--kinds %q: no such kind is stored", k)
		}
	}
	return nil
}

func (o *backfillOptions) run(ctx context.Context, s streams) error {
	body, err := o.body(time.Now())
	if err != nil {
		return err
	}
	if o.url != "" {
		return o.work(ctx, s, strings.TrimSuffix(o.url, "/"), body, nil)
	}
	var own []config.Override
	if o.data != "" {
		own = append(own, config.Override{Path: "node.data_dir", Text: o.data, Name: "backfill"})
	}
	loaded, err := o.load(s, own...)
	if err != nil {
		return err
	}
	if _, url, ok := app.Running(loaded.Config.Node.DataDir, cluster.Collector); ok {
		return o.work(ctx, s, url, body, nil)
	}
	if o.data == "" {
		// One on another directory, or machine.
		found, err := app.Registry(&loaded.Config).Instances(ctx, cluster.Collector)
		if err == nil && len(found) > 0 && isCollector(ctx, found[0].URL()) {
			return o.work(ctx, s, found[0].URL(), body, nil)
		}
	}
	if o.detach {
		return fmt.Errorf("no collector runs on %s: there is nothing to leave the work to", loaded.Config.Node.DataDir)
	}
	return o.alone(ctx, s, &loaded.Config, body)
}

// work has a collector do it.
func (o *backfillOptions) work(ctx context.Context, s streams, base string, body client.BackfillRequest, configured []target) error {
	c, err := clientAt(ctx, cluster.Collector, base)
	if err != nil {
		return err
	}
	if len(o.captures) > 0 {
		return o.importCaptures(ctx, s, c.Collector)
	}
	return o.follow(ctx, s, c.Collector, body, configured)
}

// isCollector reports whether a collector answers at an address.
func isCollector(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := clientAt(ctx, cluster.Collector, url)
	if err != nil {
		return false
	}
	status, err := c.Collector.Status(ctx)
	return err == nil && status.Service == cluster.Collector
}

// alone runs what is needed of the program on a data directory that nobody uses, with
// nothing collected live, and follows the work there.
func (o *backfillOptions) alone(ctx context.Context, s streams, cfg *config.Config, body client.BackfillRequest) error {
	fmt.Fprintf(s.err, "no collector runs on %s: working on it alone\n", cfg.Node.DataDir)
	configured := o.quieten(cfg)
	if cfg.Log.Level == "info" {
		cfg.Log.Level = "warn"
	}
	cfg.Node.Listen = "127.0.0.1"
	cfg.Broker.Port, cfg.Storage.Port, cfg.Collector.Port, cfg.Broker.NATS.Port = 0, 0, 0, 0
	return run(ctx, s, cfg, []string{cluster.Broker, cluster.Storage, cluster.Collector}, nil, func(ctx context.Context, a *app.App) error {
		return o.work(ctx, s, a.URL(cluster.Collector), body, configured)
	})
}

// quieten lets the collector talk to the exchanges that are needed alone, and subscribe
// to nothing. It returns what would be collected.
func (o *backfillOptions) quieten(cfg *config.Config) (configured []target) {
	if o.exchange != "" && !slices.Contains(cfg.Collector.Exchanges, o.exchange) {
		cfg.Collector.Exchanges = append(cfg.Collector.Exchanges, o.exchange)
	}
	for name, x := range cfg.Exchanges {
		on := x.Enabled && slices.Contains(cfg.Collector.Exchanges, name)
		for word, m := range x.Markets {
			if on && m.Enabled {
				configured = append(configured, plain(name, word, m.Symbols)...)
			}
			m.Symbols, m.Top = nil, 0
			if name == o.exchange && o.market != "" {
				m.Enabled = word == o.market
			}
			x.Markets[word] = m
		}
		x.Enabled = len(o.captures) == 0 && (name == o.exchange || o.exchange == "" && x.Enabled)
		cfg.Exchanges[name] = x
	}
	return configured
}

// plain are the symbols that are no patterns.
func plain(exchange, word string, symbols []string) (out []target) {
	for _, symbol := range symbols {
		if !strings.ContainsAny(symbol, "*?[") {
			out = append(out, target{exchange, word, symbol})
		}
	}
	return out
}

// targets are the streams that are meant: those named, else those that the collector
// collects, or would by its configuration.
func (o *backfillOptions) targets(ctx context.Context, at *client.Collector, configured []target) ([]target, error) {
	var all []target
	for _, symbol := range o.symbols {
		all = append(all, target{o.exchange, o.market, symbol})
	}
	if len(all) > 0 {
		return all, nil
	}
	if configured == nil {
		have, _, err := at.AllQuality(ctx, client.Span{})
		if err != nil {
			return nil, fmt.Errorf("asking what is collected: %w", err)
		}
		for _, q := range have {
			configured = append(configured, target{q.Exchange, q.Market, q.Symbol})
		}
	}
	for _, t := range configured {
		if (o.exchange == "" || t.Exchange == o.exchange) && (o.market == "" || t.Market == o.market) {
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no stream is collected there; name some with --exchange and --symbols")
	}
	return all, nil
}
