package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
)

// errCut ends a migration at a step, as a kill would: whatever it has made stays.
var errCut = errors.New("cut")

// filled is a store of a server that stood alone: a bucket, a purged stream, a clients'
// stream with a consumer that is half way.
func filled(t *testing.T, c broker.Config) (revision uint64) {
	t.Helper()
	h, sys := start(t, c)
	_, js := connect(t, h)
	ctx := testContext(t)
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if revision, err = kv.Put(ctx, "key", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	purged, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "PURGED", Subjects: []string{"purged"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		if _, err := js.Publish(ctx, "purged", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := purged.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	_, clients := connectClients(t, h)
	if _, err := clients.CreateStream(ctx, jetstream.StreamConfig{Name: "OWN", Subjects: []string{"own.>"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := clients.PublishMsg(ctx, &nats.Msg{Subject: "own.a", Data: fmt.Append(nil, i), Header: nats.Header{"N": {fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := clients.CreateConsumer(ctx, "OWN", jetstream.ConsumerConfig{Durable: "half", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		m, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := sys.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	return revision
}

// TestMigration: the store of one server becomes that of three with everything in it,
// however often its making is cut off.
func TestMigration(t *testing.T) {
	configs := clusterConfigs(t)
	configs[0].StoreDir = filepath.Join(t.TempDir(), "broker")
	alone := testConfig(t)
	alone.StoreDir = configs[0].StoreDir
	revision := filled(t, alone)

	run := func(cut string) (r broker.MigrationReport, err error) {
		m := &broker.Migration{Config: configs[0], Log: zap.NewNop()}
		broker.CutMigration(m, func(step string) {
			if step == cut {
				panic(errCut)
			}
		})
		defer func() {
			if p := recover(); p != nil {
				if p != errCut { //nolint:errorlint // it is that very value
					panic(p)
				}
				err = errCut
			}
		}()
		return m.Run(testContext(t))
	}
	plan, err := (&broker.Migration{Config: configs[0], Log: zap.NewNop()}).Plan(testContext(t))
	if err != nil || plan.Messages < 11 {
		t.Fatalf("the plan: %+v, %v", plan, err)
	}
	for _, step := range []string{"locked", "formed", "carried OWN", "synced"} {
		if _, err := run(step); !errors.Is(err, errCut) {
			t.Fatalf("cut off at %s: %v", step, err)
		}
		if _, err := broker.New(configs[0], broker.Options{}); !errors.Is(err, broker.ErrStandalone) {
			t.Errorf("a start after it was cut off at %s: %v", step, err)
		}
	}
	if _, err := run("switched"); !errors.Is(err, errCut) {
		t.Fatalf("cut off after the switch: %v", err)
	}
	r, err := run("")
	if err != nil || !r.Done || r.Messages != plan.Messages {
		t.Fatalf("the rest of it: %+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(r.Aside, "jetstream", "$G", "streams", "PURGED")); err != nil {
		t.Errorf("the old store is not aside: %v", err)
	}
	if _, err := os.Stat(configs[0].StoreDir + ".migration"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}

	handles, started := make([]*broker.Handle, 3), make(chan error, 3)
	for i := range configs {
		if handles[i], err = broker.New(configs[i], broker.Options{}); err != nil {
			t.Fatal(err)
		}
		sys := newSystem(t)
		go func() { started <- sys.Start(testContext(t), handles[i].Spec()) }()
	}
	for range configs {
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	_, js := connect(t, handles[1])
	_, clients := connectClients(t, handles[2])
	ctx := testContext(t)
	kv, err := js.KeyValue(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(ctx, "key"); err != nil || e.Revision() != revision || string(e.Value()) != "4" {
		t.Errorf("the bucket: %v, %v, want revision %d", e, err, revision)
	}
	eventually(t, func() bool { _, err := kv.Update(ctx, "key", []byte("5"), revision); return err == nil })
	if s, err := js.Stream(ctx, "PURGED"); err != nil || s.CachedInfo().State.LastSeq != 7 || s.CachedInfo().Config.Replicas != 3 {
		t.Errorf("the purged stream: %+v, %v", s, err)
	}
	own, err := clients.Stream(ctx, "OWN")
	if err != nil {
		t.Fatal(err)
	}
	if n := own.CachedInfo().Config.Replicas; n != 3 {
		t.Errorf("the clients' stream has %d replicas, want 3", n)
	}
	reader, err := own.Consumer(ctx, "half")
	if err != nil {
		t.Fatal(err)
	}
	var m jetstream.Msg
	eventually(t, func() bool { m, err = reader.Next(jetstream.FetchMaxWait(time.Second)); return err == nil })
	if string(m.Data()) != "4" || m.Headers().Get("N") != "4" {
		t.Errorf("the consumer goes on with %q %v, want 4", m.Data(), m.Headers())
	}
}

// eventually repeats something that an election may refuse.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it does not come about")
		case <-tick.C:
		}
	}
}

// TestMigrationRefuses: what cannot be migrated is left as it is.
func TestMigrationRefuses(t *testing.T) {
	c := clusterConfigs(t)[0]
	migrate := func() error {
		_, err := (&broker.Migration{Config: c, Log: zap.NewNop()}).Run(testContext(t))
		return err
	}
	if err := migrate(); !errors.Is(err, broker.ErrNothingToMigrate) {
		t.Errorf("nothing: %v", err)
	}
	alone := testConfig(t)
	alone.StoreDir = c.StoreDir
	_, sys := start(t, alone)
	if err := migrate(); !errors.Is(err, broker.ErrInUse) {
		t.Errorf("a running node: %v", err)
	}
	if err := sys.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.StoreDir = t.TempDir()
	mkdir(t, filepath.Join(c.StoreDir, "jetstream", "$SYS", "_js_", "_meta_"))
	if err := migrate(); !errors.Is(err, broker.ErrInCluster) {
		t.Errorf("a cluster's: %v", err)
	}
}
