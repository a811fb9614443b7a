package collector

import (
	"net/http"
	"strconv"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// maxDepth is the largest depth that can be asked for.
const maxDepth = 5000

// enhanced is a book with everything that is known of it, for the documentation.
type enhanced struct {
	Exchange  string     `json:"exchange" required:"true" doc:"as asked"`
	Market    string     `json:"market" required:"true"`
	Symbol    string     `json:"symbol" required:"true" doc:"as asked"`
	Native    string     `json:"native_symbol" required:"true" doc:"the exchange's own spelling"`
	State     string     `json:"state" enum:"live,stale,syncing" required:"true" doc:"only a live book is proven right"`
	Sequence  int64      `json:"sequence" required:"true" doc:"the exchange's"`
	Age       *float64   `json:"age" required:"true" doc:"seconds since the last change was received; null before the first"`
	Timestamp *time.Time `json:"timestamp" required:"true" doc:"of the last change, by the exchange's clock"`
	Received  *time.Time `json:"received,omitempty" doc:"enhanced alone, as are the counts"`
	Depth     int        `json:"depth,omitempty" doc:"as asked"`
	BidLevels int        `json:"bid_levels,omitempty" doc:"that are known"`
	AskLevels int        `json:"ask_levels,omitempty" doc:"that are known"`
	ProvenBid int        `json:"proven_bids,omitempty" doc:"levels, from the best on, among which none can be missing"`
	ProvenAsk int        `json:"proven_asks,omitempty" doc:"levels, from the best on, among which none can be missing"`
	Bids      []level    `json:"bids" required:"true" doc:"best first"`
	Asks      []level    `json:"asks" required:"true" doc:"best first"`
}

// level is a level of a side in any of the forms, for the documentation.
type level struct{}

// JSONSchema describes it.
func (level) JSONSchema() map[string]any {
	return map[string]any{
		"type":        []string{"object", "array"},
		"description": "enhanced: {price, amount}; legacy: [price, amount]; simple: [\"price\", \"amount\"]",
	}
}

// refreshed is the answer of refresh.
type refreshed struct {
	Success   bool      `json:"success" required:"true"`
	Message   string    `json:"message" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) bookRoutes() []chassis.Route {
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "orderbook/{exchange}/{symbol}", ID: "orderbook", Tag: tagBooks,
			Summary: "The order book as it is now",
			Description: "`enhanced` has levels as objects; `legacy` as `[price, amount]`; `simple` as `[\"price\", \"amount\"]`. " +
				"All of them say state, sequence and age.",
			Params: instrumentParams(
				chassis.Param{Name: "depth", Type: 0, Default: 20, Min: 1, Max: maxDepth, Doc: "Levels a side."},
				chassis.Param{Name: "format", Enum: []string{"enhanced", "legacy", "simple"}, Default: "enhanced"}, paramDecimals),
			Responses: []chassis.Response{{Body: enhanced{}}, {Status: http.StatusNotFound, Doc: "no book of it", Body: chassis.Problem{}, Media: "application/problem+json"}},
			Handler:   f.book,
		},
		{
			Method: http.MethodPost, Path: base + "orderbook/{exchange}/{symbol}/refresh", ID: "refreshOrderbook", Tag: tagBooks,
			Summary: "Fetch a new snapshot of a book", Description: "A live book stays live meanwhile.",
			Params: instrumentParams(), Responses: []chassis.Response{{Body: refreshed{}}}, Handler: f.refresh,
		},
		{Method: http.MethodGet, Path: base + "orderbook/stats", ID: "orderbookStats", Tag: tagBooks, Summary: "How many books there are, in which state",
			Params:    []chassis.Param{paramScope},
			Responses: []chassis.Response{{Body: bookStats{}}}, Handler: f.bookStats},
		{Method: http.MethodGet, Path: base + "orderbook/health", ID: "orderbookHealth", Tag: tagBooks, Summary: "Which books are not live",
			Params:    []chassis.Param{paramScope},
			Responses: []chassis.Response{{Body: bookHealth{}}}, Handler: f.bookHealth},
		{Method: http.MethodGet, Path: base + "orderbook/exchanges", ID: "orderbookExchanges", Tag: tagBooks, Summary: "The exchanges that have books",
			Params:    []chassis.Param{paramScope},
			Responses: []chassis.Response{{Body: bookExchanges{}}}, Handler: f.bookExchanges},
		{
			Method: http.MethodGet, Path: base + "orderbook/symbols/{exchange}", ID: "orderbookSymbols", Tag: tagBooks,
			Summary: "The instruments of an exchange",
			Params: []chassis.Param{paramExchange, {Name: "market", Enum: []string{"spot", "perpetual", "future", "option"}},
				{Name: "all", Type: false, Default: false, Doc: "All that are listed, not only those that are collected."}, paramScope},
			Responses: []chassis.Response{{Body: symbolList{}}}, Handler: f.bookSymbols,
		},
	}
}

func (f *service) book(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	t, err := targetOf(r, q)
	if err != nil {
		return err
	}
	depth := q.Int("depth", 20, 1, maxDepth)
	b := bookWriter{depth: depth, format: q.OneOf("format", "enhanced", "enhanced", "legacy", "simple")}
	b.text = q.OneOf("decimals", "number", "number", "string") == "string" || b.format == "simple"
	if err := q.Err(); err != nil {
		return err
	}
	found, err := f.Branch.OrderBook(r.Context(), t.exchange, t.word, t.Symbol, depth)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, rawJSON(b.append(t, &found)))
}

func (f *service) refresh(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	t, err := targetOf(r, q)
	if err != nil {
		return err
	}
	if err := q.Err(); err != nil {
		return err
	}
	if err := f.Branch.RefreshBook(r.Context(), t.exchange, t.word, t.Symbol); err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, refreshed{true, "a new snapshot of " + t.Symbol + " is being fetched", f.Now()})
}

// bookWriter writes a book in one of its forms.
type bookWriter struct {
	depth  int
	format string
	text   bool // decimals as text
}

func (b *bookWriter) append(t target, book *branch.OrderBook) []byte {
	dst := make([]byte, 0, 512+48*(len(book.Bids)+len(book.Asks)))
	dst = market.AppendJSONString(append(dst, `{"exchange":`...), t.Exchange)
	dst = market.AppendJSONString(append(dst, `,"market":`...), book.Instrument.Market.String())
	dst = market.AppendJSONString(append(dst, `,"symbol":`...), t.Symbol)
	dst = market.AppendJSONString(append(dst, `,"native_symbol":`...), book.Instrument.Native)
	dst = market.AppendJSONString(append(dst, `,"state":`...), book.State)
	dst = strconv.AppendInt(append(dst, `,"sequence":`...), book.Sequence, 10)
	dst = append(dst, `,"age":`...)
	if book.Age < 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendFloat(dst, max(book.Age, 1e-9), 'f', -1, 64)
	}
	dst = appendTime(append(dst, `,"timestamp":`...), book.Time)
	if b.format == "enhanced" {
		dst = appendTime(append(dst, `,"received":`...), book.Received)
		dst = strconv.AppendInt(append(dst, `,"depth":`...), int64(b.depth), 10)
		dst = strconv.AppendInt(append(dst, `,"bid_levels":`...), int64(book.BidLevels), 10)
		dst = strconv.AppendInt(append(dst, `,"ask_levels":`...), int64(book.AskLevels), 10)
		dst = strconv.AppendInt(append(dst, `,"proven_bids":`...), int64(book.ProvenBids), 10)
		dst = strconv.AppendInt(append(dst, `,"proven_asks":`...), int64(book.ProvenAsks), 10)
	}
	dst = b.levels(append(dst, `,"bids":`...), book.Bids)
	dst = b.levels(append(dst, `,"asks":`...), book.Asks)
	return append(dst, '}')
}

func appendTime(dst []byte, ns int64) []byte {
	if ns == 0 {
		return append(dst, "null"...)
	}
	return append(time.Unix(0, ns).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

func (b *bookWriter) levels(dst []byte, levels []market.Level) []byte {
	opening, between, closing := "[", ",", "]"
	if b.format == "enhanced" {
		opening, between, closing = `{"price":`, `,"amount":`, "}"
	}
	dst = append(dst, '[')
	for i := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = b.decimal(append(dst, opening...), levels[i].Price)
		dst = b.decimal(append(dst, between...), levels[i].Amount)
		dst = append(dst, closing...)
	}
	return append(dst, ']')
}

func (b *bookWriter) decimal(dst []byte, d market.Decimal) []byte {
	if b.text {
		return append(d.AppendText(append(dst, '"')), '"')
	}
	return d.AppendText(dst)
}

// rawJSON is JSON text already.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
