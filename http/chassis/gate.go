package chassis

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/certs"
	who "github.com/marketprism/marketprism/internal/identity"
)

// Gate says who sends a request. It is asked before the request is routed. Where it
// knows nobody and refuses nobody either, the route is open, or asks for itself. Its
// error is answered as it is. It is safe for concurrent use.
type Gate interface {
	Identify(r *http.Request) (p who.Principal, known bool, err error)
}

// open are the routes that answer everybody: probes, and a /health that says no more
// than how the service is.
var open = map[string]bool{"/livez": true, "/readyz": true, "/health": true}

// Open says whether a request needs no identity anywhere.
func Open(r *http.Request) bool {
	return open[r.URL.Path] && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// identify asks the gate, and puts who it is into the request's context.
func (s *Server) identify(r *http.Request) (*http.Request, error) {
	if s.gate == nil || s.opened(r) {
		return r, nil
	}
	p, known, err := s.gate.Identify(r)
	if err != nil || !known {
		return r, err
	}
	return r.WithContext(who.With(r.Context(), p)), nil
}

// opened says whether a request is for an open route, which has no use for who asks. It is
// asked before the request is routed, and so compares the path itself, undecoded parts none.
func (s *Server) opened(r *http.Request) bool {
	if r.URL.RawPath != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	segments := strings.Split(r.URL.Path, "/")
	return slices.ContainsFunc(s.open, func(route []string) bool {
		return slices.EqualFunc(route, segments, func(want, have string) bool {
			return want == have || strings.HasPrefix(want, "{") && have != ""
		})
	})
}

// identified says whether somebody sends a request.
func identified(ctx context.Context) bool {
	_, ok := who.From(ctx)
	return ok
}

// Members is the Gate of a service behind the gateway: it lets in what the gateway or
// another service of the program has signed for it, and nodes that show a certificate
// of the program's authority.
type Members struct {
	MembersOptions
	checks *prometheus.CounterVec
}

// MembersOptions are what a Members stands on.
type MembersOptions struct {
	Service  string
	Verifier *who.Verifier
	// Certificates judges those of clients; nil: none count.
	Certificates *certs.Pair
	// Certified: nothing counts without the certificate of a node, no identity either.
	Certified  bool
	Registerer prometheus.Registerer
}

// NewMembers makes the gate of a service.
func NewMembers(o MembersOptions) (*Members, error) {
	if o.Certified && o.Certificates == nil {
		return nil, errors.New("a gate that demands certificates needs what judges them")
	}
	checks, err := registered(o.Registerer, catalogue.NewCounterVec(catalogue.IdentityChecks))
	if err != nil {
		return nil, err
	}
	return &Members{o, checks}, nil
}

// Identify implements [Gate].
func (m *Members) Identify(r *http.Request) (who.Principal, bool, error) {
	p, known, err := m.identify(r)
	outcome := "refused"
	switch {
	case err != nil:
	case !known:
		outcome = "nobody"
	case p.Kind == who.Service, p.Kind == who.Node:
		outcome = string(p.Kind)
	default:
		outcome = "client"
	}
	m.checks.WithLabelValues(m.Service, outcome).Inc()
	return p, known, err
}

// identify looks at the certificate of the connection first, then at the identity of
// the request. On an open route a certificate that does not count is none.
func (m *Members) identify(r *http.Request) (who.Principal, bool, error) {
	node, certified, err := m.certificate(r)
	if err != nil || !certified && m.Certified {
		if Open(r) {
			return who.Principal{}, false, nil
		}
		if err == nil {
			err = Unauthorized("this service answers nodes of MarketPrism only, which show a certificate; ask through the gateway").WithCode("no_certificate")
		}
		return who.Principal{}, false, err
	}
	tokens := r.Header.Values(who.Header)
	switch {
	case len(tokens) == 1:
		p, err := m.Verifier.Verify(r.Context(), tokens[0], m.Service)
		if err != nil {
			return p, false, Unauthorized("the identity in %s is not valid here", who.Header).WithCode("invalid_identity").WithCause(err)
		}
		return p, true, nil
	case len(tokens) > 1:
		return who.Principal{}, false, Unauthorized("%s is given twice", who.Header).WithCode("invalid_identity")
	case certified:
		return node, true, nil
	case Open(r):
		return who.Principal{}, false, nil
	}
	return who.Principal{}, false, Unauthorized("this service answers the gateway and other services of MarketPrism; ask through the gateway").WithCode("no_identity")
}

// certificate is the node that has shown its certificate.
func (m *Members) certificate(r *http.Request) (p who.Principal, ok bool, err error) {
	if m.Certificates == nil {
		return p, false, nil
	}
	peer, shown, err := m.Certificates.Peer(r.TLS)
	switch {
	case err != nil:
		return p, false, Unauthorized("the certificate of this connection is not valid here, or not any more").WithCode("invalid_certificate").WithCause(err)
	case !shown:
		return p, false, nil
	case !peer.Member:
		return p, false, Forbidden("the certificate of %s is not a node's", clip(peer.Name, 200)).WithCode("foreign_certificate")
	}
	return who.Principal{Subject: peer.Name, Kind: who.Node, Role: who.Operator}, true, nil
}
