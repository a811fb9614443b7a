package broker

import (
	"errors"
	"fmt"
)

// errCutOff: the servers that this one hears are too few to decide anything.
var errCutOff = errors.New("this node is cut off from most nodes of the broker")

// Reach says why this node cannot do anything at the broker, by what it sees of the
// network; nil when it can, or may be able to as soon as a leader is chosen. It is
// cheap.
func (h *Handle) Reach() error {
	srv := h.running()
	if srv == nil || !h.cfg.Clustered() {
		return h.Up()
	}
	heard, err := routesTo(srv)
	if err != nil {
		return err
	}
	if 2*len(heard) <= h.cfg.Cluster.BootstrapExpect {
		return fmt.Errorf("%w: it hears %d of %d", errCutOff, len(heard), h.cfg.Cluster.BootstrapExpect)
	}
	return nil
}
