package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/market"
)

// tailOptions are the arguments and flags of tail.
type tailOptions struct {
	settings
	kinds, symbols     []string
	exchanges, markets []string
	url                string
	count              int
}

func newTail(s streams) *cobra.Command {
	var o tailOptions
	c := &cobra.Command{
		Use: "tail KIND[,KIND...] [SYMBOL...]", Short: "print records as the running collector proves them", Args: cobra.MinimumNArgs(1),
		Long: `tail follows the live stream of the running market-data-collector and prints one
record a line, in the one JSON form. Of a book the first record is the whole book
(is_snapshot), and what follows are its changes; "book" means them. Symbols are taken
in any spelling, or as patterns; without one, all are meant.

When the connection is lost it connects again, and goes on where it was; where that
cannot be, a line on the standard error says so. query prints what is stored.`,
		Example: `  marketprism tail trade BTC-USDT
  marketprism tail book,trade BTC-USDT --exchange binance --market spot
  marketprism tail trades '*-USDT' --count 100 | wc -l`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return listWords(liveKinds(), typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.read(args); err != nil {
				return err
			}
			base, err := o.find(c.Context(), s)
			if err != nil {
				return err
			}
			return o.follow(c.Context(), s, base)
		},
	}
	o.settings.flags(c)
	c.Flags().StringVar(&o.url, "url", "", "address of the market-data-collector (default: as configured, or as it says itself)")
	c.Flags().StringSliceVar(&o.exchanges, "exchange", nil, "exchanges, or patterns (default all)")
	c.Flags().StringSliceVar(&o.markets, "market", nil, "spot, perpetual, future or option (default all)")
	c.Flags().IntVar(&o.count, "count", 0, "end after so many records (default never)")
	words := func(all []string) cobra.CompletionFunc {
		return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return listWords(all, typed), cobra.ShellCompDirectiveNoFileComp
		}
	}
	complete(c, "exchange", words(exchangeNames()))
	complete(c, "market", words(marketWords()))
	return c
}

// liveKinds are the kinds of the live stream, and the word for a book.
func liveKinds() []string {
	words := []string{"book"}
	for _, k := range market.Kinds() {
		words = append(words, k.String())
	}
	return words
}

func (o *tailOptions) read(args []string) error {
	for word := range strings.SplitSeq(args[0], ",") {
		if word == "book" {
			word = market.KindBookDelta.String()
		}
		kind, ok := market.ParseKind(word)
		if !ok {
			return usage("no kind %q; there are %s", word, strings.Join(liveKinds(), ", "))
		}
		o.kinds = append(o.kinds, kind.String())
	}
	if o.count < 0 {
		return usage("--count %d: it is below zero", o.count)
	}
	o.symbols = args[1:]
	return nil
}

func (o *tailOptions) find(ctx context.Context, s streams) (string, error) {
	if o.url != "" {
		return strings.TrimSuffix(o.url, "/"), nil
	}
	loaded, err := o.load(s)
	if err != nil {
		return "", err
	}
	if _, at, ok := app.Running(loaded.Config.Node.DataDir, cluster.Collector); ok {
		return at, nil
	}
	found, err := app.Registry(&loaded.Config).Instances(ctx, cluster.Collector)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no address of the %s is known: %w", cluster.Collector, err)
	}
	return found[0].URL(), nil
}

// reconnectTries is how often in a row a lost connection is made again.
const reconnectTries = 30

// follow prints until it has enough, or is ended.
func (o *tailOptions) follow(ctx context.Context, s streams, base string) error {
	c, err := clientAt(ctx, cluster.Collector, base)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(s.out, 64<<10)
	what := client.Live{Kinds: o.kinds, Exchanges: o.exchanges, Markets: o.markets, Symbols: o.symbols}
	what.Tries, what.Lost = reconnectTries, func(err error) {
		fmt.Fprintf(s.err, "marketprism: the stream of %s ended (%v); connecting again\n", base, err)
	}
	printed := 0
	for m, err := range c.Collector.Follow(ctx, what) {
		switch {
		case err != nil && ctx.Err() != nil:
			return out.Flush()
		case err != nil:
			return errors.Join(refused(err), out.Flush())
		case m.Type == client.LiveReset:
			fmt.Fprintf(s.err, "marketprism: what came meanwhile is not printed (%s); query prints what is stored\n", m.Reason)
			continue
		case m.Type == client.LiveRecord:
			if _, err := out.Write(append(m.Data, '\n')); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
			printed++
		}
		if printed == o.count && o.count > 0 {
			break
		}
		if m.Waiting { // what there is, is shown
			if err := out.Flush(); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
		}
	}
	return out.Flush()
}
