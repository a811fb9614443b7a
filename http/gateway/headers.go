package gateway

import (
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// rewrite makes the request ready that goes to the service. The standard library has
// taken out hop-by-hop headers, Forwarded and X-Forwarded-*.
func (f *service) rewrite(pr *httputil.ProxyRequest) {
	p := passageOf(pr.In.Context())
	out := pr.Out
	out.URL.Path, out.URL.RawPath = p.Path, p.escaped
	h := out.Header
	strip(h)
	behind := f.trusted(peer(pr.In))
	if behind {
		h["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	}
	pr.SetXForwarded()
	if behind {
		takeOver(h, pr.In.Header, "X-Forwarded-Host")
		takeOver(h, pr.In.Header, "X-Forwarded-Proto")
	}
	chassis.Inject(pr.In.Context(), h.Set)
	h["Via"] = append(h["Via"][:len(h["Via"]):len(h["Via"])], f.via)
	h["X-Gateway-Service"] = []string{p.Service}
	h["X-Gateway-Timestamp"] = []string{p.began.UTC().Format(time.RFC3339Nano)}
	if f.Auth != nil {
		if err := f.Auth.Sign(p.who, p.Service, h); err != nil {
			p.fault = chassis.Unavailable(time.Second, "the gateway cannot prove at the moment who you are").WithCode("unsigned").WithCause(err)
		}
	}
}

func takeOver(to, from http.Header, name string) {
	if v := from[name]; len(v) > 0 {
		to[name] = v
	}
}

// strip takes out what a client says to be trusted by a service, and what only concerns
// the way to the gateway: a web page's origin has been judged here.
func strip(h http.Header) {
	for name := range h {
		if untrusted(name) {
			delete(h, name)
		}
	}
}

// untrusted says whether a header, by its canonical name, is for the gateway only.
func untrusted(name string) bool {
	switch name {
	case "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Access-Control-Request-Private-Network",
		"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "Client-Ip",
		"Remote-User", "X-Remote-User", "X-User", "X-User-Id", "X-User-Name", "X-User-Role", "X-Role", "X-Roles",
		"X-Authenticated-User", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Http-Method-Override",
		"Proxy", "Max-Forwards":
		return true
	}
	return strings.HasPrefix(name, "X-Gateway-") || strings.HasPrefix(name, "X-Marketprism-") || strings.HasPrefix(name, "Sec-Fetch-") ||
		strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Auth-Request-") || strings.HasPrefix(name, "X-Envoy-")
}

// cleanAnswer takes out of an answer what is the gateway's to say, and says it.
func (f *service) cleanAnswer(resp *http.Response, p *passage) {
	h, ours := resp.Header, p.w.Header()
	for name := range h {
		switch {
		case name == "X-Request-Id", strings.HasPrefix(name, "Access-Control-"), strings.HasPrefix(name, "X-Gateway-"),
			strings.HasPrefix(name, "Ratelimit-"), strings.HasPrefix(name, "X-Ratelimit-"):
			delete(h, name)
		case name != "Vary" || slices.Equal(ours[name], h[name]):
			delete(ours, name) // the service's counts, once
		}
	}
	h["X-Gateway-Service"] = []string{p.Service}
	h["X-Gateway-Timestamp"] = []string{f.Now().UTC().Format(time.RFC3339Nano)}
	if to := h.Get("Location"); to != "" {
		h.Set("Location", p.location(to))
	}
}

// location is where a redirect of the service leads at the gateway.
func (d *destination) location(to string) string {
	own := apiBase
	if strings.HasPrefix(d.prefix, wsBase) {
		own = wsBase
	}
	if rest, found := strings.CutPrefix(to, own); found && d.prefix != own {
		return d.prefix + rest
	}
	return to
}
