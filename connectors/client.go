package connectors

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// ClientOptions are what a [Client] is made from.
type ClientOptions struct {
	Venue *Venue
	// HTTP makes the calls; nil is a client of our own.
	HTTP *http.Client
	// Timeout bounds a call, its body included; 0 is 15 s.
	Timeout time.Duration
	// MaxBody bounds a response, in bytes; 0 is 64 MiB.
	MaxBody int64
	// Tap sees every response; nil for none.
	Tap func(*CaptureRecord)
	// Now is the clock that stamps responses, and by whose minutes the budget is
	// counted; nil is time.Now. How long the exchange wants to be left alone goes by
	// the machine's monotonic clock.
	Now func() time.Time
}

// Client calls the REST interface of one venue, one call at a time and within
// its weight budget. It is safe for concurrent use.
type Client struct {
	o    ClientOptions
	turn chan struct{} // holds one token: whose turn it is

	// Under turn:
	spent   budget    // of the current window
	blocked time.Time // the exchange wants no call before

	allowed allowed

	// What others read of it:
	budget atomic.Pointer[budget]
	clock  serverClock
}

// ClockOffset is how far the exchange's clock is ahead of ours, as the Date
// headers of its responses show, and by how much that may be wrong; ok is false
// before a response had one.
func (c *Client) ClockOffset() (offset, within time.Duration, ok bool) { return c.clock.read() }

// NewClient returns a client.
func NewClient(o ClientOptions) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 64 << 20
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{o: o, turn: make(chan struct{}, 1)}
	c.SetLimit(o.Venue.Limits.Weight)
	return c
}

// Response is what a call gave.
type Response struct {
	Body []byte
	Receipt
}

// StatusError is a response other than 200.
type StatusError struct {
	URL    string
	Status int
	// RetryAfter is how long the exchange wants to be left alone; 0 when it does
	// not say.
	RetryAfter time.Duration
	// Body is the beginning of what it said.
	Body string
}

// Error gives the status and what the exchange said.
func (e *StatusError) Error() string {
	return fmt.Sprintf("GET %s: status %d: %s", e.URL, e.Status, e.Body)
}

// Throttled reports whether the exchange refused because of too many calls: the
// same call may be made again, and [Client.Do] waits for the right time.
func (e *StatusError) Throttled() bool { return throttled(e.Status) }

// Temporary reports whether the same call may succeed later.
func (e *StatusError) Temporary() bool { return throttled(e.Status) || e.Status >= 500 }

func throttled(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusTeapot
}

// TooLargeError is a response beyond the limit.
type TooLargeError struct {
	URL   string
	Limit int64
}

// Error names the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("GET %s: the response has more than %d bytes", e.URL, e.Limit)
}

// Fetch makes the call and decodes its records into out. The error is that of
// [Client.Do] or of [REST.Decode].
func (c *Client) Fetch(ctx context.Context, req Request, out *market.Batch) error {
	r, err := c.Do(ctx, req)
	if err != nil {
		return err
	}
	if err := c.o.Venue.REST.Decode(req, r.Body, r.Receipt, out); err != nil {
		return fmt.Errorf("GET %s: %w", req.URL, err)
	}
	return nil
}

// Parts are the needs that one need takes, in order: several where the exchange
// is [Parted], else itself.
func (c *Client) Parts(n Need) []Need {
	parts := []Need{n}
	if p, ok := c.o.Venue.REST.(Parted); ok {
		for parts[0].Part = 0; len(parts) < p.Parts(n.Kind); {
			n.Part = len(parts)
			parts = append(parts, n)
		}
	}
	return parts
}

// Instruments fetches the list of instruments, all parts of it. The error is that
// of [Client.Do], of [REST.Request] or of [REST.Instruments].
func (c *Client) Instruments(ctx context.Context) ([]*market.Instrument, error) {
	return fetchParts(ctx, c, Need{Kind: NeedInstruments}, c.o.Venue.REST.Instruments)
}

// Volumes fetches how much of each instrument is traded, all parts of it;
// [ErrUnsupported] when the exchange does not tell ([Ranked]).
func (c *Client) Volumes(ctx context.Context) ([]Volume, error) {
	ranked, ok := c.o.Venue.REST.(Ranked)
	if !ok {
		return nil, fmt.Errorf("fetching the %s: %w", NeedVolumes, ErrUnsupported)
	}
	return fetchParts(ctx, c, Need{Kind: NeedVolumes}, ranked.Volumes)
}

// fetchParts makes every call that a need takes and joins what they give.
func fetchParts[T any](ctx context.Context, c *Client, n Need, read func([]byte) ([]T, error)) ([]T, error) {
	var all []T
	for _, part := range c.Parts(n) {
		req, err := c.o.Venue.REST.Request(part)
		if err != nil {
			return nil, fmt.Errorf("asking for the %s: %w", n.Kind, err)
		}
		resp, err := c.Do(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("fetching the %s: %w", n.Kind, err)
		}
		list, err := read(resp.Body)
		if err != nil {
			return nil, fmt.Errorf("reading the %s: GET %s: %w", n.Kind, req.URL, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// Do makes the call when its turn has come and the budget allows, or returns
// with ctx's error. A response other than 200 is a *[StatusError]; after 429 and
// 418 no call is made before Retry-After has passed.
func (c *Client) Do(ctx context.Context, req Request) (Response, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return Response{}, fmt.Errorf("GET %s: waiting for a turn: %w", req.URL, ctx.Err())
	}
	defer func() { <-c.turn }()
	if err := c.afford(ctx, req.Weight); err != nil {
		return Response{}, fmt.Errorf("GET %s: waiting for the rate limit: %w", req.URL, err)
	}
	return c.get(ctx, req)
}

// afford waits until the exchange takes calls again and the weight fits into
// what is left of the window, and books it.
func (c *Client) afford(ctx context.Context, weight int) error {
	if err := sleep(ctx, time.Until(c.blocked)); err != nil {
		return err
	}
	now := c.allowed.now()
	if now.whole.N <= 0 {
		return ctx.Err()
	}
	c.turnWindow(now.whole.Per)
	if !now.fits(c.spent, weight, 1) {
		if err := sleep(ctx, c.spent.window.Add(now.whole.Per).Sub(c.o.Now())); err != nil {
			return err
		}
		c.turnWindow(now.whole.Per)
	}
	c.spent.used += weight
	c.spent.own += weight
	c.publish()
	return ctx.Err()
}

// turnWindow starts a new budget when the window is over; exchanges count by
// whole minutes of the clock.
func (c *Client) turnWindow(per time.Duration) {
	if w := c.o.Now().Truncate(per); !w.Equal(c.spent.window) {
		c.spent = budget{window: w}
	}
}

// publish shows others what is spent.
func (c *Client) publish() {
	b := c.spent
	c.budget.Store(&b)
}

func (c *Client) get(ctx context.Context, req Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	call, err := http.NewRequestWithContext(ctx, http.MethodGet, req.URL, nil)
	if err != nil {
		return Response{}, fmt.Errorf("GET %s: %w", req.URL, err)
	}
	call.Header.Set("User-Agent", "marketprism")
	asked := c.o.Now()
	resp, err := c.o.HTTP.Do(call)
	if err != nil {
		return Response{}, fmt.Errorf("GET %s: %w", req.URL, err)
	}
	defer resp.Body.Close()
	c.clock.learn(resp.Header, asked, c.o.Now())
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxBody+1))
	if err != nil {
		return Response{}, fmt.Errorf("GET %s: read the response: %w", req.URL, err)
	}
	if t, ok := c.o.Venue.REST.(Throttling); ok && t.Throttled(body) {
		resp.StatusCode = http.StatusTooManyRequests
	}
	now := c.o.Now()
	c.learn(resp, now)
	if int64(len(body)) > c.o.MaxBody {
		return Response{}, &TooLargeError{URL: req.URL, Limit: c.o.MaxBody}
	}
	if resp.StatusCode != http.StatusOK {
		return Response{}, &StatusError{
			URL: req.URL, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, now), Body: string(body[:min(len(body), 512)]),
		}
	}
	if c.o.Tap != nil {
		c.o.Tap(&CaptureRecord{Time: now.UnixNano(), Dir: CaptureHTTP, URL: req.URL, Body: body})
	}
	return Response{Body: body, Receipt: Receipt{Time: now.UnixNano()}}, nil
}

// learn takes what the response says of our budget.
func (c *Client) learn(resp *http.Response, now time.Time) {
	if m, ok := c.o.Venue.REST.(Metered); ok {
		if used, ok := m.Used(resp.Header); ok {
			c.spent.used = used
			c.publish()
		}
	}
	if throttled(resp.StatusCode) {
		wait := retryAfter(resp.Header, now)
		if wait == 0 {
			wait = defaultThrottle
		}
		c.blocked = time.Now().Add(wait)
	}
}

// defaultThrottle is how long we stay away when the exchange wants us to and
// does not say for how long: a window of the usual budget.
const defaultThrottle = time.Minute

// retryAfter reads the header of that name, in seconds or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
