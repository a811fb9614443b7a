package chassis

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
)

// maxPath and maxQuery bound a request's target, in bytes.
const (
	maxPath  = 2 << 10
	maxQuery = 8 << 10
)

// guarded refuses what no route should ever see: paths that are not clean
// text, names that are not ours, and state changes sent by somebody else's
// web page.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.refuse(r); err != nil {
			WriteError(w, r, err)
			return
		}
		r, err := s.identify(r)
		if err != nil {
			WriteError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) refuse(r *http.Request) error {
	if len(r.URL.Path) > maxPath || len(r.URL.RawQuery) > maxQuery {
		return NewError(http.StatusRequestURITooLong, "uri_too_long", "the path may have %d bytes and the query %d", maxPath, maxQuery)
	}
	if err := cleanPath(r.URL.Path); err != nil {
		return err
	}
	if s.loopback && !s.knownHost(r.Host) {
		return NewError(http.StatusMisdirectedRequest, "unknown_host",
			"the host name %q is not one of this server's: use localhost or an IP address, or add it to http.hosts in the configuration", clip(r.Host, 100))
	}
	if err := s.origin.Check(r); err != nil {
		return Forbidden("a web page of another origin may not send this request; trusted ones are listed in http.trusted_origins").WithCode("cross_origin")
	}
	return nil
}

// cleanPath refuses control characters and text that is not UTF-8 (400), and
// paths that climb (404).
func cleanPath(path string) error {
	plain := true // no byte that needs a closer look
	for i := range len(path) {
		c := path[i]
		if c < 0x20 || c == 0x7f {
			return BadRequest("the path holds a control character").WithCode("bad_path")
		}
		if c >= utf8.RuneSelf || c == '\\' || c == '.' {
			plain = false
		}
	}
	if plain {
		return nil
	}
	if !utf8.ValidString(path) {
		return BadRequest("the path is not valid UTF-8").WithCode("bad_path")
	}
	if Climbs(path) {
		return NotFound("no such path: it climbs")
	}
	return nil
}

// Climbs says whether a decoded path has a segment . or .., which no request may ask for.
func Climbs(path string) bool {
	for seg := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// knownHost accepts the names that no stranger's DNS can point here.
func (s *Server) knownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	return !strings.Contains(host, ".") || // one label, IPv6, or none
		net.ParseIP(host) != nil ||
		strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(s.config.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	WriteError(w, r, NotFound("no such path; /openapi.json and /docs list those there are"))
}

// methodNotAllowed answers 405 with Allow, or OPTIONS with Allow alone.
func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.URL.RawPath != "" {
		path = r.URL.RawPath
	}
	var allow []string
	for _, m := range methods {
		if !s.takes(m, path) {
			continue
		}
		allow = append(allow, m)
		if m == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	if len(allow) == 0 {
		s.notFound(w, r)
		return
	}
	w.Header().Set("Allow", strings.Join(append(allow, http.MethodOptions), ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	WriteError(w, r, NewError(http.StatusMethodNotAllowed, "method_not_allowed",
		"%s is not possible here; %s is", clip(r.Method, 16), strings.Join(allow, ", ")))
}

// takes says whether a route is meant for a method of a path. One that takes every
// method has refused it already.
func (s *Server) takes(method, path string) bool {
	c := chi.NewRouteContext()
	return s.mux.Match(c, method, path) && !s.known[Any+" "+strings.Join(c.RoutePatterns, "")]
}

// Unrouted answers a request that a wide route of method Any got and that none is meant
// for: with 405 where other methods are possible, else with 404.
func Unrouted(w http.ResponseWriter, r *http.Request) {
	callFrom(r.Context()).server.methodNotAllowed(w, r)
}
