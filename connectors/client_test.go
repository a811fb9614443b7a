package connectors_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
)

// answer is an HTTP server without sockets, so that its time can be made up.
type answer func(*http.Request) (status int, header http.Header, body string)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, header, body := a(r)
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func spotVenue(t *testing.T) *connectors.Venue {
	t.Helper()
	v, err := binance.New().Venue(market.Spot, binance.New().DefaultConfig().Markets["spot"])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func snapshot(t *testing.T, v *connectors.Venue) connectors.Request {
	t.Helper()
	i, err := v.Builtin().Resolve("BTC-USDT")
	if err != nil {
		t.Fatal(err)
	}
	req, err := v.REST.Request(connectors.Need{Kind: connectors.NeedSnapshot, Instrument: i})
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func used(n int) http.Header { return http.Header{"X-Mbx-Used-Weight-1m": {strconv.Itoa(n)}} }

func TestClientFetches(t *testing.T) {
	v := spotVenue(t)
	var taped []connectors.CaptureRecord
	c := connectors.NewClient(connectors.ClientOptions{
		Venue: v, Tap: func(r *connectors.CaptureRecord) { taped = append(taped, *r) },
		HTTP: &http.Client{Transport: answer(func(r *http.Request) (int, http.Header, string) {
			if r.URL.String() != "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000" {
				t.Errorf("GET %s", r.URL)
			}
			return 200, used(50), `{"lastUpdateId":7,"bids":[["1","2"]],"asks":[]}`
		})},
	})
	var batch market.Batch
	if err := c.Fetch(t.Context(), snapshot(t, v), &batch); err != nil {
		t.Fatal(err)
	}
	for d := range market.Rows[market.BookDelta](&batch) {
		if !d.IsSnapshot || d.Seq != market.Int(7) || d.ReceiveTime == 0 || len(d.Bids) != 1 {
			t.Errorf("snapshot %+v", d)
		}
	}
	if batch.Len() != 1 || len(taped) != 1 || taped[0].Dir != connectors.CaptureHTTP || taped[0].Conn != 0 {
		t.Errorf("%d records, tape %v", batch.Len(), taped)
	}
}

func TestClientKeepsToItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := spotVenue(t)
		v.Limits.Weight.N = 4800
		weight := 0
		c := connectors.NewClient(connectors.ClientOptions{Venue: v, HTTP: &http.Client{Transport: answer(func(*http.Request) (int, http.Header, string) {
			weight += 1000 // others at our address use it too
			return 200, used(weight), `{"lastUpdateId":7,"bids":[],"asks":[]}`
		})}})
		start := time.Now()
		req := snapshot(t, v)
		for range 5 { // before the fifth 4000 are used: 50 more fit
			if _, err := c.Do(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("waited %v within the budget", time.Since(start))
		}
		// 5000 are used: the next call waits for the next minute of the clock.
		weight = 0
		if _, err := c.Do(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if want := start.Truncate(time.Minute).Add(time.Minute); !time.Now().Equal(want) {
			t.Errorf("called at %v, want %v", time.Now(), want)
		}
		// A caller who cannot wait is told so.
		weight = 10_000
		if _, err := c.Do(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Do(ctx, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err %v, want the caller's deadline", err)
		}
	})
}

// Two clients come from one address: each uses half of its budget, and neither what both
// have used; alone again, one has all of it.
func TestClientsShareAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := spotVenue(t)
		v.Limits.Weight.N = 400
		start := time.Now().Truncate(time.Minute).Add(time.Minute)
		time.Sleep(time.Until(start)) //nolint:forbidigo // the bubble's clock, not time
		spent, minute := 0, start     // as the exchange counts
		client := func() *connectors.Client {
			return connectors.NewClient(connectors.ClientOptions{Venue: v, HTTP: &http.Client{Transport: answer(func(*http.Request) (int, http.Header, string) {
				if now := time.Now().Truncate(time.Minute); now.After(minute) {
					spent, minute = 0, now
				}
				spent += 50
				return 200, used(spent), `{"lastUpdateId":7,"bids":[],"asks":[]}`
			})}})
		}
		a, b := client(), client()
		req := snapshot(t, v)
		if req.Weight != 50 {
			t.Fatalf("a snapshot weighs %d", req.Weight)
		}
		calls := func(c *connectors.Client, n int) time.Duration {
			t.Helper()
			begin := time.Now()
			for range n {
				if err := c.Spare(t.Context(), req.Weight, 1); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Do(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(begin)
		}
		a.SetSharers(2)
		b.SetSharers(2)
		if got := a.Limit().N; got != 200 {
			t.Errorf("its part is %d", got)
		}
		if waited := calls(a, 4) + calls(b, 4); waited != 0 {
			t.Errorf("waited %v within the parts", waited)
		}
		if left, ok := a.Remaining(); left != 0 || !ok {
			t.Errorf("%v is left", left)
		}
		if spent != 400 {
			t.Errorf("%d were used", spent)
		}
		if waited := calls(a, 1); waited != time.Minute || spent != 50 {
			t.Errorf("beyond its part it waited %v; %d were used then", waited, spent)
		}
		// The other is gone.
		a.SetSharers(1)
		if waited := calls(a, 7); waited != 0 || spent != 400 {
			t.Errorf("alone it waited %v and used %d", waited, spent)
		}
		// Others at the address have used everything.
		b.SetSharers(2)
		time.Sleep(time.Until(minute.Add(time.Minute))) //nolint:forbidigo // the bubble's clock, not time
		spent, minute = 375, minute.Add(time.Minute)
		calls(b, 1) // which it cannot know before
		if waited := calls(b, 1); waited != time.Minute {
			t.Errorf("when the address had used all it waited %v", waited)
		}
	})
}

func TestClientStaysAwayWhenToldTo(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		header http.Header
		want   time.Duration
	}{
		{"429 with seconds", 429, http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		{"418 with seconds", 418, http.Header{"Retry-After": {"600"}}, 10 * time.Minute},
		{"429 without", 429, nil, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := spotVenue(t)
				calls := 0
				c := connectors.NewClient(connectors.ClientOptions{Venue: v, HTTP: &http.Client{Transport: answer(func(*http.Request) (int, http.Header, string) {
					if calls++; calls == 1 {
						return tc.status, tc.header, `{"code":-1003,"msg":"Too many requests"}`
					}
					return 200, nil, `{"lastUpdateId":7,"bids":[],"asks":[]}`
				})}})
				start := time.Now()
				_, err := c.Do(t.Context(), snapshot(t, v))
				var s *connectors.StatusError
				if !errors.As(err, &s) || !s.Throttled() || !s.Temporary() || s.Status != tc.status {
					t.Fatalf("err %v", err)
				}
				if _, err := c.Do(t.Context(), snapshot(t, v)); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != tc.want {
					t.Errorf("called again after %v, want %v", d, tc.want)
				}
			})
		})
	}
}

func TestClientErrors(t *testing.T) {
	v := spotVenue(t)
	for _, tc := range []struct {
		name   string
		status int
		body   string
		is     func(error) bool
	}{
		{"bad symbol", 400, `{"code":-1121,"msg":"Invalid symbol."}`, func(err error) bool {
			var s *connectors.StatusError
			return errors.As(err, &s) && !s.Temporary() && !s.Throttled() && strings.Contains(s.Body, "Invalid symbol")
		}},
		{"server error", 503, "", func(err error) bool {
			var s *connectors.StatusError
			return errors.As(err, &s) && s.Temporary()
		}},
		{"too large", 200, strings.Repeat(" ", 2000), func(err error) bool {
			var l *connectors.TooLargeError
			return errors.As(err, &l) && l.Limit == 1000
		}},
		{"not JSON", 200, "<html>", func(err error) bool {
			var f *connectors.FrameError
			return errors.As(err, &f)
		}},
	} {
		c := connectors.NewClient(connectors.ClientOptions{Venue: v, MaxBody: 1000, HTTP: &http.Client{Transport: answer(
			func(*http.Request) (int, http.Header, string) { return tc.status, nil, tc.body })}})
		var batch market.Batch
		if err := c.Fetch(t.Context(), snapshot(t, v), &batch); !tc.is(err) || batch.Len() != 0 {
			t.Errorf("%s: %v, %d records", tc.name, err, batch.Len())
		}
	}
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connectors.NewPacer(connectors.Rate{N: 5, Per: time.Second})
		start := time.Now()
		for i := range 6 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(start), time.Duration(i)*200*time.Millisecond; got != want {
				t.Errorf("turn %d after %v, want %v", i, got, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("err %v", err)
		}
		var none *connectors.Pacer
		if err := none.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
