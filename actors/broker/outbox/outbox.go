package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/event"
)

// Bounds.
const (
	queued         = 8192
	batchEvents    = 500 // at a time; a server takes 1000
	worthABatch    = 8   // fewer are published one by one: a batch is six syncs, however large
	gather         = 100 * time.Millisecond
	publishTimeout = 15 * time.Second // a disk that others keep busy takes seconds for a batch
	retryPause     = 500 * time.Millisecond
	flushTimeout   = 5 * time.Second // of what waits, at a stop
)

// Outbox implements event.Publisher. It is safe for concurrent use.
type Outbox struct {
	broker  *broker.Handle
	queue   chan event.Event
	counted *prometheus.CounterVec
}

// New makes an Outbox, whose actor is [Outbox.Spec]. Events may be published before it
// runs.
func New(h *broker.Handle, reg prometheus.Registerer) (*Outbox, error) {
	o := &Outbox{broker: h, queue: make(chan event.Event, queued), counted: catalogue.NewCounterVec(catalogue.BrokerEvents)}
	if err := catalogue.Register(reg, o.counted); err != nil {
		return nil, fmt.Errorf("events' metrics: %w", err)
	}
	return o, nil
}

// Publish implements event.Publisher.
func (o *Outbox) Publish(e event.Event) {
	select {
	case o.queue <- e:
	default:
		o.counted.WithLabelValues("dropped").Inc()
	}
}

// Spec is the actor "events", a child of the broker's branch.
func (o *Outbox) Spec() supervise.Spec {
	return supervise.Spec{
		Name: "events", Kind: "broker_events",
		New:             func() supervise.Actor { return supervise.Worker(o.run) },
		ShutdownTimeout: flushTimeout + 2*time.Second,
		Mailbox:         supervise.Mailbox{Capacity: 8},
	}
}

// line is how events leave.
type line struct {
	*Outbox
	nc  *nats.Conn
	js  jetstream.JetStream
	log *zap.Logger
}

// run publishes until open ends, and then what waits, as long as ctx lasts.
func (o *Outbox) run(ctx, open context.Context, log *zap.Logger) {
	nc, err := o.broker.ConnectClientsAs(open, broker.Events)
	if err != nil {
		return // told to finish before the broker was there
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Error("events cannot be published", zap.Error(err))
		return
	}
	l := line{o, nc, js, log}
	for {
		select {
		case e := <-o.queue:
			l.send(ctx, open, o.more(e))
		case <-open.Done():
			l.flush(ctx)
			return
		}
		l.rest(open)
	}
}

// more is an event with those that wait behind it.
func (o *Outbox) more(first event.Event) []event.Event {
	events := []event.Event{first}
	for len(events) < batchEvents {
		select {
		case e := <-o.queue:
			events = append(events, e)
		default:
			return events
		}
	}
	return events
}

// rest lets events gather: each publishing is at least one sync of the disk, which the
// journal and the scheduler's ledger need too.
func (l *line) rest(open context.Context) {
	if len(l.queue) >= batchEvents {
		return
	}
	select {
	case <-time.After(gather):
	case <-open.Done():
	}
}

// flush publishes what waits, within the time that there is.
func (l *line) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for {
		select {
		case e := <-l.queue:
			events := l.more(e)
			n, err := l.publish(ctx, events)
			if err != nil {
				l.drop(events[n:], err)
			}
		default:
			return
		}
	}
}

// send publishes events, again and again until the broker takes them, or open ends.
func (l *line) send(ctx, open context.Context, events []event.Event) {
	for tried := 0; len(events) > 0; tried++ {
		n, err := l.publish(ctx, events)
		if events = events[n:]; err == nil {
			return
		}
		if tried == 0 {
			l.log.Warn("events could not be published, and are tried again", zap.Int("events", len(events)), zap.Error(err))
		}
		select {
		case <-time.After(retryPause):
		case <-open.Done():
			l.drop(events, err)
			return
		}
	}
}

// publish publishes events once, many of them as a batch. It returns how many of them
// are done with, from the first on.
func (l *line) publish(ctx context.Context, events []event.Event) (n int, err error) {
	err = errNotBatched
	if len(events) >= worthABatch {
		if err = publishBatch(ctx, l.nc, events); err == nil {
			n = len(events)
		}
	}
	if errors.Is(err, errNotBatched) {
		n, err = publishEach(ctx, l.js, events)
	}
	l.counted.WithLabelValues("published").Add(float64(n))
	return n, err
}

func (l *line) drop(events []event.Event, err error) {
	l.log.Warn("events are lost: the broker did not take them while the program stopped", zap.Int("events", len(events)), zap.Error(err))
	l.counted.WithLabelValues("dropped").Add(float64(len(events)))
}
