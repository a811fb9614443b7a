package faults

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is the line between a collector and an exchange: it carries bytes, until a
// test has it do something else.
type wire struct {
	WS, REST string // where the collector finds the exchange

	ws, rest *relay
	gate     *gate
}

// newWire lays a line to an exchange.
func newWire(t *testing.T, ws, rest string) *wire {
	t.Helper()
	w := &wire{gate: newGate(t, rest)}
	w.ws = newRelay(t, strings.TrimPrefix(ws, "ws://"))
	w.rest = newRelay(t, w.gate.addr)
	w.WS, w.REST = "ws://"+w.ws.addr(), "http://"+w.rest.addr()
	return w
}

// cut ends every connection in the middle of what the exchange says.
func (w *wire) cut() { w.ws.each((*pair).cut) }

// freeze keeps every connection open and carries nothing on it any more.
func (w *wire) freeze() { w.ws.each((*pair).freeze) }

// down ends every connection and refuses new ones, until up.
func (w *wire) down() {
	for _, r := range []*relay{w.ws, w.rest} {
		r.refuse(true)
		r.each((*pair).cut)
	}
}

func (w *wire) up() {
	w.ws.refuse(false)
	w.rest.refuse(false)
}

// relay carries connections to an address.
type relay struct {
	listener net.Listener
	target   string
	wait     sync.WaitGroup

	mu       sync.Mutex
	pairs    map[*pair]bool
	refusing bool
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, target: target, pairs: map[*pair]bool{}}
	r.wait.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close() // ends accept
		r.refuse(true)
		r.each((*pair).close)
		r.wait.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

func (r *relay) refuse(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusing = on
}

func (r *relay) each(do func(*pair)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.pairs {
		do(p)
	}
}

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return // the test is over
		}
		r.mu.Lock()
		refusing := r.refusing
		r.mu.Unlock()
		var far net.Conn
		if !refusing {
			far, err = net.Dial("tcp", r.target)
		}
		if refusing || err != nil {
			_ = near.Close() // nothing has been said on it
			continue
		}
		p := &pair{near: near, far: far}
		r.mu.Lock()
		r.pairs[p] = true
		if r.refusing { // since just now
			p.close()
		}
		r.mu.Unlock()
		r.wait.Go(func() {
			var up sync.WaitGroup
			up.Go(func() { p.carry(far, near, false) })
			p.carry(near, far, true)
			up.Wait()
			r.mu.Lock()
			delete(r.pairs, p)
			r.mu.Unlock()
		})
	}
}

// pair is one connection: near is the collector's end, far the exchange's.
type pair struct {
	near, far net.Conn
	once      sync.Once

	mu              sync.Mutex
	frozen, cutting bool
}

func (p *pair) close() {
	p.once.Do(func() {
		_ = p.near.Close() // whatever was under way is meant to be lost
		_ = p.far.Close()
	})
}

// cut ends the connection one byte before the end of what comes next.
func (p *pair) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutting = true
	if p.frozen {
		p.close()
	}
}

func (p *pair) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// carry copies until the connection ends; down is from the exchange.
func (p *pair) carry(to, from net.Conn, down bool) {
	defer p.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen, cutting := p.frozen, p.cutting
		p.mu.Unlock()
		if frozen && err == nil {
			continue // taken, and never delivered
		}
		if cutting && !frozen {
			if down && n > 1 {
				_, _ = to.Write(buf[:n-1]) // the connection ends in any case
			}
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return // the other side has gone
			}
		}
		if err != nil {
			return
		}
	}
}

// gate answers REST calls in the exchange's name, or refuses them.
type gate struct {
	addr string

	mu      sync.Mutex
	status  int // of refusals; 0 for none
	until   time.Time
	refused int
	early   int // calls before the time that a refusal named
	// What the exchange itself refuses.
	away     time.Time // until then it wants to be left alone
	refusals []time.Time
	tooEarly int
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: l.Addr().String()}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
	proxy.ModifyResponse = g.hear
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusBadGateway) // the exchange, or the caller, has gone
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.knock()
		if !g.refuses(w) {
			proxy.ServeHTTP(w, r)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends when the test does
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return g
}

// throttle refuses every call for a while, and says so.
func (g *gate) throttle(status int, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.until, g.refused, g.early = status, time.Now().Add(d), 0, 0
}

// refuses answers when it does. Retry-After has whole seconds: rounded up.
func (g *gate) refuses(w http.ResponseWriter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := time.Until(g.until)
	if g.status == 0 || left <= 0 {
		g.status = 0
		return false
	}
	if g.refused > 0 {
		g.early++
	}
	g.refused++
	w.Header().Set("Retry-After", strconv.Itoa(int((left+time.Second-1)/time.Second)))
	w.WriteHeader(g.status)
	_, _ = io.WriteString(w, `{"code":-1003,"msg":"too much request weight used"}`) // the caller may have gone
	return true
}

// calls is how many were refused, and how many of those came though they had been
// told to stay away.
func (g *gate) calls() (refused, early int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused, g.early
}

// hear notes a refusal of the exchange's own.
func (g *gate) hear(r *http.Response) error {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusTeapot {
		return nil
	}
	seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusals = append(g.refusals, time.Now())
	g.away = time.Now().Add(time.Duration(seconds) * time.Second)
	return nil
}

// knock notes a call that comes though it should not. The caller has heard of the
// refusal a little later than we.
func (g *gate) knock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Until(g.away) > 0 {
		g.tooEarly++
	}
}

// heard is how many calls the exchange has refused, and how many came too early.
func (g *gate) heard() (refused, early int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.refusals), g.tooEarly
}

// wasRefused says whether a refusal passed about a time, Unix ns.
func (g *gate) wasRefused(at int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.refusals {
		if d := time.Duration(r.UnixNano() - at); d > -time.Second && d < time.Second {
			return true
		}
	}
	return false
}
