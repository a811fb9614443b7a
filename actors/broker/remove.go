package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// What stands in the way of a removal.
var (
	// ErrAlone: the broker is one server, or an external one.
	ErrAlone = errors.New("the message broker has no other nodes")
	// ErrNoNode: there is no such node among those with the broker.
	ErrNoNode = errors.New("no node of the broker is called so")
	// ErrNodeOnline: its server runs.
	ErrNodeOnline = errors.New("the node's broker runs; stop it first")
)

// Remove takes a node that will not come back out of the cluster: from then on it does
// not count for a majority, and streams get their replica from another node as soon as
// there is one. Servers never leave by themselves, however long they are away. Errors:
// ErrAlone, ErrNoNode, ErrNodeOnline, ErrNotRunning.
func (h *Handle) Remove(ctx context.Context, node string) error {
	if !h.cfg.Clustered() {
		return ErrAlone
	}
	s := h.Cluster()
	if s == nil {
		return ErrNotRunning
	}
	i := slices.IndexFunc(s.Peers, func(p PeerStatus) bool { return p.Node == node })
	switch {
	case s.Leader == "":
		return fmt.Errorf("%w: %w: %s", ErrNotRunning, errLeaderless, s.lack())
	case i < 0:
		return fmt.Errorf("%w: %s", ErrNoNode, node)
	case s.Peers[i].Online:
		return fmt.Errorf("%w: %s", ErrNodeOnline, node)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	nc, err := h.dial(ctx, "marketprism nodes", h.cfg.login(systemAccount), nil)
	if err != nil {
		return err
	}
	defer nc.Close()
	// Only the leader answers, and only to the server's own account
	// (nats-server v2.15.2, jsLeaderServerRemoveRequest).
	request, err := json.Marshal(server.JSApiMetaServerRemoveRequest{Server: node})
	if err != nil {
		return fmt.Errorf("removing node %s: %w", node, err)
	}
	m, err := nc.RequestWithContext(ctx, server.JSApiRemoveServer, request)
	if err != nil {
		return fmt.Errorf("removing node %s: %w", node, err)
	}
	var answer server.JSApiMetaServerRemoveResponse
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("removing node %s: reading the answer: %w", node, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("removing node %s: %w", node, answer.Error)
	}
	return nil
}
