package storage

import (
	"context"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// maxCold is the largest limit of cold/trades.
const maxCold = 100_000

const day = 24 * time.Hour

// paramTier documents ?tier=.
var paramTier = chassis.Param{
	Name: "tier", Enum: []string{"all", "hot", "cold"}, Default: "all",
	Doc: "Both stores as one, what is not archived yet, or what is. Only hot answers while the cold store is out of reach.",
}

// tierOf reads ?tier=.
func tierOf(q *chassis.Query) persistence.Tier {
	tier, _ := persistence.ParseTier(q.OneOf("tier", "all", "all", "hot", "cold"))
	return tier
}

// coldParams is how a request for history was understood.
type coldParams struct {
	Exchange string     `json:"exchange" required:"true"`
	Symbol   string     `json:"symbol" required:"true"`
	Start    *time.Time `json:"start_date" required:"true" doc:"null when open"`
	End      *time.Time `json:"end_date" required:"true" doc:"inclusive; null when open"`
	Limit    int        `json:"limit" required:"true" doc:"most rows of one answer"`
	Tier     string     `json:"tier" required:"true" doc:"all, hot or cold"`
}

// coldTail closes the answer of history.
type coldTail struct {
	Count      int        `json:"count" minimum:"0" required:"true" doc:"of this answer"`
	Params     coldParams `json:"query_params" required:"true" doc:"how the request was understood"`
	Timestamp  time.Time  `json:"timestamp" required:"true"`
	NextCursor string     `json:"next_cursor,omitempty" doc:"continues the list; absent when nothing follows"`
	Stale      *stale     `json:"stale,omitempty" doc:"that the list may be old; absent while it is not"`
}

// coldList is the answer of cold/trades, for the documentation.
type coldList struct {
	success
	Data []trade `json:"data" required:"true" doc:"newest first"`
	coldTail
}

func (f *service) coldRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "cold/trades/{exchange}/{symbol}", ID: "coldTrades", Tag: tagCold,
		Summary: "Trades of a range of dates, newest first",
		Description: "History does not depend on what has been archived already: without `tier=cold` records that are still in the hot store are among the others. " +
			"Each is there once.",
		Params: params(facade.PathParams(), facade.MarketParam(),
			chassis.Param{Name: "start_date", Type: time.Time{}, Doc: "Earliest time, inclusive: a date, or as `from` of hot/trades.", Example: "2026-01-01"},
			chassis.Param{Name: "end_date", Type: time.Time{}, Doc: "Latest time, inclusive; a date includes its whole day.", Example: "2026-01-31"},
			paramLimit(1000, maxCold), paramTier, paramCursor, paramOrigin, paramNumbers),
		Responses: []chassis.Response{{Body: coldList{}}},
		Timeout:   chassis.NoTimeout,
		Handler:   f.coldTrades,
	}}
}

func (f *service) coldTrades(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	q := chassis.QueryOf(r)
	asked, err := facade.AskedOf(r, q)
	if err != nil {
		return err
	}
	start, end := q.Time("start_date"), q.Time("end_date")
	if _, err := time.Parse(time.DateOnly, q.Text("end_date", "")); err == nil {
		end = end.Add(day - 1)
	}
	if !start.IsZero() && !end.IsZero() && end.Before(start) {
		q.Refuse("end_date", "must not be before start_date")
	}
	query := persistence.Query{
		Kind: market.KindTrade, From: nanos(start), Limit: q.Limit(1000, maxCold), Newest: true, Origin: originOf(q), Tier: tierOf(q),
	}
	if !end.IsZero() {
		query.To = end.UnixNano() + 1
	}
	rows := newRowWriter(asked, q)
	if err := q.Err(); err != nil {
		return err
	}
	closing := func(ctx context.Context, s *chassis.Stream, scope, cursor string) error {
		tail := coldTail{Count: s.Rows(), Timestamp: f.Now().UTC().Round(time.Microsecond), Stale: staleOf(ctx), Params: coldParams{
			asked.Exchange, asked.Symbol, given(start), given(end), query.Limit, [...]string{"all", "hot", "cold"}[query.Tier],
		}}
		if cursor != "" && tail.Count > 0 {
			var err error
			if tail.NextCursor, err = chassis.EncodeCursor(scope, cursor); err != nil {
				return err
			}
		}
		return s.Close(tail)
	}
	return f.giveTrades(w, r, askedTrades{asked, q, "cold", query, rows, closing})
}

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
