package cluster

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

// turn waits until exactly one of some nodes brings the journal into the store, and
// returns it.
func (s *stores) turn(which ...int) (owner int) {
	s.t.Helper()
	harness.Await(s.t, time.Minute, "one node to bring the journal into the store", func() bool {
		owner = -1
		for _, i := range which {
			shards := s.shards(i)
			if len(shards) != 1 {
				return false
			}
			switch shards[0].State {
			case "reading":
				if owner >= 0 {
					return false
				}
				owner = i
			case "standby":
			default:
				return false
			}
		}
		return owner >= 0
	})
	return owner
}

// TestMultiNodeQuestDB: two nodes share a QuestDB server. One of them brings the journal
// into it; it is killed, and frozen, and the other does. Each record is there once, for
// whoever asks either node with the position that the write was answered with.
func TestMultiNodeQuestDB(t *testing.T) {
	t.Parallel()
	server := questdbtest.Start(t)
	s := newStores(t, 2, harness.Settings{
		harness.Broker + ".nats.username": "prism", harness.Broker + ".nats.password": "a password",
		harness.Storage + ".engine": "questdb", harness.Storage + ".questdb.http": server.HTTP, harness.Storage + ".questdb.pg": server.PG,
		harness.Storage + ".questdb.password": "quest", harness.Storage + ".questdb.trail": "2s",
		harness.Storage + ".actors.takeover": "2s", harness.Storage + ".storage.lifecycle.archive": false,
	})
	var places []string
	ports := []int{freePort(t), freePort(t)}
	for _, p := range ports {
		places = append(places, fmt.Sprint("127.0.0.1:", p))
	}
	s.common["cluster.services."+harness.Storage] = places
	s.broker()
	start := func(i int) {
		s.common[harness.Storage+".port"] = ports[i]
		s.launch(i)
	}
	start(0)
	s.all[0].AwaitReady()
	start(1)
	s.all[1].AwaitReady()
	const rows = 50
	batch := 0
	both := func(what string) {
		t.Helper()
		for range 3 {
			for i := range 2 {
				s.write(i, batch, rows)
				batch++
				s.complete(1-i, s.last)
			}
		}
		t.Logf("%s: %d records, each once on both nodes", what, len(s.acked))
	}
	owner := s.turn(0, 1)
	both("from the start")

	s.all[owner].Kill()
	other := 1 - owner
	began := time.Now()
	s.turn(other)
	t.Logf("the other brings the journal into the store %v after the kill", time.Since(began).Round(time.Millisecond))
	s.write(other, batch, rows)
	batch++
	s.complete(other, s.last)
	start(owner)
	s.all[owner].AwaitReady()
	both("after a kill")

	owner = s.turn(0, 1)
	other = 1 - owner
	s.write(owner, batch, rows)
	batch++
	if err := syscall.Kill(s.all[owner].PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.turn(other)
	s.write(other, batch, rows)
	batch++
	s.complete(other, s.last)
	if err := syscall.Kill(s.all[owner].PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if s.turn(0, 1) != other {
		t.Error("who was frozen has taken its turn back")
	}
	both("after one was frozen")
	for i, n := range s.all {
		n.Stop()
		if why := n.Crashed(); why != "" {
			t.Errorf("%s: %s", name(i), why)
		}
		if strings.Contains(n.Log(), `"level":"fatal"`) {
			t.Errorf("%s ended badly", name(i))
		}
	}
}
