package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/cli/sse"
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

When the connection is lost it connects again; what was missed meanwhile is not
printed, and a line on the standard error says so. query prints what is stored.`,
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

// reconnectAfter is the pause before a lost connection is made again, reconnectTries
// how often in a row.
const (
	reconnectAfter = time.Second
	reconnectTries = 30
)

// errEnough: as many records were printed as were wanted.
var errEnough = errors.New("enough")

// follow prints until it has enough, or is ended.
func (o *tailOptions) follow(ctx context.Context, s streams, base string) error {
	t := &tail{out: bufio.NewWriterSize(s.out, 64<<10), left: o.count, limited: o.count > 0}
	at := base + "/api/v1/stream?" + o.values().Encode()
	for failures := 0; ; {
		began := t.printed
		err := t.connect(ctx, at)
		var no *exitError
		switch {
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return t.out.Flush()
		case errors.As(err, &no), t.connections == 0, t.failed != nil:
			return err
		case t.printed > began:
			failures = 0
		}
		if failures++; failures > reconnectTries {
			return fmt.Errorf("following %s: %w", base, err)
		}
		fmt.Fprintf(s.err, "marketprism: the stream of %s ended (%v); connecting again, what comes meanwhile is not printed\n", base, err)
		pause := time.NewTimer(reconnectAfter)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return t.out.Flush()
		}
	}
}

func (o *tailOptions) values() url.Values {
	v := url.Values{"kinds": {strings.Join(o.kinds, ",")}}
	for name, list := range map[string][]string{"symbols": o.symbols, "exchanges": o.exchanges, "markets": o.markets} {
		if len(list) > 0 {
			v.Set(name, strings.Join(list, ","))
		}
	}
	return v
}

// tail prints what a stream of server-sent events has.
type tail struct {
	out         *bufio.Writer
	connections int
	printed     int
	left        int
	limited     bool
	failed      error // of printing
}

// connect prints one connection's records; it returns why that has ended.
func (t *tail) connect(ctx context.Context, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return usage("--url: %w", err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() // it is left where it is
	if res.StatusCode != http.StatusOK {
		return refused(req.URL.Scheme+"://"+req.URL.Host, res)
	}
	t.connections++
	for stream := sse.NewReader(res.Body); ; {
		event, data, err := stream.Next(nil)
		if err != nil {
			return err
		}
		if err := t.take(event, data); err != nil {
			return err
		}
		if stream.Waiting() { // nothing more has come: what there is, is shown
			if t.failed = t.out.Flush(); t.failed != nil {
				return t.failed
			}
		}
	}
}

// take prints a record. Other messages say how the stream is.
func (t *tail) take(event string, text []byte) error {
	var m struct {
		Type   string          `json:"type"`
		Data   json.RawMessage `json:"data"`
		Reason string          `json:"reason"`
	}
	if event != "" && event != "end" {
		return nil
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("reading a message: %w", err)
	}
	if m.Type == "end" {
		return fmt.Errorf("the collector ended it: %s", m.Reason)
	}
	if m.Type != "record" {
		return nil
	}
	if _, t.failed = t.out.Write(append(m.Data, '\n')); t.failed != nil {
		return fmt.Errorf("printing: %w", t.failed)
	}
	t.printed++
	if t.left--; t.limited && t.left == 0 {
		return errEnough
	}
	return nil
}
