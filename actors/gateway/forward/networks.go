package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
)

// ErrForbidden: the address is not one where clients may lead the gateway.
var ErrForbidden = errors.New("the address is not in a network where services may register")

// Networks are those where clients may lead the gateway. It is safe for concurrent use.
type Networks struct {
	allowed atomic.Pointer[[]netip.Prefix]
}

// Set says which networks those are, each such as 10.1.0.0/16.
func (n *Networks) Set(texts []string) error {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("network %q: want one such as 10.1.0.0/16", text)
		}
		list = append(list, p.Masked())
	}
	n.allowed.Store(&list)
	return nil
}

// Allow says whether an address is in one of them.
func (n *Networks) Allow(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	list := n.allowed.Load()
	return list != nil && a.IsValid() && slices.ContainsFunc(*list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// control judges the address that a name was resolved to right before it is dialled:
// whatever the name says the next time, this is where the connection leads.
func (n *Networks) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !n.Allow(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrForbidden, address)
	}
	return nil
}
