package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// officeHelp is what the root of the truth's address answers.
const officeHelp = `The truth about the simulated exchanges, and their control.

GET  /truth/markets
GET  /truth/trades?exchange=&market=&symbol=&from_id=&to_id=    at most 10000; default the last 10
GET  /truth/book?exchange=&market=&symbol=&seq=|time_ms=        default the book now
GET  /truth/faults?exchange=&market=&symbol=&channel=&fault=&after=&limit=

POST /control/faults?rates=drop=0.001,gap=0.0001                "none" ends all
POST /control/pause?exchange=&market=&for=60s                   the hosts are down
POST /control/resume?exchange=&market=
POST /control/cut?exchange=&market=&mid_frame=true              connections end
POST /control/half-open?exchange=&market=                       connections fall silent
POST /control/leave?exchange=&market=                           connections end as after 24 hours
POST /control/throttle?exchange=&market=&for=10s                429
POST /control/ban?exchange=&market=&for=10s                     418
`

// office tells the truth and takes orders.
func (s *Server) office() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(officeHelp)) // the client may be gone
	})
	get := func(path string, answer func(url.Values) (any, error)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { reply(w, r, answer) })
	}
	get("/truth/markets", s.truthMarkets)
	get("/truth/trades", s.truthTrades)
	get("/truth/book", s.truthBook)
	get("/truth/faults", s.truthFaults)
	mux.HandleFunc("POST /control/{what}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, func(q url.Values) (any, error) { return s.control(r.PathValue("what"), q) })
	})
	return mux
}

// wrong is a request that cannot be met.
type wrong struct {
	status int
	text   string
}

func (e *wrong) Error() string { return e.text }

func bad(format string, args ...any) error {
	return &wrong{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func reply(w http.ResponseWriter, r *http.Request, answer func(url.Values) (any, error)) {
	body, err := answer(r.URL.Query())
	status := http.StatusOK
	var w4 *wrong
	switch {
	case err == nil:
	case errors.As(err, &w4):
		status = w4.status
	case errors.Is(err, ErrUnknown):
		status = http.StatusNotFound
	default:
		status = http.StatusInternalServerError
	}
	if err != nil {
		body = map[string]string{"error": err.Error()}
	}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}

// truthMarket is a row of /truth/markets.
type truthMarket struct {
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	Native   string `json:"native_symbol"`
	LastSeq  int64  `json:"last_seq"`
	LastID   int64  `json:"last_trade_id"`
}

func (s *Server) truthMarkets(url.Values) (any, error) {
	list := []truthMarket{}
	for _, h := range s.hosts {
		for _, st := range h.listing.streams {
			i := st.instrument
			step := h.stepNow(st)
			list = append(list, truthMarket{
				i.Exchange, i.Market.String(), i.Symbol, i.Native, st.seq(step), tradesBy(st, step),
			})
		}
	}
	return map[string]any{"markets": list}, nil
}

// tradesBy is the id of the last trade by the end of the window before a step, or
// a little later.
func tradesBy(s *stream, step int64) int64 {
	return max(0, (step+1)/windowSteps*windowTrades)
}

// stream reads exchange, market and symbol.
func streamOf(q url.Values) (market.StreamID, error) {
	m, ok := market.ParseMarket(q.Get("market"))
	if !ok {
		return market.StreamID{}, bad("market: %q is none of spot, perpetual, future and option", q.Get("market"))
	}
	if q.Get("exchange") == "" || q.Get("symbol") == "" {
		return market.StreamID{}, bad("exchange and symbol are needed")
	}
	return market.StreamID{Exchange: q.Get("exchange"), Market: m, Symbol: q.Get("symbol")}, nil
}

func number(q url.Values, name string, otherwise int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, bad("%s: %q is no number from 0 on", name, text)
	}
	return n, nil
}

const (
	usualTrades = 10
	mostTrades  = 10_000
)

func (s *Server) truthTrades(q url.Values) (any, error) {
	id, err := streamOf(q)
	if err != nil {
		return nil, err
	}
	_, last, err := s.Last(id)
	if err != nil {
		return nil, err
	}
	to, err := number(q, "to_id", last)
	if err != nil {
		return nil, err
	}
	from, err := number(q, "from_id", max(1, to-usualTrades+1))
	if err != nil {
		return nil, err
	}
	if to-from >= mostTrades {
		return nil, bad("%d trades: at most %d at once", to-from+1, mostTrades)
	}
	trades, err := s.TradesBetween(id, from, to)
	if err != nil {
		return nil, err
	}
	var form market.JSON
	list := make([]json.RawMessage, len(trades))
	for i := range trades {
		list[i] = form.Append(nil, &trades[i])
	}
	return map[string]any{"last_trade_id": last, "trades": list}, nil
}

func (s *Server) truthBook(q url.Values) (any, error) {
	id, err := streamOf(q)
	if err != nil {
		return nil, err
	}
	last, _, err := s.Last(id)
	if err != nil {
		return nil, err
	}
	seq, err := number(q, "seq", last)
	if err != nil {
		return nil, err
	}
	// For those whose frames have no numbers: by the time that they say.
	at, err := number(q, "time_ms", 0)
	if err != nil {
		return nil, err
	}
	if at > 0 {
		if seq, err = s.SeqAt(id, (at+1)*1e6-1); err != nil {
			return nil, err
		}
	}
	bids, asks, err := s.BookAt(id, seq)
	if err != nil {
		return nil, err
	}
	levels := func(list []market.Level) [][2]string {
		out := make([][2]string, len(list))
		for i, l := range list {
			out[i] = [2]string{l.Price.String(), l.Amount.String()}
		}
		return out
	}
	return map[string]any{"seq": seq, "last_seq": last, "bids": levels(bids), "asks": levels(asks)}, nil
}

// mostFaults bounds one answer.
const mostFaults = 10_000

func (s *Server) truthFaults(q url.Values) (any, error) {
	after, err := number(q, "after", 0)
	if err != nil {
		return nil, err
	}
	limit, err := number(q, "limit", mostFaults)
	if err != nil {
		return nil, err
	}
	if word := q.Get("fault"); word != "" {
		if _, err := ParseFault(word); err != nil {
			return nil, bad("%v", err)
		}
	}
	list := s.Faults(FaultQuery{
		Exchange: q.Get("exchange"), Market: q.Get("market"), Symbol: q.Get("symbol"), Channel: q.Get("channel"),
		Fault: q.Get("fault"), After: after, Limit: int(min(max(limit, 1), mostFaults)),
	})
	return map[string]any{"rates": s.FaultRates().String(), "injected": s.FaultCounts(), "faults": append([]Injected{}, list...)}, nil
}

// control carries out an order.
func (s *Server) control(what string, q url.Values) (any, error) {
	sel := Selection{Exchange: q.Get("exchange"), Market: q.Get("market")}
	d := time.Minute
	if text := q.Get("for"); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil || d <= 0 {
			return nil, bad("for: %q is no time above zero, such as 60s", text)
		}
	}
	n := 0
	switch what {
	case "faults":
		rates := s.FaultRates()
		if err := rates.Change(q.Get("rates")); err != nil {
			return nil, bad("%v", err)
		}
		if err := s.SetFaults(rates); err != nil {
			return nil, bad("%v", err)
		}
		return map[string]string{"rates": s.FaultRates().String()}, nil
	case "pause":
		n = s.Pause(sel, d)
	case "resume":
		n = s.Resume(sel)
	case "cut":
		n = s.Cut(sel, q.Get("mid_frame") == "true")
	case "half-open":
		n = s.HalfOpen(sel)
	case "leave":
		n = s.Leave(sel)
	case "throttle":
		n = s.Throttle(sel, d)
	case "ban":
		n = s.Ban(sel, d)
	default:
		return nil, &wrong{http.StatusNotFound, "no control " + strconv.Quote(what)}
	}
	if n == 0 {
		return nil, &wrong{http.StatusNotFound, fmt.Sprintf("no simulated host of exchange %q and market %q", sel.Exchange, sel.Market)}
	}
	return map[string]int{"hosts": n}, nil
}
