package collector

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

// subscription is the body of subscribe.
type subscription struct {
	Action    string   `json:"action" required:"true" enum:"subscribe,unsubscribe" example:"subscribe"`
	Symbols   []string `json:"symbols" required:"true" minLength:"1" maxLength:"1000" doc:"in any spelling, or patterns: *-USDT" example:"[\"BTC-USDT\",\"ETH-USDT\"]"`
	DataTypes []string `json:"data_types" maxLength:"32" doc:"kinds; none means those that the configuration names" example:"[\"trade\",\"orderbook\"]"`
	Market    string   `json:"market" enum:"spot,perpetual,future,option" doc:"needed where several markets list a symbol"`
}

// subscribed is the answer of subscribe.
type subscribed struct {
	Success   bool      `json:"success" required:"true"`
	Action    string    `json:"action" required:"true"`
	Exchange  string    `json:"exchange" required:"true"`
	Symbols   []string  `json:"symbols" required:"true" doc:"that are concerned, canonical"`
	DataTypes []string  `json:"data_types" required:"true" doc:"kinds that are concerned"`
	Active    int       `json:"active_subscriptions" required:"true" doc:"that the market has now"`
	Message   string    `json:"message" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// subscriptionList is the answer of subscriptions.
type subscriptionList struct {
	Service   string          `json:"service" required:"true"`
	Markets   []marketOverlay `json:"markets" required:"true" doc:"those that are enabled, and those that were changed"`
	Timestamp time.Time       `json:"timestamp" required:"true"`
}

// marketOverlay is what was changed of one market.
type marketOverlay struct {
	Exchange string          `json:"exchange" required:"true"`
	Market   string          `json:"market" required:"true"`
	Loaded   bool            `json:"loaded" required:"true" doc:"false while what was changed before this start is not known yet"`
	Changes  []overlayChange `json:"changes" required:"true" doc:"in order; later ones win"`
}

type overlayChange struct {
	Action    string   `json:"action" enum:"subscribe,unsubscribe" required:"true"`
	Symbol    string   `json:"symbol" required:"true" doc:"canonical, or a pattern"`
	DataTypes []string `json:"data_types" required:"true" doc:"kinds; none means those that the configuration names"`
}

func (f *service) subscribeRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "subscriptions", ID: "subscriptions", Tag: tagCollector,
		Summary:     "What was changed at run time, over the configuration",
		Description: "`marketprism config show --origin` prints the settings that come of it.",
		Responses:   []chassis.Response{{Body: subscriptionList{}}},
		Handler:     f.subscriptions,
	}, {
		Method: http.MethodPost, Path: base + "exchanges/{exchange}/subscribe", ID: "subscribe", Tag: tagCollector,
		Summary:     "Change what is collected",
		Description: "Takes effect without a restart, and survives one. What cannot be taken is a 400.",
		Params:      []chassis.Param{paramExchange}, Request: subscription{}, Accepts: []string{"application/json"},
		Responses: []chassis.Response{{Body: subscribed{}}, {Status: http.StatusBadRequest, Doc: "a symbol, data type or action that cannot be taken", Body: chassis.Problem{}, Media: "application/problem+json"}},
		Handler:   f.subscribe,
	}}
}

func (f *service) subscriptions(w http.ResponseWriter, r *http.Request) error {
	out := subscriptionList{Service: Service, Markets: []marketOverlay{}, Timestamp: f.Now()}
	for _, o := range f.Branch.Overlays(r.Context()) {
		m := marketOverlay{Exchange: o.Exchange, Market: o.Market.String(), Loaded: o.Loaded, Changes: []overlayChange{}}
		for _, c := range o.Changes {
			action := "unsubscribe"
			if c.Add {
				action = "subscribe"
			}
			m.Changes = append(m.Changes, overlayChange{action, c.Symbol, c.DataTypes})
		}
		out.Markets = append(out.Markets, m)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) subscribe(w http.ResponseWriter, r *http.Request) error {
	exchange, err := exchangeOf(r)
	if err != nil {
		return err
	}
	var body subscription
	if err := chassis.Decode(r, &body, chassis.Unknown); err != nil {
		return asBadRequest(err)
	}
	if _, err := f.Branch.ExchangeStats(r.Context(), exchange); err != nil {
		return err // 404: the exchange; what is unknown below it is a 400
	}
	change := f.Branch.Subscribe
	if body.Action == "unsubscribe" {
		change = f.Branch.Unsubscribe
	}
	got, err := change(r.Context(), branch.Subscription{Exchange: exchange, Market: body.Market, Symbols: body.Symbols, DataTypes: body.DataTypes})
	if err != nil {
		return asBadRequest(blamed(err, body.Symbols))
	}
	return chassis.WriteJSON(w, r, http.StatusOK, subscribed{
		Success: true, Action: body.Action, Exchange: exchange, Symbols: got.Symbols, DataTypes: got.DataTypes, Active: got.Active,
		Message: body.Action + "d " + strings.Join(got.Symbols, ", "), Timestamp: f.Now(),
	})
}

// blamed gives the branch's refusal of a body its answer, with the member that is to
// blame.
func blamed(err error, symbols []string) error {
	answer := refusal(facade.Refusal(err))
	var known *chassis.Error
	if !errors.As(answer, &known) {
		return answer
	}
	var unknown *branch.UnknownError
	var invalid *branch.InvalidError
	var symbol *market.SymbolError
	switch {
	case errors.As(err, &invalid):
		return known.WithFields(chassis.Field("/"+invalid.Field, "%s", strings.TrimPrefix(invalid.Error(), invalid.Field+": ")))
	case errors.As(err, &unknown) && unknown.What == "market":
		return known.WithFields(chassis.Field("/market", "%s", unknown.Error()))
	case errors.As(err, &unknown) && unknown.What == "symbol":
		return known.WithFields(chassis.Field(symbolPointer(symbols, unknown.Name), "%s", unknown.Error()))
	case errors.As(err, &symbol):
		return known.WithFields(chassis.Field(symbolPointer(symbols, symbol.Spelling), "%s", symbol.Error()))
	}
	return answer
}

// symbolPointer points at a symbol of the body.
func symbolPointer(symbols []string, name string) string {
	if i := slices.Index(symbols, name); i >= 0 {
		return "/symbols/" + strconv.Itoa(i)
	}
	return "/symbols"
}

// badRequest is a refusal with the status that the contract gives this endpoint.
type badRequest struct{ error }

// HTTPStatus is 400.
func (badRequest) HTTPStatus() int { return http.StatusBadRequest }

func (e badRequest) Unwrap() error { return e.error }

func asBadRequest(err error) error {
	var own interface{ HTTPStatus() int }
	if errors.As(err, &own) && (own.HTTPStatus() == http.StatusUnprocessableEntity || own.HTTPStatus() == http.StatusNotFound) {
		return badRequest{err}
	}
	return err
}
