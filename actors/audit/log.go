package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/copies"
)

// Names at the broker, in the account of the program.
const (
	StreamName    = "AUDIT"
	subjectPrefix = "audit."
	subject       = subjectPrefix + "entries"
)

// Bounds.
const (
	// Wait is how long Record waits for an acknowledgement.
	Wait         = 250 * time.Millisecond
	defaultQueue = 1024
	apiTimeout   = 5 * time.Second
)

// Options of a Log.
type Options struct {
	Config Config
	// Connect connects to the broker as the program.
	Connect func(ctx context.Context) (*nats.Conn, error)
	// Node is the name of this node.
	Node string
	// Queue is how many entries wait at most; 0 is 1024.
	Queue      int
	Log        *zap.Logger           // nil discards
	Registerer prometheus.Registerer // nil keeps the metrics unexported
	Now        func() time.Time      // nil is time.Now
}

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	o       Options
	queue   chan item
	entries *prometheus.CounterVec

	mu sync.Mutex
	nc *nats.Conn
	js jetstream.JetStream
}

// item is an entry that waits; recorded is closed once the broker has it.
type item struct {
	entry    Entry
	recorded chan struct{}
}

// New makes a log whose actor is [Log.Spec]. Entries may be recorded before it runs;
// the log is to be closed after it has stopped.
func New(o Options) (*Log, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("audit configuration: %w", err)
	}
	if o.Connect == nil {
		return nil, errors.New("audit log without a broker")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	l := &Log{o: o, queue: make(chan item, o.Queue), entries: catalogue.NewCounterVec(catalogue.AuditEntries)}
	if err := catalogue.Register(o.Registerer, l.entries); err != nil {
		return nil, fmt.Errorf("the audit log's metrics: %w", err)
	}
	return l, nil
}

// Record puts down an entry. It returns once the broker has it, after [Wait], or when
// ctx ends; the entry is then still on its way. It never fails: what cannot be put
// down is counted, and written to the program's log.
func (l *Log) Record(ctx context.Context, e Entry) {
	if e.Time.IsZero() {
		e.Time = l.o.Now()
	}
	e.Time, e.Sequence, e.Node = e.Time.UTC(), 0, l.o.Node
	e.clip()
	i := item{e, make(chan struct{})}
	select {
	case l.queue <- i:
	default:
		l.lost(e, "more entries wait than the queue holds")
		return
	}
	bound := time.NewTimer(Wait)
	defer bound.Stop()
	select {
	case <-i.recorded:
	case <-bound.C:
	case <-ctx.Done():
	}
}

// lost writes an entry to the program's log instead.
func (l *Log) lost(e Entry, why string) {
	l.entries.WithLabelValues("dropped").Inc()
	l.o.Log.Error("an audit entry is in this log only", zap.String("cause", why), zap.Any("entry", e))
}

// open connects, and makes the stream if it is not there yet.
func (l *Log) open(ctx context.Context) (jetstream.JetStream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc != nil && !l.nc.IsClosed() {
		return l.js, nil
	}
	nc, err := l.o.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting for the audit log: %w", err)
	}
	js, err := jetstream.New(nc)
	if err == nil {
		err = l.makeStream(ctx, js)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	l.nc, l.js = nc, js
	return js, nil
}

func (l *Log) makeStream(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return copies.Ensure(ctx, js, jetstream.StreamConfig{
		Name: StreamName, Description: "MarketPrism: who did what", Subjects: []string{subjectPrefix + ">"},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, DenyDelete: true, DenyPurge: true,
		MaxBytes: l.o.Config.MaxBytes, MaxAge: l.o.Config.MaxAge, MaxMsgs: -1, Replicas: copies.Of(js, l.o.Config.Replicas),
	})
}

// Close ends the connection.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc != nil {
		l.nc.Close()
		l.nc = nil
	}
}
