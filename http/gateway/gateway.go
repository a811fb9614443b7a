package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-chi/cors"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/identity"
)

// Options are what the façade stands on.
type Options struct {
	Branch *branch.Handle
	Config Config
	// Auth decides who may ask for what; nil: everybody for everything.
	Auth Authenticator
	// Logins are users and API keys; nil: there are no routes for them.
	Logins *access.Desk
	// Audit is told what operators do; nil: nobody is.
	Audit access.Recorder
	// Node is the name of this node, which Via shows.
	Node string
	// Version of the program.
	Version string
	// Now is the time of answers; nil is time.Now.
	Now func() time.Time
}

// Service is the service's name.
const Service = "api-gateway-service"

const (
	apiBase   = "/api/v1/"
	wsBase    = "/ws/"
	base      = apiBase + "gateway/"
	tagOwn    = "gateway"
	tagProxy  = "proxy"
	ownStatus = "api-gateway" // as older clients know it
)

type service struct {
	Options
	server  *chassis.Server
	proxies []netip.Prefix
	via     string
	proxy   *httputil.ReverseProxy
	started time.Time
	merged  atomic.Pointer[merged]
}

// Register adds the routes and the health check of the façade to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Branch == nil {
		return errors.New("gateway façade: Branch is needed")
	}
	if err := o.Config.Validate(); err != nil {
		return fmt.Errorf("gateway façade: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &service{Options: o, server: s, via: "1.1 " + pseudonym(o.Node), started: o.Now()}
	for _, n := range o.Config.TrustedProxies {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return fmt.Errorf("gateway façade: %w", err)
		}
		f.proxies = append(f.proxies, p.Masked())
	}
	f.proxy = f.newProxy()
	if c := o.Config.CORS; len(c.Origins) > 0 {
		s.Use(cors.Handler(cors.Options{
			AllowedOrigins: c.Origins, AllowedMethods: corsMethods, AllowedHeaders: corsHeaders, ExposedHeaders: corsExposed,
			AllowCredentials: c.Credentials, MaxAge: int(c.MaxAge / time.Second),
		}))
	}
	s.Health().Add("services", f.check)
	own := append(f.ownRoutes(), f.documentRoutes()...)
	if o.Logins != nil {
		own = append(append(own, f.loginRoutes()...), f.adminRoutes()...)
	}
	for i := range own {
		own[i].Handler = f.own(own[i].Handler)
	}
	return errors.Join(s.Handle(facade.Answered(own)...), s.Handle(f.proxyRoutes()...))
}

// check warns when a service of the platform cannot be reached; the gateway itself is
// well then.
func (f *service) check(context.Context) chassis.CheckResult {
	if err := f.Branch.Health(); err != nil {
		return chassis.Warned(err)
	}
	return chassis.Passed(map[string]any{"services": len(f.Branch.Upstreams())})
}

// pseudonym is how Via names this gateway.
func pseudonym(node string) string {
	clean := []byte("marketprism-gateway")
	if node != "" {
		clean = append(clean, '-')
	}
	for _, c := range []byte(node) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			clean = append(clean, c)
		}
	}
	return string(clean)
}

// own admits requests for the gateway's own routes.
func (f *service) own(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, known, err := f.admit(w, r, Target{Service: Service, Method: r.Method, Path: r.URL.Path})
		if err != nil {
			return err
		}
		if known {
			r = r.WithContext(identity.With(r.Context(), who))
		}
		return h(w, r)
	}
}
