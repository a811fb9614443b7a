package connectors

import (
	"context"
	"time"
)

// Spare waits until a call of the given weight is within a share, above 0 up to 1,
// of the budget of the present window, whoever used the rest: so that what is not
// urgent leaves room for what is. It books nothing.
func (c *Client) Spare(ctx context.Context, weight int, share float64) error {
	limit := c.o.Venue.Limits.Weight
	if limit.N <= 0 || limit.Per <= 0 {
		return ctx.Err()
	}
	for {
		now := c.o.Now()
		window := now.Truncate(limit.Per)
		b := c.budget.Load()
		// The first call of a window is always within: else a small budget would never
		// let one through.
		if b == nil || !b.window.Equal(window) || b.used == 0 || float64(b.used+weight) <= share*float64(limit.N) {
			return ctx.Err()
		}
		if err := sleep(ctx, max(time.Millisecond, window.Add(limit.Per).Sub(now))); err != nil {
			return err
		}
	}
}
