package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// admit says who sends a request, and refuses what they may not ask, or not so often.
// Those who show no credential, or a wrong one, are counted by their address. known
// says that somebody was asked.
func (f *service) admit(w http.ResponseWriter, r *http.Request, t Target) (who identity.Principal, known bool, err error) {
	client := branch.Client{Address: limitAddress(f.clientAddress(r))}
	if f.Auth != nil {
		var refused error
		if who, refused = f.Auth.Admit(r, t); refused != nil {
			f.Branch.Refused(branch.RefusedCredentials)
			if err := f.count(w, client, t); err != nil {
				return who, false, err
			}
			return who, false, refused
		}
		switch who.Kind {
		case identity.APIKey:
			client.Key = who.Subject
		case identity.Anonymous:
		default:
			client.User = who.String()
		}
	}
	return who, f.Auth != nil, f.count(w, client, t)
}

// count takes a request out of what a client may ask, and says what is left.
func (f *service) count(w http.ResponseWriter, client branch.Client, t Target) error {
	a := f.Branch.Admit(client, t.Service, t.Method, t.Path)
	if !a.Limited {
		return nil
	}
	sayLimits(w.Header(), a.Verdict)
	switch a.Refused {
	case branch.RefusedRate:
		return chassis.TooMany(max(a.After, time.Second), "you ask more often than %d requests at once, or their sustained rate, allow", a.Verdict.Limit).WithCode("rate_limited")
	case branch.RefusedQuota:
		return chassis.TooMany(a.After, "the requests of this day are used up; the next day begins at midnight UTC").WithCode("quota_exceeded")
	}
	return nil
}

// sayLimits sets the headers of a limit, in both spellings that clients know
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/03/). Keys are
// canonical.
func sayLimits(h http.Header, v limit.Verdict) {
	most, left, reset := strconv.Itoa(v.Limit), strconv.Itoa(v.Remaining), strconv.FormatInt(int64((v.Reset+time.Second-1)/time.Second), 10)
	values := []string{most, left, reset}
	h["Ratelimit-Limit"], h["X-Ratelimit-Limit"] = values[0:1:1], values[0:1:1]
	h["Ratelimit-Remaining"], h["X-Ratelimit-Remaining"] = values[1:2:2], values[1:2:2]
	h["Ratelimit-Reset"], h["X-Ratelimit-Reset"] = values[2:3:3], values[2:3:3]
}

// peer is the address that a connection comes from.
func peer(r *http.Request) netip.Addr {
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return at.Addr().Unmap()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

func (f *service) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(f.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientAddress is where a request comes from: the peer, or, behind trusted proxies, the
// last address of X-Forwarded-For that is none of them.
func (f *service) clientAddress(r *http.Request) netip.Addr {
	at := peer(r)
	if len(f.proxies) == 0 || !f.trusted(at) {
		return at
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return at // what is left of it was not written by a proxy of ours
		}
		at = a.Unmap().WithZone("")
		if !f.trusted(at) {
			return at
		}
	}
	return at
}

// limitAddress is the address that is counted: all of IPv4, the network of IPv6, of
// which one client has as many addresses as it likes.
func limitAddress(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
