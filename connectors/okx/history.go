package okx

import (
	"strconv"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// The calls for the past.
//
//   - https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks-history
//   - https://www.okx.com/docs-v5/en/#public-data-rest-api-get-funding-rate-history
//   - https://www.okx.com/docs-v5/en/#trading-statistics-rest-api-get-contract-open-interest-history
const (
	pathPastCandles  = "/api/v5/market/history-candles"
	pathPastFunding  = "/api/v5/public/funding-rate-history"
	pathPastInterest = "/api/v5/rubik/stat/contracts/open-interest-history"
)

// pastPage is the number of records of one call, of whatever kind.
const pastPage = 100

// Trades and funding are kept for three months; of statistics the last 1,440 values.
const (
	tradesReach     = 90 * 24 * time.Hour
	statisticsEvery = 5 * time.Minute // ratioPeriod
	statisticsReach = 1440 * statisticsEvery
)

// The limits of the paths, with a fifth kept for others at the same address: 20 calls
// in 2 s of the market's, 10 of funding rates, 5 of statistics.
var (
	marketPace     = connectors.Rate{N: 8, Per: time.Second}
	fundingPace    = connectors.Rate{N: 4, Per: time.Second}
	statisticsPace = connectors.Rate{N: 2, Per: time.Second}
)

// past is a row of the table of what OKX gives of the past, and how it is asked for.
type past struct {
	connectors.History
	path string
	// from and to are what the path calls the times that records lie between, neither
	// of them in it.
	from, to string
	query    []string
	read     func(*decoder, *message, connectors.Request)
}

// lengths are those of intervals whose candles begin at all of their multiples of
// Unix time.
var lengths = map[string]time.Duration{
	"1s": time.Second, "1m": time.Minute, "3m": 3 * time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "30m": 30 * time.Minute,
	"1h": time.Hour, "2h": 2 * time.Hour, "4h": 4 * time.Hour, "6h": 6 * time.Hour, "12h": 12 * time.Hour, "1d": 24 * time.Hour,
}

// longer are the least lengths of the others.
var longer = map[string]time.Duration{
	"2d": 48 * time.Hour, "3d": 72 * time.Hour, "5d": 120 * time.Hour, "1w": 168 * time.Hour, "1M": 672 * time.Hour, "3M": 2160 * time.Hour,
}

// pasts is the table of a market: its trades, candles of the intervals that are
// collected, funding and statistics.
func (r *rest) pasts() []past {
	table := []past{{History: connectors.History{Kind: market.KindTrade, Page: tradesPage, Reach: tradesReach, Pace: marketPace}}}
	statistic := func(k market.Kind, name, path string, read func(*decoder, *message, connectors.Request)) {
		table = append(table, past{
			History: connectors.History{
				Kind: k, Name: name, Every: statisticsEvery, Regular: true, Page: pastPage, Reach: statisticsReach, Pace: statisticsPace,
			},
			path: path, from: "begin", to: "end", query: []string{"period", ratioPeriod}, read: read,
		})
	}
	for i := range r.lines {
		l := &r.lines[i]
		if l.interval != "" {
			table = append(table, r.pastCandlesOf(l))
		}
		if l.ratioKind != "" {
			statistic(market.KindLongShortRatio, l.ratioKind, l.call, func(d *decoder, m *message, _ connectors.Request) { d.ratio(m, l.ratioKind) })
		}
	}
	if r.market == market.Perpetual || r.market == market.Future {
		statistic(market.KindOpenInterest, "", pathPastInterest, (*decoder).pastInterest)
	}
	if r.market == market.Perpetual {
		table = append(table, past{
			// Rates are paid every 8 hours at most, every hour at least.
			History: connectors.History{Kind: market.KindFunding, Every: time.Hour, Page: pastPage, Reach: tradesReach, Pace: fundingPace},
			path:    pathPastFunding, from: "before", to: "after", read: (*decoder).pastFunding,
		})
	}
	return table
}

func (r *rest) pastCandlesOf(l *line) past {
	every, even := lengths[l.interval]
	if !even {
		every = longer[l.interval]
	}
	bar, _ := bars[l.interval]
	return past{
		History: connectors.History{Kind: market.KindCandle, Name: l.interval, Every: every, Regular: even, Page: pastPage, Pace: marketPace},
		path:    pathPastCandles, from: "before", to: "after", query: []string{"bar", bar},
		read: func(d *decoder, m *message, _ connectors.Request) {
			m.route.interval = l.interval
			d.candle(m)
		},
	}
}

// bars are OKX's words for intervals.
var bars = func() map[string]string {
	m := map[string]string{}
	for _, i := range intervals {
		m[i.name] = i.okx
	}
	return m
}()

// Histories implements [connectors.Historian].
func (r *rest) Histories() []connectors.History {
	return connectors.HistoriesIn(r.pasts())
}

func (r *rest) history(n connectors.Need) (connectors.Request, error) {
	p, err := connectors.PastOf(r.pasts(), n)
	if err != nil {
		return connectors.Request{}, err
	}
	query := append([]string{"instId", n.Instrument.Native}, p.query...)
	query = append(query, p.from, strconv.FormatInt((n.From+1e6-1)/1e6-1, 10), p.to, connectors.Millis(n.To), "limit", strconv.Itoa(p.Page))
	return r.call(n, p.path, p.Page, query...), nil
}

// tradeAt asks for the last trade before a time; ids have no holes.
func (r *rest) tradeAt(n connectors.Need) connectors.Request {
	return r.call(n, pathTrades, 1, "instId", n.Instrument.Native, "type", "2", "after", connectors.Millis(n.From), "limit", "1")
}

// First implements [connectors.Historian].
func (r *rest) First(req connectors.Request, body []byte) (number int64, ok bool, err error) {
	d := &decoder{market: r.market}
	d.use(req.Instrument)
	number = 1 // there was none before
	err = d.response(body, func() {
		if f := d.tradeFields(); f.at < req.From {
			number = f.id + 1
		}
	})
	return number, err == nil, err
}

// decodePast reads one element; what was not asked for, and a candle that is not
// over, are left out.
func (p *past) decodePast(d *decoder, m *message, req connectors.Request) {
	before := m.out.Len()
	p.read(d, m, req)
	if d.s.Err() != nil || m.out.Len() == before {
		return
	}
	r := m.out.At(before)
	at := r.Head().ExchangeTime
	if c, ok := r.(*market.Candle); ok {
		at = c.OpenTime
		if !c.Closed {
			m.out.Truncate(before)
			return
		}
	}
	if !req.Covers(at) {
		m.out.Truncate(before)
		return
	}
	r.Head().Flags |= market.FlagBackfilled
}

// pastInterest reads [time,contracts,base,US dollars].
func (d *decoder) pastInterest(m *message, _ connectors.Request) {
	s := &d.s
	var o market.OpenInterest
	at, n := int64(0), 0
	s.Array()
	for ; s.Element(); n++ {
		switch n {
		case 0:
			at = d.time()
		case 1:
			o.Contracts = s.Decimal()
		case 2:
			o.Base = s.Decimal()
		case 3:
			o.Quote = s.Decimal()
		default:
			s.Skip()
		}
	}
	if at == 0 || !o.Contracts.IsSet() {
		s.Fail("an open interest without its time or value")
	}
	if s.Err() != nil {
		return
	}
	m.head(&o.Header, m.inst, at)
	o.Flags = market.FlagUnverifiable
	*market.Add[market.OpenInterest](m.out) = o
}

// pastFunding reads {"fundingRate":…,"realizedRate":…,"fundingTime":…}: what was paid,
// and when. Long ago there was no realizedRate.
func (d *decoder) pastFunding(m *message, _ connectors.Request) {
	s := &d.s
	var f market.Funding
	var foretold market.Decimal
	at := int64(0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "realizedRate":
			f.Rate = s.Decimal()
		case "fundingRate":
			foretold = s.Decimal()
		case "fundingTime":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if !f.Rate.IsSet() {
		f.Rate = foretold
	}
	if !f.Rate.IsSet() || at == 0 {
		s.Fail("a funding rate without its value or fundingTime")
	}
	if s.Err() != nil {
		return
	}
	m.head(&f.Header, m.inst, at)
	f.Flags, f.NextFundingTime = market.FlagUnverifiable, at
	*market.Add[market.Funding](m.out) = f
}
