package binance_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors/connectorstest"
)

func TestSimulated(t *testing.T) { connectorstest.Simulated(t, subject) }

// TestLikeness: the simulated frames and answers are like those recorded in 2021 and
// 2024.
func TestLikeness(t *testing.T) {
	connectorstest.Likeness(t, subject, map[string]string{
		"call/instruments -": "what concerns orders is left out",
	})
}
