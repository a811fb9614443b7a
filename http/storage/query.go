package storage

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// maxQuery is the largest limit of query; without one, a query returns all that
// is in its range.
const maxQuery = 100_000_000

// openTimeout bounds the opening of a view.
const openTimeout = 30 * time.Second

// headerCursor is the trailer that continues an NDJSON or CSV answer.
const headerCursor = "X-Next-Cursor"

// queryHead opens the JSON answer of query.
type queryHead struct {
	success
	Kind     string `json:"kind" required:"true"`
	Table    string `json:"table" required:"true"`
	Exchange string `json:"exchange" required:"true"`
	Market   string `json:"market" required:"true"`
	Symbol   string `json:"symbol" required:"true" doc:"canonical"`
}

// queryList is the JSON answer of query, for the documentation.
type queryList struct {
	queryHead
	Data []map[string]any `json:"data" required:"true" doc:"records in the one JSON form"`
	listTail
}

func (f *service) queryRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "query/{kind}/{exchange}/{symbol}", ID: "query", Tag: tagQuery,
		Summary: "Records of one kind and instrument, of any range",
		Description: "Rows are in the one JSON form. The answer is streamed, and may have any length: `limit` is for those who want less. " +
			"With NDJSON and CSV the cursor comes as the trailer " + headerCursor + ".",
		Params: params(append(facade.PathParams(), chassis.Param{Name: "kind", In: "path", Doc: "Kind, its table, or a documented alias: " + strings.Join(storedKinds(), ", ") + ".", Example: "trade"}),
			facade.MarketParam(), paramFrom, paramTo,
			chassis.Param{Name: "limit", Type: 0, Min: 1, Max: maxQuery, Doc: "The most rows to return; without it, all."},
			chassis.Param{Name: "order", Enum: []string{"asc", "desc"}, Default: "asc", Doc: "By time, sequence, key."},
			chassis.Param{Name: "format", Enum: []string{"json", "ndjson", "csv", "parquet"}, Default: "json"},
			paramTier, paramCursor, paramOrigin, paramDecimals, paramExact),
		Responses: []chassis.Response{
			{Body: queryList{}},
			{Body: map[string]any{}, Media: chassis.MediaNDJSON, Headers: map[string]string{headerCursor: "trailer; continues the answer when limit ended it"}},
			{Body: "", Media: mediaCSV},
		},
		Timeout: chassis.NoTimeout,
		Handler: f.query,
	}}
}

// storedKinds are the kinds that have a table.
func storedKinds() []string {
	words := []string{}
	for _, k := range market.Kinds() {
		if k.Table() != "" {
			words = append(words, k.String())
		}
	}
	return words
}

// kindOf reads {kind}.
func kindOf(r *http.Request) (market.Kind, error) {
	word, err := chassis.PathParam(r, "kind")
	if err != nil {
		return 0, err
	}
	kind, ok := market.ParseKind(word)
	if !ok || kind.Table() == "" {
		return 0, chassis.NotFound("no kind %q is stored; there are %s", word, strings.Join(storedKinds(), ", ")).WithCode("unknown_kind")
	}
	return kind, nil
}

func (f *service) query(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	ctx, q := r.Context(), chassis.QueryOf(r)
	kind, err := kindOf(r)
	if err != nil {
		return err
	}
	asked, err := facade.AskedOf(r, q)
	if err != nil {
		return err
	}
	from, to := q.Range("from", "to")
	query := persistence.Query{
		Kind: kind, From: nanos(from), To: nanos(to), Limit: q.Int("limit", 0, 1, maxQuery),
		Newest: q.OneOf("order", "asc", "asc", "desc") == "desc", Origin: originOf(q), Tier: tierOf(q),
	}
	format := q.OneOf("format", "json", "json", "ndjson", "csv", "parquet")
	asNumbers := q.OneOf("decimals", "string", "string", "number") == "number"
	exact := q.Bool("exact", false)
	if err := q.Err(); err != nil {
		return err
	}
	if format == "parquet" {
		return chassis.NotImplemented("Parquet as a query's format (GET " + base + "parts lists the files themselves)")
	}
	i, listed, err := f.findOr(ctx, asked, kind, exact)
	if err != nil {
		return err
	}
	view, scope, err := f.open(ctx, q, "query", i, query)
	if err != nil {
		return err
	}
	defer release(ctx, view)
	a := &queryAnswer{f: f, w: w, r: r, view: view, scope: scope, kind: kind, instrument: i, listed: listed}
	a.json.Numbers = asNumbers
	switch format {
	case "ndjson":
		return a.lines(chassis.NewLines(w, r), a.json.Append)
	case "csv":
		table := newTable(kind)
		s := chassis.NewText(w, r, mediaCSV)
		if err := s.WriteRaw(table.header()); err != nil {
			s.Release()
			return err
		}
		return a.lines(s, table.Append)
	}
	return a.array()
}

// queryAnswer is one answer of query.
type queryAnswer struct {
	f          *service
	w          http.ResponseWriter
	r          *http.Request
	view       persistence.Rows
	scope      string
	kind       market.Kind
	instrument *market.Instrument
	listed     bool
	json       market.JSON
}

// array streams the records inside one JSON object.
func (a *queryAnswer) array() error {
	head := queryHead{succeeded, a.kind.String(), a.kind.Table(), a.instrument.Exchange, a.instrument.Market.String(), a.instrument.Symbol}
	s, err := chassis.NewArray(a.w, a.r, head, "data")
	if err != nil {
		return err
	}
	defer s.Release()
	if err := a.write(s, a.json.Append); err != nil {
		return err
	}
	return a.f.closeList(s, a.scope, a.view.Cursor())
}

// lines streams one record a line.
func (a *queryAnswer) lines(s *chassis.Stream, appendRecord func([]byte, market.Record) []byte) error {
	defer s.Release()
	head := s.Rows()
	if err := a.write(s, appendRecord); err != nil {
		return err
	}
	if cursor := a.view.Cursor(); cursor != "" && s.Rows() > head {
		next, err := chassis.EncodeCursor(a.scope, cursor)
		if err != nil {
			return err
		}
		a.w.Header().Set(http.TrailerPrefix+headerCursor, next)
	}
	return s.Close(nil)
}

// write streams the records. Of an instrument that no table knows and nothing is
// stored of, there is nothing to answer but 404.
func (a *queryAnswer) write(s *chassis.Stream, appendRecord func([]byte, market.Record) []byte) error {
	ctx, before := a.r.Context(), s.Rows()
	err := a.f.each(ctx, a.view, func(record market.Record) error {
		return s.WriteFunc(func(dst []byte) ([]byte, error) { return appendRecord(dst, record), nil })
	})
	if err != nil || s.Rows() > before || a.listed {
		return err
	}
	return a.f.known(ctx, a.kind, a.instrument)
}

// known is the 404 for a stream that nothing is stored of.
func (f *service) known(ctx context.Context, kind market.Kind, i *market.Instrument) error {
	ok, err := f.has(ctx, kind, i.ID())
	if err != nil || ok {
		return err
	}
	return chassis.NotFound("no %s of %s on %s (%s) is stored, and no exchange here lists it", kind, i.Native, i.Exchange, i.Market).WithCode("unknown_symbol")
}

// open opens a view for a query about one instrument, continued by ?cursor=. A
// cursor made under the scope is good for nothing but the same list.
func (f *service) open(ctx context.Context, q *chassis.Query, list string, i *market.Instrument, query persistence.Query) (view persistence.Rows, scope string, err error) {
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
func (f *service) closeList(s *chassis.Stream, scope, cursor string) error {
	tail := listTail{Count: s.Rows(), Timestamp: f.Now().UTC().Round(time.Microsecond)}
	if cursor != "" && tail.Count > 0 {
		next, err := chassis.EncodeCursor(scope, cursor)
		if err != nil {
			return err
		}
		tail.NextCursor = next
	}
	return s.Close(tail)
}
