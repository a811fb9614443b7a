package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errForbidden: an address that tasks may not call.
var errForbidden = errors.New("tasks may not call it")

// checkURL judges an address by its text; where it leads is judged when it is dialled.
func checkURL(text string, c URLConfig) error {
	if !c.Allow {
		return errors.New("addresses are not allowed here (scheduler-service.scheduler.urls.allow); name a service")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be an address such as https://api.example.com/path")
	case u.User != nil:
		return errors.New("must not carry a user name or password")
	case len(c.Hosts) > 0 && !slices.ContainsFunc(c.Hosts, func(h string) bool { return hostMatches(u.Hostname(), h) }):
		return fmt.Errorf("host %q is not one of those that tasks may call", clip(u.Hostname()))
	}
	return nil
}

func hostMatches(host, allowed string) bool {
	host, allowed = strings.TrimSuffix(strings.ToLower(host), "."), strings.ToLower(allowed)
	if below, ok := strings.CutPrefix(allowed, "*"); ok {
		return strings.HasSuffix(host, below)
	}
	return host == allowed
}

// Special networks beside those that netip knows: they lead to this host, to its
// neighbours, or through a gateway to either
// (https://www.iana.org/assignments/iana-ipv4-special-registry,
// https://www.iana.org/assignments/iana-ipv6-special-registry).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// public says whether an address belongs to the open internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// guard judges the address that a name was resolved to, right before it is dialled:
// whatever the name says the next time, this is where the connection leads.
func guard(c URLConfig) func(network, address string, _ syscall.RawConn) error {
	var networks []netip.Prefix
	for _, n := range c.Networks {
		if p, err := netip.ParsePrefix(n); err == nil { // Validate has refused the others
			networks = append(networks, p)
		}
	}
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %s", errForbidden, address)
		}
		a := at.Addr().Unmap().WithZone("")
		if public(a) || slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return nil
		}
		return fmt.Errorf("%w: %s is not a public address", errForbidden, a)
	}
}

// newClient makes an HTTP client that follows no redirect and knows no proxy. control
// judges what is dialled; nil allows everything.
func newClient(connections int, control func(network, address string, c syscall.RawConn) error) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, addr)
			},
			MaxIdleConns:        2 * connections,
			MaxIdleConnsPerHost: connections,
			IdleConnTimeout:     30 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
