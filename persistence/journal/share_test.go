package journal

import (
	"context"
	"errors"
	"testing"
	"time"
)

// contend asks for the turn with a term, without waiting for it.
func contend(t *testing.T, j *Journal, node string, term time.Duration) <-chan *Share {
	t.Helper()
	registry, err := j.Registry(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Share, 1)
	ctx := testContext(t)
	go func() {
		s, err := registry.Contend(ctx, Contender{Reader: "questdb", Node: node, Term: term})
		if err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v", node, err)
		}
		got <- s
	}()
	return got
}

const long = time.Hour

func TestShareIsGivenUp(t *testing.T) {
	j := startBroker(t).openJournal(testConfig())
	a := <-contend(t, j, "a", long)
	if err := errors.Join(a.Held(), a.Beat(t.Context()), a.Advance(t.Context(), 7), a.Beat(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := a.Position(); got != 7 {
		t.Errorf("registered at %d, want 7", got)
	}
	b := contend(t, j, "b", time.Second) // a term of silence is over soon, by its own clock
	for range 8 {                        // but there is none
		select {
		case <-b:
			t.Fatal("two have the turn")
		case <-time.After(200 * time.Millisecond):
		}
		if err := a.Beat(t.Context()); err != nil {
			if errors.Is(err, ErrReaderTaken) {
				t.Skip("this machine stood still for a second")
			}
			t.Fatal(err)
		}
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Held(); !errors.Is(err, ErrReaderTaken) {
		t.Errorf("given up, and held: %v", err)
	}
	next := <-b
	if got := next.Position(); got != 7 {
		t.Errorf("the next one begins registered at %d, want 7", got)
	}
	if err := a.Beat(t.Context()); !errors.Is(err, ErrReaderTaken) {
		t.Errorf("who has given up writes: %v", err)
	}
}

// TestShareIsTaken: who is silent for a term loses the turn, and learns it whatever it
// does next.
func TestShareIsTaken(t *testing.T) {
	j := startBroker(t).openJournal(testConfig())
	a := <-contend(t, j, "a", time.Second)
	b := <-contend(t, j, "b", time.Second)
	if err := a.Held(); !errors.Is(err, ErrReaderTaken) { // by its own clock
		t.Errorf("silent for a term, and held: %v", err)
	}
	for name, try := range map[string]func() error{
		"beat":    func() error { return a.Beat(t.Context()) },
		"flush":   func() error { return a.Flush(t.Context(), 9) },
		"release": func() error { return a.Release(t.Context()) },
	} {
		if err := try(); !errors.Is(err, ErrReaderTaken) {
			t.Errorf("%s of who has lost it: %v", name, err)
		}
	}
	if err := b.Flush(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	again := <-contend(t, j, "b", long) // a process of the same node that starts anew waits for nobody
	if got := again.Position(); got != 5 {
		t.Errorf("registered at %d, want 5", got)
	}
	if err := b.Beat(t.Context()); !errors.Is(err, ErrReaderTaken) {
		t.Errorf("the process before: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	registry, err := j.Registry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Contend(ctx, Contender{Reader: "questdb", Node: "c", Term: long}); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v", err)
	}
}
