package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/marketprism/marketprism/actors/gateway/cache"
	"github.com/marketprism/marketprism/http/chassis"
)

// keeping is an answer that a rule keeps.
type keeping struct {
	key cache.Key
	ttl time.Duration
}

// fromCache answers from what is kept, if a rule keeps it and it is fresh.
func (f *service) fromCache(w http.ResponseWriter, r *http.Request, p *passage) (answered bool, err error) {
	c := &f.Branch.Config().Cache
	if !c.Enabled || p.upstream == nil {
		return false, nil
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if r.Method != http.MethodOptions {
			f.Branch.Cache().Drop(p.Service) // something there is changed
		}
		return false, nil
	}
	ttl, ok := c.For(p.Service, p.Path)
	if !ok || r.Header.Get("Range") != "" || r.Header.Get("Upgrade") != "" || r.Header.Get("X-Journal-Position") != "" || noStore(r.Header) {
		return false, nil
	}
	key := cache.Key{
		Who: limitAddress(f.clientAddress(r)), Service: p.Service, Target: p.escaped + "?" + r.URL.RawQuery,
		Accept: r.Header.Get("Accept"), Encoding: r.Header.Get("Accept-Encoding"),
	}
	if p.known {
		key.Who = p.who.String()
	}
	if a, ok := f.Branch.Cache().Get(key, f.Now()); ok && !strings.Contains(r.Header.Get("Cache-Control"), "no-cache") {
		return true, f.serveKept(w, r, p, a)
	}
	if r.Method == http.MethodGet {
		p.keep = &keeping{key, ttl}
		r.Header.Del("If-None-Match") // the whole answer is wanted, to be kept
	}
	return false, nil
}

func noStore(h http.Header) bool { return strings.Contains(h.Get("Cache-Control"), "no-store") }

func (f *service) serveKept(w http.ResponseWriter, r *http.Request, p *passage, a *cache.Answer) error {
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	h.Set("Age", strconv.Itoa(int(f.Now().Sub(a.Stored)/time.Second)))
	h.Set("X-Cache", "hit")
	h.Set("X-Gateway-Service", p.Service)
	h.Set("X-Gateway-Timestamp", f.Now().UTC().Format(time.RFC3339Nano))
	if chassis.NotModified(w, r, a.ETag) {
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(a.Body)
	return err
}

// toCache keeps an answer that a rule wants.
func (f *service) toCache(resp *http.Response, p *passage) error {
	if p.keep == nil {
		return nil
	}
	h := resp.Header
	h.Set("X-Cache", "miss")
	most := f.Branch.Config().Cache.MaxEntryBytes
	if resp.StatusCode != http.StatusOK || resp.ContentLength > most || !keepable(h) {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return err
	}
	rest := resp.Body
	if int64(len(body)) > most {
		resp.Body = &joined{io.MultiReader(bytes.NewReader(body), rest), rest}
		return nil
	}
	if err := rest.Close(); err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	kept := http.Header{}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Link", "X-Journal-Position"} {
		takeOver(kept, h, name)
	}
	a := &cache.Answer{Header: kept, Body: body, ETag: strconv.FormatUint(xxhash.Sum64(body), 36)}
	h.Set("ETag", `W/"`+a.ETag+`"`)
	f.Branch.Cache().Put(p.keep.key, a, p.keep.ttl, f.Now())
	return nil
}

// keepable says whether an answer is for whoever asks the same. One that says itself that
// it may be old, or lacks something, is asked for again.
func keepable(h http.Header) bool {
	if len(h["X-Stale"]) > 0 || len(h["X-Incomplete"]) > 0 || len(h["Set-Cookie"]) > 0 || strings.Contains(h.Get("Cache-Control"), "private") || len(h["Trailer"]) > 0 {
		return false
	}
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			switch http.CanonicalHeaderKey(strings.TrimSpace(name)) {
			case "Accept", "Accept-Encoding", "Origin", "":
			default:
				return false
			}
		}
	}
	return true
}

// joined reads on where a part was read before.
type joined struct {
	io.Reader
	io.Closer
}
