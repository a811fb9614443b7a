package journal

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func openRegistry(t testing.TB, j *Journal) *Registry {
	t.Helper()
	g, err := j.Registry(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func register(t testing.TB, g *Registry, id string, fullCopy bool, position uint64) *Registration {
	t.Helper()
	r, err := g.Register(testContext(t), id, fullCopy, 0, position)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func doPurge(t testing.TB, g *Registry) Purged {
	t.Helper()
	p, err := g.Purge(testContext(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPurgeKeepsWhatNobodyStored goes through the borders with a real server.
func TestPurgeKeepsWhatNobodyStored(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	g := openRegistry(t, j)
	if p := doPurge(t, g); p.First != 1 || p.Messages != 0 { // empty journal, no reader
		t.Errorf("empty: %+v", p)
	}
	rec := newRecorder(t, j)
	for range 10 {
		record(t, rec, []byte("x"))
	}
	if p := doPurge(t, g); p.Readers != 0 || p.Messages != 0 {
		t.Errorf("nobody registered: %+v", p)
	}
	one := register(t, g, "one", true, 0)
	two := register(t, g, "two", true, 7)
	first := func(want uint64) {
		t.Helper()
		p := doPurge(t, g)
		st, err := j.State(testContext(t), 0)
		if err != nil {
			t.Fatal(err)
		}
		if st.First != want || p.First != want || st.Last != 10 || p.Readers != 2 {
			t.Errorf("first is %d, reported %+v, want %d", st.First, p, want)
		}
	}
	advance := func(r *Registration, position uint64) {
		t.Helper()
		if err := r.Advance(testContext(t), position); err != nil {
			t.Fatal(err)
		}
	}
	first(1)
	advance(one, 1)
	first(2) // 1 is stored by all, 2 is the next that "one" reads
	advance(one, 4)
	first(5)
	advance(one, 9)
	first(8) // now "two" is the lowest
	advance(one, 10)
	advance(two, 10)
	first(10) // the last is never purged
	first(10)

	// A reader at the lowest position reads on without a hole.
	pos := start(t, j)
	if pos.Seq != 9 {
		t.Errorf("the journal begins behind %d, want 9", pos.Seq)
	}
	rec2 := newReader(t, j, pos)
	if m, err := rec2.Next(testContext(t)); err != nil || m.Seq != 10 || m.N != 10 { // what is before it is purged
		t.Errorf("got %+v, %v", m, err)
	}
	pos.Recorders = nil
	rec3 := newReader(t, j, pos)
	if _, err := rec3.Next(testContext(t)); !errors.Is(err, ErrJump) { // number 10 of an incarnation it has not seen: not a hole
		t.Errorf("got %v", err)
	}

	// A sequence is never given twice, even when everything before is gone.
	if ack := record(t, rec, []byte("y")); ack.Seq != 11 {
		t.Errorf("sequence %d", ack.Seq)
	}
	if m, err := rec2.Next(testContext(t)); err != nil || m.Seq != 11 || m.N != 11 {
		t.Errorf("got %+v, %v", m, err)
	}
	inject(t, j, Subject(0), sealed(t, 3, []byte("of another, of which two are purged")))
	inject(t, j, Subject(0), sealed(t, 5, []byte("and a jump")))
	if m, err := rec2.Next(testContext(t)); err != nil || m.N != 3 {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := rec2.Next(testContext(t)); !errors.Is(err, ErrJump) {
		t.Errorf("a jump of one that is known: %v", err)
	}
}

func TestPurgeRefusesAnOlderCopy(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	g := openRegistry(t, j)
	rec := newRecorder(t, j)
	record(t, rec, []byte("x"))
	record(t, rec, []byte("x"))
	register(t, g, "ahead", true, 3)
	if _, err := g.Purge(testContext(t), 0); !errors.Is(err, ErrRolledBack) {
		t.Errorf("got %v", err)
	}
}

func TestFullJournalAcceptsAgainAfterAPurge(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.MaxBytes = minShardBytes
	j := b.openJournal(cfg)
	g := openRegistry(t, j)
	reg := register(t, g, "store", true, 0)
	rec, r := newRecorder(t, j), newReader(t, j, start(t, j))
	fill := func() {
		t.Helper()
		for range 20 {
			if _, err := rec.Seal(noise(3<<20), 1); err != nil {
				t.Fatal(err)
			}
			_, err := rec.Deliver(testContext(t))
			if errors.Is(err, ErrFull) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Fatal("the journal never fills")
	}
	for range 3 {
		fill()
		if p := doPurge(t, g); p.First > reg.Position()+1 {
			t.Fatalf("purged %+v, stored up to %d", p, reg.Position())
		}
		for {
			lag, err := r.Lag(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			if lag == 0 {
				break
			}
			next(t, r)
		}
		if err := reg.Advance(testContext(t), r.Seq()); err != nil {
			t.Fatal(err)
		}
		if p := doPurge(t, g); p.Messages == 0 {
			t.Fatalf("purged %+v", p)
		}
		// The refused batch is still in flight, and goes now, once.
		if _, err := rec.Deliver(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	if r.Repeats() != 0 {
		t.Errorf("%d repeats", r.Repeats())
	}
}

func TestFarBehindIsUnregisteredOnlyBesideAnotherCopy(t *testing.T) {
	cases := []struct {
		name    string
		readers map[string]uint64 // positions of 14; a name in capitals keeps no copy
		want    []string          // unregistered
		first   uint64
	}{
		{"sole copy", map[string]uint64{"slow": 2}, nil, 3},
		{"both far behind", map[string]uint64{"slow": 2, "slower": 1}, nil, 2},
		{"beside a copy", map[string]uint64{"slow": 2, "good": 13}, []string{"slow"}, 14},
		{"beside one that keeps no copy", map[string]uint64{"slow": 2, "QUEST": 13}, nil, 3},
		{"without a copy itself", map[string]uint64{"QUEST": 2, "good": 13}, nil, 3},
		{"not far", map[string]uint64{"near": 10, "good": 13}, nil, 11},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := startBroker(t)
			cfg := testConfig()
			cfg.MaxBytes = minShardBytes
			j := b.openJournal(cfg)
			g := openRegistry(t, j)
			rec := newRecorder(t, j)
			for range 14 {
				record(t, rec, noise(1<<20))
			}
			regs := map[string]*Registration{}
			for id, position := range c.readers {
				regs[id] = register(t, g, id, id[0] >= 'a', position)
			}
			p := doPurge(t, g)
			if !slices.Equal(p.Unregistered, c.want) || p.First != c.first {
				t.Errorf("got %+v, want %v unregistered, first %d", p, c.want, c.first)
			}
			for id, r := range regs {
				want := error(nil)
				if slices.Contains(c.want, id) {
					want = ErrUnregistered
				}
				if err := r.Flush(testContext(t), 14); !errors.Is(err, want) {
					t.Errorf("%s learns %v, want %v", id, err, want)
				}
			}
		})
	}
}

func TestRegistration(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.Shards = 2
	cfg.RegisterInterval = 10 * time.Second
	j := b.openJournal(cfg)
	g := openRegistry(t, j)
	ctx := testContext(t)
	for _, id := range []string{"", "a.b", "a b", "*", ">"} {
		if _, err := g.Register(ctx, id, true, 0, 0); err == nil {
			t.Errorf("id %q accepted", id)
		}
	}
	if _, err := g.Register(ctx, "a", true, 2, 0); !errors.Is(err, ErrShards) {
		t.Errorf("shard 2 of 2: %v", err)
	}
	r := register(t, g, "node-1", true, 5)
	now := time.Now()
	r.now = func() time.Time { return now }
	stored := func(shard int, want ...uint64) {
		t.Helper()
		all, err := g.Readers(ctx, shard)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, e := range all {
			got = append(got, e.Position)
		}
		if !slices.Equal(got, want) {
			t.Errorf("shard %d: positions %v, want %v", shard, got, want)
		}
	}
	stored(0, 5)
	stored(1)
	if err := r.Advance(ctx, 6); err != nil {
		t.Fatal(err)
	}
	stored(0, 5) // within the interval
	now = now.Add(11 * time.Second)
	if err := r.Advance(ctx, 7); err != nil {
		t.Fatal(err)
	}
	stored(0, 7)
	if err := r.Flush(ctx, 8); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(ctx, 3); err != nil { // never backwards
		t.Fatal(err)
	}
	stored(0, 8)

	// An answer was lost: the write is there, under a revision that we do not know.
	r.revision--
	if err := r.Flush(ctx, 9); err != nil {
		t.Fatal(err)
	}
	stored(0, 9)

	// The same reader starts again, from an older position of its own.
	again := register(t, g, "node-1", true, 4)
	stored(0, 4)
	if err := r.Flush(ctx, 10); !errors.Is(err, ErrReaderTaken) {
		t.Errorf("the earlier process: %v", err)
	}
	if err := again.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	stored(0)
	if err := again.Flush(ctx, 10); !errors.Is(err, ErrUnregistered) {
		t.Errorf("removed: %v", err)
	}
	if back := register(t, g, "node-1", true, 11); back.Position() != 11 {
		t.Errorf("position %d", back.Position())
	}
	stored(0, 11)
}
