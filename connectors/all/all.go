// Package all is the one list of the exchanges that MarketPrism speaks to.
package all

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
)

// Exchanges lists every exchange, by name. To add one, add its line.
func Exchanges() []connectors.Exchange {
	return []connectors.Exchange{
		binance.New(),
	}
}

// Find returns the exchange of a name.
func Find(name string) (connectors.Exchange, bool) {
	for _, e := range Exchanges() {
		if e.Name() == name {
			return e, true
		}
	}
	return nil, false
}

// ErrUnknownHost says that no exchange of ours serves a host.
var ErrUnknownHost = errors.New("no exchange that we know serves this host")

// VenueOf finds the market whose host a recorded URL names, with its default
// settings. Where several markets share a host it is the first in the order of
// [market.Markets]. The error is [ErrUnknownHost].
func VenueOf(u *url.URL) (*connectors.Venue, error) {
	for _, e := range Exchanges() {
		cfg := e.DefaultConfig()
		for _, m := range market.Markets() {
			mc, ok := cfg.Markets[m.String()]
			if !ok {
				continue
			}
			v, err := e.Venue(m, mc)
			if err != nil {
				return nil, fmt.Errorf("defaults of %s: %w", e.Name(), err)
			}
			if slices.Contains(v.Hosts, u.Hostname()) {
				return v, nil
			}
		}
	}
	return nil, fmt.Errorf("%q: %w", u.Hostname(), ErrUnknownHost)
}
