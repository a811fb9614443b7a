package identity

import (
	"context"
	"fmt"
	"net/http"
)

// Transport adds an identity to the requests that this process sends to services of
// the program. It implements http.RoundTripper.
type Transport struct {
	// Base sends them; nil is http.DefaultTransport.
	Base http.RoundTripper
	// Signer is of this process.
	Signer *Signer
	// As is the service that sends.
	As string
	// Service names the service of the program that answers at host:port; false for
	// everybody else, who is shown no identity.
	Service func(ctx context.Context, host string) (service string, ok bool)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	audience, ok := t.Service(r.Context(), r.URL.Host)
	if !ok {
		return base.RoundTrip(r)
	}
	header := r.Header.Clone()
	if err := t.Signer.Prove(header, t.As, audience); err != nil {
		if r.Body != nil {
			r.Body.Close() // it is not sent
		}
		return nil, err
	}
	r = r.WithContext(r.Context()) // the caller's request is not changed
	r.Header = header
	return base.RoundTrip(r)
}

// CloseIdleConnections closes those of the base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Prove sets the header by which a service of this process proves itself to another.
func (s *Signer) Prove(h http.Header, as, audience string) error {
	token, err := s.Sign(Principal{Subject: as, Kind: Service, Role: Operator}, audience)
	if err != nil {
		return fmt.Errorf("signing a request to %s: %w", audience, err)
	}
	h.Set(Header, token)
	return nil
}
