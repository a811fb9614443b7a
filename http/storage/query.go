package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// maxQuery is the largest limit of query; without one, a query returns all that
// is in its range.
const maxQuery = 100_000_000

// openTimeout bounds the opening of a view.
const openTimeout = 30 * time.Second

func (f *service) queryRoutes() []chassis.Route {
	trailers := map[string]string{
		headerCursor: "trailer; continues the answer when limit ended it",
		headerRows:   "trailer; the number of rows. An answer without it is not complete",
		headerTiming: "header, or trailer of a long answer: what was read, and how long that took",
	}
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "query/{kind}/{exchange}/{symbol}", ID: "query", Tag: tagQuery,
		Summary: "Records of one kind and instrument, of any range",
		Description: "Rows are in the one JSON form; Parquet has the columns of the store. The answer is streamed, and may have any length: `limit` is for those who want less. " +
			"With NDJSON, CSV and Parquet the cursor comes as the trailer " + headerCursor + ". " +
			"When the store fails, or finds no further row for " + patience.String() + ", an answer that has not begun is a problem document; one that has is cut off: " +
			"the connection ends without the end of the chunked body, without trailers, and without the closing members of JSON or the footer of Parquet.",
		Params: subjectParams(paramFrom, paramTo,
			chassis.Param{Name: "limit", Type: 0, Min: 1, Max: maxQuery, Doc: "The most rows to return; without it, all."},
			chassis.Param{Name: "order", Enum: []string{"asc", "desc"}, Default: "asc", Doc: "By time, sequence, key."},
			chassis.Param{Name: "format", Enum: formats, Default: formatJSON},
			chassis.Param{Name: "fields", Doc: "Names of the fields wanted, separated by commas; all without it. Parquet has `ts` and `ts_ns` always.", Example: "exchange_time_ns,price,amount"},
			paramTier, paramCursor, paramOrigin, paramDecimals),
		Responses: []chassis.Response{
			{Body: queryList{}, Headers: trailers},
			{Body: map[string]any{}, Media: chassis.MediaNDJSON, Headers: trailers},
			{Body: "", Media: mediaCSV},
			{Body: "", Media: mediaParquet},
		},
		Timeout: chassis.NoTimeout,
		Handler: f.query,
	}}
}

// fieldsOf reads ?fields=; nil is all of them.
func fieldsOf(q *chassis.Query, kind market.Kind) *market.Selection {
	if !q.Has("fields") {
		return nil
	}
	names := q.List("fields")
	only, err := market.Select(kind, names...)
	switch {
	case err != nil:
		q.Refuse("fields", "%s", err.Error())
		return nil
	case len(names) == 0:
		q.Refuse("fields", "names no field")
	}
	return only
}

func (f *service) query(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	q := chassis.QueryOf(r)
	about, err := subjectOf(r, q)
	if err != nil {
		return err
	}
	from, to := q.Range("from", "to")
	only := fieldsOf(q, about.kind)
	query := persistence.Query{
		Kind: about.kind, From: nanos(from), To: nanos(to), Limit: q.Int("limit", 0, 1, maxQuery),
		Newest: q.OneOf("order", "asc", "asc", "desc") == "desc", Origin: originOf(q), Tier: tierOf(q), Columns: only.Columns(),
	}
	format := q.OneOf("format", formatJSON, formats...)
	asNumbers := q.OneOf("decimals", "string", "string", "number") == "number"
	if err := q.Err(); err != nil {
		return err
	}
	r = r.WithContext(watched(r.Context()))
	i, listed, err := f.instrument(r.Context(), about)
	if err != nil {
		return err
	}
	view, scope, err := f.open(r.Context(), q, "query", i, query)
	if err != nil {
		return err
	}
	defer release(r.Context(), view)
	a := &queryAnswer{f: f, w: w, r: r, view: view, scope: scope, kind: about.kind, instrument: i, listed: listed, only: only}
	a.json.Numbers, a.json.Only = asNumbers, only
	return a.give(format)
}

// open opens a view for a query about one instrument, continued by ?cursor=. A
// cursor made under the scope is good for nothing but the same list.
func (f *service) open(ctx context.Context, q *chassis.Query, list string, i *market.Instrument, query persistence.Query) (view persistence.Rows, scope string, err error) {
	defer watchOf(ctx).opened(time.Now())
	id := i.ID()
	query.Stream = &id
	scope = fmt.Sprintf("%s %s %s %d %d %t %d %d", list, query.Kind, id, query.From, query.To, query.Newest, query.Origin, query.Tier)
	q.Cursor(scope, &query.Cursor)
	if err := q.Err(); err != nil {
		return nil, "", err
	}
	// What follows may take any time, as long as the client reads; this may not.
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if view, err = f.Branch.Query(ctx, query); err != nil {
		return nil, "", fmt.Errorf("opening a view of %s %v: %w", query.Kind, id, err)
	}
	return view, scope, nil
}

// closeList completes the answer of a list.
func (f *service) closeList(ctx context.Context, s *chassis.Stream, scope, cursor string) error {
	tail := listTail{Count: s.Rows(), Timestamp: f.Now().UTC().Round(time.Microsecond), Stale: staleOf(ctx)}
	if cursor != "" && tail.Count > 0 {
		next, err := chassis.EncodeCursor(scope, cursor)
		if err != nil {
			return err
		}
		tail.NextCursor = next
	}
	return s.Close(tail)
}

var errStalled = errors.New("no further row was found in time")
