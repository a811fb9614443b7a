package ui

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// pages are the paths of the dashboard's pages, in the order of its rail.
var pages = []string{
	"/", "/actors", "/streams", "/market", "/storage", "/broker", "/scheduler", "/cluster", "/alerts", "/explore", "/logs", "/config",
}

// assets is where the files are that pages load.
const assets = "/assets/"

// Entrance is where browsers find the gateway: its address, such as http://host:8083. host
// is what the browser calls this machine, without a port.
type Entrance func(ctx context.Context, host string) (string, error)

type service struct {
	files    map[string]file
	entrance Entrance // nil: the pages are here
}

// Register adds the dashboard's pages and files to a server that answers the prefixes of
// all services too: the gateway, or the monitoring service with its mount. They hold no
// data, and are for everybody.
func Register(s *chassis.Server) error { return register(s, nil) }

// RegisterRedirect sends who asks for a page to the gateway's: where clients have logins
// only the gateway knows them.
func RegisterRedirect(s *chassis.Server, to Entrance) error { return register(s, to) }

func register(s *chassis.Server, to Entrance) error {
	found, err := files()
	if err != nil {
		return err
	}
	f := &service{files: found, entrance: to}
	handler := f.page
	if to != nil {
		handler = f.redirect
	}
	routes := []chassis.Route{{Method: http.MethodGet, Path: assets + "{file}", Hidden: true, Quiet: true, Open: true, Handler: f.asset}}
	for _, path := range pages {
		routes = append(routes, chassis.Route{Method: http.MethodGet, Path: path, Hidden: true, Open: true, Handler: handler})
	}
	return s.Handle(routes...)
}

// redirect answers with where the page is.
func (f *service) redirect(w http.ResponseWriter, r *http.Request) error {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	at, err := f.entrance(r.Context(), strings.Trim(host, "[]"))
	if err != nil {
		return chassis.Unavailable(5*time.Second, "the dashboard is at the gateway, which is not to be found").WithCode("unknown_service").WithCause(err)
	}
	w.Header().Set("Location", at+r.URL.RequestURI())
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}
