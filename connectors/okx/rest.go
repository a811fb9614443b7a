package okx

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// The calls. Each costs 1: they are counted by path (limits).
//
//   - https://www.okx.com/docs-v5/en/#public-data-rest-api-get-instruments
//   - https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-trades-history
//   - https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-tickers
//   - https://www.okx.com/docs-v5/en/#trading-statistics-rest-api-get-contract-long-short-ratio
//
// There is no snapshot among them: a book begins with that of its channel, and
// nothing ties the REST one's moment to the chain on a connection.
const (
	pathInstruments = "/api/v5/public/instruments"
	pathTrades      = "/api/v5/market/history-trades"
	pathTickers     = "/api/v5/market/tickers"
	pathBook        = "/api/v5/market/books"
)

// tradesPage is the number of trades that one call gives.
const tradesPage = 100

// ratioPeriod is the shortest that OKX offers.
const ratioPeriod = "5m"

// rest is the REST interface of one market.
type rest struct {
	base     string
	market   market.Market
	instType string
	lines    []line
	// families are the families of options, one call for each; nil elsewhere.
	families []string
}

// defaultFamilies are the options that OKX has had for years.
var defaultFamilies = []string{"BTC-USD", "ETH-USD", "SOL-USD"}

// families are those of options that are asked for: the usual ones, and what the
// symbols of the settings begin with.
func families(m market.Market, cfg connectors.MarketConfig) []string {
	if m != market.Option {
		return nil
	}
	list := slices.Clone(defaultFamilies)
	for _, symbol := range cfg.Symbols {
		parts := strings.SplitN(strings.ToUpper(symbol), "-", 3)
		if len(parts) < 3 || strings.ContainsAny(parts[0]+parts[1], "*?[") {
			continue
		}
		if f := parts[0] + "-" + parts[1]; !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// Parts implements [connectors.Parted]: OKX lists options by family.
func (r *rest) Parts(k connectors.NeedKind) int {
	if k == connectors.NeedInstruments {
		return max(1, len(r.families))
	}
	return 1
}

// Request implements [connectors.REST].
func (r *rest) Request(n connectors.Need) (connectors.Request, error) {
	switch n.Kind {
	case connectors.NeedInstruments:
		if len(r.families) == 0 {
			return r.call(n, pathInstruments, 0, "instType", r.instType), nil
		}
		if n.Part < 0 || n.Part >= len(r.families) {
			return connectors.Request{}, fmt.Errorf("part %d of %s: %w", n.Part, n.Kind, connectors.ErrUnsupported)
		}
		return r.call(n, pathInstruments, 0, "instType", r.instType, "instFamily", r.families[n.Part]), nil
	case connectors.NeedVolumes:
		return r.call(n, pathTickers, 0, "instType", r.instType), nil
	}
	if n.Instrument == nil {
		return connectors.Request{}, fmt.Errorf("%s of no instrument: %w", n.Kind, connectors.ErrUnsupported)
	}
	id := n.Instrument.Native
	switch n.Kind {
	case connectors.NeedRecentTrades:
		return r.call(n, pathTrades, tradesPage, "instId", id, "limit", strconv.Itoa(tradesPage)), nil
	case connectors.NeedTradesFrom:
		// "after" asks for what is earlier than an id. Ids have no holes, so that the
		// page before from+100 begins with from.
		after := strconv.FormatInt(n.FromID+tradesPage, 10)
		return r.call(n, pathTrades, tradesPage, "instId", id, "type", "1", "after", after, "limit", strconv.Itoa(tradesPage)), nil
	case connectors.NeedPoll:
		if n.Channel >= 0 && n.Channel < len(r.lines) && r.lines[n.Channel].call != "" {
			// The last two periods: one is published some time after its end.
			return r.call(n, r.lines[n.Channel].call, 0, "instId", id, "period", ratioPeriod, "limit", "2"), nil
		}
	case connectors.NeedHistory:
		return r.history(n)
	case connectors.NeedTradeAt:
		return r.tradeAt(n), nil
	}
	return connectors.Request{}, fmt.Errorf("%s: %w", n.Kind, connectors.ErrUnsupported)
}

func (r *rest) call(n connectors.Need, path string, page int, query ...string) connectors.Request {
	var q strings.Builder
	for i := 0; i < len(query); i += 2 {
		q.WriteByte("?&"[min(i, 1)])
		q.WriteString(query[i] + "=" + url.QueryEscape(query[i+1]))
	}
	return connectors.Request{Need: n, URL: strings.TrimSuffix(r.base, "/") + path + q.String(), Weight: 1, PageSize: page}
}

// Recognise implements [connectors.REST]. Before instFamily options were listed by
// uly.
func (r *rest) Recognise(u *url.URL, known *market.Instruments) (connectors.Request, bool) {
	q := u.Query()
	req := connectors.Request{URL: u.String(), Weight: 1}
	switch u.Path {
	case pathInstruments:
		req.Kind = connectors.NeedInstruments
		if len(r.families) > 0 {
			family := q.Get("instFamily")
			if family == "" {
				family = q.Get("uly")
			}
			req.Part = slices.Index(r.families, family)
		}
		return req, q.Get("instType") == r.instType && req.Part >= 0
	case pathTickers:
		req.Kind = connectors.NeedVolumes
		return req, q.Get("instType") == r.instType
	case pathTrades:
		req.Kind, req.PageSize = connectors.NeedRecentTrades, tradesPage
		if after, err := strconv.ParseInt(q.Get("after"), 10, 64); err == nil && q.Get("type") != "2" {
			req.Kind, req.FromID = connectors.NeedTradesFrom, max(0, after-tradesPage)
		}
	default:
		req.Channel = slices.IndexFunc(r.lines, func(l line) bool { return l.call != "" && l.call == u.Path })
		if req.Channel < 0 {
			return connectors.Request{}, false
		}
		req.Kind = connectors.NeedPoll
	}
	inst, ok := known.Native([]byte(q.Get("instId")))
	req.Instrument = inst
	return req, ok
}

// Decode implements [connectors.REST].
func (r *rest) Decode(req connectors.Request, body []byte, rc connectors.Receipt, out *market.Batch) error {
	var read func(*decoder, *message, connectors.Request)
	switch {
	case req.Kind == connectors.NeedRecentTrades, req.Kind == connectors.NeedTradesFrom:
		read = (*decoder).pastTrade
	case req.Kind == connectors.NeedPoll && req.Channel >= 0 && req.Channel < len(r.lines) && r.lines[req.Channel].call != "":
		kind := r.lines[req.Channel].ratioKind
		read = func(d *decoder, m *message, _ connectors.Request) { d.ratio(m, kind) }
	case req.Kind == connectors.NeedHistory:
		p, err := connectors.PastOf(r.pasts(), req.Need)
		if err != nil {
			return fmt.Errorf("records of %w", err)
		}
		read = p.decodePast
	default:
		return fmt.Errorf("records of %s: %w", req.Kind, connectors.ErrUnsupported)
	}
	d := &decoder{market: r.market}
	d.use(req.Instrument)
	before := out.Len()
	m := &message{frame: body, rc: rc, out: out, inst: req.Instrument}
	if err := d.response(body, func() { read(d, m, req) }); err != nil {
		out.Truncate(before)
		return err
	}
	return nil
}

// response reads {"code":"0","msg":"","data":[…]}, the elements last to first:
// OKX puts the newest first.
func (d *decoder) response(body []byte, element func()) error {
	starts, err := d.data(body)
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(starts) {
		d.s.Reset(body, at)
		element()
		if err := d.s.Err(); err != nil {
			return err
		}
	}
	return nil
}

// data finds where the elements of a response's data begin.
func (d *decoder) data(body []byte) (starts []int, err error) {
	s := &d.s
	s.Reset(body, 0)
	code, text, hasData := int64(-1), "", false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "code":
			code = s.Int()
		case "msg":
			text = string(s.String())
		case "data":
			hasData = true
			s.Array()
			for s.Element() {
				s.Peek()
				starts = append(starts, s.Offset())
				s.Skip()
			}
		default:
			s.Skip()
		}
	}
	s.End()
	if err := s.Err(); err != nil {
		return nil, err
	}
	if code != 0 || !hasData {
		return nil, &connectors.FrameError{Offset: 0, Problem: "an answer that is a refusal", Cause: &connectors.RefusedError{Code: code, Text: text}}
	}
	return starts, nil
}

// pastTrade reads a trade as the channel's; these are single ones.
func (d *decoder) pastTrade(m *message, req connectors.Request) {
	f := d.tradeFields()
	if d.s.Err() == nil && f.id >= req.FromID && (req.ToID == 0 || f.id <= req.ToID) {
		f.add(m).Flags |= market.FlagBackfilled
	}
}

// ratio reads [time,"long/short"].
func (d *decoder) ratio(m *message, kind string) {
	s := &d.s
	var ratio market.Decimal
	at, n := int64(0), 0
	s.Array()
	for ; s.Element(); n++ {
		switch n {
		case 0:
			at = d.time()
		case 1:
			ratio = s.Decimal()
		default:
			s.Skip()
		}
	}
	if at == 0 || !ratio.IsSet() {
		s.Fail("a ratio without its time or value")
	}
	if s.Err() != nil {
		return
	}
	l := market.Add[market.LongShortRatio](m.out)
	m.head(&l.Header, m.inst, at)
	l.Flags, l.RatioKind, l.Period, l.Ratio = market.FlagUnverifiable, kind, ratioPeriod, ratio
}

// tooManyRequests refuses a call beyond the limit of its path, in the words of the
// body.
// https://www.okx.com/docs-v5/en/#error-code-rest-api-public
const tooManyRequests = 50011

// Throttled implements [connectors.Throttling].
func (*rest) Throttled(body []byte) bool {
	const refusal = 1 << 10 // a refusal is short; what is long is an answer
	if len(body) > refusal {
		return false
	}
	var s connectors.Scanner
	s.Reset(body, 0)
	code := int64(0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "code" {
			code = s.Int()
			continue
		}
		s.Skip()
	}
	return s.Err() == nil && code == tooManyRequests
}
