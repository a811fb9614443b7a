package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Storage is the data-storage-service: what is stored.
type Storage struct{ c *Client }

const storagePath = "/api/v1/storage"

// ErrCutOff is the end of an answer that is not complete: the service could not read on,
// or the connection was lost.
var ErrCutOff = errors.New("the answer was cut off: it is not complete")

// The formats of a query.
const (
	FormatLines   = "ndjson"
	FormatJSON    = "json"
	FormatCSV     = "csv"
	FormatParquet = "parquet"
)

// Query asks for the records of one kind and instrument, in order of time, sequence, key.
type Query struct {
	// Kind is the kind, or its table; [Rows] knows it by its type.
	Kind string
	// Exchange and Symbol are taken in any spelling.
	Exchange, Symbol string
	// Market is spot, perpetual, future or option; "" is spot where the symbol is listed
	// there, else the only market that lists it.
	Market string
	// From is the earliest time, To the one behind the latest; zero is no bound.
	From, To time.Time
	// Limit is the most rows; 0 is all.
	Limit int
	// Newest has the newest come first.
	Newest bool
	// Fields are the names of the fields that are wanted; none is all.
	Fields []string
	// Origin is all, collected or external, Tier all, hot or cold; "" is all.
	Origin, Tier string
	// Exact takes the names as they are stored.
	Exact bool
	// Cursor goes on where an answer to the same question has ended.
	Cursor string
	// Reflects are positions that the answer has to reflect: of a write ([Stored]), or of
	// an answer before ([Answer.Reflects]), whichever node gives this one. Where that does
	// not get there within five seconds the error's code is not_applied.
	Reflects []string
}

func (q *Query) parameters() parameters {
	var p parameters
	p.set("market", q.Market)
	p.time("from", q.From)
	p.time("to", q.To)
	p.number("limit", q.Limit)
	if q.Newest {
		p.set("order", "desc")
	}
	p.list("fields", q.Fields)
	p.set("origin", q.Origin)
	p.set("tier", q.Tier)
	p.flag("exact", q.Exact)
	p.set("cursor", q.Cursor)
	return p
}

// Answer is an answer of any length, as it comes. It is read to its end before Next and
// FilesMissing are known, and closed.
type Answer struct {
	res   *http.Response
	lines *bufio.Reader
	read  int64
}

// Query asks in one of the formats, and gives the answer as it comes.
func (s *Storage) Query(ctx context.Context, q Query, format string) (*Answer, error) {
	p := q.parameters()
	p.set("format", format)
	r := get(StorageService, join(storagePath+"/query", q.Kind, q.Exchange, q.Symbol), p.Values)
	if len(q.Reflects) > 0 {
		r.header = http.Header{"X-Journal-Position": {strings.Join(q.Reflects, ",")}}
	}
	res, err := s.c.send(ctx, r) //nolint:bodyclose // the answer closes it
	if err != nil {
		return nil, err
	}
	return &Answer{res: res}, nil
}

// Read implements io.Reader. Where the answer ends before it is complete the error is
// [ErrCutOff].
func (a *Answer) Read(p []byte) (int, error) {
	n, err := a.res.Body.Read(p)
	a.read += int64(n)
	if err == nil || err == io.EOF {
		return n, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return n, fmt.Errorf("%w, after %d bytes; the log of %s says why (request %s)", ErrCutOff, a.read, baseURL(a.res.Request.URL), a.RequestID())
	}
	return n, fmt.Errorf("reading the answer of %s: %w", baseURL(a.res.Request.URL), err)
}

// Close ends the reading.
func (a *Answer) Close() error { return a.res.Body.Close() }

// Next is the cursor of what follows; empty when nothing does, and for JSON, which has it
// inside.
func (a *Answer) Next() string { return a.res.Trailer.Get("X-Next-Cursor") }

// FilesMissing counts damaged files, set aside, that could have had further rows.
func (a *Answer) FilesMissing() int {
	n, err := strconv.Atoi(a.res.Trailer.Get("X-Files-Missing"))
	if err != nil {
		return 0 // there is no such trailer
	}
	return n
}

// Reflects is what of the journal the answer reflects at least, as shard:sequence, several
// with commas; for [Query.Reflects].
func (a *Answer) Reflects() string { return a.res.Header.Get("X-Journal-Position") }

// Stale says why the answer may be old, as from a node that is cut off, and how old if that
// is known; empty when it is not.
func (a *Answer) Stale() string { return a.res.Header.Get("X-Stale") }

// RequestID finds the request in the service's log.
func (a *Answer) RequestID() string { return a.res.Header.Get("X-Request-Id") }

// ErrFilesMissing is the end of rows of which some lie in damaged files.
var ErrFilesMissing = errors.New("damaged files were set aside: what they held is missing")

// line is the next line of an answer; io.EOF once it is complete.
func (a *Answer) line() ([]byte, error) {
	if a.lines == nil {
		a.lines = bufio.NewReaderSize(a, 256<<10)
	}
	text, err := a.lines.ReadBytes('\n')
	switch {
	case err == nil:
		return text, nil
	case err != io.EOF:
		return nil, err
	case len(text) > 0 || a.res.Trailer.Get("X-Row-Count") == "":
		return nil, fmt.Errorf("%w (request %s)", ErrCutOff, a.RequestID())
	}
	return nil, io.EOF
}

// Lines reads the records of an answer in [FormatLines] as they come, and closes it. It
// ends with [ErrCutOff], or [ErrFilesMissing], where not all have come.
func Lines[T Record](a *Answer) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		failed := func() error {
			for {
				text, err := a.line()
				if errors.Is(err, io.EOF) {
					break
				}
				var r T
				if err == nil {
					if err = json.Unmarshal(text, &r); err != nil {
						err = fmt.Errorf("reading a %s: %w", kindOf[T](), err)
					}
				}
				if err != nil {
					return err
				}
				if !yield(r, nil) {
					return errLeft
				}
			}
			if n := a.FilesMissing(); n > 0 {
				return fmt.Errorf("%w: %d of them", ErrFilesMissing, n)
			}
			return nil
		}()
		if err := a.Close(); failed == nil && err != nil {
			failed = fmt.Errorf("ending an answer: %w", err)
		}
		if failed != nil && !errors.Is(failed, errLeft) {
			yield(zero, failed)
		}
	}
}

// errLeft: who reads wants no more.
var errLeft = errors.New("left")

// pageRows is how many rows are asked for at once.
const pageRows = 10_000

// Rows reads all records of a question, page by page: each is there once, in order,
// however many arrive, are merged, archived or cleaned up meanwhile, and a page that does
// not come whole is asked for again. It ends with [ErrFilesMissing] where damaged files
// could have had more.
func Rows[T Record](ctx context.Context, c *Client, q Query) iter.Seq2[T, error] {
	q.Kind = kindOf[T]()
	left := q.Limit
	missing := 0
	return func(yield func(T, error) bool) {
		all := pages(ctx, func(ctx context.Context, cursor string) (page[T], error) {
			if cursor != "" {
				q.Cursor = cursor
			}
			q.Limit = pageRows
			if left > 0 {
				q.Limit = min(pageRows, left)
			}
			p, files, err := wholePage[T](ctx, c, q)
			missing = max(missing, files)
			if left > 0 {
				if left -= len(p.rows); left <= 0 {
					p.next = ""
				}
			}
			return p, err
		})
		for row, err := range all {
			if !yield(row, err) {
				return
			}
			if err != nil {
				return
			}
		}
		if missing > 0 {
			var zero T
			yield(zero, fmt.Errorf("%w: %d of them", ErrFilesMissing, missing))
		}
	}
}

// wholePage asks for a page until it has come whole.
func wholePage[T Record](ctx context.Context, c *Client, q Query) (p page[T], missing int, err error) {
	for attempt := 1; ; attempt++ {
		a, err := c.Storage.Query(ctx, q, FormatLines)
		if err != nil {
			return p, 0, err
		}
		rows, err := Collect(Lines[T](a))
		if err == nil || errors.Is(err, ErrFilesMissing) {
			return page[T]{rows, a.Next()}, a.FilesMissing(), nil
		}
		if attempt >= c.cfg.Attempts || !errors.Is(err, ErrCutOff) {
			return p, 0, err
		}
		if err := c.pause(ctx, attempt, 0); err != nil {
			return p, 0, err
		}
	}
}

// Candles asks for candles that the service computes from trades, newest first. The
// interval is a number and s, m, h, d, w or M. Of q it takes Exchange, Symbol, Market, From,
// To (of the open time), Limit and Origin.
func (s *Storage) Candles(ctx context.Context, q Query, interval string) ([]CandleRow, error) {
	var p parameters
	p.set("interval", interval)
	p.set("market", q.Market)
	p.time("from", q.From)
	p.time("to", q.To)
	p.number("limit", q.Limit)
	p.set("origin", q.Origin)
	p.set("decimals", "string")
	var answer struct {
		Data []CandleRow `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, join(storagePath+"/candles", q.Exchange, q.Symbol), p.Values), &answer)
	return answer.Data, err
}

// Streams lists the instruments that have rows; "" is any kind, or any exchange.
func (s *Storage) Streams(ctx context.Context, kind, exchange string) ([]StoredStream, error) {
	var p parameters
	p.set("kind", kind)
	p.set("exchange", exchange)
	var answer struct {
		Data []StoredStream `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, storagePath+"/streams", p.Values), &answer)
	return answer.Data, err
}

// Tally counts collected records, and how many are proven, in stretches of bucket: 1s or
// more; 24h counts UTC days; 0 is 15m. Of q it takes what names records, and From and To.
func (s *Storage) Tally(ctx context.Context, q Query, bucket time.Duration) ([]Tally, error) {
	var p parameters
	p.set("market", q.Market)
	p.flag("exact", q.Exact)
	p.time("from", q.From)
	p.time("to", q.To)
	if bucket > 0 {
		p.set("bucket", bucket.String())
	}
	var answer struct {
		Data []Tally `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, join(storagePath+"/tally", q.Kind, q.Exchange, q.Symbol), p.Values), &answer)
	return answer.Data, err
}

// Parts lists the Parquet files that hold what is published; "" is every kind, or both
// tiers.
func (s *Storage) Parts(ctx context.Context, kind, tier string) ([]Part, error) {
	var p parameters
	p.set("kind", kind)
	p.set("tier", tier)
	var answer struct {
		Data []Part `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, storagePath+"/parts", p.Values), &answer)
	return answer.Data, err
}

// Stats tells how much is stored, and how much was asked.
func (s *Storage) Stats(ctx context.Context) (StorageStats, error) {
	var answer struct {
		Data StorageStats `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, storagePath+"/stats", nil), &answer)
	return answer.Data, err
}

// Status tells how far the store is behind the journal, and what ails it.
func (s *Storage) Status(ctx context.Context) (StorageStatus, error) {
	var answer struct {
		Data StorageStatus `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, storagePath+"/status", nil), &answer)
	return answer.Data, err
}

// maxWaitApplied is the longest that the service waits for a position.
const maxWaitApplied = 30 * time.Second

// AwaitApplied waits until queries see a position of the journal, as [Written] has it, or
// until ctx ends. journal is the journal's id, as [Storage.Journal] tells it.
func (s *Storage) AwaitApplied(ctx context.Context, journal, position string) (Applied, error) {
	var p parameters
	p.set("journal", journal)
	p.set("position", position)
	p.set("wait", maxWaitApplied.String())
	for {
		var a Applied
		if err := s.c.call(ctx, get(StorageService, storagePath+"/applied", p.Values), &a); err != nil || a.Reached {
			return a, err
		}
	}
}

// ResumeTable has a QuestDB server go on with a suspended table.
func (s *Storage) ResumeTable(ctx context.Context, table string) (resumed bool, err error) {
	r, err := order(StorageService, http.MethodPost, join(storagePath+"/tables", table, "resume"), nil)
	if err != nil {
		return false, err
	}
	var answer struct {
		Was bool `json:"was_suspended"`
	}
	r.harmless = true
	err = s.c.call(ctx, r, &answer)
	return answer.Was, err
}

// words puts a list of words into one, for services that take them so.
func words(list []string) string { return strings.Join(list, ",") }
