package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/internal/copies"
)

// Names at the broker. All are in the account of the program, which clients do not
// reach.
const (
	StreamName      = "SCHEDULER_LEDGER"
	Bucket          = "scheduler"
	subjectPrefix   = "scheduler.ledger."
	firesSubject    = subjectPrefix + "fires"
	resultsSubject  = subjectPrefix + "results"
	snapshotSubject = subjectPrefix + "snapshot"
	fenceKey        = "fence"
)

// apiTimeout bounds one request to JetStream.
const apiTimeout = 10 * time.Second

// JetStream is the [Store] in JetStream.
type JetStream struct {
	connect   func(context.Context) (*nats.Conn, error)
	replicas  int
	documents *bucket.JetStream

	mu       sync.Mutex
	maxBytes int64
	nc       *nats.Conn
	js       jetstream.JetStream
}

// NewJetStream makes a store that connects when it is first used; it is to be
// closed. maxBytes bounds the ledger.
func NewJetStream(connect func(context.Context) (*nats.Conn, error), maxBytes int64, replicas int) *JetStream {
	return &JetStream{connect: connect, maxBytes: maxBytes, replicas: replicas, documents: bucket.New(connect, bucket.Options{
		Name: Bucket, Description: "MarketPrism scheduler: tasks", Replicas: replicas,
	})}
}

// Close ends the connections.
func (s *JetStream) Close() {
	s.documents.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nc != nil {
		s.nc.Close()
		s.nc = nil
	}
}

// Resize changes the bound of the ledger.
func (s *JetStream) Resize(ctx context.Context, maxBytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxBytes = maxBytes
	if s.nc == nil || s.nc.IsClosed() {
		return nil // it is made with the new one
	}
	if err := s.make(ctx, s.js); err != nil {
		return unavailable("resizing the ledger", err)
	}
	return nil
}

// open connects and makes what is not there yet.
func (s *JetStream) open(ctx context.Context) (jetstream.JetStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nc != nil && !s.nc.IsClosed() {
		return s.js, nil
	}
	nc, err := s.connect(ctx)
	if err != nil {
		return nil, unavailable("connecting", err)
	}
	js, err := jetstream.New(nc)
	if err == nil {
		err = s.make(ctx, js)
	}
	if err != nil {
		nc.Close()
		return nil, unavailable("opening the ledger", err)
	}
	s.nc, s.js = nc, js
	return js, nil
}

func (s *JetStream) make(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	err := copies.Ensure(ctx, js, jetstream.StreamConfig{
		Name: StreamName, Description: "MarketPrism scheduler: fires and results",
		Subjects: []string{subjectPrefix + ">"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: s.maxBytes, MaxMsgs: -1, Replicas: copies.Of(js, s.replicas),
		Duplicates: 100 * time.Millisecond, // no message carries an id of the server's; the window cannot be switched off
		DenyDelete: true,
	})
	if err != nil {
		return fmt.Errorf("making stream %s: %w", StreamName, err)
	}
	return nil
}

func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// Lead implements [Store].
func (s *JetStream) Lead(ctx context.Context, book *Book) (Writer, error) {
	js, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	fence, err := s.bump(ctx)
	if err != nil {
		return nil, err
	}
	for {
		w := &writer{js: js, fence: fence}
		w.fires.subject, w.results.subject = firesSubject, resultsSubject
		if err := w.replay(ctx, book); err != nil {
			return nil, err
		}
		err := w.mark(ctx)
		if !errors.Is(err, ErrFenced) {
			return w, err
		}
		// The one before has appended meanwhile.
		if err := ctx.Err(); err != nil {
			return nil, unavailable("taking over", err)
		}
	}
}

// bump takes the next fence.
func (s *JetStream) bump(ctx context.Context) (uint64, error) {
	for {
		last, _, err := s.Get(ctx, fenceKey)
		if err != nil {
			return 0, fmt.Errorf("reading the fence: %w", err)
		}
		fence, err := s.Put(ctx, fenceKey, []byte(time.Now().UTC().Format(time.RFC3339)), last.Revision)
		if !errors.Is(err, ErrConflict) {
			return fence, err
		}
		if err := ctx.Err(); err != nil {
			return 0, unavailable("taking the fence", err)
		}
	}
}

// Fence is the number of the last leadership, for those who do not lead; 0 before there
// was one.
func (s *JetStream) Fence(ctx context.Context) (uint64, error) {
	d, _, err := s.Get(ctx, fenceKey)
	return d.Revision, err
}

// Load implements [Documents].
func (s *JetStream) Load(ctx context.Context, prefix string) ([]Document, error) {
	all, err := s.documents.Load(ctx, prefix)
	return all, worded("reading tasks", err)
}

// Get implements [Documents].
func (s *JetStream) Get(ctx context.Context, key string) (Document, bool, error) {
	d, there, err := s.documents.Get(ctx, key)
	return d, there, worded("reading "+strconv.Quote(key), err)
}

// Put implements [Documents].
func (s *JetStream) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	next, err := s.documents.Put(ctx, key, value, revision)
	return next, worded("writing "+strconv.Quote(key), err)
}

// Remove implements [Documents].
func (s *JetStream) Remove(ctx context.Context, key string, revision uint64) error {
	return worded("writing "+strconv.Quote(key), s.documents.Remove(ctx, key, revision))
}

// worded gives an error of the bucket the one of this package.
func worded(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucket.ErrConflict):
		return fmt.Errorf("%w: %s: %w", ErrConflict, doing, err)
	}
	return unavailable(doing, err)
}
