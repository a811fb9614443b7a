package storage

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// maxHot is the largest limit of hot/trades.
const maxHot = 10_000

// postedTrade is one trade as clients POST it.
type postedTrade struct {
	head
	Price   number     `json:"price" required:"true" doc:"quote per base, not negative" example:"61837.63"`
	Amount  number     `json:"amount" required:"true" doc:"in base, not negative" example:"0.0125"`
	Side    side       `json:"side" required:"true" doc:"the aggressor's: buy, sell or unknown" example:"buy"`
	TradeID identifier `json:"trade_id" required:"true" doc:"text or whole number" example:"\"3456789012\""`
}

// trade is one row of hot/trades, for the documentation.
type trade struct {
	Timestamp   time.Time `json:"timestamp" required:"true" doc:"when it took place; when it was received, where the exchange does not say"`
	Symbol      string    `json:"symbol" required:"true" doc:"as asked"`
	Exchange    string    `json:"exchange" required:"true" doc:"as asked"`
	Price       number    `json:"price" required:"true"`
	Amount      number    `json:"amount" required:"true"`
	Side        side      `json:"side" required:"true"`
	TradeID     string    `json:"trade_id" required:"true" doc:"the exchange's own, as text"`
	QuoteAmount number    `json:"quote_amount,omitzero"`
	further
}

// further are the fields after the POSTed ones, for the documentation.
type further struct {
	Market       string   `json:"market" enum:"spot,perpetual,future,option" required:"true"`
	NativeSymbol string   `json:"native_symbol,omitempty" doc:"the exchange's own spelling"`
	ExchangeTime int64    `json:"exchange_time_ns,omitempty" doc:"Unix ns"`
	ReceiveTime  int64    `json:"receive_time_ns,omitempty" doc:"Unix ns"`
	Seq          int64    `json:"seq,omitempty" doc:"the exchange's sequence number"`
	PrevSeq      int64    `json:"prev_seq,omitempty" doc:"the exchange's sequence number of what came before; absent where it gives none"`
	Conn         int64    `json:"conn,omitempty" doc:"number of the connection within the epoch; absent for what came over REST"`
	Epoch        int64    `json:"epoch,omitempty" doc:"number of the ownership under which it was received; absent for what was not collected live"`
	Origin       string   `json:"origin" enum:"collected,external" required:"true" doc:"external: it was POSTed"`
	Flags        []string `json:"flags,omitempty" doc:"future, backfilled, suspect, …"`
}

// tradeList is the answer of hot/trades, for the documentation.
type tradeList struct {
	success
	Data []trade `json:"data" required:"true" doc:"newest first"`
	listTail
}

func (f *service) tradeRoutes() []chassis.Route {
	return []chassis.Route{
		f.postRoute("hot/trades", "trades", postedTrade{}, addTrade),
		{
			Method: http.MethodGet, Path: base + "hot/trades/{exchange}/{symbol}", ID: "hotTrades", Tag: tagHot,
			Summary:   "Trades, newest first",
			Params:    params(facade.PathParams(), facade.MarketParam(), paramLimit(100, maxHot), paramFrom, paramTo, paramTier, paramCursor, paramOrigin, paramNumbers),
			Responses: []chassis.Response{{Body: tradeList{}}},
			Handler:   f.hotTrades,
		},
	}
}

func addTrade(p *post, r chassis.Record, into *market.Batch) error {
	var in postedTrade
	if err := p.decode(r, &in); err != nil {
		return err
	}
	i, fields := p.instrument(&in.head)
	fields = notNegative(fields, amount{"/price", in.Price}, amount{"/amount", in.Amount})
	if fields != nil {
		return p.refuse(r, fields...)
	}
	t := market.Add[market.Trade](into)
	t.Header = p.begin(&in.head, i)
	t.ID, t.Price, t.Amount, t.Side = in.TradeID.ID, in.Price.Decimal, in.Amount.Decimal, in.Side.Side
	market.Stamp(t)
	return nil
}

func (w *rowWriter) trade(dst []byte, t *market.Trade) []byte {
	dst = w.begin(dst, &t.Header)
	dst = w.required(dst, `,"price":`, t.Price)
	dst = w.required(dst, `,"amount":`, t.Amount)
	dst = append(dst, `,"side":"`...)
	dst = append(dst, t.Side.String()...)
	dst = append(dst, `","trade_id":`...)
	if n, ok := t.ID.Num(); ok {
		dst = append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
	} else {
		dst = market.AppendJSONString(dst, t.ID.String())
	}
	dst = w.further(dst, `,"quote_amount":`, t.QuoteAmount)
	return w.end(dst, &t.Header)
}

func (f *service) hotTrades(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	q := chassis.QueryOf(r)
	asked, err := facade.AskedOf(r, q)
	if err != nil {
		return err
	}
	from, to := q.Range("from", "to")
	query := persistence.Query{
		Kind: market.KindTrade, From: nanos(from), To: nanos(to), Limit: q.Limit(100, maxHot), Newest: true, Origin: originOf(q), Tier: tierOf(q),
	}
	rows := newRowWriter(asked, q)
	if err := q.Err(); err != nil {
		return err
	}
	return f.giveTrades(w, r, askedTrades{asked, q, "hot", query, rows, f.closeList})
}

// askedTrades is a list of trades that was asked for.
type askedTrades struct {
	asked facade.Asked
	q     *chassis.Query
	// name is the list's, to which its cursors belong.
	name  string
	query persistence.Query
	rows  *rowWriter
	// end writes what follows the trades.
	end func(ctx context.Context, s *chassis.Stream, scope, cursor string) error
}

// giveTrades answers with a list of trades.
func (f *service) giveTrades(w http.ResponseWriter, r *http.Request, l askedTrades) error {
	ctx := watched(r.Context())
	i, _, err := f.find(ctx, l.asked, market.KindTrade)
	if err != nil {
		return err
	}
	view, scope, err := f.open(ctx, l.q, l.name, i, l.query)
	if err != nil {
		return err
	}
	defer release(ctx, view)
	s, err := chassis.NewArray(w, r, succeeded, "data")
	if err != nil {
		return err
	}
	defer s.Release()
	err = f.each(ctx, view, func(record market.Record) error {
		return s.WriteFunc(func(dst []byte) ([]byte, error) { return l.rows.trade(dst, record.(*market.Trade)), nil })
	})
	if err != nil {
		return err
	}
	watchOf(ctx).tell(s, s.Rows())
	return l.end(ctx, s, scope, view.Cursor())
}
