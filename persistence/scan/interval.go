package scan

import (
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// interval cuts time into candles.
type interval struct {
	market.Interval
	word string
}

func parseInterval(word string) (interval, error) {
	i, ok := market.ParseInterval(word)
	if !ok {
		return interval{}, fmt.Errorf("%w: interval %q is not a number and one of s, m, h, d, w, M", persistence.ErrQuery, word)
	}
	return interval{i, word}, nil
}

// bucket returns the half-open bounds of the candle that holds ts.
func (i interval) bucket(ts int64) (open, end int64) { return i.Bucket(ts) }
