package binance_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors/connectorstest"
)

func TestSimulated(t *testing.T) { connectorstest.Simulated(t, subject) }
