package deribit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// The REST calls; each is also a method of the WebSocket.
// https://docs.deribit.com/api-reference/market-data/public-get_instruments
const (
	pathPrefix      = "/api/v2/public/"
	pathInstruments = pathPrefix + "get_instruments"
	pathTrades      = pathPrefix + "get_last_trades_by_instrument"
	pathSummary     = pathPrefix + "get_book_summary_by_currency"
)

// The errors of one who asks too much: too_many_requests, and
// too_many_concurrent_requests.
// https://docs.deribit.com/articles/errors
const (
	codeTooManyRequests   = 10028
	codeTooManyConcurrent = 10066
)

// tradesPage is the number of trades that one call gives at most.
const tradesPage = 1000

// currencies are those that instruments are settled in: the volumes of each are a
// call of their own.
// https://docs.deribit.com/api-reference/market-data/public-get_book_summary_by_currency
var currencies = []string{"BTC", "ETH", "USDC", "USDT", "EURR"}

// rest is the REST interface of one market. A book is not among its needs: each
// subscription begins with one.
type rest struct {
	base   string
	market market.Market
	lines  []line
}

// kind is Deribit's word for what instruments of a market are.
func kind(m market.Market) string {
	switch m {
	case market.Perpetual, market.Future:
		return "future"
	case market.Option:
		return "option"
	}
	return "spot"
}

// Throttled implements [connectors.Throttling]: the pages that describe
// too_many_requests name no status.
// https://docs.deribit.com/articles/rate-limits
func (r *rest) Throttled(body []byte) bool {
	const refusal = 1024 // bytes; a list is longer, and not looked at
	if len(body) > refusal || !bytes.Contains(body, []byte(`"error"`)) {
		return false
	}
	var answer struct {
		Error struct {
			Code int64 `json:"code"`
		} `json:"error"`
	}
	// What is not JSON is no refusal; its status says what it is.
	err := json.Unmarshal(body, &answer)
	return err == nil && (answer.Error.Code == codeTooManyRequests || answer.Error.Code == codeTooManyConcurrent)
}

// Parts implements [connectors.Parted].
func (r *rest) Parts(k connectors.NeedKind) int {
	if k == connectors.NeedVolumes {
		return len(currencies)
	}
	return 1
}

// Request implements [connectors.REST].
func (r *rest) Request(n connectors.Need) (connectors.Request, error) {
	switch n.Kind {
	case connectors.NeedInstruments:
		return r.call(n, pathInstruments, instrumentsWeight, 0, "currency", "any", "kind", kind(r.market), "expired", "false"), nil
	case connectors.NeedVolumes:
		if n.Part >= 0 && n.Part < len(currencies) {
			return r.call(n, pathSummary, callWeight, 0, "currency", currencies[n.Part], "kind", kind(r.market)), nil
		}
	case connectors.NeedRecentTrades, connectors.NeedTradesFrom:
		if n.Instrument != nil {
			return r.trades(n), nil
		}
	case connectors.NeedHistory:
		if n.Instrument != nil {
			return r.history(n)
		}
	case connectors.NeedTradeAt:
		if n.Instrument != nil {
			return r.tradeAt(n), nil
		}
	}
	return connectors.Request{}, fmt.Errorf("%s: %w", n.Kind, connectors.ErrUnsupported)
}

// trades asks for trades by their numbers within the instrument, both bounds
// inclusive.
// https://docs.deribit.com/api-reference/market-data/public-get_last_trades_by_instrument
func (r *rest) trades(n connectors.Need) connectors.Request {
	query := []string{"instrument_name", n.Instrument.Native, "count", strconv.Itoa(tradesPage)}
	if n.Kind == connectors.NeedRecentTrades {
		query = append(query, "sorting", "desc")
	} else {
		query = append(query, "sorting", "asc", "start_seq", strconv.FormatInt(n.FromID, 10))
	}
	if n.ToID > 0 {
		query = append(query, "end_seq", strconv.FormatInt(n.ToID, 10))
	}
	return r.call(n, pathTrades, callWeight, tradesPage, query...)
}

func (r *rest) call(n connectors.Need, path string, weight, page int, query ...string) connectors.Request {
	var q strings.Builder
	for i := 0; i < len(query); i += 2 {
		sep := byte('&')
		if i == 0 {
			sep = '?'
		}
		q.WriteByte(sep)
		q.WriteString(query[i] + "=" + url.QueryEscape(query[i+1]))
	}
	return connectors.Request{Need: n, URL: strings.TrimSuffix(r.base, "/") + path + q.String(), Weight: weight, PageSize: page}
}

// Recognise implements [connectors.REST]. Lists of instruments may be asked for by
// currency, and of any kind: each currency is a part of its own.
func (r *rest) Recognise(u *url.URL, known *market.Instruments) (connectors.Request, bool) {
	q := u.Query()
	req := connectors.Request{URL: u.String(), Weight: callWeight}
	switch u.Path {
	case pathInstruments:
		req.Kind, req.Weight, req.Part = connectors.NeedInstruments, instrumentsWeight, currencyPart(q.Get("currency"))
		return req, r.has(q.Get("kind"))
	case pathSummary:
		req.Kind, req.Part = connectors.NeedVolumes, slices.Index(currencies, q.Get("currency"))
		return req, req.Part >= 0 && r.has(q.Get("kind"))
	case pathTrades:
		req.Kind, req.PageSize = connectors.NeedRecentTrades, tradesPage
		if from, ok := number(q, "start_seq"); ok {
			req.Kind, req.FromID = connectors.NeedTradesFrom, from
		}
		req.ToID, _ = number(q, "end_seq")
		if n, ok := number(q, "count"); ok && n > 0 {
			req.PageSize = int(min(n, tradesPage))
		}
		inst, ok := known.Native([]byte(q.Get("instrument_name")))
		req.Instrument = inst
		return req, ok
	}
	return connectors.Request{}, false
}

// has reports whether instruments of the market are among those of a kind; ""
// and "any" are all.
func (r *rest) has(word string) bool { return word == "" || word == "any" || word == kind(r.market) }

func number(q url.Values, key string) (int64, bool) {
	n, err := strconv.ParseInt(q.Get(key), 10, 64)
	return n, err == nil && n >= 0
}

// currencyPart numbers the lists of instruments: 0 is that of all currencies, any
// other is made of the letters of its currency.
func currencyPart(currency string) int {
	if currency == "" || currency == "any" {
		return 0
	}
	part := 0
	for _, c := range []byte(currency) {
		part = (part*37 + int(c)) % (1 << 31)
	}
	return 1 + part
}

// Decode implements [connectors.REST].
func (r *rest) Decode(req connectors.Request, body []byte, rc connectors.Receipt, out *market.Batch) error {
	read := (*decoder).pastTrades
	switch req.Kind {
	case connectors.NeedRecentTrades, connectors.NeedTradesFrom:
	case connectors.NeedHistory:
		p, err := connectors.PastOf(r.pasts(), req.Need)
		if err != nil {
			return fmt.Errorf("records of %w", err)
		}
		read = p.read
	default:
		return fmt.Errorf("records of %s: %w", req.Kind, connectors.ErrUnsupported)
	}
	d := &decoder{market: r.market}
	m := &message{frame: body, rc: rc, out: out, topic: &topic{instrument: req.Instrument, inverse: inverse(req.Instrument)}}
	before := out.Len()
	read(d, m, req)
	err := d.s.Err()
	if err != nil {
		out.Truncate(before)
	}
	return err
}

// pastTrades reads {"result":{"trades":[…],"has_more":…}}, the trades in the order
// of their numbers, up or down. The forced orders that a trade filled stand behind it,
// as they do on the channel.
func (d *decoder) pastTrades(m *message, req connectors.Request) {
	s := &d.s
	at := d.result(m.frame, "trades")
	if s.Err() != nil {
		return
	}
	if at == 0 {
		s.Fail("no result with trades")
		return
	}
	s.Reset(m.frame, at)
	var list []aTrade
	s.Array()
	for s.Element() {
		list = append(list, d.trade())
	}
	if s.Err() != nil {
		return
	}
	slices.SortStableFunc(list, func(a, b aTrade) int { return int(min(max(a.seq-b.seq, -1), 1)) })
	for i := range list {
		if t := &list[i]; t.seq >= req.FromID && (req.ToID == 0 || t.seq <= req.ToID) {
			t.add(m, market.FlagBackfilled)
			t.liquidations(m, market.FlagBackfilled)
		}
	}
}

// result checks an answer and finds where a member of its result begins; 0 when
// there is none. An answer that is an error fails.
func (d *decoder) result(body []byte, member string) (at int) {
	s := &d.s
	s.Reset(body, 0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "error":
			s.Fail("the answer is an error")
		case "result":
			if member == "" {
				s.Peek()
				at = s.Offset()
				s.Skip()
				continue
			}
			s.Object()
			for key, ok := s.Key(); ok; key, ok = s.Key() {
				if string(key) == member {
					s.Peek()
					at = s.Offset()
				}
				s.Skip()
			}
		default:
			s.Skip()
		}
	}
	s.End()
	return at
}

// Volumes implements [connectors.Ranked]: in US dollars.
func (r *rest) Volumes(body []byte) ([]connectors.Volume, error) {
	d := &decoder{}
	s := &d.s
	if !d.enter(body) {
		return nil, s.Err()
	}
	var list []connectors.Volume
	s.Array()
	for s.Element() {
		var v connectors.Volume
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "instrument_name":
				v.Native = string(s.String())
			case "volume_usd":
				if usd := s.Decimal(); usd.IsSet() {
					v.Turnover = usd.Float64()
				}
			default:
				s.Skip()
			}
		}
		if v.Native == "" {
			s.Fail("a summary without instrument_name")
		}
		list = append(list, v)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return list, nil
}
