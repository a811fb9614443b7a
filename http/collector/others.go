package collector

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// Others are the collectors of the other nodes. A stream is collected by one node, and
// any may be asked: it passes the request on.
type Others interface {
	facade.Others
	// Whose is the node that a request about a symbol is for; "" is this one, or none that
	// is known.
	Whose(exchange, marketWord, symbol string) string
}

// newPasser makes what passes requests on.
func newPasser(o Others) *facade.Passer { return facade.NewPasser(o, "the stream", "owner_away") }

var paramScope = facade.ParamScope()

// wide reports whether a request is to be answered for all nodes.
func (f *service) wide(r *http.Request, q *chassis.Query) bool {
	scope := q.OneOf("scope", facade.ScopeCluster, facade.ScopeCluster, facade.ScopeNode)
	return f.Others != nil && scope == facade.ScopeCluster && !facade.Passed(r)
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
				if node := f.Others.Whose(t.exchange, t.word, t.Symbol); f.passer.May(r, node) {
					return f.passer.Pass(w, r, node)
				}
			}
			return here(w, r)
		}
	}
	return routes
}

// gather asks all other nodes for what they have at a path, in the course of a request,
// and returns their answers by node; silent are those that gave none.
func gather[T any](f *service, r *http.Request, path string, q url.Values) (answers map[string]T, silent []string) {
	answers, why := facade.Gather[T](f.passer, r, path, q)
	return answers, append([]string{}, slices.Sorted(maps.Keys(why))...)
}
