package identity

import (
	"context"
	"fmt"
	"net/http"
)

// Transport adds an identity to the requests that a service of this process sends to
// other services. It implements http.RoundTripper.
type Transport struct {
	// Base sends them; nil is http.DefaultTransport.
	Base http.RoundTripper
	// Signer is of this process.
	Signer *Signer
	// As is the service that sends.
	As string
}

type audienceKey struct{}

// For returns a context whose requests go to a service: Transport signs for it. What
// is sent without one leaves as it is, so that nobody else is shown an identity.
func For(ctx context.Context, service string) context.Context {
	return context.WithValue(ctx, audienceKey{}, service)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	audience, ok := r.Context().Value(audienceKey{}).(string)
	if !ok || t.Signer == nil {
		return base.RoundTrip(r)
	}
	token, err := t.Signer.Sign(Principal{Subject: t.As, Kind: Service, Role: Operator}, audience)
	if err != nil {
		if r.Body != nil {
			r.Body.Close() //nolint:errcheck // it is not sent
		}
		return nil, fmt.Errorf("signing a request to %s: %w", audience, err)
	}
	r = r.Clone(r.Context())
	r.Header.Set(Header, token)
	return base.RoundTrip(r)
}

// CloseIdleConnections closes those of the base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
