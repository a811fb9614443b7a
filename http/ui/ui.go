package ui

import (
	"net/http"

	"github.com/marketprism/marketprism/http/chassis"
)

// pages are the paths of the dashboard's pages, in the order of its rail.
var pages = []string{
	"/", "/actors", "/streams", "/market", "/storage", "/broker", "/scheduler", "/cluster", "/alerts", "/explore", "/logs", "/config",
}

// assets is where the files are that pages load.
const assets = "/assets/"

type service struct{ files map[string]file }

// Register adds the dashboard's pages and files to a server, which has to answer the
// prefixes of all services too: the gateway, or the monitoring service with its mount.
func Register(s *chassis.Server) error {
	found, err := files()
	if err != nil {
		return err
	}
	f := &service{files: found}
	routes := []chassis.Route{{Method: http.MethodGet, Path: assets + "{file}", Hidden: true, Quiet: true, Open: true, Handler: f.asset}}
	for _, path := range pages {
		routes = append(routes, chassis.Route{Method: http.MethodGet, Path: path, Hidden: true, Open: true, Handler: f.page})
	}
	return s.Handle(routes...)
}
