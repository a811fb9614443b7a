package deribit

import (
	"strconv"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// The calls for the past. There is one for the volatility index too, which gives
// candles of it: no record of ours.
//
//   - https://docs.deribit.com/api-reference/market-data/public-get_last_trades_by_instrument_and_time
//   - https://docs.deribit.com/api-reference/market-data/public-get_tradingview_chart_data
//   - https://docs.deribit.com/api-reference/market-data/public-get_funding_rate_history
const (
	pathTradesAt = pathPrefix + "get_last_trades_by_instrument_and_time"
	pathChart    = pathPrefix + "get_tradingview_chart_data"
	pathFunding  = pathPrefix + "get_funding_rate_history"
)

const (
	chartPage   = 1000
	fundingPage = 500
	// evenUpTo is the longest interval whose candles are known to begin at all of its
	// multiples of Unix time.
	evenUpTo = 6 * time.Hour
)

// past is a row of the table of what Deribit gives of the past, and how it is asked
// for.
type past struct {
	connectors.History
	path  string
	query []string
	read  func(*decoder, *message, connectors.Request)
}

// pasts is the table of a market: its trades, candles of the intervals that are
// collected, and the hourly funding of perpetuals.
func (r *rest) pasts() []past {
	table := []past{{History: connectors.History{Kind: market.KindTrade, Page: tradesPage}}}
	for _, l := range r.lines {
		if l.family != chart {
			continue
		}
		for _, x := range resolutions {
			if l.suffix != "."+x.resolution {
				continue
			}
			table = append(table, past{
				History: connectors.History{Kind: market.KindCandle, Name: x.interval, Every: x.length, Regular: x.length <= evenUpTo, Page: chartPage},
				path:    pathChart, query: []string{"resolution", x.resolution},
				read: func(d *decoder, m *message, req connectors.Request) { d.pastCandles(m, req, x.interval, x.length) },
			})
		}
	}
	if r.market == market.Perpetual {
		table = append(table, past{
			History: connectors.History{Kind: market.KindFunding, Every: time.Hour, Regular: true, Page: fundingPage},
			path:    pathFunding, read: (*decoder).pastFunding,
		})
	}
	return table
}

// Histories implements [connectors.Historian].
func (r *rest) Histories() []connectors.History {
	return connectors.HistoriesIn(r.pasts())
}

// history asks for records of a time; both of Deribit's bounds are in it.
func (r *rest) history(n connectors.Need) (connectors.Request, error) {
	p, err := connectors.PastOf(r.pasts(), n)
	if err != nil {
		return connectors.Request{}, err
	}
	query := append([]string{"instrument_name", n.Instrument.Native}, p.query...)
	query = append(query, "start_timestamp", connectors.Millis(n.From), "end_timestamp", strconv.FormatInt((n.To-1)/1e6, 10))
	return r.call(n, p.path, callWeight, p.Page, query...), nil
}

// tradeAt asks for the first trade from a time on.
func (r *rest) tradeAt(n connectors.Need) connectors.Request {
	return r.call(n, pathTradesAt, callWeight, 1, "instrument_name", n.Instrument.Native,
		"start_timestamp", connectors.Millis(n.From), "end_timestamp", strconv.FormatInt(never, 10), "count", "1", "sorting", "asc")
}

// First implements [connectors.Historian].
func (r *rest) First(req connectors.Request, body []byte) (number int64, ok bool, err error) {
	var b market.Batch
	req.Need = connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: req.Instrument}
	if err := r.Decode(req, body, connectors.Receipt{}, &b); err != nil {
		return 0, false, err
	}
	for t := range market.Rows[market.Trade](&b) {
		if !ok || t.Seq.V < number {
			number, ok = t.Seq.V, true
		}
	}
	return number, ok, nil
}

// enter begins to read what a frame's "result" holds; false when there is none.
func (d *decoder) enter(frame []byte) bool {
	at := d.result(frame, "")
	if d.s.Err() == nil && at == 0 {
		d.s.Fail("no result")
	}
	if d.s.Err() != nil {
		return false
	}
	d.s.Reset(frame, at)
	return true
}

// pastCandles reads {"result":{"ticks":[…],"open":[…],…,"volume":[…],"cost":[…]}}: a
// list for each number. A candle that is still running is left out.
func (d *decoder) pastCandles(m *message, req connectors.Request, interval string, length time.Duration) {
	s := &d.s
	if !d.enter(m.frame) {
		return
	}
	var ticks []int64
	columns := map[string][]market.Decimal{}
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch name := string(key); name {
		case "ticks":
			for s.Array(); s.Element(); {
				ticks = append(ticks, d.time())
			}
		case "open", "high", "low", "close", "volume", "cost":
			var column []market.Decimal
			for s.Array(); s.Element(); {
				column = append(column, s.Decimal())
			}
			columns[name] = column
		default:
			s.Skip()
		}
	}
	for _, name := range []string{"open", "high", "low", "close", "volume", "cost"} {
		if len(columns[name]) != len(ticks) {
			s.Fail("a chart whose lists differ in length")
		}
	}
	if s.Err() != nil {
		return
	}
	for i, tick := range ticks {
		if !req.Covers(tick) || tick+int64(length) > m.rc.Time {
			continue
		}
		c := market.Add[market.Candle](m.out)
		head(&c.Header, m)
		c.Flags, c.Interval, c.OpenTime, c.Closed = market.FlagUnverifiable|market.FlagBackfilled, interval, tick, true
		c.Open, c.High, c.Low, c.Close = columns["open"][i], columns["high"][i], columns["low"][i], columns["close"][i]
		c.Volume, c.QuoteVolume = columns["volume"][i], columns["cost"][i]
	}
}

// pastFunding reads {"result":[{"timestamp":…,"interest_8h":…,"interest_1h":…},…]}. The
// ticker's current_funding is a rate of 8 hours too.
func (d *decoder) pastFunding(m *message, req connectors.Request) {
	s := &d.s
	if !d.enter(m.frame) {
		return
	}
	connectors.EachPaid(s, req, "interest_8h", "timestamp", d.time, func(rate market.Decimal, paid int64) {
		f := market.Add[market.Funding](m.out)
		head(&f.Header, m)
		f.ExchangeTime, f.Flags, f.Rate, f.IntervalHours = paid, market.FlagUnverifiable|market.FlagBackfilled, rate, market.Int(8)
	})
}
