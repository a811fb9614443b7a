package app

import (
	"net/http"
	"strings"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// laterRoutes are the documented calls of services whose branches are still to
// come, as "METHOD path: what it will do".
var laterRoutes = map[string][]string{
	cluster.Gateway: {
		"GET status: The gateway's figures",
		"GET services: Listing registered services",
		"POST services: Registering a service",
		"GET stats: Requests, breakers, limits",
	},
}

// later registers the calls of a service that is still to come below a prefix.
func later(service, prefix string) func(*chassis.Server) error {
	return func(s *chassis.Server) error {
		var routes []chassis.Route
		for _, line := range laterRoutes[service] {
			call, summary, _ := strings.Cut(line, ": ")
			method, path, _ := strings.Cut(call, " ")
			routes = append(routes, facade.Later(method, prefix+path, "later", summary))
		}
		if service == cluster.Gateway {
			routes = append(routes,
				facade.Later(http.MethodPost, "/api/v1/auth/login", "later", "Logging in"),
				facade.Later(http.MethodPost, "/api/v1/auth/refresh", "later", "Renewing a login"))
		}
		return s.Handle(routes...)
	}
}
