package copies

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// lossy loses messages on their way to a server, or its answers.
type lossy struct {
	jetstream.JetStream
	mu                sync.Mutex
	messages, answers int // to be lost
	sent              int
}

// lost takes one off a number.
func (l *lossy) lost(n *int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n--
	return *n >= 0
}

func (l *lossy) PublishMsg(ctx context.Context, m *nats.Msg, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	l.mu.Lock()
	l.sent++
	l.mu.Unlock()
	if l.lost(&l.messages) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ack, err := l.JetStream.PublishMsg(ctx, m, o...)
	if l.lost(&l.answers) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return ack, err
}

// bucketOf makes a bucket as a node does.
func bucketOf(t *testing.T, js jetstream.JetStream, name string) jetstream.KeyValue {
	t.Helper()
	if err := Ensure(t.Context(), js, jetstream.StreamConfig{
		Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"}, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxMsgSize: -1,
		MaxConsumers: -1, MaxBytes: -1, Duplicates: time.Minute, Replicas: 1, AllowRollup: true, DenyDelete: true,
	}); err != nil {
		t.Fatal(err)
	}
	kv, err := Bucket(t.Context(), js, name)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// TestPut: what is lost, or its answer, is written once; who comes late is told so.
func TestPut(t *testing.T) {
	t.Parallel()
	_, js := serve(t)
	kv := bucketOf(t, js, "b")
	put := func(l *lossy, key, value string, last uint64) (uint64, int, error) {
		t.Helper()
		l.JetStream = js
		revision, err := Put(t.Context(), l, "b", key, []byte(value), last)
		return revision, l.sent, err
	}
	want := func(what string, revision, wanted uint64, sent, sends int, err error) {
		t.Helper()
		if err != nil || revision != wanted || sent != sends {
			t.Fatalf("%s: revision %d, want %d; sent %d times, want %d: %v", what, revision, wanted, sent, sends, err)
		}
	}
	is := func(key, value string, revision uint64) {
		t.Helper()
		e, err := kv.Get(t.Context(), key)
		if err != nil || string(e.Value()) != value || e.Revision() != revision {
			t.Fatalf("%s is %v, %v", key, e, err)
		}
	}
	r, n, err := put(&lossy{}, "a.b", "1", 0)
	want("a new one", r, 1, n, 1, err)
	r, n, err = put(&lossy{messages: 2}, "a.b", "2", 1)
	want("lost twice", r, 2, n, 3, err)
	is("a.b", "2", 2)
	r, n, err = put(&lossy{answers: 1}, "a.b", "3", 2)
	want("its answer is lost", r, 3, n, 2, err)
	r, n, err = put(&lossy{answers: 1}, "c", "1", 0)
	want("the answer about a new one is lost", r, 4, n, 2, err)
	is("a.b", "3", 3)
	is("c", "1", 4)

	if _, _, err := put(&lossy{}, "a.b", "late", 2); !isWrongLast(err) {
		t.Errorf("over one that is not the newest: %v", err)
	}
	if _, _, err := put(&lossy{}, "a.b", "late", 0); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("one that is there: %v", err)
	}
	for _, key := range []string{"", ".a", "a.", "a b", "a.*", ">"} {
		if _, _, err := put(&lossy{}, key, "x", 0); !errors.Is(err, jetstream.ErrInvalidKey) {
			t.Errorf("key %q: %v", key, err)
		}
	}

	if err := Remove(t.Context(), js, "b", "a.b", 2); !isWrongLast(err) {
		t.Errorf("removing what has changed: %v", err)
	}
	if err := Remove(t.Context(), &lossy{JetStream: js, answers: 1}, "b", "a.b", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(t.Context(), "a.b"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("removed: %v", err)
	}
	r, n, err = put(&lossy{}, "a.b", "4", 0)
	want("over one that was removed", r, 6, n, 2, err)
	is("a.b", "4", 6)
}

// TestPutNobodyLeads: a bucket that nobody leads is waited for, as long as ctx lasts.
func TestPutNobodyLeads(t *testing.T) {
	t.Parallel()
	_, js := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Put(ctx, js, "late", "a", []byte("1"), 0); err == nil || ctx.Err() == nil {
		t.Errorf("nobody leads it: %v", err)
	}
	l := &lossy{JetStream: js}
	done := make(chan error, 1)
	go func() {
		_, err := Put(t.Context(), l, "late", "a", []byte("1"), 0)
		done <- err
	}()
	bucketOf(t, js, "late")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
