package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	apiPath = "/api/v1/"
	wsPath  = "/ws/"

	mediaJSON   = "application/json"
	mediaLines  = "application/x-ndjson"
	mediaEvents = "text/event-stream"

	// firstPause is that before the second attempt; each further one doubles.
	firstPause = 200 * time.Millisecond
	// maxAnswer is the longest answer that is read as one document, in bytes.
	maxAnswer = 256 << 20
)

// request is one operation of a service's interface.
type request struct {
	service, method string
	// path is the service's own, escaped.
	path   string
	query  url.Values
	header http.Header
	body   []byte // nil for none
	media  string // of the body; JSON unless it says otherwise
	accept string
	// harmless says that the service takes it once, however often it comes.
	harmless bool
	// wanted are further statuses that are no error, beside 2xx.
	wanted []int
	// open tells that no credential is shown: a login.
	open bool
}

// Values are the parameters of a request that a method has no argument for; nil is none.
type Values = url.Values

func get(service, path string, query url.Values) *request {
	return &request{service: service, method: http.MethodGet, path: path, query: query}
}

// order is a request with a JSON body; nil is none.
func order(service, method, path string, body any) (*request, error) {
	r := &request{service: service, method: method, path: path}
	if body == nil {
		return r, nil
	}
	var err error
	if r.body, err = json.Marshal(body); err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	return r, nil
}

// join makes a path of a base and segments, which are escaped.
func join(base string, segments ...string) string {
	var b strings.Builder
	b.WriteString(base)
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// Do asks a service for anything that no method asks for, and reads the JSON that is
// answered into into; nil reads nothing. The path is the service's own, escaped, such as
// /api/v1/storage/stats. A body that is not nil is sent as JSON.
func (c *Client) Do(ctx context.Context, service, method, path string, query Values, body, into any) error {
	r, err := order(service, method, path, body)
	if err != nil {
		return err
	}
	r.query = query
	return c.call(ctx, r, into)
}

// call sends a request, and reads the JSON that is answered.
func (c *Client) call(ctx context.Context, r *request, into any) error {
	_, err := c.callHead(ctx, r, into)
	return err
}

// callHead is call, and returns the answer's header.
func (c *Client) callHead(ctx context.Context, r *request, into any) (http.Header, error) {
	r.accept = mediaJSON
	for attempt := 0; ; {
		res, err := c.sendCounted(ctx, r, &attempt)
		if err != nil {
			return nil, err
		}
		text, err := readAll(res)
		switch {
		case err == nil && into == nil:
			return res.Header, nil
		case err == nil:
			if err := json.Unmarshal(text, into); err != nil {
				return nil, fmt.Errorf("reading the answer of %s: %w", baseURL(res.Request.URL), err)
			}
			return res.Header, nil
		case attempt >= c.cfg.Attempts || !r.repeatable() || errors.Is(err, errTooLong):
			return nil, fmt.Errorf("reading the answer of %s: %w", baseURL(res.Request.URL), err)
		}
		if err := c.pause(ctx, attempt, 0); err != nil {
			return nil, err
		}
	}
}

var errTooLong = fmt.Errorf("it is longer than %d bytes", maxAnswer)

func readAll(res *http.Response) ([]byte, error) {
	defer res.Body.Close() // it is read to its end
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = errTooLong
	}
	return text, err
}

// repeatable reports whether a request does nothing that a second one would do again.
func (r *request) repeatable() bool {
	return r.harmless || r.method == http.MethodGet || r.method == http.MethodHead
}

// send sends a request until it is answered, as often as it may be sent. An answer that
// says no is an [*Error]; the body of any other is the caller's to close.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	return c.sendCounted(ctx, r, new(int))
}

// sendCounted is send for a request that was sent so many times before.
func (c *Client) sendCounted(ctx context.Context, r *request, attempt *int) (*http.Response, error) {
	for {
		*attempt++
		res, sent, err := c.attempt(ctx, r)
		if err == nil && (res.StatusCode/100 == 2 || slices.Contains(r.wanted, res.StatusCode)) {
			return res, nil
		}
		var after time.Duration
		if err == nil {
			said := readError(res)
			after, err = said.RetryAfter, said
		}
		if *attempt >= c.cfg.Attempts || !sent || !c.again(r, err) || after > c.cfg.MaxPause {
			return nil, err
		}
		if late := c.pause(ctx, *attempt, after); late != nil {
			return nil, fmt.Errorf("%w; the last answer: %w", late, err)
		}
	}
}

// again reports whether a request that has failed is to be sent once more. One that was
// refused for its rate has done nothing, whatever it asks for.
func (c *Client) again(r *request, err error) bool {
	var said *Error
	if errors.As(err, &said) {
		switch said.Status {
		case http.StatusTooManyRequests:
			return true
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return r.repeatable()
		}
		return false
	}
	return r.repeatable() && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// pause waits before the next attempt.
func (c *Client) pause(ctx context.Context, attempt int, after time.Duration) error {
	if after == 0 {
		after = min(firstPause<<min(attempt-1, 16), c.cfg.MaxPause)
	}
	return wait(ctx, after)
}

// wait waits d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// attempt sends a request once, and once more where its login has ended. What cannot be
// sent would not be another time either.
func (c *Client) attempt(ctx context.Context, r *request) (res *http.Response, sent bool, err error) {
	for first := true; ; first = false {
		base, through, which, err := c.base(r.service)
		if err != nil {
			return nil, false, err
		}
		credential := ""
		if through && !r.open {
			if credential, err = c.credential(ctx); err != nil {
				return nil, false, err
			}
		}
		q, err := r.make(ctx, base, through, credential)
		if err != nil {
			return nil, false, err
		}
		if res, err = c.http.Do(q); err != nil {
			if through && ctx.Err() == nil {
				c.passOver(which)
			}
			return nil, true, err
		}
		if res.StatusCode != http.StatusUnauthorized || !first || c.login == nil || credential == "" {
			return res, true, nil
		}
		c.login.forget(credential)
		if err := res.Body.Close(); err != nil {
			return nil, true, err
		}
	}
}

// make makes the request that is sent to a base address.
func (r *request) make(ctx context.Context, base string, through bool, credential string) (*http.Request, error) {
	at, err := r.at(base, through)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, at, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	for name, values := range r.header {
		q.Header[name] = values
	}
	if r.body != nil {
		q.Header.Set("Content-Type", r.media)
		if r.media == "" {
			q.Header.Set("Content-Type", mediaJSON)
		}
	}
	if r.accept != "" {
		q.Header.Set("Accept", r.accept)
	}
	if credential != "" {
		q.Header.Set("Authorization", "Bearer "+credential)
	}
	return q, nil
}

// at is the address of a request, by the gateway's name for it if it goes through one.
func (r *request) at(base string, through bool) (string, error) {
	at := base + r.path
	if through && r.service != GatewayService {
		rest, ok := strings.CutPrefix(r.path, apiPath)
		own := apiPath
		if !ok {
			rest, ok = strings.CutPrefix(r.path, wsPath)
			own = wsPath
		}
		if !ok {
			return "", fmt.Errorf("%s of the %s is not to be had through a gateway", r.path, r.service)
		}
		at = base + own + r.service + "/" + rest
	}
	if len(r.query) > 0 {
		at += "?" + r.query.Encode()
	}
	return at, nil
}

// credential is what gateways are shown; empty for nothing.
func (c *Client) credential(ctx context.Context) (string, error) {
	if c.login != nil {
		return c.login.token(ctx)
	}
	return c.cfg.Key, nil
}

// parameters collects the parameters of a request; what is zero is left out.
type parameters struct{ url.Values }

func (p *parameters) set(name, value string) {
	if value == "" {
		return
	}
	if p.Values == nil {
		p.Values = url.Values{}
	}
	p.Values.Set(name, value)
}

func (p *parameters) number(name string, n int) {
	if n != 0 {
		p.set(name, strconv.Itoa(n))
	}
}

func (p *parameters) flag(name string, on bool) {
	if on {
		p.set(name, "true")
	}
}

func (p *parameters) time(name string, t time.Time) {
	if !t.IsZero() {
		p.set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func (p *parameters) list(name string, words []string) { p.set(name, strings.Join(words, ",")) }
