package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// Others are the collectors of the other nodes. A stream is collected by one node, and
// any may be asked: it passes the request on.
type Others interface {
	// Name is this node's.
	Name() string
	// Whose is the node that a request about a symbol is for; "" is this one, or none that
	// is known.
	Whose(exchange, marketWord, symbol string) string
	// Nodes are where they answer, such as http://10.0.0.2:8082, by name. changed is closed
	// when there are others.
	Nodes() (urls map[string]string, changed <-chan struct{})
	// RoundTrip sends a request to one of them. One that does not show who sends it shows
	// this service.
	http.RoundTripper
}

// headerNode says on an answer which node gave it, headerPassed on a request through
// which nodes it came. It is passed on once, or twice where the first node does not know
// the symbol and the second is not the owner; never in a circle.
const (
	headerNode   = "X-MarketPrism-Node"
	headerPassed = "X-MarketPrism-Passed"
)

// The scope of an answer.
const (
	scopeCluster = "cluster"
	scopeNode    = "node"
)

var paramScope = chassis.Param{
	Name: "scope", Enum: []string{scopeCluster, scopeNode}, Default: scopeCluster,
	Doc: "Whether the answer is about all nodes, or about this one alone.",
}

// wide reports whether a request is to be answered for all nodes.
func (f *service) wide(r *http.Request, q *chassis.Query) bool {
	scope := q.OneOf("scope", scopeCluster, scopeCluster, scopeNode)
	return f.Others != nil && scope == scopeCluster && r.Header.Get(headerPassed) == ""
}

// passage is where one request is passed on to.
type passage struct {
	node   string
	to     *url.URL
	header http.Header // of the answer
}

type passageKey struct{}

// ownerAway is the answer when the node that has a stream cannot be asked: it may have
// gone, and others take its streams within seconds.
func ownerAway(node string, cause error) error {
	return chassis.Unavailable(time.Second, "the stream is at %s, which does not answer", node).WithCode("owner_away").WithCause(cause)
}

// newPasser makes what passes requests on.
func newPasser(o Others) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: o, ErrorLog: log.New(io.Discard, "", 0), // the access log says that an answer was cut off
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(pr.In.Context().Value(passageKey{}).(*passage).to)
			pr.Out.Header.Set(headerPassed, strings.TrimPrefix(pr.In.Header.Get(headerPassed)+","+o.Name(), ","))
			pr.SetXForwarded()
			chassis.Inject(pr.In.Context(), pr.Out.Header.Set)
		},
		ModifyResponse: func(resp *http.Response) error {
			p := resp.Request.Context().Value(passageKey{}).(*passage)
			resp.Header.Del(chassis.HeaderRequestID) // the same
			for name := range resp.Header {
				delete(p.header, name) // the owner's counts, once
			}
			resp.Header.Set(headerNode, p.node)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if p := r.Context().Value(passageKey{}).(*passage); r.Context().Err() == nil {
				err = ownerAway(p.node, err)
			}
			chassis.WriteError(w, r, err)
		},
	}
}

// pass has another node answer.
func (f *service) pass(w http.ResponseWriter, r *http.Request, node string) error {
	urls, _ := f.Others.Nodes()
	text, ok := urls[node]
	if !ok {
		return ownerAway(node, errors.New("it is not among those that are known"))
	}
	to, err := url.Parse(text)
	if err != nil {
		return ownerAway(node, err)
	}
	p := &passage{node: node, to: to, header: w.Header()}
	f.passer.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passageKey{}, p)))
	return nil
}

// atOwner answers requests about a symbol at the node that has it.
func (f *service) atOwner(routes []chassis.Route) []chassis.Route {
	if f.Others == nil {
		return routes
	}
	for i := range routes {
		here := routes[i].Handler
		if !strings.Contains(routes[i].Path, "{exchange}/{symbol}") {
			continue
		}
		routes[i].Handler = func(w http.ResponseWriter, r *http.Request) error {
			t, err := targetOf(r, chassis.QueryOf(r))
			if err == nil {
				node, through := f.Others.Whose(t.exchange, t.word, t.Symbol), strings.FieldsFunc(r.Header.Get(headerPassed), isComma)
				if node != "" && len(through) < 2 && !slices.Contains(through, node) {
					return f.pass(w, r, node)
				}
			}
			return here(w, r)
		}
	}
	return routes
}

func isComma(c rune) bool { return c == ',' }

const (
	// othersWithin bounds the wait for the other nodes' part of an answer.
	othersWithin = 5 * time.Second
	// maxPart is the largest, in bytes.
	maxPart = 256 << 20
)

// gather asks all other nodes for what they have at a path, in the course of a request,
// and returns their answers by node; silent are those that gave none.
func gather[T any](f *service, r *http.Request, path string, q url.Values) (answers map[string]T, silent []string) {
	urls, _ := f.Others.Nodes()
	q = maps.Clone(q)
	if q == nil {
		q = url.Values{}
	}
	q.Set("scope", scopeNode)
	ctx, cancel := context.WithTimeout(r.Context(), othersWithin)
	defer cancel()
	answers, silent = map[string]T{}, []string{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for node, text := range urls {
		asking.Go(func() {
			var part T
			err := f.askNode(ctx, r, text+path+"?"+q.Encode(), &part)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, node)
				return
			}
			answers[node] = part
		})
	}
	asking.Wait()
	slices.Sort(silent)
	return answers, silent
}

// askNode asks one node in the course of a request.
func (f *service) askNode(ctx context.Context, r *http.Request, at string, into any) error {
	again, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", at, err)
	}
	if token := r.Header.Get(identity.Header); token != "" {
		again.Header.Set(identity.Header, token)
	}
	again.Header.Set(headerPassed, f.Others.Name())
	chassis.Inject(r.Context(), again.Header.Set)
	res, err := f.Others.RoundTrip(again)
	if err != nil {
		return fmt.Errorf("asking %s: %w", at, err)
	}
	defer res.Body.Close() // it is read as far as it counts
	if res.StatusCode != http.StatusOK {
		return &answeredError{at, res.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxPart)).Decode(into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", at, err)
	}
	return nil
}

// answeredError: another node said no.
type answeredError struct {
	at     string
	status int
}

func (e *answeredError) Error() string { return fmt.Sprintf("%s answered %d", e.at, e.status) }
