//go:build !linux

package harness

import (
	"context"
	"net"
)

// dial connects; only Linux has networks of a test's own.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
