package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	wal "github.com/marketprism/marketprism/persistence/journal"
)

// Opener opens the journal once, over a connection of its own, and shares it: for
// Options.Open, and for whoever reads.
type Opener struct {
	connect func(ctx context.Context) (*nats.Conn, error)
	cfg     wal.Config
	metrics *wal.Metrics

	turn    chan struct{} // holds a token while nobody opens
	nc      *nats.Conn
	journal *wal.Journal
	closed  bool
}

// NewOpener makes an opener; connect makes the connection. m may be nil.
func NewOpener(connect func(ctx context.Context) (*nats.Conn, error), cfg wal.Config, m *wal.Metrics) *Opener {
	o := &Opener{connect: connect, cfg: cfg, metrics: m, turn: make(chan struct{}, 1)}
	o.turn <- struct{}{}
	return o
}

// Journal returns the open journal, and opens it first if need be. Errors: those of
// connecting and of persistence/journal.Open; nats.ErrConnectionClosed after Close.
func (o *Opener) Journal(ctx context.Context) (*wal.Journal, error) {
	select {
	case <-o.turn:
	case <-ctx.Done():
		return nil, fmt.Errorf("opening the journal: %w", ctx.Err())
	}
	defer func() { o.turn <- struct{}{} }()
	switch {
	case o.closed:
		return nil, nats.ErrConnectionClosed
	case o.journal != nil:
		return o.journal, nil
	}
	if o.nc == nil {
		nc, err := o.connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("opening the journal: %w", err)
		}
		o.nc = nc
	}
	j, err := wal.Open(ctx, o.nc, o.cfg, o.metrics)
	if err != nil {
		return nil, err
	}
	o.journal = j
	return j, nil
}

// Close closes the connection. Recorders and readers are to be stopped before.
func (o *Opener) Close() {
	<-o.turn
	defer func() { o.turn <- struct{}{} }()
	o.closed = true
	if o.nc != nil {
		o.nc.Close()
	}
}
