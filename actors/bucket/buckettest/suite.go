package buckettest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
)

// Run is what every store of documents does. open makes one that is empty.
func Run(t *testing.T, open func(t *testing.T) bucket.Store) {
	t.Run("Documents", func(t *testing.T) { documents(t, open(t)) })
	t.Run("Race", func(t *testing.T) { race(t, open(t)) })
	t.Run("Watch", func(t *testing.T) { watch(t, open(t)) })
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, s bucket.Store, key, value string, revision uint64) uint64 {
	t.Helper()
	next, err := s.Put(within(t), key, []byte(value), revision)
	if err != nil || next <= revision {
		t.Fatalf("writing %s at %d: revision %d, %v", key, revision, next, err)
	}
	return next
}

func documents(t *testing.T, s bucket.Store) {
	ctx := within(t)
	if d, there, err := s.Get(ctx, "a.1"); err != nil || there || d.Revision != 0 {
		t.Fatalf("a key that does not exist: %v, %v, %v", d, there, err)
	}
	if all, err := s.Load(ctx, ""); err != nil || len(all) != 0 {
		t.Fatalf("an empty bucket holds %v, %v", all, err)
	}
	first := put(t, s, "a.1", "one", 0)
	second := put(t, s, "a.2", "two", 0)
	put(t, s, "b.1", "other", 0)
	if second <= first {
		t.Errorf("revisions %d, %d do not rise", first, second)
	}
	if _, err := s.Put(ctx, "a.1", []byte("again"), 0); !errors.Is(err, bucket.ErrConflict) {
		t.Errorf("making what exists: %v", err)
	}
	if _, err := s.Put(ctx, "a.1", []byte("x"), second); !errors.Is(err, bucket.ErrConflict) {
		t.Errorf("writing at another revision: %v", err)
	}
	if err := s.Remove(ctx, "a.2", first); !errors.Is(err, bucket.ErrConflict) {
		t.Errorf("removing at another revision: %v", err)
	}
	first = put(t, s, "a.1", "one and a half", first)
	if d, there, err := s.Get(ctx, "a.1"); err != nil || !there || string(d.Value) != "one and a half" || d.Revision != first || d.Key != "a.1" {
		t.Errorf("got %+v, %v, %v", d, there, err)
	}
	if err := s.Remove(ctx, "a.2", second); err != nil {
		t.Errorf("removing: %v", err)
	}
	if _, there, err := s.Get(ctx, "a.2"); err != nil || there {
		t.Errorf("a removed key is there: %v, %v", there, err)
	}
	all, err := s.Load(ctx, "a.")
	if err != nil || len(all) != 1 || all[0].Key != "a.1" || all[0].Revision != first {
		t.Errorf("got %+v, %v", all, err)
	}
	put(t, s, "a.2", "made anew", 0)
}

// race lets several count in one document.
func race(t *testing.T, s bucket.Store) {
	ctx := within(t)
	const workers, each = 4, 10
	done := make(chan error, workers)
	for range workers {
		go func() {
			for range each {
				if err := count(ctx, s); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if d, _, err := s.Get(ctx, "counter"); err != nil || string(d.Value) != fmt.Sprint(workers*each) {
		t.Errorf("counted %q, %v", d.Value, err)
	}
}

func count(ctx context.Context, s bucket.Store) error {
	for {
		d, there, err := s.Get(ctx, "counter")
		if err != nil {
			return err
		}
		n := 0
		if there {
			if _, err := fmt.Sscan(string(d.Value), &n); err != nil {
				return fmt.Errorf("reading the counter: %w", err)
			}
		}
		_, err = s.Put(ctx, "counter", fmt.Append(nil, n+1), d.Revision)
		if !errors.Is(err, bucket.ErrConflict) {
			return err
		}
	}
}

func watch(t *testing.T, s bucket.Store) {
	put(t, s, "a.1", "one", 0)
	put(t, s, "b.1", "not asked for", 0)
	ctx, cancel := context.WithCancel(within(t))
	changes, ended := make(chan bucket.Change, 16), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, "a.", func(c bucket.Change) { changes <- c }) }()
	next := func() bucket.Change {
		t.Helper()
		select {
		case c := <-changes:
			return c
		case <-ctx.Done():
			t.Fatal("no change")
			return bucket.Change{}
		}
	}
	if c := next(); c.Key != "a.1" || string(c.Value) != "one" {
		t.Errorf("first %+v", c)
	}
	if c := next(); !c.Complete {
		t.Errorf("second %+v", c)
	}
	revision := put(t, s, "a.2", "two", 0)
	if c := next(); c.Key != "a.2" || string(c.Value) != "two" || c.Revision != revision || c.Removed {
		t.Errorf("a new document: %+v", c)
	}
	if err := s.Remove(ctx, "a.2", revision); err != nil {
		t.Fatal(err)
	}
	if c := next(); c.Key != "a.2" || !c.Removed {
		t.Errorf("a removed document: %+v", c)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a watch that was cancelled: %v", err)
	}
}
