package collector_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/market"
)

// TestClocks: a market that is not enabled has no clock, and is no reason to fail.
func TestClocks(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil) // of several markets, one is enabled
	for _, c := range e.collector.Clocks() {
		if c.Market != market.Spot.String() {
			t.Errorf("%+v", c)
		}
	}
}
