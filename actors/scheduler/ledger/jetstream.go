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
	connect  func(context.Context) (*nats.Conn, error)
	maxBytes int64
	replicas int

	mu sync.Mutex
	nc *nats.Conn
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// NewJetStream makes a store that connects when it is first used; it is to be
// closed. maxBytes bounds the ledger.
func NewJetStream(connect func(context.Context) (*nats.Conn, error), maxBytes int64, replicas int) *JetStream {
	return &JetStream{connect: connect, maxBytes: maxBytes, replicas: replicas}
}

// Close ends the connection.
func (s *JetStream) Close() {
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
	if s.kv == nil || s.nc == nil || s.nc.IsClosed() {
		return nil // it is made with the new one
	}
	if err := s.make(ctx, s.js); err != nil {
		return unavailable("resizing the ledger", err)
	}
	return nil
}

// open connects and makes what is not there yet.
func (s *JetStream) open(ctx context.Context) (jetstream.JetStream, jetstream.KeyValue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kv != nil && s.nc != nil && !s.nc.IsClosed() {
		return s.js, s.kv, nil
	}
	nc, err := s.connect(ctx)
	if err != nil {
		return nil, nil, unavailable("connecting", err)
	}
	js, err := jetstream.New(nc)
	if err == nil {
		err = s.make(ctx, js)
	}
	if err != nil {
		nc.Close()
		return nil, nil, unavailable("opening the ledger", err)
	}
	s.nc, s.js = nc, js
	return js, s.kv, nil
}

func (s *JetStream) make(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: StreamName, Description: "MarketPrism scheduler: fires and results",
		Subjects: []string{subjectPrefix + ">"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: s.maxBytes, MaxMsgs: -1, Replicas: s.replicas,
		Duplicates: 100 * time.Millisecond, // no message carries an id of the server's; the window cannot be switched off
		DenyDelete: true,
	})
	if err != nil {
		return fmt.Errorf("making stream %s: %w", StreamName, err)
	}
	s.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: Bucket, Description: "MarketPrism scheduler: tasks", Storage: jetstream.FileStorage, History: 1, Replicas: s.replicas,
	})
	if err != nil {
		return fmt.Errorf("making bucket %s: %w", Bucket, err)
	}
	return nil
}

func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// Lead implements [Store].
func (s *JetStream) Lead(ctx context.Context, book *Book) (Writer, error) {
	js, kv, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	fence, err := bump(ctx, kv)
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
func bump(ctx context.Context, kv jetstream.KeyValue) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for {
		revision := uint64(0)
		e, err := kv.Get(ctx, fenceKey)
		switch {
		case err == nil:
			revision = e.Revision()
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return 0, unavailable("reading the fence", err)
		}
		now := []byte(time.Now().UTC().Format(time.RFC3339))
		if revision == 0 {
			revision, err = kv.Create(ctx, fenceKey, now)
		} else {
			revision, err = kv.Update(ctx, fenceKey, now, revision)
		}
		if err == nil {
			return revision, nil
		}
		if !isConflict(err) || ctx.Err() != nil {
			return 0, unavailable("taking the fence", err)
		}
	}
}

// isConflict says whether a compare-and-set lost.
func isConflict(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
	}
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// Load implements [Documents].
func (s *JetStream) Load(ctx context.Context, prefix string) ([]Document, error) {
	_, kv, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	watch, err := kv.Watch(ctx, prefix+">", jetstream.IgnoreDeletes())
	if err != nil {
		return nil, unavailable("reading tasks", err)
	}
	var all []Document
	for {
		select {
		case e, ok := <-watch.Updates():
			switch {
			case !ok:
				return nil, unavailable("reading tasks", nats.ErrConnectionClosed)
			case e == nil: // that was all
				if err := watch.Stop(); err != nil {
					return nil, unavailable("reading tasks", err)
				}
				return all, nil
			}
			all = append(all, Document{Key: e.Key(), Value: e.Value(), Revision: e.Revision()})
		case <-ctx.Done():
			// The server notices that nobody listens.
			_ = watch.Stop()
			return nil, unavailable("reading tasks", ctx.Err())
		}
	}
}

// Get implements [Documents].
func (s *JetStream) Get(ctx context.Context, key string) (Document, bool, error) {
	_, kv, err := s.open(ctx)
	if err != nil {
		return Document{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	e, err := kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return Document{}, false, nil
	case err != nil:
		return Document{}, false, unavailable("reading "+strconv.Quote(key), err)
	}
	return Document{Key: key, Value: e.Value(), Revision: e.Revision()}, true, nil
}

// Put implements [Documents].
func (s *JetStream) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	_, kv, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var next uint64
	if revision == 0 {
		next, err = kv.Create(ctx, key, value)
	} else {
		next, err = kv.Update(ctx, key, value, revision)
	}
	return next, written(key, err)
}

// Remove implements [Documents].
func (s *JetStream) Remove(ctx context.Context, key string, revision uint64) error {
	_, kv, err := s.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return written(key, kv.Delete(ctx, key, jetstream.LastRevision(revision)))
}

func written(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case isConflict(err):
		return fmt.Errorf("%w: %s", ErrConflict, key)
	}
	return unavailable("writing "+strconv.Quote(key), err)
}
