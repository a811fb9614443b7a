package gateway

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
)

// Upstream is a service that requests can be sent to.
type Upstream struct {
	*upstream.Pool
	Budget *limit.Budget
	// Platform says that it is one of the program's own; Alias and Prefixed are as of
	// [Service].
	Platform bool
	Alias    string
	Prefixed bool
	// Since is when it was first known.
	Since time.Time

	document atomic.Pointer[Document]
	answered prometheus.Counter
	seconds  prometheus.Observer
	outcomes outcomes
}

// Document is what a service says of its routes.
type Document struct {
	Service string
	// Text is an OpenAPI document.
	Text []byte
	// ETag names the version; the service's own.
	ETag    string
	fetched time.Time
}

// outcomes counts what became of requests.
type outcomes struct {
	requests, failed atomic.Uint64
}

// table is the services by name and alias. It is not changed once published.
type table struct {
	named map[string]*Upstream
	alias map[string]*Upstream
	order []*Upstream // by name
}

func newTable(all map[string]*Upstream) *table {
	t := &table{named: all, alias: map[string]*Upstream{}}
	for _, u := range all {
		t.order = append(t.order, u)
		if u.Alias != "" {
			t.alias[u.Alias] = u
		}
	}
	slices.SortFunc(t.order, func(a, b *Upstream) int { return strings.Compare(a.Service(), b.Service()) })
	return t
}

// reserved are first segments of paths that no service can have.
var reserved = []string{
	"admin", "api", "auth", "config", "debug", "docs", "gateway", "health", "internal", "livez", "metrics", "openapi.json",
	"readyz", "root", "status", "system", "users", "ws",
}

// Reserved says whether a word can be no service's name.
func Reserved(word string) bool { return slices.Contains(reserved, strings.ToLower(word)) }

// maxName is the longest name of a service.
const maxName = 63

// validName says whether text can be a service's name: letters, digits, and . _ - inside.
func validName(text string) bool {
	if text == "" || len(text) > maxName {
		return false
	}
	for i, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '-' || c == '_' || c == '.') && i > 0:
		default:
			return false
		}
	}
	return true
}
