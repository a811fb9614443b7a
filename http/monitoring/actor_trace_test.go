package monitoring_test

import (
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
)

// An actor is watched: the answer tells of each message, and sums them up by type.
func TestTraceActor(t *testing.T) {
	s, sys := serve(t)
	pid, ok := sys.Lookup("root/shop/a")
	if !ok {
		t.Fatal("no actor to watch")
	}
	over := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() { // the watch ends with its third message, however long this machine takes
		again := time.NewTicker(time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-over:
				return
			case <-again.C:
				_ = sys.Tell(pid, struct{ hello string }{"there"}) // one that is dropped is made up for by the next
			}
		}
	})
	var got struct {
		Actor    string
		Handled  int
		Messages []supervise.Traced
		Kinds    []struct {
			Message string
			Count   int
		}
	}
	get(t, s, "/api/v1/actors/root%2Fshop%2Fa/trace?seconds=60&limit=3", 200, &got)
	close(over)
	teller.Wait()
	if got.Actor != "root/shop/a" || got.Handled != 3 || len(got.Messages) != 3 || got.Messages[0].Time.IsZero() {
		t.Errorf("watched: %+v", got)
	}
	if len(got.Kinds) != 1 || got.Kinds[0].Count != 3 || got.Kinds[0].Message != got.Messages[0].Message {
		t.Errorf("by type: %+v", got.Kinds)
	}
	get(t, s, "/api/v1/actors/root%2Fshop%2Fb/trace?seconds=0.01", 200, &got)
	if got.Handled != 0 {
		t.Errorf("nobody spoke to b, and it handled %+v", got)
	}
	get(t, s, "/api/v1/actors/root%2Fshop%2Fz/trace", 404, nil)
	get(t, s, "/api/v1/actors/root%2Fshop%2Fa/trace?seconds=0", 422, nil)
}
