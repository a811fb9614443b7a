package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client keeps no connection for longer than a killed server lives.
var client = &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dialTLS, MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second}}

// Answer is what a server said.
type Answer struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    []byte
}

// Problem is a problem document.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	Error     string `json:"error"`
	RequestID string `json:"request_id"`
}

// Problem reads the body as a problem document; the error says what it lacks.
func (a *Answer) Problem() (Problem, error) {
	var p Problem
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if media != "application/problem+json" {
		return p, fmt.Errorf("%d answered as %q", a.Status, media)
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return p, fmt.Errorf("a problem document that is no JSON: %w", err)
	}
	if p.Type == "" || p.Code == "" || p.Detail == "" || p.RequestID == "" || p.Status != a.Status || p.Error != p.Detail {
		return p, fmt.Errorf("an incomplete problem document: %s", a.Body)
	}
	return p, nil
}

// Do sends a request and reads the whole answer, for as long as there comes some of it.
func Do(ctx context.Context, r *http.Request) (*Answer, error) {
	ctx, heard, leave := attended(ctx)
	defer leave()
	res, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, errors.Join(err, silence(ctx))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(heardReader{res.Body, heard})
	if err != nil {
		return nil, errors.Join(err, silence(ctx))
	}
	return &Answer{res.StatusCode, res.Header, res.Trailer, body}, nil
}

// Get asks for a URL.
func Get(ctx context.Context, url string) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return Do(ctx, r)
}

// Post sends a body.
func Post(ctx context.Context, url, media string, body []byte) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", media)
	return Do(ctx, r)
}

// GetJSON asks for a URL that has to answer 200, and reads its JSON.
func GetJSON(t testing.TB, url string, into any) {
	t.Helper()
	a, err := Get(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", url, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		t.Fatalf("GET %s: %v in %.200s", url, err, a.Body)
	}
}

// Health is the answer of /health.
type Health struct {
	Code   int    `json:"-"` // of HTTP
	Status string `json:"status"`
	Checks map[string]struct {
		Status string `json:"status"`
		Error  string `json:"error"`
	} `json:"checks"`
}

// Complaint is what the checks that do not pass say.
func (h Health) Complaint() string {
	var all []string
	for name, c := range h.Checks {
		if c.Status != "pass" {
			all = append(all, name+": "+c.Status+": "+c.Error)
		}
	}
	return strings.Join(all, "; ")
}

// Health asks a service how it is.
func (n *Node) Health(service string) Health {
	n.t.Helper()
	a, err := Get(n.t.Context(), n.URL(service, "/health"))
	if err != nil {
		n.t.Fatal(err)
	}
	h := Health{Code: a.Status}
	if err := json.Unmarshal(a.Body, &h); err != nil {
		n.t.Fatalf("/health: %v in %s", err, a.Body)
	}
	return h
}

// Record is one record in the one JSON form: its line, and what tests look at.
type Record struct {
	Line     string
	ID       json.RawMessage `json:"id"`
	Price    string          `json:"price"`
	Amount   string          `json:"amount"`
	Seq      *int64          `json:"seq"`
	TradedAt int64           `json:"exchange_time_ns"`
	Channel  string          `json:"channel"`
	FromSeq  *int64          `json:"from_seq"`
	ToSeq    *int64          `json:"to_seq"`
	Cause    string          `json:"cause"`
	Outcome  string          `json:"outcome"`
}

// Name is the id as text, however it is written.
func (r *Record) Name() string { return strings.Trim(string(r.ID), `"`) }

// ErrNotStored says that the service knows nothing of what was asked for.
var ErrNotStored = errors.New("nothing is stored")

// RefusedError is an answer that is none of the expected.
type RefusedError struct {
	URL    string
	Answer *Answer
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("GET %s: %d %s", e.URL, e.Answer.Status, e.Answer.Body)
}

// Later is in how long to ask again, when the answer is a 503 that says so.
func (e *RefusedError) Later() (time.Duration, bool) {
	seconds, err := strconv.Atoi(e.Answer.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil && e.Answer.Status == http.StatusServiceUnavailable
}

// Query reads all stored records of a kind, such as
// Query(ctx, "trade", "binance", "BTC-USDT", "market", "spot").
func (n *Node) Query(ctx context.Context, kind, exchange, symbol string, params ...string) ([]Record, error) {
	v := url.Values{"format": {"ndjson"}}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	at := n.URL(Storage, "/api/v1/storage/query/"+kind+"/"+exchange+"/"+symbol+"?"+v.Encode())
	a, err := Get(ctx, at)
	switch {
	case err != nil:
		return nil, err
	case a.Status == http.StatusNotFound:
		return nil, ErrNotStored
	case a.Status != http.StatusOK:
		return nil, &RefusedError{at, a}
	}
	return ParseRecords(string(a.Body))
}

// MustQuery is [Node.Query] that has to succeed; nothing stored is no record.
func (n *Node) MustQuery(kind, exchange, symbol string, params ...string) []Record {
	n.t.Helper()
	records, err := n.Query(n.t.Context(), kind, exchange, symbol, params...)
	if err != nil && !errors.Is(err, ErrNotStored) {
		n.t.Fatal(err)
	}
	return records
}

// ParseRecords reads lines in the one JSON form.
func ParseRecords(text string) ([]Record, error) {
	var all []Record
	for line := range strings.Lines(text) {
		r := Record{Line: strings.TrimSuffix(line, "\n")}
		if err := json.Unmarshal([]byte(r.Line), &r); err != nil {
			return nil, fmt.Errorf("line %d: %w: %.200s", len(all)+1, err, r.Line)
		}
		all = append(all, r)
	}
	return all, nil
}
