package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestOpenMakesOnceAndKeepsTheID(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.Shards = 3
	j := b.openJournal(cfg)
	if len(j.ID()) != 32 {
		t.Fatalf("id %q", j.ID())
	}
	for k := range 3 {
		st, err := j.State(testContext(t), k)
		if err != nil {
			t.Fatal(err)
		}
		if want := (State{First: 1, MaxBytes: cfg.MaxBytes / 3, Replicas: 1}); st != want {
			t.Errorf("shard %d: got %+v, want %+v", k, st, want)
		}
	}
	if again := b.openJournal(cfg); again.ID() != j.ID() {
		t.Errorf("opened again it has id %s, before %s", again.ID(), j.ID())
	}
	b.stop()
	b.start()
	if again := b.openJournal(cfg); again.ID() != j.ID() {
		t.Errorf("after a restart it has id %s, before %s", again.ID(), j.ID())
	}
}

func TestOpenRefuses(t *testing.T) {
	change := func(f func(*jetstream.StreamConfig)) func(*testing.T, *Journal) {
		return func(t *testing.T, j *Journal) {
			c := j.streamConfig(0)
			f(&c)
			if _, err := j.js.UpdateStream(testContext(t), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(k int) func(*testing.T, *Journal) {
		return func(t *testing.T, j *Journal) {
			for shard := range 2 { // with data, so that it does not look like an interrupted creation
				r, err := j.NewRecorder(shard, DiskGuard{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				record(t, r, []byte("x"))
			}
			if err := j.js.DeleteStream(testContext(t), StreamName(k)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := []struct {
		name   string
		spoil  func(*testing.T, *Journal)
		shards int
		want   error
	}{
		{"more shards", func(*testing.T, *Journal) {}, 3, ErrShards},
		{"fewer shards", func(*testing.T, *Journal) {}, 1, ErrShards},
		{"shard 0 gone", remove(0), 2, ErrMissing},
		{"shard 1 gone", remove(1), 2, ErrMissing},
		{"no id", change(func(c *jetstream.StreamConfig) { c.Metadata = nil }), 2, ErrOtherJournal},
		{"shards of two journals", change(func(c *jetstream.StreamConfig) { c.Metadata[metaID] = newJournalID() }), 2, ErrOtherJournal},
		{"later format", change(func(c *jetstream.StreamConfig) { c.Metadata[metaFormat] = "2" }), 2, ErrVersion},
		{"discard old", change(func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }), 2, ErrSettings},
		{"max age", change(func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }), 2, ErrSettings},
		{"direct reads", change(func(c *jetstream.StreamConfig) { c.AllowDirect = true }), 2, ErrSettings},
		{"small messages", change(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }), 2, ErrSettings},
		{"other subjects", change(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }), 2, ErrSettings},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := startBroker(t)
			cfg := testConfig()
			cfg.Shards = 2
			c.spoil(t, b.openJournal(cfg))
			cfg.Shards = c.shards
			if _, err := Open(testContext(t), b.connect(), cfg, nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestOpenFinishesAnInterruptedCreation(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.Shards = 3
	j := b.openJournal(cfg)
	for _, k := range []int{0, 1} {
		if err := j.js.DeleteStream(testContext(t), StreamName(k)); err != nil {
			t.Fatal(err)
		}
	}
	if again := b.openJournal(cfg); again.ID() != j.ID() {
		t.Errorf("id %s, the first stream had %s", again.ID(), j.ID())
	}
}

func TestOpenByManyAtOnce(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	cfg.Shards = 4
	ids := make(chan string, 6)
	ctx := testContext(t)
	for range cap(ids) {
		nc := b.connect()
		go func() {
			j, err := Open(ctx, nc, cfg, nil)
			if err != nil {
				t.Error(err)
				ids <- ""
				return
			}
			ids <- j.ID()
		}()
	}
	first := <-ids
	for range cap(ids) - 1 {
		if id := <-ids; id != first {
			t.Errorf("ids %s and %s", first, id)
		}
	}
}

func TestOpenResizesWithoutForgetting(t *testing.T) {
	b := startBroker(t)
	cfg := testConfig()
	j := b.openJournal(cfg)
	r := newRecorder(t, j)
	for range 10 {
		record(t, r, noise(3<<20))
	}
	cfg.MaxBytes = 20 << 20 // less than it holds
	j = b.openJournal(cfg)
	st, err := j.State(testContext(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	if st.First != 1 || st.Messages != 10 || st.MaxBytes != 20<<20 {
		t.Errorf("shrunk below its contents: %+v", st)
	}
}

func TestShard(t *testing.T) {
	// Part of the format: these numbers never change.
	for _, c := range []struct {
		exchange, market, symbol string
		shards, want             int
	}{
		{"binance", "spot", "BTC-USDT", 1, 0},
		{"binance", "spot", "BTC-USDT", 8, 5},
		{"binance", "perpetual", "BTC-USDT", 8, 0},
		{"okx", "spot", "ETH-USDT", 8, 7},
		{"okx", "spot", "ETH-USDT", 3, 2},
	} {
		if got := Shard(c.exchange, c.market, c.symbol, c.shards); got != c.want {
			t.Errorf("Shard(%s, %s, %s, %d) = %d, want %d", c.exchange, c.market, c.symbol, c.shards, got, c.want)
		}
	}
	if Shard("a", "bc", "d", 1<<30) == Shard("ab", "c", "d", 1<<30) {
		t.Error("the parts run into each other")
	}
	if n := testing.AllocsPerRun(100, func() { Shard("binance", "spot", "BTC-USDT", 8) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	bad := map[string]func(*Config){
		"shards":            func(c *Config) { c.Shards = 0 },
		"replicas":          func(c *Config) { c.Replicas = 2 },
		"max_bytes":         func(c *Config) { c.MaxBytes = 1 << 20 },
		"batch_bytes":       func(c *Config) { c.BatchBytes = MaxMessage + 1 },
		"publish_timeout":   func(c *Config) { c.PublishTimeout = 0 },
		"disk_free_bytes":   func(c *Config) { c.DiskFreeBytes = -1 },
		"disk_free_percent": func(c *Config) { c.DiskFreePercent = 90 },
		"read_ahead_bytes":  func(c *Config) { c.ReadAheadBytes = 1 },
		"register_interval": func(c *Config) { c.RegisterInterval = -1 },
		"purge_interval":    func(c *Config) { c.PurgeInterval = 0 },
	}
	all := DefaultConfig()
	for key, spoil := range bad {
		c := DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: got %v", key, err)
		}
		spoil(&all)
	}
	if err := all.Validate(); strings.Count(err.Error(), "\n") != len(bad)-1 {
		t.Errorf("not all errors at once: %v", err)
	}
}
