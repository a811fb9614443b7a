package bucket_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/supervise"
)

func TestMemory(t *testing.T) {
	buckettest.Run(t, func(*testing.T) bucket.Store { return buckettest.New() })
}

// server runs a broker; stop ends it.
func server(t *testing.T, dir string) (h *broker.Handle, stop func()) {
	t.Helper()
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, dir
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, h.Spec()); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		if err := sys.Stop(context.Background()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	}
	t.Cleanup(stop)
	return h, stop
}

func open(t *testing.T, h *broker.Handle, name string) *bucket.JetStream {
	s := bucket.New(func(ctx context.Context) (*nats.Conn, error) { return h.Connect(ctx, "bucket") }, bucket.Options{Name: name})
	t.Cleanup(s.Close)
	return s
}

func TestJetStream(t *testing.T) {
	h, _ := server(t, t.TempDir())
	buckettest.Run(t, func(t *testing.T) bucket.Store { return open(t, h, t.Name()[len("TestJetStream/"):]) })
}

// TestRestart: documents and their revisions outlive the server, and a call without
// one says so in time.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	h, stop := server(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := open(t, h, "kept")
	revision, err := s.Put(ctx, "a", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, _, err := s.Get(short, "a"); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	if err := s.Watch(ctx, "", func(bucket.Change) {}); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("watching without a server: %v", err)
	}
	h, _ = server(t, dir)
	s = open(t, h, "kept")
	if d, there, err := s.Get(ctx, "a"); err != nil || !there || d.Revision != revision || string(d.Value) != "one" {
		t.Errorf("after a restart: %+v, %v, %v", d, there, err)
	}
	if _, err := s.Put(ctx, "a", []byte("two"), revision); err != nil {
		t.Error(err)
	}
}
