package journal

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestHeard: who answers for a journal of several nodes is believed while it hears most
// of them.
func TestHeard(t *testing.T) {
	replica := func(active time.Duration, offline bool) *jetstream.PeerInfo {
		return &jetstream.PeerInfo{Active: active, Offline: offline}
	}
	near, far, off := replica(time.Second, false), replica(silence, false), replica(time.Second, true)
	for name, tt := range map[string]struct {
		replicas int
		others   []*jetstream.PeerInfo
		ok       bool
	}{
		"one node":                     {1, nil, true},
		"three":                        {3, []*jetstream.PeerInfo{near, near}, true},
		"one of three is silent":       {3, []*jetstream.PeerInfo{near, far}, true},
		"one of three is off":          {3, []*jetstream.PeerInfo{off, near}, true},
		"both others are silent":       {3, []*jetstream.PeerInfo{far, far}, false},
		"one is off, one is silent":    {3, []*jetstream.PeerInfo{off, far}, false},
		"nobody is listed":             {3, nil, false},
		"two of five are silent":       {5, []*jetstream.PeerInfo{near, far, far, near}, true},
		"three of five are silent":     {5, []*jetstream.PeerInfo{near, far, far, far}, false},
		"it has just been made leader": {3, []*jetstream.PeerInfo{replica(0, false), far}, true},
	} {
		info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: StreamName(0), Replicas: tt.replicas}, Cluster: &jetstream.ClusterInfo{Leader: "node-1", Replicas: tt.others}}
		if err := heard(info); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	leaderless := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}, Cluster: &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{near, near}}}
	if err := heard(leaderless); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a node that knows no leader: %v", err)
	}
	if err := heard(&jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}}); err != nil {
		t.Errorf("a server without a cluster: %v", err)
	}
}
