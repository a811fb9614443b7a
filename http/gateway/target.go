package gateway

import (
	"net/http"
	"net/url"
	"strings"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/http/chassis"
)

// destination is where a request goes.
type destination struct {
	Target
	upstream *branch.Upstream // nil: there is no such service
	// escaped is Target.Path as it is sent; prefix is what stands for its /api/v1/ or
	// /ws/ at the gateway.
	escaped, prefix string
}

// find reads where a request goes from its path. A nil error with ok false means that no
// service can have that path.
func (f *service) find(r *http.Request) (d destination, ok bool, err error) {
	escaped := r.URL.EscapedPath()
	own := apiBase
	rest, found := strings.CutPrefix(escaped, apiBase)
	if !found {
		if rest, found = strings.CutPrefix(escaped, wsBase); !found {
			return d, false, nil
		}
		own = wsBase
	}
	word, rest, found := strings.Cut(rest, "/")
	if !found || word == "" || strings.Contains(word, "%") || branch.Reserved(word) {
		return d, false, nil
	}
	d.prefix = own + word + "/"
	switch d.upstream = f.Branch.Aliased(word); {
	case d.upstream != nil && d.upstream.Prefixed && own == apiBase:
		d.escaped, d.prefix = escaped, apiBase // the service's own paths have the word
	case d.upstream != nil:
		d.escaped = own + rest
	default:
		d.escaped = own + rest
		d.upstream = f.Branch.Upstream(word)
	}
	d.Service, d.Method = word, r.Method
	if d.upstream != nil {
		d.Service = d.upstream.Service()
	}
	if d.Path, err = url.PathUnescape(d.escaped); err != nil {
		return d, false, chassis.BadRequest("the path is escaped wrongly").WithCode("bad_path")
	}
	return d, true, harmless(d.Path)
}

// harmless refuses paths that a service might read in another way than the gateway:
// what is escaped twice, and segments that climb once their parameters are cut off. The
// chassis has refused those that climb as they stand.
func harmless(path string) error {
	for i := 0; i+2 < len(path); i++ {
		if path[i] == '%' && isHex(path[i+1]) && isHex(path[i+2]) {
			return chassis.BadRequest("the path is escaped twice").WithCode("bad_path")
		}
	}
	if !strings.ContainsAny(path, ";\\") {
		return nil
	}
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if plain, _, _ := strings.Cut(segment, ";"); strings.Trim(plain, " ") == "." || strings.Trim(plain, " ") == ".." {
			return chassis.NotFound("no such path: it climbs")
		}
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
