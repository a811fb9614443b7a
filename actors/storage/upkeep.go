package storage

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/persistence"
)

// upkeepFor bounds one upkeep of the cold store: what else there is to do waits for it.
// The next one goes on from there.
const upkeepFor = 10 * time.Minute

// upkeep looks after the files of the cold store.
func (h *Handle) upkeep(ctx context.Context, o *operation) error {
	within, cancel := context.WithTimeout(ctx, upkeepFor)
	defer cancel()
	did, err := h.options.Tiers.Upkeep(within, func(r persistence.UpkeepReport) {
		o.set(func(s *Operation) { s.Rows, s.Total, s.Files, s.Bytes = r.Rows, r.Rows, r.Made, r.Bytes })
	})
	h.metrics.joined.Add(float64(did.Joined))
	h.metrics.swept.Add(float64(did.Swept))
	if ctx.Err() == nil && within.Err() != nil {
		return nil // not an error: it goes on at the next turn
	}
	return err
}
