package gateway

import (
	"net/http"

	"github.com/marketprism/marketprism/internal/identity"
)

// Target is what a request asks for.
type Target struct {
	// Service is the name of the service that is to answer; the gateway's own for the
	// gateway's routes.
	Service string
	// Method is that of the request.
	Method string
	// Path is the path as the service sees it, decoded, such as
	// /api/v1/storage/hot/trades.
	Path string
}

// Authenticator decides who may ask for what. It is safe for concurrent use.
type Authenticator interface {
	// Admit says who sends r. The error is answered as it is: 401 without a credential
	// or with a wrong one, 403 when the role does not suffice for t.
	Admit(r *http.Request, t Target) (identity.Principal, error)
	// Still says whether p, whom Admit let in for t, would be let in now: a stream goes on
	// only as long.
	Still(p identity.Principal, t Target) bool
	// Sign readies the header of a request that goes on to a service: what proved p to
	// the gateway is taken out, and what proves p to the service is put in.
	Sign(p identity.Principal, service string, h http.Header) error
}
