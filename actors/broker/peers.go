package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// errLeaderless: too few servers of the cluster reach each other. It passes by itself.
var errLeaderless = errors.New("the broker's nodes have no majority")

// ClusterStatus is how the servers of a cluster stand to each other, as one sees it.
type ClusterStatus struct {
	Name     string       `json:"name"`
	Expected int          `json:"expected" doc:"how many nodes run the broker"`
	Leader   string       `json:"leader" doc:"who decides which streams there are; empty when there is no majority"`
	Peers    []PeerStatus `json:"peers"`
	Node     string       `json:"node" doc:"the one that says so"`
}

// PeerStatus is one server of a cluster, with this one by name.
type PeerStatus struct {
	Node   string   `json:"node"`
	Online bool     `json:"online" doc:"its server is heard"`
	Behind []string `json:"behind" doc:"streams of which this node lacks something, or which nobody leads; of another node it is not known, and empty"`
}

// Behind are the streams of which this server lacks something.
func (s *ClusterStatus) Behind() []string {
	for _, p := range s.Peers {
		if p.Node == s.Node {
			return p.Behind
		}
	}
	return nil
}

// Missing are the nodes that are not heard.
func (s *ClusterStatus) Missing() []string {
	var gone []string
	for _, p := range s.Peers {
		if !p.Online {
			gone = append(gone, p.Node)
		}
	}
	return gone
}

// Cluster describes the cluster; nil when the embedded server stands alone, does not run,
// or is an external one.
func (h *Handle) Cluster() *ClusterStatus {
	srv := h.running()
	if srv == nil || !h.cfg.Clustered() {
		return nil
	}
	s, _, err := h.lookAround(srv)
	if err != nil {
		return nil // JetStream is off; Up says so
	}
	return &s
}

// lookAround asks the server what it knows of the others, and who leads each stream.
func (h *Handle) lookAround(srv *server.Server) (ClusterStatus, map[string]string, error) {
	info, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Limit: maxAccounts})
	if err != nil {
		return ClusterStatus{}, nil, fmt.Errorf("asking the server of its cluster: %w", err)
	}
	s := ClusterStatus{Node: srv.Name(), Name: h.cfg.Cluster.Name, Expected: h.cfg.Cluster.BootstrapExpect}
	if info.Meta == nil {
		return s, nil, nil
	}
	s.Leader = info.Meta.Leader
	// Who is called offline there may have been gone for half a minute; a route is lost
	// at once.
	heard, err := routesTo(srv)
	if err != nil {
		return s, nil, err
	}
	peers := map[string]*PeerStatus{}
	meet := func(name string) {
		if name != "" && peers[name] == nil {
			peers[name] = &PeerStatus{Node: name, Online: heard[name], Behind: []string{}}
		}
	}
	for _, p := range info.Meta.Replicas {
		meet(p.Name)
	}
	meet(s.Leader)
	meet(srv.Name())
	leaders := map[string]string{"": s.Leader}
	groups := map[string]string{"_meta_": "the list of streams"}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			if stream.Cluster == nil {
				continue
			}
			leaders[account.Name+" "+stream.Name] = stream.Cluster.Leader
			groups[stream.Cluster.RaftGroup] = stream.Name
		}
	}
	own := peers[srv.Name()]
	own.Behind = append(own.Behind, unwell(srv)...)
	own.Behind = append(own.Behind, voiceless(srv, groups)...)
	if !srv.JetStreamIsCurrent() {
		own.Behind = append(own.Behind, groups["_meta_"])
	}
	slices.Sort(own.Behind)
	own.Behind = slices.Compact(own.Behind)
	for _, p := range peers {
		s.Peers = append(s.Peers, *p)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int { return strings.Compare(a.Node, b.Node) })
	return s, leaders, nil
}

// routesTo names the servers that this one is connected with, itself included.
func routesTo(srv *server.Server) (map[string]bool, error) {
	routes, err := srv.Routez(nil)
	if err != nil {
		return nil, fmt.Errorf("asking the server whom it is connected with: %w", err)
	}
	heard := map[string]bool{srv.Name(): true}
	for _, r := range routes.Routes {
		heard[r.RemoteName] = true
	}
	return heard, nil
}

// voiceless names the groups, by what they are for, of which this server has nothing
// yet: its disk was lost. Its vote counts only where all others vote (nats-server
// v2.15.2, raft.go, runAsCandidate), so it replaces nobody.
func voiceless(srv *server.Server, groups map[string]string) (names []string) {
	status := srv.Raftz(&server.RaftzOptions{})
	if status == nil {
		return nil
	}
	for _, account := range *status {
		for group, g := range account {
			if g.PIndex > 0 {
				continue
			}
			name := groups[group]
			if name == "" {
				name = group // of a consumer
			}
			names = append(names, name)
		}
	}
	return names
}

// probePeers looks at a server of a cluster. What of its streams is behind, the others
// bring it; a restart would not. Errors: errSwitchedOff, and errLeaderless, which
// passes by itself.
func (h *Handle) probePeers(srv *server.Server) error {
	if !srv.Running() {
		return errors.New("the NATS server has stopped")
	}
	if !srv.JetStreamEnabled() {
		return errSwitchedOff
	}
	s, leaders, err := h.lookAround(srv)
	if err != nil {
		return err
	}
	h.metrics.led(leaders)
	if s.Leader == "" {
		return fmt.Errorf("%w: %s", errLeaderless, s.lack())
	}
	return nil
}

// lack says which nodes are not heard, and how many have never been.
func (s *ClusterStatus) lack() string {
	var parts []string
	if gone := s.Missing(); len(gone) > 0 {
		parts = append(parts, strings.Join(gone, ", ")+" cannot be reached")
	}
	if n := s.Expected - len(s.Peers); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d have not been heard of yet", n, s.Expected))
	}
	if len(parts) == 0 {
		return "they are choosing a leader"
	}
	return strings.Join(parts, "; ")
}

// whole reports whether every expected server takes part.
func (s *ClusterStatus) whole() bool {
	return s.Leader != "" && len(s.Peers) == s.Expected && len(s.Missing()) == 0
}

const (
	peerPoll = 50 * time.Millisecond
	peerSay  = 10 * time.Second
)

// awaitPeers waits until the servers have a leader; at the very first start, until all
// of them take part, for streams need so many.
func (h *Handle) awaitPeers(ctx context.Context, srv *server.Server, first bool, log *zap.Logger) error {
	poll, say := time.NewTicker(peerPoll), time.NewTicker(peerSay)
	defer poll.Stop()
	defer say.Stop()
	for {
		s, _, err := h.lookAround(srv)
		if err != nil {
			return err
		}
		if s.Leader != "" && !first || s.whole() {
			log.Info("broker has joined the cluster", zap.String("leader", s.Leader), zap.Int("nodes", len(s.Peers)))
			return nil
		}
		h.setUp(fmt.Errorf("%w: %s", errLeaderless, s.lack()))
		select {
		case <-ctx.Done():
			return fmt.Errorf("joining the broker's cluster: %s (%w)", s.lack(), ctx.Err())
		case <-say.C:
			log.Warn("broker waits for the other nodes", zap.String("because", s.lack()))
		case <-poll.C:
		}
	}
}
