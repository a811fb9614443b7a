package connectors

import (
	"context"
	"time"
)

// Spare waits until a call of the given weight is within a share, above 0 up to 1,
// of the budget of the present window, whoever used the rest: so that what is not
// urgent leaves room for what is. It books nothing.
func (c *Client) Spare(ctx context.Context, weight int, share float64) error {
	for {
		t := c.allowed.now()
		if t.whole.N <= 0 || t.whole.Per <= 0 {
			return ctx.Err()
		}
		now := c.o.Now()
		window := now.Truncate(t.whole.Per)
		if b := c.budget.Load(); b == nil || !b.window.Equal(window) || t.fits(*b, weight, share) {
			return ctx.Err()
		}
		if err := sleep(ctx, max(time.Millisecond, window.Add(t.whole.Per).Sub(now))); err != nil {
			return err
		}
	}
}
