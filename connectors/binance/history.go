package binance

import (
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// past is a row of the table of what Binance gives of the past, and how it is asked
// for.
type past struct {
	connectors.History
	path   string
	weight int
	query  []string // beside symbol, limit and the time
	read   func(*decoder, message, connectors.Request, *past)
}

// What the statistics of a contract have in common: half of the 1000 calls in 5
// minutes that an address may make, and the last 30 days.
//
//   - https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Open-Interest-Statistics
//   - https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Long-Short-Ratio
const (
	statisticsPage  = 500
	statisticsReach = 30 * 24 * time.Hour
	statisticsEvery = 5 * time.Minute // ratioPeriod
)

var statisticsPace = connectors.Rate{N: 500, Per: 5 * time.Minute}

// fundingPace is most of the 500 calls in 5 minutes of an address.
// https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Get-Funding-Rate-History
var fundingPace = connectors.Rate{N: 400, Per: 5 * time.Minute}

// candlesPage is the number of candles that is asked for at once, spot and futures.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#klinecandlestick-data
// https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Kline-Candlestick-Data
const candlesPage = 1000

// regular are intervals whose candles begin at all of their multiples of Unix time.
var regular = map[string]time.Duration{
	"1s": time.Second, "1m": time.Minute, "3m": 3 * time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "30m": 30 * time.Minute,
	"1h": time.Hour, "2h": 2 * time.Hour, "4h": 4 * time.Hour, "6h": 6 * time.Hour, "8h": 8 * time.Hour, "12h": 12 * time.Hour, "1d": 24 * time.Hour,
}

// longer are the least lengths of the others.
var longer = map[string]time.Duration{"3d": 3 * 24 * time.Hour, "1w": 7 * 24 * time.Hour, "1M": 28 * 24 * time.Hour}

// pasts is the table of a market: its trades, candles of the intervals that are
// collected, and statistics.
func (r *rest) pasts() []past {
	table := []past{{History: connectors.History{Kind: market.KindTrade, Page: r.oldPage()}}}
	klines, weight := "/api/v3/klines", 2
	if r.market != market.Spot {
		klines, weight = "/fapi/v1/klines", 5
	}
	for i := range r.lines {
		l := &r.lines[i]
		if name, ok := strings.CutPrefix(l.Name, chCandle); ok {
			every, even := regular[name]
			if !even {
				every = longer[name]
			}
			table = append(table, past{
				History: connectors.History{Kind: market.KindCandle, Name: name, Every: every, Regular: even, Page: candlesPage},
				path:    klines, weight: weight, query: []string{"interval", name}, read: (*decoder).pastCandles,
			})
		}
		if l.ratioKind != "" {
			h := statistics(market.KindLongShortRatio)
			h.Name = l.ratioKind
			table = append(table, past{History: h, path: l.path, query: []string{"period", ratioPeriod}, read: func(d *decoder, m message, req connectors.Request, p *past) {
				d.ratios(m, req, p.Name)
			}})
		}
	}
	if r.market == market.Perpetual {
		table = append(table, past{
			// Rates are paid every 8, 4 or 1 hours.
			History: connectors.History{Kind: market.KindFunding, Every: time.Hour, Page: 1000, Pace: fundingPace},
			path:    "/fapi/v1/fundingRate", read: (*decoder).pastFunding,
		}, past{
			History: statistics(market.KindOpenInterest),
			path:    "/futures/data/openInterestHist", query: []string{"period", ratioPeriod}, read: (*decoder).pastOpenInterest,
		})
	}
	return table
}

func statistics(k market.Kind) connectors.History {
	return connectors.History{
		Kind: k, Every: statisticsEvery, Regular: true, Page: statisticsPage, Reach: statisticsReach, Pace: statisticsPace,
	}
}

// Histories implements [connectors.Historian].
func (r *rest) Histories() []connectors.History {
	return connectors.HistoriesIn(r.pasts())
}

// history asks for records of a time; both of Binance's bounds are in it.
func (r *rest) history(n connectors.Need) (connectors.Request, error) {
	p, err := connectors.PastOf(r.pasts(), n)
	if err != nil {
		return connectors.Request{}, err
	}
	query := append(p.query[:len(p.query):len(p.query)], "limit", strconv.Itoa(p.Page),
		"startTime", connectors.Millis(n.From), "endTime", strconv.FormatInt((n.To-1)/1e6, 10))
	return r.call(n, p.path, p.weight, p.Page, query...), nil
}

// tradeAt asks for the first aggregate from a time on: it names the first trade in it.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints#compressedaggregate-trades-list
func (r *rest) tradeAt(n connectors.Need) connectors.Request {
	path, weight := "/api/v3/aggTrades", 4
	if r.market != market.Spot {
		path, weight = "/fapi/v1/aggTrades", 20
	}
	return r.call(n, path, weight, 0, "startTime", connectors.Millis(n.From), "limit", "1")
}

// First implements [connectors.Historian]. It reads [{"f":first trade,…}].
func (r *rest) First(_ connectors.Request, body []byte) (number int64, ok bool, err error) {
	var s connectors.Scanner
	s.Reset(body, 0)
	s.Array()
	for s.Element() {
		first := int64(-1)
		s.Object()
		for key, more := s.Key(); more; key, more = s.Key() {
			if string(key) == "f" {
				first = s.Int()
				continue
			}
			s.Skip()
		}
		if first < 0 {
			s.Fail("an aggregate trade without f")
		}
		if !ok {
			number, ok = first, true
		}
	}
	s.End()
	return number, ok && s.Err() == nil, s.Err()
}

// pastCandles reads [[open time,open,high,low,close,volume,close time,quote volume,trades,…],…].
// A candle that is still running is left out.
func (d *decoder) pastCandles(m message, req connectors.Request, p *past) {
	s := &d.s
	s.Array()
	for s.Element() {
		var c market.Candle
		n := 0
		s.Array()
		for ; s.Element(); n++ {
			switch n {
			case 0:
				c.OpenTime = d.time()
			case 1:
				c.Open = s.Decimal()
			case 2:
				c.High = s.Decimal()
			case 3:
				c.Low = s.Decimal()
			case 4:
				c.Close = s.Decimal()
			case 5:
				c.Volume = s.Decimal()
			case 6:
				c.CloseTime = d.time()
			case 7:
				c.QuoteVolume = s.Decimal()
			case 8:
				c.Trades = market.Int(s.Int())
			default:
				s.Skip()
			}
		}
		if n < 9 || c.OpenTime == 0 || c.CloseTime == 0 || !c.Open.IsSet() || !c.High.IsSet() || !c.Low.IsSet() || !c.Close.IsSet() || !c.Volume.IsSet() {
			s.Fail("a kline without its times, prices, volume or trades")
		}
		if s.Err() != nil {
			return
		}
		if !req.Covers(c.OpenTime) || c.CloseTime >= m.rc.Time {
			continue
		}
		c.Interval, c.Closed = p.Name, true
		head(&c.Header, req.Instrument, m)
		c.Flags = market.FlagUnverifiable | market.FlagBackfilled
		*market.Add[market.Candle](m.out) = c
	}
}

// pastFunding reads [{"symbol":…,"fundingRate":…,"fundingTime":…,"markPrice":…},…]:
// what was paid, and when.
func (d *decoder) pastFunding(m message, req connectors.Request, _ *past) {
	connectors.EachPaid(&d.s, req, "fundingRate", "fundingTime", d.time, func(rate market.Decimal, at int64) {
		f := market.Add[market.Funding](m.out)
		head(&f.Header, req.Instrument, m)
		f.ExchangeTime, f.Flags, f.Rate, f.NextFundingTime = at, market.FlagUnverifiable|market.FlagBackfilled, rate, at
	})
}

// pastOpenInterest reads [{"symbol":…,"sumOpenInterest":base,"sumOpenInterestValue":quote,"timestamp":…},…].
func (d *decoder) pastOpenInterest(m message, req connectors.Request, _ *past) {
	s := &d.s
	s.Array()
	for s.Element() {
		var base, quote market.Decimal
		at := int64(0)
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "sumOpenInterest":
				base = s.Decimal()
			case "sumOpenInterestValue":
				quote = s.Decimal()
			case "timestamp":
				at = d.time()
			default:
				s.Skip()
			}
		}
		if !base.IsSet() || at == 0 {
			s.Fail("an open interest without sumOpenInterest or timestamp")
		}
		if s.Err() != nil {
			return
		}
		if !req.Covers(at) {
			continue
		}
		o := market.Add[market.OpenInterest](m.out)
		head(&o.Header, req.Instrument, m)
		o.ExchangeTime, o.Flags, o.Base, o.Quote = at, market.FlagUnverifiable|market.FlagBackfilled, base, quote
	}
}
