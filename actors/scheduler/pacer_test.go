package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// told is what a pacer has told, one entry a message.
type told struct {
	p *pacer

	mu   sync.Mutex
	when []time.Duration
	what []string
	with error // what telling meets; nil: it is told
}

func (w *told) run(t *testing.T) {
	begin := time.Now()
	w.p = newPacer()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		w.p.run(ctx, func(_ *actor.PID, message any) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.with != nil {
				return w.with
			}
			w.when, w.what = append(w.when, time.Since(begin)), append(w.what, fmt.Sprint(message))
			return nil
		})
	}()
}

func (w *told) meet(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.with = err
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w told
		w.run(t)
		expect := func(what string, n int) {
			t.Helper()
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.what) != n {
				t.Fatalf("%s: %d were told, want %d", what, len(w.what), n)
			}
		}
		at := time.Now().Add(time.Second)
		for i := range 150 {
			w.p.wakeAt(fmt.Sprint(i), at, note{message: i})
		}
		w.p.wakeAt("first", at.Add(-500*time.Millisecond), note{message: "first"})
		w.p.wakeAt("moved", at.Add(-400*time.Millisecond), note{message: "too early"})
		w.p.wakeAt("moved", at.Add(time.Hour), note{message: "moved"})
		w.p.wakeAt("gone", at, note{message: "gone"})
		w.p.forget("gone")
		w.p.forget("never there")
		expect("before their time", 0)
		<-time.After(600 * time.Millisecond)
		expect("the first one", 1)
		w.p.handled()
		<-time.After(400 * time.Millisecond)
		expect("as many as may be in hand", 1+inHand)
		for range inHand - 1 {
			w.p.handled()
		}
		expect("all but one handled", 1+inHand)
		w.p.handled()
		expect("the next", 1+2*inHand)
		<-time.After(stalled + time.Millisecond) // nobody says that they are handled
		expect("the rest", 151)
		if w.what[0] != "first" || w.when[0] != 500*time.Millisecond || w.when[1] != time.Second {
			t.Errorf("first %s after %v, then after %v", w.what[0], w.when[0], w.when[1])
		}
		for range 150 - 2*inHand {
			w.p.handled()
		}
		w.p.tell(note{message: "now"})
		expect("at once", 152)
		w.meet(errors.New("nobody is there"))
		w.p.handled()
		for range 2 * inHand { // who is gone is not waited for
			w.p.tell(note{message: "nobody"})
		}
		synctest.Wait()
		w.meet(supervise.ErrMailboxFull)
		w.p.tell(note{message: "somebody"})
		expect("without room", 152)
		<-time.After(3 * stalled)
		expect("still without", 152)
		w.meet(nil)
		<-time.After(2 * stalled)
		expect("after those that are gone, with room", 153)
		w.p.handled()
		<-time.After(time.Hour)
		expect("later", 154)
		if w.what[153] != "moved" {
			t.Errorf("at last %s", w.what[153])
		}
	})
}
