package access

import (
	"net/http"
	"strings"

	"github.com/marketprism/marketprism/internal/identity"
)

// Names of the services that have rules of their own.
const (
	broker     = "message-broker-service"
	monitoring = "monitoring-service"
	storage    = "data-storage-service"
	scheduler  = "scheduler-service"
	collector  = "market-data-collector"
	gateway    = "api-gateway-service"
)

// rule gives the role that requests to a service need. A * in the path is one
// segment, a ** at its end any number. The first rule that fits counts.
type rule struct {
	service string
	methods string // separated by spaces; "" is those that change something, * is all
	path    string
	role    identity.Role
}

// rules are the exceptions: reading takes a reader, changing a writer.
var rules = []rule{
	{gateway, "*", "/api/v1/auth/me", identity.Reader},
	{gateway, "*", "/api/v1/auth/logout", identity.Reader},
	{gateway, "", "/api/v1/auth/password", identity.Reader}, // one's own
	{gateway, "*", "/api/v1/auth/**", identity.Admin},
	{gateway, "", "/api/v1/gateway/**", identity.Admin}, // who registers a service is sent requests

	// What is asked by POST and changes nothing.
	{monitoring, "POST", "/api/v1/query", identity.Reader},
	{monitoring, "POST", "/api/v1/query_range", identity.Reader},
	{monitoring, "POST", "/api/v1/query_exemplars", identity.Reader},
	{monitoring, "POST", "/api/v1/format_query", identity.Reader},
	{monitoring, "POST", "/api/v1/series", identity.Reader},
	{monitoring, "POST", "/api/v1/labels", identity.Reader},
	{monitoring, "POST", "/prometheus/api/v1/**", identity.Reader},
	{monitoring, "POST", "/api/v1/prometheus/api/v1/**", identity.Reader},

	{monitoring, "*", "/api/v1/audit", identity.Admin},
	{monitoring, "*", "/api/v1/config/**", identity.Admin},
	{monitoring, "*", "/api/v1/logs/**", identity.Operator},
	{monitoring, "", "/api/v1/health-check-all", identity.Writer},
	{monitoring, "", "/health-check-all", identity.Writer},
	{monitoring, "", "/api/v1/generate-report", identity.Writer},
	{monitoring, "", "/generate-report", identity.Writer},
	{monitoring, "", "/**", identity.Operator},

	{storage, "", "/api/v1/storage/hot/*", identity.Writer},
	{storage, "", "/**", identity.Operator},

	// A task calls other services with the scheduler's own rights.
	{scheduler, "", "/**", identity.Operator},

	{collector, "", "/**", identity.Operator},

	{broker, "", "/api/v1/streams/*/consumers/**", identity.Writer},
	{broker, "", "/api/v1/broker/streams/*/consumers/**", identity.Writer},
	{broker, "", "/api/v1/streams/**", identity.Operator},
	{broker, "", "/api/v1/broker/streams/**", identity.Operator},
	{broker, "", "/api/v1/nodes/**", identity.Operator},
	{broker, "", "/api/v1/broker/nodes/**", identity.Operator},
	{broker, "", "/api/v1/dlq/**", identity.Operator},
	{broker, "", "/api/v1/broker/dlq/**", identity.Operator},
	// A socket of the broker publishes as well as it reads.
	{broker, "*", "/ws/**", identity.Writer},
	{broker, "*", "/api/v1/ws/**", identity.Writer},
}

// Required is the role that a request to a service needs; path is as the service sees
// it, decoded.
func Required(service, method, path string) identity.Role {
	reads := method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	for _, r := range rules {
		if r.service != service || !r.covers(method, reads) || !fits(r.path, path) {
			continue
		}
		return r.role
	}
	if reads {
		return identity.Reader
	}
	return identity.Writer
}

// Open says whether a request to the gateway itself needs nobody in particular: the
// probes, and what gives a credential.
func Open(method, path string) bool {
	switch path {
	case "/livez", "/readyz", "/health":
		return method == http.MethodGet || method == http.MethodHead
	case "/api/v1/auth/login", "/api/v1/auth/refresh":
		return method == http.MethodPost
	}
	return false
}

func (r rule) covers(method string, reads bool) bool {
	switch r.methods {
	case "*":
		return true
	case "":
		return !reads
	}
	for m := range strings.FieldsSeq(r.methods) {
		if m == method {
			return true
		}
	}
	return false
}

// fits compares segment by segment; empty segments do not count, so that a doubled or
// trailing slash leads around no rule.
func fits(pattern, path string) bool {
	rest := path
	for want := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		if want == "**" {
			return true
		}
		var have string
		have, rest = nextSegment(rest)
		if have == "" || want != "*" && !strings.EqualFold(want, have) {
			return false
		}
	}
	have, _ := nextSegment(rest)
	return have == ""
}

func nextSegment(path string) (segment, rest string) {
	path = strings.TrimLeft(path, "/")
	segment, rest, _ = strings.Cut(path, "/")
	return segment, rest
}
