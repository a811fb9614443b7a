package collector

import (
	"context"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
)

// OrderBook is the answer to a question for a book.
type OrderBook struct {
	Instrument *market.Instrument
	// State is live, stale or syncing; only a live book is proven right.
	State string
	// Sequence is the exchange's, at which the book stands.
	Sequence int64
	// Time is the event time of the last change, Received its receive time; Unix
	// ns, 0 when not known.
	Time, Received int64
	// Age is the time since Received, seconds; negative when nothing was received.
	Age float64
	// Bids and Asks are best first.
	Bids, Asks []market.Level
	// BidLevels and AskLevels are how many levels are known; ProvenBids and
	// ProvenAsks how many of them, from the best on, have none missing between.
	BidLevels, AskLevels, ProvenBids, ProvenAsks int
}

// Messages of a stream actor from façades.
type (
	bookQuestion struct{ depth int }
	bookRefresh  struct{}
	refreshed    struct{}
	refetch      struct{}
	refetched    struct{ gaps int }
)

// Locate says which stream a symbol means, and whether it is recorded here. Errors:
// [UnknownError], [MarketError], [*market.SymbolError], [ErrNotStarted].
func (c *Collector) Locate(exchange, marketWord, symbol string) (id market.StreamID, here bool, err error) {
	v, i, err := c.market(exchange, marketWord, symbol)
	if err != nil {
		return id, false, err
	}
	r := v.route(i)
	return i.ID(), r != nil && (c.opts.Handoff == nil || r.begun.Load()), nil
}

// Knows reports whether the symbols of an exchange are known: of every market that is
// enabled here, and there is one.
func (c *Collector) Knows(exchange string) bool {
	known := false
	for _, v := range c.venues {
		if v.exchange == exchange && v.enabled() {
			if v.instruments() == nil {
				return false
			}
			known = true
		}
	}
	return known
}

// OrderBook asks for the best depth levels a side; depth < 0 is all. Errors:
// [UnknownError], [MarketError], [*market.SymbolError], [ErrNotStarted],
// [ErrNoBook], those of supervise.Ask.
func (c *Collector) OrderBook(ctx context.Context, exchange, marketWord, symbol string, depth int) (OrderBook, error) {
	r, err := c.route(exchange, marketWord, symbol)
	if err != nil {
		return OrderBook{}, err
	}
	return supervise.Ask[OrderBook](ctx, c.opts.System, r.pid.Load(), bookQuestion{depth})
}

// RefreshBook makes a stream fetch a new snapshot; a live book stays live
// meanwhile. Errors as [Collector.OrderBook].
func (c *Collector) RefreshBook(ctx context.Context, exchange, marketWord, symbol string) error {
	r, err := c.route(exchange, marketWord, symbol)
	if err != nil {
		return err
	}
	_, err = supervise.Ask[refreshed](ctx, c.opts.System, r.pid.Load(), bookRefresh{})
	return err
}

// Trades are the newest trades of a stream, newest first, at most limit; limit
// <= 0 is all that is remembered ([Config.RecentTrades]).
func (c *Collector) Trades(_ context.Context, exchange, marketWord, symbol string, limit int) ([]market.Trade, error) {
	r, err := c.route(exchange, marketWord, symbol)
	if err != nil {
		return nil, err
	}
	trades := r.history.newest(r.instrument)
	slices.Reverse(trades)
	if limit > 0 && len(trades) > limit {
		trades = trades[:limit]
	}
	return trades, nil
}

// Subscription is a request to change what is collected, at run time.
type Subscription struct {
	Exchange string
	// Market is a market's word; "" is spot where the symbol is listed there, else
	// the only market. A pattern needs it unless the exchange has one market only.
	Market string
	// Symbols in any accepted spelling, or patterns ("*-USDT").
	Symbols []string
	// DataTypes are names of kinds; empty means those that the configuration names.
	DataTypes []string
}

// Subscribed says what a [Subscription] came to.
type Subscribed struct {
	// Symbols are those concerned, as BASE-QUOTE….
	Symbols []string
	// DataTypes are the kinds concerned.
	DataTypes []string
	// Active is the number of subscriptions that the market now has.
	Active int
}

// change is a [Subscription] for one market, checked.
type change struct{ changes []Change }

// Subscribe adds to what is collected. It returns once the change is stored and
// the sessions have it; the exchange's own answer shows in the figures. Errors:
// [UnknownError], [InvalidError], [MarketError], [*market.SymbolError],
// [ErrNotStarted], those of supervise.Ask and of the [Store].
func (c *Collector) Subscribe(ctx context.Context, s Subscription) (Subscribed, error) {
	return c.change(ctx, s, true)
}

// Unsubscribe takes away from what is collected; see [Collector.Subscribe].
func (c *Collector) Unsubscribe(ctx context.Context, s Subscription) (Subscribed, error) {
	return c.change(ctx, s, false)
}

func (c *Collector) change(ctx context.Context, s Subscription, add bool) (Subscribed, error) {
	out := Subscribed{Symbols: []string{}, DataTypes: []string{}}
	if len(s.Symbols) == 0 {
		return out, &InvalidError{Field: "symbols", Value: ""}
	}
	byVenue := map[*venue][]string{}
	for _, symbol := range s.Symbols {
		v, name, err := c.meant(s.Exchange, s.Market, symbol)
		if err != nil {
			return out, err
		}
		byVenue[v] = append(byVenue[v], name)
	}
	checked := map[*venue][]Change{}
	for v, symbols := range byVenue {
		kinds, err := v.dataTypes(s.DataTypes)
		if err != nil {
			return out, err
		}
		for _, symbol := range symbols {
			checked[v] = append(checked[v], Change{Add: add, Symbol: symbol, DataTypes: kinds})
		}
	}
	for v, changes := range checked {
		got, err := supervise.Ask[Subscribed](ctx, c.opts.System, v.child(subscriptionsName), change{changes})
		if err != nil {
			return out, err
		}
		out.Symbols = append(out.Symbols, got.Symbols...)
		out.Active += got.Active
		for _, t := range got.DataTypes {
			if !slices.Contains(out.DataTypes, t) {
				out.DataTypes = append(out.DataTypes, t)
			}
		}
	}
	slices.Sort(out.Symbols)
	return out, nil
}

// meant finds the market that a symbol or pattern of a request is for, and the
// name to remember it by.
func (c *Collector) meant(exchange, word, symbol string) (*venue, string, error) {
	if !isPattern(symbol) {
		v, i, err := c.market(exchange, word, symbol)
		if err != nil {
			return nil, "", err
		}
		return v, i.Symbol, nil
	}
	venues, err := c.exchange(exchange)
	if err != nil {
		return nil, "", err
	}
	venues = slices.DeleteFunc(slices.Clone(venues), func(v *venue) bool {
		return !v.enabled() || word != "" && v.market.String() != word
	})
	switch len(venues) {
	case 0:
		return nil, "", &UnknownError{What: "market", Name: exchange + " " + word}
	case 1:
	default:
		e := &MarketError{Symbol: symbol}
		for _, v := range venues {
			e.Markets = append(e.Markets, v.market)
		}
		return nil, "", e
	}
	table := venues[0].instruments()
	if table == nil {
		return nil, "", ErrNotStarted
	}
	_, err = matching(table, symbol)
	return venues[0], symbol, err
}

// dataTypes checks names of kinds and returns the kinds' own names.
func (v *venue) dataTypes(names []string) ([]string, error) {
	if len(names) == 0 {
		return v.wish.Load().kinds.words(), nil
	}
	allowed := v.supported()
	var kinds kindSet
	for _, n := range names {
		k, ok := market.ParseKind(n)
		if !ok || !allowed.has(k) {
			return nil, &InvalidError{Field: "data_types", Value: n, Allowed: allowed.words()}
		}
		kinds |= kindsOf(k)
	}
	return kinds.words(), nil
}

// seconds of a duration.
func seconds(d time.Duration) float64 { return d.Seconds() }
