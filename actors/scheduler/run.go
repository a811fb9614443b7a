package scheduler

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// Why a run is cut short.
var (
	errCancelled = errors.New("cancelled")
	errReplaced  = errors.New("replaced by the next run")
	errRemoved   = errors.New("the task was removed")
	errTotal     = errors.New("the run has taken longer than its total timeout")
)

// attempt is what one call of a target came to.
type attempt struct {
	status int    // HTTP; 0 without one
	answer string // cut
	err    error  // nil: it succeeded
	final  bool   // another attempt would come to the same
	after  time.Duration
}

// caller calls targets.
type caller struct {
	options *Options
	clients atomic.Pointer[clients]
	slots   *gate // for runs
	sending *gate // for requests that are being put together and written
}

// clients are those of one configuration.
type clients struct {
	services, urls *http.Client
}

func newCaller(o *Options) *caller {
	// Of many runs that become due together no more are sent at a time than keep the
	// processors busy: whoever asks the API meanwhile need not wait for all of them.
	c := &caller{options: o, slots: newGate(o.config().MaxConcurrentTasks), sending: newGate(2 * runtime.GOMAXPROCS(0))}
	c.clients.Store(newClients(o))
	return c
}

func newClients(o *Options) *clients {
	c := o.config()
	n := c.MaxConcurrentTasks
	made := &clients{services: newClient(n, nil), urls: newClient(n, guard(c.URLs))}
	if o.Carry != nil {
		made.services.Transport = o.Carry(made.services.Transport)
	}
	return made
}

// reconfigure takes up the configuration in force. Requests under way go on; their
// connections are not used again.
func (c *caller) reconfigure() {
	now := c.options.config()
	c.slots.resize(now.MaxConcurrentTasks)
	c.clients.Swap(newClients(c.options)).close()
}

func (c *caller) close() { c.clients.Load().close() }

func (c *clients) close() {
	c.services.CloseIdleConnections()
	c.urls.CloseIdleConnections()
}

// run calls a target until it succeeds, its attempts are used up, or ctx ends, which
// is what the result then says. before attempts were begun by somebody else. It
// waits for a slot first; begun is called when it has one.
func (c *caller) run(ctx context.Context, t *Task, f ledger.Fire, before int, begun func()) (ledger.Result, error) {
	r := ledger.Result{Task: f.Task, Nominal: f.Nominal}
	if err := c.slots.enter(ctx); err != nil {
		r.Started = c.options.Now().UnixMilli()
		return c.end(ctx, r, attempt{err: err}, 0)
	}
	defer c.slots.leave()
	begun()
	start := c.options.Now()
	r.Started = start.UnixMilli()
	limit := seconds(t.TimeoutSeconds, c.options.config().RunTimeout)
	total := seconds(t.TotalTimeoutSeconds, max(c.options.config().TotalTimeout, seconds(t.TimeoutSeconds, 0)))
	if t.Retry.MaxAttempts > 1 || total < limit { // else the only attempt is bounded already
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, total, errTotal)
		defer cancel()
	}
	var last attempt
	for n := 1; ; n++ {
		r.Attempts = n
		last = c.try(ctx, t, f, before+n, limit)
		if last.err == nil || last.final || n >= t.Retry.MaxAttempts || ctx.Err() != nil || !pause(ctx, t.Retry.wait(n, last.after, mrand.Float64())) {
			break
		}
	}
	return c.end(ctx, r, last, c.options.Now().Sub(start))
}

// end words a result. The error says that there is none: the process is stopping.
func (c *caller) end(ctx context.Context, r ledger.Result, last attempt, took time.Duration) (ledger.Result, error) {
	r.Took, r.Status, r.Answer = took.Microseconds(), last.status, last.answer
	if last.err == nil {
		r.Outcome = ledger.Succeeded
		return r, nil
	}
	cause := context.Cause(ctx)
	r.Outcome, r.Error = ledger.Failed, clipText(last.err.Error(), 500)
	switch {
	case cause == nil:
		if errors.Is(last.err, context.DeadlineExceeded) {
			r.Outcome = ledger.TimedOut
		}
	case errors.Is(cause, errCancelled), errors.Is(cause, errReplaced), errors.Is(cause, errRemoved):
		r.Outcome, r.Error = ledger.Cancelled, cause.Error()
	case errors.Is(cause, errTotal):
		r.Outcome, r.Error = ledger.TimedOut, errTotal.Error()+"; at last: "+r.Error
	default:
		return r, cause
	}
	return r, nil
}

// wait is the time before the attempt after the n-th: it doubles, ± 20 %, and is not
// shorter than the target asked for.
func (r Retry) wait(n int, asked time.Duration, draw float64) time.Duration {
	d := r.BackoffSeconds * float64(uint64(1)<<min(n-1, 30))
	d = min(d, r.MaxBackoffSeconds) * (0.8 + 0.4*draw)
	return max(time.Duration(d*float64(time.Second)), min(asked, time.Duration(r.MaxBackoffSeconds*float64(time.Second))))
}

// pause waits, and reports whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try is one attempt, bounded by a timeout.
func (c *caller) try(ctx context.Context, t *Task, f ledger.Fire, n int, limit time.Duration) attempt {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := c.call(ctx, t, f, n)
	if a.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.err = fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded)
	}
	return a
}

func (c *caller) call(ctx context.Context, t *Task, f ledger.Fire, n int) attempt {
	header := identity(f, n)
	switch t.TargetService {
	case TargetSubject:
		if err := c.options.checkSubject(t.TargetEndpoint); err != nil {
			return attempt{err: err, final: true}
		}
		answer, err := c.options.Publish(ctx, t.TargetEndpoint, header, t.Payload)
		return attempt{answer: c.cut([]byte(answer)), err: err}
	case TargetActor:
		message := c.options.Messages[t.TargetEndpoint]
		if message == nil {
			return attempt{err: fmt.Errorf("no actor takes %q", t.TargetEndpoint), final: true}
		}
		answer, err := message(ctx, t.Payload)
		return attempt{answer: c.cut([]byte(answer)), err: err}
	case TargetURL:
		if err := checkURL(t.TargetEndpoint, c.options.config().URLs); err != nil {
			return attempt{err: err, final: true}
		}
		return c.request(ctx, c.clients.Load().urls, t, t.TargetEndpoint, header)
	}
	bases, err := c.options.Resolve(ctx, t.TargetService)
	if err != nil || len(bases) == 0 {
		return attempt{err: fmt.Errorf("%s runs nowhere: %w", t.TargetService, errors.Join(errNowhere, err))}
	}
	return c.request(ctx, c.clients.Load().services, t, bases[(n-1)%len(bases)]+t.TargetEndpoint, header)
}

var errNowhere = errors.New("the registry lists no instance")

// identity is what a target learns of the run beside the payload: traceparent as of
// https://www.w3.org/TR/trace-context/, version 00.
func identity(f ledger.Fire, n int) map[string]string {
	var random [24]byte
	_, _ = rand.Read(random[:]) // it never fails
	random[0] |= 1              // neither id is all zeros
	random[16] |= 1
	return map[string]string{
		"Idempotency-Key": f.ID(),
		"X-Scheduled-For": f.Time().Format(time.RFC3339Nano),
		"X-Attempt":       strconv.Itoa(n),
		"traceparent":     "00-" + hex.EncodeToString(random[:16]) + "-" + hex.EncodeToString(random[16:]) + "-01",
	}
}

// drained is how much of an answer is read, so that its connection can be used again.
const drained = 256 << 10

func (c *caller) request(ctx context.Context, client *http.Client, t *Task, address string, header map[string]string) attempt {
	var body io.Reader
	if t.Method != http.MethodGet {
		body = bytes.NewReader(t.Payload)
	}
	req, err := http.NewRequestWithContext(ctx, t.Method, address, body)
	if err != nil {
		return attempt{err: err, final: true}
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "marketprism-scheduler")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.send(client, req)
	if err != nil {
		return attempt{err: err, final: errors.Is(err, errForbidden)}
	}
	defer resp.Body.Close()
	kept := make([]byte, c.options.config().MaxAnswerBytes+1)
	read, err := io.ReadFull(resp.Body, kept)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return attempt{status: resp.StatusCode, answer: c.cut(kept[:read]), err: fmt.Errorf("reading the answer: %w", err)}
	}
	// What follows is of no interest; a connection that cannot be drained is closed.
	_, _ = io.CopyN(io.Discard, resp.Body, drained)
	a := attempt{status: resp.StatusCode, answer: c.cut(kept[:read])}
	if resp.StatusCode/100 == 2 {
		return a
	}
	a.err = fmt.Errorf("%s %s answered %d %s", t.Method, t.TargetEndpoint, resp.StatusCode, http.StatusText(resp.StatusCode))
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		a.final = resp.StatusCode < 500
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		a.after = time.Duration(min(s, 86_400)) * time.Second
	}
	return a
}

// send sends a request. It holds a place for sending until the request is on its way,
// and not while it waits for a connection that has to be made.
func (c *caller) send(client *http.Client, req *http.Request) (*http.Response, error) {
	if err := c.sending.enter(req.Context()); err != nil {
		return nil, fmt.Errorf("waiting to be sent: %w", err)
	}
	leave := sync.OnceFunc(c.sending.leave)
	defer leave()
	return client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { leave() },
		ConnectStart: func(string, string) { leave() },
		WroteHeaders: leave,
	})))
}

// cut keeps what is allowed of an answer, as text.
func (c *caller) cut(answer []byte) string {
	return clipText(string(answer), c.options.config().MaxAnswerBytes)
}

// clipText is at most n bytes of valid text without control characters.
func clipText(text string, n int) string {
	text = strings.ToValidUTF8(text[:min(len(text), n)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}
