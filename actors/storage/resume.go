package storage

import (
	"context"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// resumeTable asks the router to have the server go on with a table.
type resumeTable struct {
	ctx  context.Context
	kind market.Kind
}

// Resume makes the store's server go on with a table that it has suspended, and
// returns why it had; "" when it had not. Further errors: those of
// persistence.Resumer.
func (h *Handle) Resume(ctx context.Context, kind market.Kind) (reason string, err error) {
	return ask[string](ctx, h, resumeTable{ctx, kind})
}

func (h *Handle) resume(ctx context.Context, kind market.Kind) (reason string, err error) {
	r, ok := h.options.Engine.(persistence.Resumer)
	if !ok {
		return "", persistence.ErrNoServer
	}
	reason, err = r.Resume(ctx, kind)
	if err != nil || reason == "" {
		return reason, err
	}
	for _, p := range h.shards {
		p.tables[kind].poke()
	}
	return reason, nil
}
