package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// queryOptions are the arguments and flags of query.
type queryOptions struct {
	storageAt
	kind             market.Kind
	exchange, symbol string
	from, to         string
	earliest, latest time.Time // the same
	limit            int
	newest           bool
	format           string
	fields           []string
	market, origin   string
	tier             string
	exact            bool
	cursor           string
	data, out        string
}

// queryFormats are the formats of query.
var queryFormats = []string{"ndjson", "json", "csv", "parquet"}

func newQuery(s streams) *cobra.Command {
	var o queryOptions
	c := &cobra.Command{
		Use: "query KIND EXCHANGE SYMBOL", Short: "print stored records of one kind and instrument", Args: cobra.ExactArgs(3),
		Long: `query prints stored records in order of time, hot and cold ones as one. It asks the
running data-storage-service; with --data it reads the data directory of a stopped
node by itself, and changes nothing there.

Kinds: ` + strings.Join(storedKinds(), ", ") + `.

What is printed is complete when the exit code is 0. When there is more than
--limit, a line on the standard error says how to go on. With --out a file is there
only once it is complete.`,
		Example: `  marketprism query trade binance BTC-USDT --from 1h --format csv
  marketprism query candle okx BTC-USDT --from 2026-01-01 --to 2026-02-01 --out candles.parquet
  marketprism query trade binance BTCUSDT --fields exchange_time_ns,price,amount | head
  marketprism query gap binance BTC-USDT --data data/dev`,
		ValidArgsFunction: completeQuery,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.read(args, time.Now()); err != nil {
				return err
			}
			return o.run(c.Context(), s)
		},
	}
	o.settings.flags(c)
	f := c.Flags()
	f.StringVar(&o.url, "url", "", "address of the data-storage-service (default: as configured, or as it says itself)")
	f.StringVar(&o.data, "data", "", "read the data directory of a stopped node instead")
	f.StringVar(&o.from, "from", "", "earliest time, inclusive: a date, a time, an epoch, or an age (30m, 36h, 7d)")
	f.StringVar(&o.to, "to", "", "latest time, exclusive; as --from")
	f.IntVar(&o.limit, "limit", 0, "most records to print (default all)")
	f.BoolVar(&o.newest, "newest", false, "newest first")
	f.StringVar(&o.format, "format", "", strings.Join(queryFormats, ", ")+" (default by the name of --out, else ndjson)")
	f.StringSliceVar(&o.fields, "fields", nil, "fields to print (default all)")
	f.StringVar(&o.market, "market", "", "spot, perpetual, future or option (default spot, or the only one that has it)")
	f.StringVar(&o.origin, "origin", "", "all, collected or external (default all)")
	f.StringVar(&o.tier, "tier", "", "all, hot or cold (default all)")
	f.BoolVar(&o.exact, "exact", false, "take the names as they are stored")
	f.StringVar(&o.cursor, "cursor", "", "go on where a query with the same other flags has ended")
	f.StringVar(&o.out, "out", "", "file to write (default standard output); one that is there is replaced")
	for name, words := range map[string][]string{
		"format": queryFormats, "market": marketWords(), "origin": {"all", "collected", "external"}, "tier": {"all", "hot", "cold"},
	} {
		complete(c, name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return words, cobra.ShellCompDirectiveNoFileComp
		})
	}
	complete(c, "fields", func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		kind, _ := market.ParseKind(args[0])
		return listWords(market.FieldNames(kind), typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	return c
}

// complete registers what completes a flag's value.
func complete(c *cobra.Command, flag string, with cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(err) // the flag is not there: a mistake of this file
	}
}

// listWords completes the last word of a list that commas separate.
func listWords(words []string, typed string) []string {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = before + w
	}
	return out
}

// storedKinds are the kinds that have a table.
func storedKinds() (words []string) {
	for _, k := range market.Kinds() {
		if k.Table() != "" {
			words = append(words, k.String())
		}
	}
	return words
}

func marketWords() (words []string) {
	for _, m := range market.Markets() {
		words = append(words, m.String())
	}
	return words
}

func exchangeNames() (names []string) {
	for _, x := range all.Exchanges() {
		names = append(names, x.Name())
	}
	return names
}

// completeQuery completes KIND and EXCHANGE.
func completeQuery(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return storedKinds(), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return exchangeNames(), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// read checks everything that can be wrong with the command line.
func (o *queryOptions) read(args []string, now time.Time) error {
	var ok bool
	if o.kind, ok = market.ParseKind(args[0]); !ok || o.kind.Table() == "" {
		return usage("no kind %q is stored; there are %s", args[0], strings.Join(storedKinds(), ", "))
	}
	o.exchange, o.symbol, o.storageAt.form = args[1], args[2], "table"
	if o.url != "" && o.data != "" {
		return usage("--url asks a running service, --data reads a stopped one's directory: give one of them")
	}
	if err := o.readFormat(); err != nil {
		return err
	}
	for _, f := range []struct{ flag, word, allowed string }{
		{"market", o.market, strings.Join(marketWords(), ", ")}, {"origin", o.origin, "all, collected, external"}, {"tier", o.tier, "all, hot, cold"},
	} {
		if f.word != "" && !slices.Contains(strings.Split(f.allowed, ", "), f.word) {
			return usage("--%s %q: want one of %s", f.flag, f.word, f.allowed)
		}
	}
	if _, err := market.Select(o.kind, o.fields...); err != nil {
		return usage("--fields: %w", err)
	}
	if o.limit < 0 {
		return usage("--limit %d: it is below zero", o.limit)
	}
	var err error
	if o.earliest, err = moment("from", &o.from, now); err != nil {
		return err
	}
	if o.latest, err = moment("to", &o.to, now); err != nil {
		return err
	}
	if !o.earliest.IsZero() && !o.latest.IsZero() && o.latest.Before(o.earliest) {
		return usage("--to %s is before --from %s", o.to, o.from)
	}
	return nil
}

func (o *queryOptions) readFormat() error {
	if o.format == "" {
		o.format = "ndjson"
		for _, f := range queryFormats {
			if strings.HasSuffix(o.out, "."+f) {
				o.format = f
			}
		}
	}
	if !slices.Contains(queryFormats, o.format) {
		return usage("--format %q: want one of %s", o.format, strings.Join(queryFormats, ", "))
	}
	return nil
}

// moment reads a time, or an age, and puts it in the one form; the zero time for "".
func moment(flag string, text *string, now time.Time) (time.Time, error) {
	if *text == "" {
		return time.Time{}, nil
	}
	t, err := chassis.ParseTime(*text)
	if age, isAge := ageOf(*text); isAge {
		t, err = now.Add(-age), nil
	}
	if err != nil {
		return t, usage("--%s %q: want a date (2026-01-31), a time (2026-01-31T12:00:00Z), a Unix epoch or an age (30m, 36h, 7d)", flag, *text)
	}
	*text = chassis.FormatTime(t)
	return t, nil
}

// ageOf reads 30m, 36h, 7d.
func ageOf(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		return time.Duration(n * 24 * float64(time.Hour)), err == nil && n >= 0 && n <= 36500
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0 && text != "0"
}

// run prints, from the one place or the other.
func (o *queryOptions) run(ctx context.Context, s streams) error {
	if o.format == "parquet" && o.out == "" && isTerminal(s.out) {
		return usage("Parquet is nothing for a terminal: give --out FILE, or lead the output into a file")
	}
	w, err := openOutput(s, o.out)
	if err != nil {
		return err
	}
	read := o.ask
	if o.data != "" {
		read = o.local
	}
	next, err := read(ctx, s, w)
	if err = w.close(err); err != nil {
		if ctx.Err() != nil {
			return &exitError{ExitFailed, fmt.Errorf("ended before everything was printed")}
		}
		return err
	}
	if next != "" {
		fmt.Fprintf(s.err, "marketprism: there is more; the same command with --cursor %s goes on\n", next)
	}
	return nil
}
