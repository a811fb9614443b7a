package copies

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// serve runs a real server, and connects.
func serve(t *testing.T) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// TestEnsure: what a real server says of a stream that was made is what was wanted, so
// that nothing is updated; what is wanted otherwise is.
func TestEnsure(t *testing.T) {
	nc, js := serve(t)
	updates, err := nc.SubscribeSync("$JS.API.STREAM.UPDATE.>")
	if err != nil {
		t.Fatal(err)
	}
	updated := func() bool {
		t.Helper()
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		_, err := updates.NextMsg(50 * time.Millisecond)
		return err == nil
	}
	for name, c := range map[string]jetstream.StreamConfig{
		"BARE": {Subjects: []string{"bare.>"}},
		"KV_b": {
			Subjects: []string{"$KV.b.>"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxMsgSize: -1,
			MaxConsumers: -1, MaxBytes: -1, MaxAge: time.Minute, Duplicates: time.Minute, Replicas: 1, AllowRollup: true, DenyDelete: true,
		},
		"LOG":  {Subjects: []string{"log.>"}, Description: "who", DenyDelete: true, DenyPurge: true, MaxBytes: 1 << 20, MaxAge: time.Hour, MaxMsgs: -1, Replicas: 1},
		"WORK": {Subjects: []string{"work.>"}, Retention: jetstream.WorkQueuePolicy, MaxBytes: 1 << 20, Replicas: 1, Metadata: map[string]string{"a": "b"}, AllowAtomicPublish: true},
	} {
		c.Name = name
		for range 2 {
			if err := Ensure(t.Context(), js, c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if updated() {
			found, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s was updated for nothing: the server has\n%+v\nwanted was\n%+v", name, found.CachedInfo().Config, c)
		}
		c.MaxMsgs = 7
		if err := Ensure(t.Context(), js, c); err != nil || !updated() {
			t.Errorf("%s: what is wanted otherwise is not updated (%v)", name, err)
		}
		if found, err := js.Stream(t.Context(), name); err != nil || found.CachedInfo().Config.MaxMsgs != 7 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
