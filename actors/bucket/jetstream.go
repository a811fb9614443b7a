package bucket

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

// Bounds of one call, for a caller that sets none.
const (
	callTimeout = 10 * time.Second
	loadTimeout = time.Minute
)

// Options say what a bucket is.
type Options struct {
	// Name is the bucket's: letters, digits, - and _.
	Name        string
	Description string
	// TTL is how long a document is kept after it was written; 0 is for ever.
	TTL time.Duration
	// MaxBytes bounds the bucket; 0 is without bound.
	MaxBytes int64
	// Replicas is on how many nodes it is kept; 0 is three where the broker has several,
	// else one.
	Replicas int
}

// JetStream is a [Store] in a key-value bucket of JetStream.
type JetStream struct {
	connect func(context.Context) (*nats.Conn, error)
	options Options

	mu sync.Mutex
	at *opened // nil without a connection
}

// opened is a bucket on a connection.
type opened struct {
	nc *nats.Conn
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// New makes a store that connects, and makes its bucket, when it is first used; it
// is to be closed.
func New(connect func(context.Context) (*nats.Conn, error), o Options) *JetStream {
	return &JetStream{connect: connect, options: o}
}

// Close ends the connection, and the watches on it.
func (s *JetStream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != nil {
		s.at.nc.Close()
		s.at = nil
	}
}

// Open connects and makes the bucket, as the first call else would. Error:
// ErrUnavailable.
func (s *JetStream) Open(ctx context.Context) error {
	_, err := s.open(ctx)
	return err
}

// open connects and makes the bucket if it is not there yet.
func (s *JetStream) open(ctx context.Context) (*opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != nil && !s.at.nc.IsClosed() {
		return s.at, nil
	}
	nc, err := s.connect(ctx)
	if err != nil {
		return nil, unavailable("connecting", err)
	}
	at := &opened{nc: nc}
	if at.js, err = jetstream.New(nc); err == nil {
		at.kv, err = s.make(ctx, at.js)
	}
	if err != nil {
		nc.Close()
		return nil, unavailable("opening bucket "+s.options.Name, err)
	}
	s.at = at
	return at, nil
}

func (s *JetStream) make(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o := s.options
	stream := jetstream.StreamConfig{
		Name: "KV_" + o.Name, Description: o.Description, Subjects: []string{"$KV." + o.Name + ".>"},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxMsgSize: -1, MaxConsumers: -1,
		MaxBytes: o.MaxBytes, MaxAge: o.TTL, Duplicates: window(o.TTL), Replicas: copies.Of(js, o.Replicas),
		AllowRollup: true, DenyDelete: true,
		// The library's own bucket has direct reads: a replica that is behind would say
		// what was.
		AllowDirect: false,
	}
	if stream.MaxBytes == 0 {
		stream.MaxBytes = -1
	}
	if err := copies.Ensure(ctx, js, stream); err != nil {
		return nil, err
	}
	return copies.Bucket(ctx, js, o.Name)
}

// window is how long the server remembers the ids of what is written; it may not be
// longer than a document is kept.
func window(ttl time.Duration) time.Duration {
	const usual = 2 * time.Minute
	if ttl > 0 {
		return min(ttl, usual)
	}
	return usual
}

func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// Load implements [Store].
func (s *JetStream) Load(ctx context.Context, prefix string) (all []Document, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	complete := false
	err = s.Watch(ctx, prefix, func(c Change) {
		switch {
		case c.Complete:
			complete = true
			cancel()
		case !complete && !c.Removed:
			all = append(all, c.Document)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case !complete:
		return nil, unavailable("reading "+s.options.Name, ctx.Err())
	}
	return all, nil
}

// Get implements [Store].
func (s *JetStream) Get(ctx context.Context, key string) (Document, bool, error) {
	at, err := s.open(ctx)
	if err != nil {
		return Document{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e, err := copies.Newest(ctx, at.kv, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return Document{}, false, nil
	case err != nil:
		return Document{}, false, unavailable("reading "+strconv.Quote(key), err)
	}
	return Document{Key: key, Value: e.Value(), Revision: e.Revision()}, true, nil
}

// Put implements [Store].
func (s *JetStream) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	at, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	revision, err = copies.Put(ctx, at.js, s.options.Name, key, value, revision)
	return revision, written(key, err)
}

// Remove implements [Store].
func (s *JetStream) Remove(ctx context.Context, key string, revision uint64) error {
	at, err := s.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return written(key, copies.Remove(ctx, at.js, s.options.Name, key, revision))
}

// Watch implements [Store].
func (s *JetStream) Watch(ctx context.Context, prefix string, each func(Change)) error {
	at, err := s.open(ctx)
	if err != nil {
		return err
	}
	watch, err := at.kv.Watch(ctx, prefix+">")
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return unavailable("watching "+s.options.Name, err)
	}
	// The server notices by itself that nobody listens any more.
	defer func() { _ = watch.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-watch.Updates():
			switch {
			case ctx.Err() != nil:
				return nil
			case !ok:
				return unavailable("watching "+s.options.Name, nats.ErrConnectionClosed)
			case e == nil:
				each(Change{Complete: true})
			case e.Operation() == jetstream.KeyValuePut:
				each(Change{Document: Document{Key: e.Key(), Value: e.Value(), Revision: e.Revision()}})
			default:
				each(Change{Document: Document{Key: e.Key(), Revision: e.Revision()}, Removed: true})
			}
		}
	}
}

// written judges the answer to a change.
func written(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case isConflict(err):
		return fmt.Errorf("%w: %s", ErrConflict, key)
	}
	return unavailable("writing "+strconv.Quote(key), err)
}

// isConflict says whether a compare-and-set lost. A bucket of several replicas may
// say so in its own way.
func isConflict(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
	}
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}
