package facade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
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

// Others are the same service on the other nodes.
type Others interface {
	// Name is this node's.
	Name() string
	// Nodes are where they answer, such as http://10.0.0.2:8082, by name. changed is closed
	// when there are others.
	Nodes() (urls map[string]string, changed <-chan struct{})
	// RoundTrip sends a request to one of them. One that does not show who sends it shows
	// this service.
	http.RoundTripper
}

// HeaderNode says on an answer which node gave it, HeaderPassed on a request through
// which nodes it came. It is passed on once, or twice where the node that is asked first
// does not know enough; never in a circle.
const (
	HeaderNode   = "X-MarketPrism-Node"
	HeaderPassed = "X-MarketPrism-Passed"
)

// mostPassed is how often a request is passed on.
const mostPassed = 2

// The scope of an answer: all nodes, or the one that is asked.
const (
	ScopeCluster = "cluster"
	ScopeNode    = "node"
)

// Passed reports whether a request comes from another node.
func Passed(r *http.Request) bool { return r.Header.Get(HeaderPassed) != "" }

// Away is the answer when the node that has something cannot be asked: it may have gone,
// and others do its work within seconds. what says what it has, as "the stream".
func Away(what, code, node string, cause error) error {
	return chassis.Unavailable(time.Second, "%s is at %s, which does not answer", what, node).WithCode(code).WithCause(cause)
}

// Passer has other nodes answer. It is safe for concurrent use.
type Passer struct {
	others     Others
	what, code string
	proxy      *httputil.ReverseProxy
}

// NewPasser makes what passes requests on to the nodes that have something: what and
// code are those of [Away].
func NewPasser(o Others, what, code string) *Passer {
	p := &Passer{others: o, what: what, code: code}
	p.proxy = &httputil.ReverseProxy{
		Transport: o, ErrorLog: log.New(io.Discard, "", 0), // the access log says that an answer was cut off
		Rewrite: p.rewrite, ModifyResponse: received, ErrorHandler: p.failed,
	}
	return p
}

// passage is where one request is passed on to.
type passage struct {
	node   string
	to     *url.URL
	header http.Header // of the answer
}

type passageKey struct{}

func passageOf(r *http.Request) *passage { return r.Context().Value(passageKey{}).(*passage) }

func (p *Passer) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(passageOf(pr.In).to)
	pr.Out.Header.Set(HeaderPassed, strings.TrimPrefix(pr.In.Header.Get(HeaderPassed)+","+p.others.Name(), ","))
	pr.SetXForwarded()
	chassis.Inject(pr.In.Context(), pr.Out.Header.Set)
}

func received(resp *http.Response) error {
	p := passageOf(resp.Request)
	resp.Header.Del(chassis.HeaderRequestID) // the same
	for name := range resp.Header {
		delete(p.header, name) // the other's counts, once
	}
	if resp.Header.Get(HeaderNode) == "" { // else it was passed on further
		resp.Header.Set(HeaderNode, p.node)
	}
	return nil
}

// failed answers where the other node gave no answer. What it was sent it may have done,
// so that nobody is told to send a command again.
func (p *Passer) failed(w http.ResponseWriter, r *http.Request, err error) {
	node := passageOf(r).node
	var op *net.OpError
	switch {
	case r.Context().Err() != nil:
	case r.Method == http.MethodGet || r.Method == http.MethodHead || errors.As(err, &op) && op.Op == "dial":
		err = Away(p.what, p.code, node, err)
	default:
		err = chassis.NewError(http.StatusBadGateway, "node_failed", "%s broke off before it answered; it may have handled the request", node).WithCause(err)
	}
	chassis.WriteError(w, r, err)
}

// Pass has another node answer.
func (p *Passer) Pass(w http.ResponseWriter, r *http.Request, node string) error {
	urls, _ := p.others.Nodes()
	text, ok := urls[node]
	if !ok {
		return Away(p.what, p.code, node, errors.New("it is not among those that are known"))
	}
	to, err := url.Parse(text)
	if err != nil {
		return Away(p.what, p.code, node, err)
	}
	there := &passage{node: node, to: to, header: w.Header()}
	p.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passageKey{}, there)))
	return nil
}

// May reports whether a request may be passed on to a node: not where it came through,
// and not for ever.
func (p *Passer) May(r *http.Request, node string) bool {
	through := strings.FieldsFunc(r.Header.Get(HeaderPassed), func(c rune) bool { return c == ',' })
	return node != "" && node != p.others.Name() && len(through) < mostPassed && !slices.Contains(through, node)
}

const (
	// askWithin bounds the wait for the other nodes' part of an answer.
	askWithin = 5 * time.Second
	// maxPart is the largest, in bytes.
	maxPart = 256 << 20
)

// AnsweredError is the no of another node.
type AnsweredError struct {
	At     string
	Status int
}

// Error says who said what.
func (e *AnsweredError) Error() string { return fmt.Sprintf("%s answered %d", e.At, e.Status) }

// Gather asks all other nodes for what they have at a path, in the course of a request,
// and returns their answers by node; silent are those that gave none, and why: among
// those errors are [*AnsweredError].
func Gather[T any](p *Passer, r *http.Request, path string, q url.Values) (answers map[string]T, silent map[string]error) {
	urls, _ := p.others.Nodes()
	q = maps.Clone(q)
	if q == nil {
		q = url.Values{}
	}
	q.Set("scope", ScopeNode)
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	answers, silent = map[string]T{}, map[string]error{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for node, text := range urls {
		asking.Go(func() {
			var part T
			err := p.ask(ctx, r, text+path+"?"+q.Encode(), &part)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent[node] = err
				return
			}
			answers[node] = part
		})
	}
	asking.Wait()
	return answers, silent
}

// ask asks one node in the course of a request.
func (p *Passer) ask(ctx context.Context, r *http.Request, at string, into any) error {
	again, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", at, err)
	}
	if token := r.Header.Get(identity.Header); token != "" {
		again.Header.Set(identity.Header, token)
	}
	again.Header.Set(HeaderPassed, p.others.Name())
	chassis.Inject(r.Context(), again.Header.Set)
	res, err := p.others.RoundTrip(again)
	if err != nil {
		return fmt.Errorf("asking %s: %w", at, err)
	}
	defer res.Body.Close() // it is read as far as it counts
	if res.StatusCode != http.StatusOK {
		return &AnsweredError{at, res.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxPart)).Decode(into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", at, err)
	}
	return nil
}

// ParamScope documents the scope of an answer.
func ParamScope() chassis.Param {
	return chassis.Param{
		Name: "scope", Enum: []string{ScopeCluster, ScopeNode}, Default: ScopeCluster,
		Doc: "Whether the answer is about all nodes, or about this one alone.",
	}
}
