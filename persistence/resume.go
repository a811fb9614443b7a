package persistence

import (
	"context"
	"errors"

	"github.com/marketprism/marketprism/internal/market"
)

// Resumer is a store whose server may suspend a table: it goes on taking rows, and
// shows none of them.
type Resumer interface {
	// Resume makes the server go on with the table of a kind, and returns why it was
	// suspended; "" when it was not, and nothing is done. Errors: [ErrUnavailable],
	// [ErrClosed], [ErrNoServer].
	Resume(ctx context.Context, kind market.Kind) (reason string, err error)
}

// ErrNoServer: the store keeps its files itself, so that nobody suspends a table.
var ErrNoServer = errors.New("no server keeps the tables of this store")
