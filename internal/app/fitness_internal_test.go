package app

import (
	"errors"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul"
)

// TestFitness: who does not reach the broker for long enough resigns for as long as that
// lasts, and stands back once from what could be done without it.
func TestFitness(t *testing.T) {
	cut := errors.New("cut off")
	var f fitness
	begin := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		what         string
		after        time.Duration
		failure      error
		heard        bool // by Consul
		changed      bool
		idle, turned bool
		status       consul.Status
	}{
		{"well", 0, nil, true, false, false, false, consul.Passing},
		{"for a moment", time.Second, cut, true, false, false, false, consul.Passing},
		{"over", 2 * time.Second, nil, true, false, false, false, consul.Passing},
		{"once more", 3 * time.Second, cut, true, false, false, false, consul.Passing},
		{"for long", 7 * time.Second, cut, true, true, true, true, consul.Warning},
		{"still", 20 * time.Second, cut, true, false, true, true, consul.Warning},
		{"others had their turn", 22 * time.Second, cut, true, false, true, false, consul.Warning},
		{"and it stays so", 60 * time.Second, cut, true, false, true, false, consul.Warning},
		{"healed", 61 * time.Second, nil, true, true, false, false, consul.Passing},
		{"from Consul too", 70 * time.Second, cut, false, false, false, false, consul.Passing},
		{"which cannot give the lease to another", 74 * time.Second, cut, false, true, true, false, consul.Warning},
	} {
		changed := f.step(begin.Add(c.after), c.failure, c.heard)
		idle, _ := f.idle.state()
		turned, _ := f.turn.state()
		status, _ := f.status()
		if changed != c.changed || idle != c.idle || turned != c.turned || status != c.status {
			t.Errorf("%s: changed %v, idle %v, turned %v, %s; want %v, %v, %v, %s", c.what, changed, idle, turned, status, c.changed, c.idle, c.turned, c.status)
		}
	}
}
