package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

const (
	base = "/api/v1/storage/"
	// dialTimeout bounds the connecting, answerTimeout the wait for the head of an
	// answer: the service has its own bounds below it.
	dialTimeout   = 2 * time.Second
	answerTimeout = 70 * time.Second
	// maxDocument bounds an answer that is one document, maxRefusal one that says no.
	maxDocument = 16 << 20
	maxRefusal  = 64 << 10
	// reachedWait is how long one question for a position waits at the service.
	reachedWait = 5 * time.Second
)

// Options of a [Reader].
type Options struct {
	// Find returns the addresses (http://host:port) of the storage services. It is
	// called for each request.
	Find func(ctx context.Context) ([]string, error)
	// Carry wraps what carries the requests, for what they need to be let in; nil leaves
	// it as it is.
	Carry func(http.RoundTripper) http.RoundTripper
}

// Reader is a persistence.Reader over HTTP. It is safe for concurrent use.
type Reader struct {
	find   func(ctx context.Context) ([]string, error)
	client *http.Client
}

var _ persistence.Reader = (*Reader)(nil)

// New makes a reader; it asks nobody yet.
func New(o Options) *Reader {
	var carrier http.RoundTripper = &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, MaxIdleConnsPerHost: 16, MaxConnsPerHost: 32,
		IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: answerTimeout,
	}
	if o.Carry != nil {
		carrier = o.Carry(carrier)
	}
	return &Reader{find: o.Find, client: &http.Client{Transport: carrier}}
}

// Close releases idle connections.
func (r *Reader) Close() { r.client.CloseIdleConnections() }

// ErrNowhere: no storage service is known.
var ErrNowhere = errors.New("no storage service is known")

// AnswerError is an answer of the service that says no.
type AnswerError struct {
	URL    string
	Status int
	// Code is the problem's stable code, Detail what it says.
	Code, Detail string
}

// Error implements error.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.URL, e.Status, e.Code, e.Detail)
}

// Is makes what the service calls a bad query or cursor match the errors of
// persistence.
func (e *AnswerError) Is(target error) bool {
	return target == persistence.ErrCursor && e.Code == "invalid_cursor" || target == persistence.ErrQuery && e.Status/100 == 4
}

// get asks the first address that can be reached. The caller closes the body.
func (r *Reader) get(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	addresses, err := r.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the storage service: %w", err)
	}
	err = ErrNowhere
	for _, address := range addresses {
		at := strings.TrimSuffix(address, "/") + base + path + "?" + q.Encode()
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, at, nil); err != nil {
			return nil, fmt.Errorf("asking the storage service: %w", err)
		}
		var res *http.Response
		if res, err = r.client.Do(req); err != nil {
			continue
		}
		if res.StatusCode == http.StatusOK {
			return res, nil
		}
		err = refusal(at, res)
	}
	return nil, fmt.Errorf("asking the storage service: %w", err)
}

func refusal(at string, res *http.Response) error {
	defer res.Body.Close() // it is read as far as it counts
	e := &AnswerError{URL: at, Status: res.StatusCode}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err != nil || json.Unmarshal(body, &p) != nil {
		p.Code, p.Detail = "unreadable", http.StatusText(res.StatusCode)
	}
	e.Code, e.Detail = p.Code, p.Detail
	return e
}

// document asks for one JSON document.
func (r *Reader) document(ctx context.Context, path string, q url.Values, into any) (err error) {
	res, err := r.get(ctx, path, q)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("reading %s%s: %w", base, path, err)
	}
	return nil
}

func streamPath(what string, kind market.Kind, id market.StreamID) string {
	return what + "/" + kind.String() + "/" + url.PathEscape(id.Exchange) + "/" + url.PathEscape(id.Symbol)
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// Candles implements persistence.Reader; it is not read from another process.
// Error: persistence.ErrQuery.
func (r *Reader) Candles(context.Context, persistence.CandleQuery) (persistence.Rows, error) {
	return nil, fmt.Errorf("%w: candles are computed in the storage service's own process", persistence.ErrQuery)
}

// Last implements persistence.Reader.
func (r *Reader) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter, into *market.Batch) (found market.Record, ok bool, err error) {
	rows, err := r.Query(ctx, persistence.Query{Kind: kind, Stream: &stream, Newest: true, Limit: 1, Origin: origin})
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	before := into.Len()
	n, err := rows.Next(ctx, into)
	if err != nil && !errors.Is(err, io.EOF) || n == 0 {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return nil, false, err
	}
	return into.At(before), true, nil
}

// Count counts records as persistence.Count does, at the service.
func (r *Reader) Count(ctx context.Context, kind market.Kind, stream market.StreamID, from, to int64, width time.Duration) ([]persistence.Tally, error) {
	var answer struct {
		Data []persistence.Tally `json:"data"`
	}
	err := r.document(ctx, streamPath("tally", kind, stream), url.Values{
		"exact": {"true"}, "market": {stream.Market.String()}, "from": {stamp(from)}, "to": {stamp(to)}, "bucket": {width.String()},
	}, &answer)
	return answer.Data, err
}

// Standing says how the service's store and its journal stand to each other.
type Standing struct {
	JournalID    string `json:"journal_id"`
	HighestEpoch int64  `json:"highest_epoch"`
	Shards       []struct {
		Shard    int    `json:"shard"`
		Verdict  string `json:"verdict"`
		Detail   string `json:"detail"`
		Position uint64 `json:"position"`
	} `json:"shards"`
}

// Standing asks for it.
func (r *Reader) Standing(ctx context.Context) (Standing, error) {
	var answer struct {
		Data Standing `json:"data"`
	}
	err := r.document(ctx, "journal", nil, &answer)
	return answer.Data, err
}

// Reached waits until the store has applied a shard of the journal of that id up to
// seq, as long as ctx lasts. Errors: ctx's, a failure to ask, and an [*AnswerError]
// when the store cannot get there (another journal, a fault).
func (r *Reader) Reached(ctx context.Context, journalID string, shard int, seq uint64) error {
	for {
		wait := reachedWait
		if until, ok := ctx.Deadline(); ok {
			wait = min(wait, max(0, time.Until(until)))
		}
		var answer struct {
			Reached bool `json:"reached"`
		}
		err := r.document(ctx, "applied", url.Values{
			"journal": {journalID}, "position": {strconv.Itoa(shard) + ":" + strconv.FormatUint(seq, 10)}, "wait": {wait.String()},
		}, &answer)
		if err != nil || answer.Reached {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the store to have %d:%d: %w", shard, seq, ctx.Err())
		}
	}
}

// Stored asks every service to wait until a shard of the journal of that id is stored up
// to seq, as long as ctx lasts: the one that brings the shard into a store that they share
// does, and the others say no. It returns why none did.
func (r *Reader) Stored(ctx context.Context, journalID string, shard int, seq uint64) error {
	addresses, err := r.find(ctx)
	if err != nil {
		return fmt.Errorf("finding the storage services: %w", err)
	}
	errs := []error{ErrNowhere}
	for _, address := range addresses {
		wait := reachedWait
		if until, ok := ctx.Deadline(); ok {
			wait = min(wait, max(0, time.Until(until)))
		}
		res, err := r.at(ctx, address, "applied", url.Values{
			"journal": {journalID}, "position": {strconv.Itoa(shard) + ":" + strconv.FormatUint(seq, 10)}, "wait": {wait.String()}, "stored": {"true"},
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var answer struct {
			Reached bool `json:"reached"`
		}
		err = errors.Join(json.NewDecoder(io.LimitReader(res.Body, maxDocument)).Decode(&answer), res.Body.Close())
		if err == nil && answer.Reached {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
