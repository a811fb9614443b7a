package collector

import (
	"context"
	"errors"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

// The questions that the façade asks; *collector.Collector answers them all. A
// market's word "" means spot where the symbol is listed there, else the only
// market.
type (
	// Figures tell of the whole.
	Figures interface {
		Status(ctx context.Context) branch.Status
		Health(ctx context.Context) branch.Health
		Exchanges(ctx context.Context) map[string]branch.ExchangeStatus
		ExchangeStats(ctx context.Context, exchange string) (branch.ExchangeStats, error)
	}
	// Books tell of books and trades.
	Books interface {
		OrderBook(ctx context.Context, exchange, marketWord, symbol string, depth int) (branch.OrderBook, error)
		RefreshBook(ctx context.Context, exchange, marketWord, symbol string) error
		Trades(ctx context.Context, exchange, marketWord, symbol string, limit int) ([]market.Trade, error)
		Symbols(ctx context.Context, exchange, marketWord string, collected bool) ([]branch.Symbol, error)
	}
	// Proof tells how complete streams are.
	Proof interface {
		Quality(ctx context.Context, exchange, marketWord, symbol string, bucket time.Duration) (branch.Quality, error)
		AllQuality(ctx context.Context) []branch.Quality
		Coverage(ctx context.Context, exchange, marketWord, symbol string, from, to time.Time, bucket time.Duration, count bool) (branch.Coverage, error)
		AllCoverage(ctx context.Context, from, to time.Time) ([]branch.Coverage, error)
	}
	// Subscriptions change what is collected.
	Subscriptions interface {
		Subscribe(ctx context.Context, s branch.Subscription) (branch.Subscribed, error)
		Unsubscribe(ctx context.Context, s branch.Subscription) (branch.Subscribed, error)
		Overlays(ctx context.Context) []branch.MarketOverlay
	}
	// Branch is all of them.
	Branch interface {
		Figures
		Books
		Proof
		Past
		Importer
		Subscriptions
	}
)

// Options are what the façade stands on.
type Options struct {
	Branch Branch
	// Live is where streams are followed; nil: they cannot be.
	Live *live.Hub
	// Others are the collectors of the other nodes; nil: there are none.
	Others Others
	// Now is the time of answers; nil is time.Now.
	Now func() time.Time
}

// Service is the service's name in every answer.
const Service = branch.Service

// Tags of the documentation.
const (
	tagCollector = "collector"
	tagBooks     = "order books and trades"
	tagQuality   = "quality"
	tagLive      = "live streams"
)

// base is the path that all routes of the service begin with.
const base = "/api/v1/"

type service struct {
	Options
	passer *facade.Passer // nil without others
}

// Register adds the routes, the health checks and the sections of /health to a
// server.
func Register(s *chassis.Server, o Options) error {
	if o.Branch == nil {
		return errors.New("collector façade: Branch is needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &service{Options: o}
	if o.Others != nil {
		f.passer = newPasser(o.Others)
	}
	f.addHealth(s.Health())
	var routes []chassis.Route
	for _, group := range [][]chassis.Route{f.statusRoutes(), f.subscribeRoutes(), f.bookRoutes(), f.tradeRoutes(), f.qualityRoutes(), f.backfillRoutes(), f.liveRoutes()} {
		routes = append(routes, group...)
	}
	routes = f.atOwner(routes)
	for i := range routes {
		routes[i].Handler = answered(routes[i].Handler)
	}
	return s.Handle(facade.Answered(routes)...)
}

// answered gives the branch's own errors their answers.
func answered(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return refusal(h(w, r))
	}
}

func refusal(err error) error {
	var unknown *branch.UnknownError
	var markets *branch.MarketError
	var invalid *branch.InvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return chassis.NotFound("%s", unknown.Error()).WithCode("unknown_" + unknown.What)
	case errors.As(err, &markets):
		return chassis.BadRequest("%s; name one with ?market=", markets.Error()).WithCode("market_required")
	case errors.As(err, &invalid):
		return chassis.BadRequest("%s", invalid.Error()).WithCode("invalid_field")
	case errors.Is(err, branch.ErrNoBook):
		return chassis.NotFound("no order book of this symbol is collected").WithCode("no_book")
	case errors.Is(err, branch.ErrNotStarted):
		return chassis.Unavailable(time.Second, "the collector has no instruments of this exchange yet").WithCode("starting")
	}
	return err
}

// target is the instrument that a request is about, as it names it.
type target struct {
	facade.Asked
	exchange string // as the branch knows it
	word     string // of the market, or ""
}

func targetOf(r *http.Request, q *chassis.Query) (target, error) {
	a, err := facade.AskedOf(r, q)
	if err != nil {
		return target{}, err
	}
	t := target{Asked: a, exchange: a.ExchangeName()}
	if a.Named {
		t.word = a.Market.String()
	}
	return t, nil
}

// exchangeOf reads {exchange}.
func exchangeOf(r *http.Request) (string, error) {
	name, err := chassis.PathParam(r, "exchange")
	return facade.Asked{Exchange: name}.ExchangeName(), err
}

// timeOf is Unix ns for JSON; nil for 0.
func timeOf(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}

// Parameters that several routes share.
var (
	paramExchange = chassis.Param{Name: "exchange", In: "path", Doc: "Name of the exchange; case does not matter.", Example: "binance"}
	paramDecimals = chassis.Param{Name: "decimals", Enum: []string{"number", "string"}, Default: "number", Doc: "Whether prices and amounts are JSON numbers or text; both have every digit."}
)

// instrumentParams joins the parameters that name an instrument with others.
func instrumentParams(more ...chassis.Param) []chassis.Param {
	return append(append(facade.PathParams(), facade.MarketParam()), more...)
}
