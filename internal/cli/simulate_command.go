package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/cli/replay"
	"github.com/marketprism/marketprism/internal/market"
)

// simulateOptions are the flags of the simulate command; dev has some of them.
type simulateOptions struct {
	exchanges []string
	listen    string
	genesis   string
	seed      uint64
	rate      float64
	symbols   int
	fault     string
	noLimits  bool
	staleFor  time.Duration
}

func newSimulate(s streams) *cobra.Command {
	o := simulateOptions{}
	c := &cobra.Command{
		Use:   "simulate [--exchange NAME,...]",
		Short: "be exchanges that are not there",
		Long: `simulate is exchanges of its own making: endless markets, the same for the same
seed and rate, over the exchanges' own WebSocket and REST protocols on loopback.
Point any client at the settings that it prints. It injects faults when told to,
and publishes the truth to compare with.

--exchange names exchanges, with the markets that they collect by default, or
markets (binance/spot), or another profile of an exchange (okx-legacy). --fault
takes rates: drop=0.001,gap=0.0001. The faults are drop, dup, reorder, gap,
half-open, bad-checksum, crossed, disconnect, stale, rate-limit and malformed.

The address of the truth is printed too; its root lists what can be asked and
ordered: faults injected, books and trades as they were, pauses, cuts and bans.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return simulate(c.Context(), s, o) },
	}
	f := c.Flags()
	f.StringSliceVar(&o.exchanges, "exchange", nil, "exchanges or markets to simulate (default all)")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the first host; each further one has the next port, the truth the last")
	f.Uint64Var(&o.seed, "seed", 1, "makes the market: the same seed and rate, the same market")
	f.StringVar(&o.genesis, "genesis", "", `when the market began: a time, or "now" for one that begins with trade 1 (default 2026-01-01T00:00:00Z)`)
	f.BoolVar(&o.noLimits, "no-limits", false, "without the exchanges' limits and bans, for load tests")
	f.DurationVar(&o.staleFor, "stale-for", 90*time.Second, "how long the fault stale lasts")
	o.flags(c, 10, 4)
	return c
}

// flags are those that dev has too.
func (o *simulateOptions) flags(c *cobra.Command, rate float64, symbols int) {
	f := c.Flags()
	f.Float64Var(&o.rate, "rate", rate, "events a second of each instrument")
	f.IntVar(&o.symbols, "symbols", symbols, "instruments of each market: the best known, then made-up ones")
	f.StringVar(&o.fault, "fault", "", "faults to inject, as fault=rate,...")
}

func simulate(ctx context.Context, s streams, o simulateOptions) error {
	opts, err := o.options()
	if err != nil {
		return err
	}
	opts.Log = warnings(s.err)
	server, err := simulator.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer server.Close()
	printEndpoints(s.out, simulatedEndpoints(server))
	printTruth(s.out, server)
	select {
	case <-ctx.Done():
		server.Close()
		printFaults(s.err, server)
		return nil
	case err := <-server.Failed():
		return fmt.Errorf("a simulated exchange ended: %w", err)
	}
}

// warnings writes what deserves notice for people to read.
func warnings(w io.Writer) *zap.Logger {
	cfg := zap.NewDevelopmentEncoderConfig()
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(cfg), zapcore.Lock(zapcore.AddSync(w)), zapcore.WarnLevel))
}

// options are the simulator's, or an error of usage.
func (o *simulateOptions) options() (simulator.Options, error) {
	opts := simulator.Options{Listen: o.listen, Seed: o.seed, Rate: o.rate, Symbols: o.symbols, NoLimits: o.noLimits, StaleFor: o.staleFor}
	var err error
	if opts.Faults, err = simulator.ParseFaults(o.fault); err != nil {
		return opts, usage("--fault: %w", err)
	}
	switch o.genesis {
	case "":
	case "now":
		opts.Genesis = time.Now()
	default:
		if opts.Genesis, err = time.Parse(time.RFC3339, o.genesis); err != nil || opts.Genesis.After(time.Now()) {
			return opts, usage(`--genesis %q: want "now" or a time that has passed, such as 2026-01-01T00:00:00Z`, o.genesis)
		}
	}
	if o.rate <= 0 || o.symbols <= 0 {
		return opts, usage("--rate %v --symbols %d: both must be above zero", o.rate, o.symbols)
	}
	if err := o.choose(&opts); err != nil {
		return opts, err
	}
	if err := opts.Validate(); err != nil {
		return opts, usage("%w", err)
	}
	return opts, nil
}

// simulated are the exchanges that can be.
func simulated() []connectors.Exchange {
	return slices.DeleteFunc(all.Exchanges(), func(x connectors.Exchange) bool {
		_, ok := x.(simulator.Simulated)
		return !ok
	})
}

// choose reads which exchanges, markets and profiles are wanted.
func (o *simulateOptions) choose(opts *simulator.Options) error {
	opts.Markets, opts.Profiles = map[string][]market.Market{}, map[string]string{}
	if len(o.exchanges) == 0 {
		for _, x := range simulated() {
			opts.Exchanges = append(opts.Exchanges, x)
			opts.Markets[x.Name()] = usualMarkets(x)
		}
		return nil
	}
	var errs []error
	for _, text := range o.exchanges {
		errs = append(errs, chooseOne(opts, text))
	}
	return errors.Join(errs...)
}

// chooseOne reads NAME, NAME/MARKET or NAME-PROFILE.
func chooseOne(opts *simulator.Options, text string) error {
	name, word, one := strings.Cut(text, "/")
	x, profile := findSimulated(name)
	if x == nil {
		return usage("--exchange %q: none of %s", name, strings.Join(simulatedNames(), ", "))
	}
	if !slices.ContainsFunc(opts.Exchanges, func(have connectors.Exchange) bool { return have.Name() == x.Name() }) {
		opts.Exchanges = append(opts.Exchanges, x)
	}
	if profile != "" {
		opts.Profiles[x.Name()] = profile
	}
	markets := usualMarkets(x)
	if one {
		m, ok := market.ParseMarket(word)
		if _, has := x.DefaultConfig().Markets[word]; !ok || !has {
			return usage("--exchange %q: %s has no market %q", text, x.Name(), word)
		}
		markets = []market.Market{m}
	}
	for _, m := range markets {
		if !slices.Contains(opts.Markets[x.Name()], m) {
			opts.Markets[x.Name()] = append(opts.Markets[x.Name()], m)
		}
	}
	return nil
}

// findSimulated finds an exchange by its name, with "-" and a profile after it.
func findSimulated(name string) (x connectors.Exchange, profile string) {
	for _, x := range simulated() {
		for _, p := range simulator.Profiles(x) {
			if name == profileName(x, p) {
				return x, p
			}
		}
	}
	return nil, ""
}

func simulatedNames() []string {
	var names []string
	for _, x := range simulated() {
		for _, p := range simulator.Profiles(x) {
			names = append(names, profileName(x, p))
		}
	}
	return names
}

func profileName(x connectors.Exchange, profile string) string {
	if profile == "" {
		return x.Name()
	}
	return x.Name() + "-" + profile
}

// usualMarkets are those that an exchange collects by default.
func usualMarkets(x connectors.Exchange) []market.Market {
	var list []market.Market
	cfg := x.DefaultConfig()
	for _, m := range market.Markets() {
		if cfg.Markets[m.String()].Enabled {
			list = append(list, m)
		}
	}
	return list
}

// simulatedEndpoints are the settings that lead to the simulated markets.
func simulatedEndpoints(server *simulator.Server) []replay.Endpoint {
	var list []replay.Endpoint
	for _, e := range server.Endpoints() {
		x, _ := all.Find(e.Exchange)
		list = append(list, replay.Endpoint{
			Exchange: e.Exchange, Market: e.Market, WSURL: e.WSURL, RESTURL: e.RESTURL,
			Symbols: e.Symbols, DataTypes: x.DefaultConfig().Markets[e.Market].DataTypes,
		})
	}
	return list
}

// printTruth says where the truth is, in lines that are comments of the settings.
func printTruth(w io.Writer, server *simulator.Server) {
	truth := server.TruthURL()
	fmt.Fprintf(w, "# the truth, and control: %s\n", truth)
	for _, e := range server.Endpoints()[:1] {
		stream := fmt.Sprintf("exchange=%s&market=%s&symbol=%s", e.Exchange, e.Market, e.Symbols[0])
		fmt.Fprintf(w, "#   curl -s '%s/truth/trades?%s'\n#   curl -s '%s/truth/book?%s'\n#   curl -s '%s/truth/faults'\n",
			truth, stream, truth, stream, truth)
	}
}

// printFaults says what was injected.
func printFaults(w io.Writer, server *simulator.Server) {
	counts := server.FaultCounts()
	var words []string
	for word := range counts {
		words = append(words, word)
	}
	slices.Sort(words)
	for _, word := range words {
		fmt.Fprintf(w, "injected, %d times: %s\n", counts[word], word)
	}
}
