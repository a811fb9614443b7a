package storage

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// The formats of query.
const (
	formatJSON    = "json"
	formatLines   = "ndjson"
	formatCSV     = "csv"
	formatParquet = "parquet"

	mediaCSV     = "text/csv"
	mediaParquet = "application/vnd.apache.parquet"
)

var formats = []string{formatJSON, formatLines, formatCSV, formatParquet}

// The trailers of query.
const (
	// headerCursor continues an answer that is not JSON.
	headerCursor = "X-Next-Cursor"
	// headerRows counts the rows: what has it is complete.
	headerRows = "X-Row-Count"
)

// FileWriter writes records of one kind as one file; part.Export does.
type FileWriter interface {
	// Append writes the records of a batch, and does not keep it.
	Append(batch *market.Batch) error
	// Close completes the file, with metadata.
	Close(metadata map[string]string) error
}

// queryHead opens the JSON answer of query.
type queryHead struct {
	success
	Kind     string `json:"kind" required:"true"`
	Table    string `json:"table" required:"true" doc:"of the store, that has the records"`
	Exchange string `json:"exchange" required:"true"`
	Market   string `json:"market" required:"true"`
	Symbol   string `json:"symbol" required:"true" doc:"canonical"`
}

// queryTail closes it.
type queryTail struct {
	listTail
	Missing int64 `json:"files_missing,omitempty" doc:"damaged files, set aside, that could have had further rows; absent without any"`
}

// queryList is the JSON answer of query, for the documentation.
type queryList struct {
	queryHead
	Data []map[string]any `json:"data" required:"true" doc:"records in the one JSON form"`
	queryTail
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
	only       *market.Selection
	json       market.JSON
}

func (a *queryAnswer) give(format string) error {
	media := map[string]string{formatJSON: "application/json", formatLines: chassis.MediaNDJSON, formatCSV: mediaCSV, formatParquet: mediaParquet}[format]
	if a.r.Method == http.MethodHead { // nobody gets the rows: none are read
		a.w.Header().Set("Content-Type", media)
		return nil
	}
	switch format {
	case formatLines:
		return a.lines(chassis.NewLines(a.w, a.r), nil, a.json.Append)
	case formatCSV:
		table := market.NewCSV(a.kind, a.only)
		return a.lines(chassis.NewText(a.w, a.r, media), table.Header(), table.Append)
	case formatParquet:
		return a.file(chassis.NewText(a.w, a.r, media))
	}
	return a.array()
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
	tail := queryTail{listTail: listTail{Count: s.Rows(), Timestamp: a.f.Now().UTC().Round(time.Microsecond), Stale: staleOf(a.r.Context())}, Missing: watchOf(a.r.Context()).missing()}
	if tail.NextCursor, err = a.cursor(s.Rows()); err != nil {
		return err
	}
	watchOf(a.r.Context()).tell(s, s.Rows())
	return s.Close(tail)
}

// lines streams one record a line, below a line of names where there is one.
func (a *queryAnswer) lines(s *chassis.Stream, head []byte, appendRecord func([]byte, market.Record) []byte) error {
	defer s.Release()
	if head != nil {
		if err := s.WriteRaw(head); err != nil {
			return err
		}
	}
	before := s.Rows()
	if err := a.write(s, appendRecord); err != nil {
		return err
	}
	return a.end(s, s.Rows()-before)
}

// file streams the records as one file, of which a row group at most is in memory.
func (a *queryAnswer) file(s *chassis.Stream) error {
	defer s.Release()
	if a.f.Files == nil {
		return chassis.NotImplemented("Parquet as a query's format on this node")
	}
	out, err := a.f.Files(s.Writer(), a.kind, a.only.Names())
	if err != nil {
		return err
	}
	rows := 0
	err = a.f.chunks(a.r.Context(), a.view, func(b *market.Batch) error {
		rows += b.Len()
		return out.Append(b)
	})
	if err == nil && rows == 0 {
		err = a.nothing()
	}
	if err != nil {
		return err
	}
	next, err := a.cursor(rows)
	if err != nil {
		return err
	}
	i := a.instrument
	if err := out.Close(map[string]string{
		"marketprism.kind": a.kind.String(), "marketprism.exchange": i.Exchange, "marketprism.market": i.Market.String(), "marketprism.symbol": i.Symbol,
		"marketprism.next_cursor": next,
	}); err != nil {
		return err
	}
	return a.end(s, rows)
}

// write streams the records.
func (a *queryAnswer) write(s *chassis.Stream, appendRecord func([]byte, market.Record) []byte) error {
	before := s.Rows()
	err := a.f.each(a.r.Context(), a.view, func(record market.Record) error {
		return s.WriteFunc(func(dst []byte) ([]byte, error) { return appendRecord(dst, record), nil })
	})
	if err != nil || s.Rows() > before {
		return err
	}
	return a.nothing()
}

// nothing is the error of an answer without rows: of an instrument that no table
// knows and nothing is stored of, there is nothing to answer but 404.
func (a *queryAnswer) nothing() error {
	if a.listed {
		return nil
	}
	return a.f.known(a.r.Context(), a.kind, a.instrument)
}

// cursor continues behind the rows; "" when nothing follows.
func (a *queryAnswer) cursor(rows int) (string, error) {
	at := a.view.Cursor()
	if at == "" || rows == 0 {
		return "", nil
	}
	return chassis.EncodeCursor(a.scope, at)
}

// end completes an answer that has no place for it but trailers.
func (a *queryAnswer) end(s *chassis.Stream, rows int) error {
	next, err := a.cursor(rows)
	if err != nil {
		return err
	}
	if next != "" {
		s.Trailer(headerCursor, next)
	}
	if n := watchOf(a.r.Context()).missing(); n > 0 {
		s.Trailer("X-Files-Missing", strconv.FormatInt(n, 10))
	}
	s.Trailer(headerRows, strconv.Itoa(rows))
	watchOf(a.r.Context()).tell(s, rows)
	return s.Close(nil)
}

// Files makes the writer of a file of records of a kind, with some fields of them or,
// without names, all.
type Files func(w io.Writer, kind market.Kind, fields []string) (FileWriter, error)
