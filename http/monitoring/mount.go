package monitoring

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// Whereabouts is where a service answers: its addresses, such as http://127.0.0.1:8080.
type Whereabouts func(ctx context.Context, service string) ([]string, error)

// mounted are the first words of paths by which the services are found here, as at the
// gateway.
var mounted = []struct {
	word, service string
	own           bool // the service's own paths have the word
}{
	{"storage", "data-storage-service", true},
	{"scheduler", "scheduler-service", true},
	{"broker", "message-broker-service", true},
	{"gateway", "api-gateway-service", true},
	{"collector", "market-data-collector", false},
	{"monitoring", Service, false},
}

// mount passes requests of the dashboard on to the other services, so that a page needs
// one origin only. It knows nobody: where clients have identities they go through the
// gateway, and nothing is mounted.
type mount struct {
	find     Whereabouts
	draining context.Context
	proxy    *httputil.ReverseProxy
}

type placeKey struct{}

var errNowhere = errors.New("the registry knows no instance")

// place is where one request goes.
type place struct {
	to     *url.URL
	header http.Header // of the answer
	cancel context.CancelCauseFunc
	undo   func() bool
}

func newMount(s *chassis.Server, find Whereabouts, carry func(*http.Transport) http.RoundTripper) *mount {
	m := &mount{find: find, draining: s.Draining()}
	transport := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second}
	var carrier http.RoundTripper = transport
	if carry != nil {
		carrier = carry(transport)
	}
	context.AfterFunc(s.Draining(), (&http.Client{Transport: carrier}).CloseIdleConnections) // and those that become idle afterwards
	m.proxy = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      carrier,
		FlushInterval:  -1, // event streams
		ModifyResponse: m.answered,
		ErrorHandler:   unreachable,
		ErrorLog:       log.New(io.Discard, "", 0), // the access log says that an answer was cut off
	}
	return m
}

func (m *mount) routes() []chassis.Route {
	var routes []chassis.Route
	for _, each := range mounted {
		routes = append(routes, chassis.Route{
			Method: chassis.Any, Path: base + each.word + "/*", Hidden: true, Quiet: true, // the service describes it, and logs it
			Timeout: chassis.NoTimeout, Handler: m.pass(each.word, each.service, each.own),
		})
	}
	return routes
}

func (m *mount) pass(word, service string, own bool) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		found, err := m.find(r.Context(), service)
		if err == nil && len(found) == 0 {
			err = errNowhere
		}
		if err != nil {
			return chassis.Unavailable(5*time.Second, "%s is not to be found", service).WithCode("unknown_service").WithCause(err)
		}
		to, err := url.Parse(found[0])
		if err != nil {
			return chassis.Unavailable(5*time.Second, "%s has no valid address", service).WithCause(err)
		}
		to.Path, to.RawPath = r.URL.Path, r.URL.RawPath
		if !own {
			to.Path = base + strings.TrimPrefix(to.Path, base+word+"/")
			if to.RawPath != "" {
				to.RawPath = base + strings.TrimPrefix(to.RawPath, base+word+"/")
			}
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		p := &place{to: to, header: w.Header(), cancel: cancel, undo: func() bool { return false }}
		defer func() { p.undo() }()
		m.proxy.ServeHTTP(w, r.WithContext(context.WithValue(ctx, placeKey{}, p)))
		return nil
	}
}

// rewrite makes the request ready that goes to the service. The origin of a page has
// been judged here, and is of no meaning there.
func rewrite(pr *httputil.ProxyRequest) {
	p := pr.In.Context().Value(placeKey{}).(*place)
	query := pr.Out.URL.RawQuery
	pr.Out.URL, pr.Out.Host = p.to, ""
	pr.Out.URL.RawQuery = query
	for name := range pr.Out.Header {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") {
			delete(pr.Out.Header, name)
		}
	}
	pr.SetXForwarded()
	chassis.Inject(pr.In.Context(), pr.Out.Header.Set)
}

// answered lets an event stream end when this server drains; what is short may finish.
func (m *mount) answered(resp *http.Response) error {
	p := resp.Request.Context().Value(placeKey{}).(*place)
	resp.Header.Del(chassis.HeaderRequestID) // the same
	for name := range resp.Header {
		delete(p.header, name) // the service's counts, once
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), chassis.MediaEvents) {
		p.undo = context.AfterFunc(m.draining, func() { p.cancel(chassis.ErrDraining) })
	}
	return nil
}

// unreachable answers a request that could not be passed on.
func unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		err = chassis.NewError(http.StatusBadGateway, "bad_gateway", "the service does not answer").WithCause(err)
	}
	chassis.WriteError(w, r, err)
}
