package certs

import (
	"net"
	"net/http"
	"sync"
)

// Transport carries requests over connections that show the certificate in use: once
// there is another one, new requests get connections of their own, and those of before
// are closed as soon as their requests have ended. A server that trusts the old
// certificate no more thus never sees it again. It implements http.RoundTripper.
type Transport struct {
	pair  *Pair
	model *http.Transport

	mu      sync.Mutex
	current *http.Transport
	of      *generation
}

// Transport makes a Transport like base, which is not to be used itself. A base without
// DialTLSContext gets that of the pair.
func (p *Pair) Transport(base *http.Transport) *Transport {
	if base.DialTLSContext == nil {
		dial := base.DialContext
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		base.DialTLSContext = p.DialBy(dial)
	}
	return &Transport{pair: p, model: base, current: base, of: p.current.Load()}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.now().RoundTrip(r)
}

// now is what carries a request that begins now.
func (t *Transport) now() *http.Transport {
	g := t.pair.current.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of != g {
		before := t.current
		t.current, t.of = t.model.Clone(), g
		before.CloseIdleConnections() // and those that become idle: it gets no request any more
	}
	return t.current
}

// CloseIdleConnections closes those that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current.CloseIdleConnections()
}
