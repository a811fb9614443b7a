package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// gate stands before a port of a server, and does to what passes as it is told.
type gate struct {
	t testing.TB
	// address is where clients connect, server where the server listens.
	address, server string

	mu       sync.Mutex
	how      treatment
	changed  chan struct{} // closed when that changes
	listener net.Listener  // nil: connections are refused
	open     map[net.Conn]bool
	all      sync.WaitGroup
}

// treatment is what happens to what passes; the zero value is nothing.
type treatment struct {
	refuse bool // nobody listens, and every connection is closed
	silent bool // connections are taken, and nothing passes
	cut    bool // a connection is reset in the middle of an answer
	drip   time.Duration
	status int // the answer to every HTTP request, of which the server learns nothing
}

// closes says that connections of before are of no use.
func (w treatment) closes() bool { return w.refuse || w.status != 0 }

func newGate(t testing.TB, server string) *gate {
	t.Helper()
	g := &gate{t: t, address: "127.0.0.1:0", server: server, changed: make(chan struct{}), open: map[net.Conn]bool{}}
	g.listen()
	g.address = g.listener.Addr().String()
	t.Cleanup(func() {
		g.set(treatment{refuse: true})
		g.all.Wait()
	})
	return g
}

// listen is called with g.mu locked, or alone.
func (g *gate) listen() {
	l, err := net.Listen("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.listener = l
	g.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			g.all.Go(func() { g.serve(c) })
		}
	})
}

// set changes what happens from now on.
func (g *gate) set(to treatment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.how
	g.how = to
	close(g.changed)
	g.changed = make(chan struct{})
	if from.closes() || to.closes() {
		for c := range g.open {
			_ = c.Close() // it may be closed already
		}
	}
	switch {
	case to.refuse && g.listener != nil:
		_ = g.listener.Close() // the address is what matters
		g.listener = nil
	case !to.refuse && g.listener == nil:
		g.listen()
	}
}

func (g *gate) now() (treatment, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.how, g.changed
}

// hold has a connection closed with the others; false when it comes too late.
func (g *gate) hold(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.how.refuse {
		return false
	}
	g.open[c] = true
	return true
}

func (g *gate) release(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, c)
	_ = c.Close() // the other end may have closed it
}

func (g *gate) serve(client net.Conn) {
	defer g.release(client)
	if !g.hold(client) {
		return
	}
	if w, _ := g.now(); w.status != 0 {
		answerWith(client, w.status)
		return
	}
	server, err := net.Dial("tcp", g.server)
	if err != nil {
		return
	}
	defer g.release(server)
	if !g.hold(server) {
		return
	}
	ended := make(chan struct{})
	g.all.Go(func() {
		defer close(ended)
		g.pump(server, client, false)
		_ = client.Close() // so that the other direction ends too
	})
	g.pump(client, server, true)
	_ = server.Close()
	<-ended
}

// pump passes on what one end sends to the other.
func (g *gate) pump(from, to net.Conn, question bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !g.pass(buf[:n], to, question) || err != nil {
			return
		}
	}
}

// pass writes what was read, as it is now; false ends the connection.
func (g *gate) pass(data []byte, to net.Conn, question bool) bool {
	for {
		w, changed := g.now()
		switch {
		case w.refuse || w.status != 0:
			return false
		case w.silent:
			<-changed
			continue
		case w.cut && !question:
			_, err := to.Write(data[:len(data)/2])
			if c, ok := to.(*net.TCPConn); ok && err == nil {
				_ = c.SetLinger(0) // a reset is meant
			}
			return false
		case w.drip > 0 && !question:
			if _, err := to.Write(data[:1]); err != nil {
				return false
			}
			if data = data[1:]; len(data) == 0 {
				return true
			}
			select {
			case <-time.After(w.drip): // that is what is tested
			case <-changed:
			}
			continue
		}
		_, err := to.Write(data)
		return err == nil
	}
}

// answerWith answers every request of a connection with a status.
func answerWith(client net.Conn, status int) {
	in := bufio.NewReader(client)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		body := fmt.Sprintf(`{"code":"test","message":"answer %d","line":1,"errorId":"x"}`, status)
		_, err = fmt.Fprintf(client, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(body), body)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return
		}
	}
}
