package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
)

// Registration is what a client says of a service.
type Registration struct {
	Service string
	Host    string
	Port    int
	// HealthPath is where it tells of its health; "" is /health.
	HealthPath string
}

// registration is a Registration that was accepted.
type registration struct {
	service string
	listing upstream.Listing
	heard   time.Time // of it, or of its health
}

// InvalidError is a registration that is refused.
type InvalidError struct{ Field, Problem string }

func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }

// Errors of Register.
var (
	// ErrDisabled: clients may not register services.
	ErrDisabled = errors.New("registering services is turned off")
	// ErrTooMany: there are as many as are allowed.
	ErrTooMany = errors.New("as many services are registered as are allowed")
)

// resolveWithin bounds looking a host name up.
const resolveWithin = 3 * time.Second

// Register makes an instance known, or hears that it is there still. Errors:
// *InvalidError, ErrDisabled, ErrTooMany, those of supervise.Ask.
func (h *Handle) Register(ctx context.Context, r Registration) error {
	c := h.settings.Load().Registration
	if !c.Enabled {
		return ErrDisabled
	}
	if r.HealthPath == "" {
		r.HealthPath = "/health"
	}
	if err := h.judge(r); err != nil {
		return err
	}
	if err := h.inside(ctx, r.Host); err != nil {
		return err
	}
	_, err := ask[accepted](ctx, h.registry.Load(), register{r})
	return err
}

// judge looks at the text of a registration.
func (h *Handle) judge(r Registration) error {
	switch {
	case !validName(r.Service):
		return &InvalidError{"service_name", fmt.Sprintf("must have 1 to %d letters, digits, dots, dashes or underscores, and begin with a letter or digit", maxName)}
	case Reserved(r.Service) || h.Aliased(r.Service) != nil:
		return &InvalidError{"service_name", "is a reserved word"}
	case r.Service == h.options.Self:
		return &InvalidError{"service_name", "is the gateway itself"}
	case r.Host == "" || len(r.Host) > 253 || strings.ContainsAny(r.Host, " /@?#%\\[]\r\n\t\x00"):
		return &InvalidError{"host", "must be an IP address or a host name, without a port"}
	case strings.Contains(r.Host, ":") && !isIPv6(r.Host):
		return &InvalidError{"host", "must be an IP address or a host name, without a port"}
	case r.Port < 1 || r.Port > 65535:
		return &InvalidError{"port", "must be within 1 and 65535"}
	case !strings.HasPrefix(r.HealthPath, "/") || len(r.HealthPath) > 512 || strings.ContainsAny(r.HealthPath, "\r\n\t \x00#\\") || strings.Contains(r.HealthPath, ".."):
		return &InvalidError{"health_endpoint", "must be a path such as /health"}
	}
	return nil
}

func isIPv6(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is6()
}

// inside says whether everything that a host name leads to is where services may be. A
// name that leads nowhere (yet) is accepted: each connection is judged again.
func (h *Handle) inside(ctx context.Context, host string) error {
	var all []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		all = []netip.Addr{a}
	} else {
		ctx, cancel := context.WithTimeout(ctx, resolveWithin)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		var missing *net.DNSError
		if err != nil && !errors.As(err, &missing) {
			return fmt.Errorf("looking up a host: %w", err)
		}
		all = found
	}
	for _, a := range all {
		if !h.networks.Allow(a) {
			return &InvalidError{"host", "is not in a network where services may register (api-gateway-service.gateway.registration.networks)"}
		}
	}
	return nil
}
