package cold

import (
	"context"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// Add stores rows of one stream and of the UTC day of day, which did not come out of
// the hot store, and lists them at once. The same rows of the same range again
// change nothing. Errors: persistence.ErrAway, those of [Store.Write].
func (t *Tier) Add(ctx context.Context, meta part.Meta, stream market.StreamID, day int64, rows *part.Merge) error {
	s, err := t.get()
	if err != nil {
		return err
	}
	p, err := s.Write(ctx, meta, stream, Day(day), rows)
	if err == nil && p.Rows > 0 {
		err = s.Commit(ctx, func() (*Record, error) {
			if s.Lists(p.File) {
				return nil, nil
			}
			return &Record{Add: []Part{p}}, nil
		})
	}
	t.note(err)
	return err
}
