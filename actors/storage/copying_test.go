package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/embedded"
	wal "github.com/marketprism/marketprism/persistence/journal"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/router"
)

// peers are nodes of this test, asked without a way between.
type peers struct {
	mu    sync.Mutex
	of    map[string]*storage.Handle
	spoil func(b []byte) // what is fetched next; once
	cut   bool           // the next file comes half, and an error
	asked []int64        // offsets that were asked for
}

var errCut = errors.New("the connection was cut")

func (p *peers) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *peers) Offers(ctx context.Context) (map[string]persistence.Offer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offers := map[string]persistence.Offer{}
	var errs []error
	for name, h := range p.of {
		o, err := h.Offer(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		offers[name] = o
	}
	return offers, errors.Join(errs...)
}

func (p *peers) Fetch(ctx context.Context, place string, f persistence.CopyFile, offset int64, to io.Writer) error {
	p.mu.Lock()
	h, spoil, cut := p.of[place], p.spoil, p.cut
	p.spoil, p.cut, p.asked = nil, false, append(p.asked, offset)
	p.mu.Unlock()
	content, size, err := h.OpenCopy(ctx, f.Tier, f.Name)
	if err != nil {
		return err
	}
	all, err := io.ReadAll(io.NewSectionReader(content, offset, size-offset))
	if err := errors.Join(err, content.Close()); err != nil {
		return err
	}
	if spoil != nil {
		spoil(all)
	}
	if cut {
		all = all[:len(all)/2]
	}
	if _, err := io.Copy(to, bytes.NewReader(all)); err != nil || !cut {
		return err
	}
	return errCut
}

// tiered puts a cold store of its own behind the engine.
func tiered(t *testing.T, s *settings) *router.Engine {
	t.Helper()
	e := &router.Engine{}
	s.names = part.NewNames()
	s.engine.PublishInterval = time.Second
	scratch := t.TempDir()
	dir := filepath.Join(s.engineDir, "cold")
	s.wrap = func(hot persistence.Engine) persistence.Engine {
		engine := hot.(*embedded.Engine)
		tier, err := cold.NewTier(cold.DefaultConfig(), dir, engine, cold.Surroundings{Scratch: scratch, Names: s.names})
		if err != nil {
			t.Fatal(err)
		}
		if err := tier.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		*e = *router.New(engine, tier, s.journal.Shards)
		return e
	}
	return e
}

// flushed waits until all that is written is published.
func (n *node) flushed(seq uint64) {
	n.Helper()
	n.eventually("what is written to be published", func() bool { return n.engine.Published(0) >= seq })
}

// forget purges the journal behind a node's position, as if a reader had fallen too far
// behind.
func (n *node) forget(reader string) {
	n.Helper()
	ctx := testContext(n.TB)
	j, err := n.open(ctx)
	if err != nil {
		n.Fatal(err)
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		n.Fatal(err)
	}
	list, err := registry.Readers(ctx, 0)
	if err != nil {
		n.Fatal(err)
	}
	for _, r := range list {
		if r.Reader == reader {
			if err := registry.Retire(ctx, r); err != nil {
				n.Fatal(err)
			}
		}
	}
	n.eventually("the journal to be purged", func() bool {
		if _, err := registry.Purge(ctx, 0); err != nil {
			n.Fatal(err)
		}
		st, err := j.State(ctx, 0)
		return err == nil && st.First == st.Last
	})
}

// TestCopyFromAPeer: a store that was away while the journal was purged, and one that is
// new, take what they lack from a peer, its cold files too, and go on: each record once.
func TestCopyFromAPeer(t *testing.T) {
	first := defaults(t)
	first.reader = "a"
	full := tiered(t, first)
	a := start(t, first)
	a.write(trades(0, 50))

	second := defaults(t)
	second.reader, second.beside = "b", a
	tiered(t, second)
	b := start(t, second)
	b.eventually("the second to have the first records", func() bool { return len(b.ids()) == 50 })
	b.flushed(1)
	b.stop()

	a.write(trades(50, 50))
	a.flushed(2)
	if _, err := full.Archive(t.Context(), persistence.ArchiveOptions{Before: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := full.Forget(t.Context(), persistence.ForgetOptions{Before: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	a.write(trades(100, 50))
	a.flushed(3)
	a.forget("b")

	// It comes back while nobody can give it what it lacks.
	others := &peers{of: map[string]*storage.Handle{}}
	second.peers = others
	b = start(t, second)
	b.eventually("the second to say that it is incomplete", func() bool {
		failures, _ := b.h.Health()
		st := b.status().Shards[0]
		return len(failures) > 0 && b.h.Incomplete() != nil && st.State == "copying" && st.Copying != nil && st.Copying.Problem != "" && st.Copying.After == 1
	})
	b.wantIDs(50) // it answers with what it has
	if o, err := b.h.Offer(t.Context()); err != nil || len(o.Positions) > 0 {
		t.Errorf("a store that lacks something offers itself: %v, %v", o.Positions, err)
	}
	if err := b.h.CaughtUp(t.Context(), 0); !errors.Is(err, storage.ErrIncomplete) {
		t.Errorf("a store that lacks something has caught up: %v", err)
	}
	others.set(func() {
		others.of["a"], others.cut = a.h, true
	})
	b.eventually("the second to have everything", func() bool { return b.h.Incomplete() == nil && len(b.ids()) == 150 })
	b.wantIDs(150)
	others.set(func() {
		if len(others.asked) < 2 || others.asked[1] == 0 {
			t.Errorf("what was cut off did not go on where it was: %v", others.asked)
		}
	})
	if left, err := filepath.Glob(filepath.Join(second.engineDir, "incoming", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	a.write(trades(150, 10))
	b.eventually("the second to go on", func() bool { return len(b.ids()) == 160 })
	b.wantIDs(160)

	// A new one; the first file that it gets is damaged on the way.
	b.flushed(4)
	a.flushed(4)
	a.forget("")
	third := defaults(t)
	third.reader, third.beside = "c", a
	third.peers = &peers{of: map[string]*storage.Handle{"a": a.h, "b": b.h}, spoil: func(b []byte) { b[len(b)/2] ^= 1 }}
	tiered(t, third)
	c := start(t, third)
	c.eventually("the third to have everything", func() bool { return c.h.Incomplete() == nil && len(c.ids()) == 160 })
	c.wantIDs(160)
	c.stop()
	c = start(t, third) // it needs nobody any more
	c.wantIDs(160)
	b.stop()
}

// TestCopyWhenUnregistered: a reader that was dropped while it ran reads on by itself.
func TestCopyWhenUnregistered(t *testing.T) {
	s := defaults(t)
	s.reader = "a"
	tiered(t, s)
	s.peers = &peers{of: map[string]*storage.Handle{}}
	a := start(t, s)
	a.write(trades(0, 10))
	ctx := testContext(t)
	j, err := a.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		t.Fatal(err)
	}
	list, err := registry.Readers(ctx, 0)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	for gone := false; !gone; { // it may say where it is just then
		switch err := registry.Retire(ctx, list[0]); {
		case err == nil:
			gone = true
		case !errors.Is(err, wal.ErrReaderMoved):
			t.Fatal(err)
		default:
			if list, err = registry.Readers(ctx, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.write(trades(10, 10))
	a.eventually("it to be registered again", func() bool {
		list, err := registry.Readers(ctx, 0)
		return err == nil && len(list) == 1 && a.h.Incomplete() == nil
	})
	a.write(trades(20, 10))
	a.eventually("all to be there", func() bool { return len(a.ids()) == 30 })
	a.wantIDs(30)
}

// TestRetire: a reader's name that nobody uses is taken out, and none that is in use.
func TestRetire(t *testing.T) {
	s := defaults(t)
	s.reader = "a"
	s.storage.RetireAfter, s.engine.PublishInterval = 0, time.Second
	s.owner = func(reader string) (string, bool) { return "node-9", reader == "embedded-node-9" }
	a := start(t, s)
	ctx := testContext(t)
	j, err := a.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for reader, full := range map[string]bool{"embedded": true, "embedded-node-9": true, "elsewhere": false} {
		if _, err := registry.Register(ctx, reader, full, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.h.Retire(ctx, "embedded"); !errors.Is(err, storage.ErrReaderInUse) {
		t.Errorf("one that holds nothing back: %v", err)
	}
	a.write(trades(0, 10))
	a.flushed(1)
	for reader, want := range map[string]error{"a": storage.ErrReaderInUse, "embedded-node-9": storage.ErrReaderInUse, "nobody": storage.ErrNoReader} {
		if _, err := a.h.Retire(ctx, reader); !errors.Is(err, want) {
			t.Errorf("retiring %s: %v, want %v", reader, err, want)
		}
	}
	for _, reader := range []string{"embedded", "elsewhere"} {
		if gone, err := a.h.Retire(ctx, reader); err != nil || len(gone) != 1 || gone[0].Behind != 1 {
			t.Errorf("retiring %s: %v, %v", reader, gone, err)
		}
	}
	all, err := a.h.Readers(ctx)
	if err != nil || len(all) != 2 {
		t.Errorf("left: %v, %v", all, err)
	}
}
