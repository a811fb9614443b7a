package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
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
	queued         = 1024
	publishTimeout = 5 * time.Second
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
		New:             func() supervise.Actor { return &sender{outbox: o} },
		ShutdownTimeout: flushTimeout + 2*time.Second,
		Mailbox:         supervise.Mailbox{Capacity: 8},
	}
}

// sender is root/broker/events. A goroutine of its own publishes, until it is told to
// finish.
type sender struct {
	outbox *Outbox
	finish context.CancelFunc
}

type finished struct{}

// Receive handles one message.
func (s *sender) Receive(c *supervise.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		open, finish := context.WithCancel(c.Ctx())
		s.finish = finish
		c.Go(func(ctx context.Context) {
			s.outbox.run(ctx, open, c.Log())
			c.After(0, finished{})
		})
	case finished:
		c.Drained()
	}
}

// Drain implements supervise.Drainer.
func (s *sender) Drain(*supervise.Context) { s.finish() }

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
	for {
		select {
		case e := <-o.queue:
			o.send(ctx, open, js, log, e)
		case <-open.Done():
			o.flush(ctx, js, log)
			return
		}
	}
}

// flush publishes what waits, each once.
func (o *Outbox) flush(ctx context.Context, js jetstream.JetStream, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for {
		select {
		case e := <-o.queue:
			if err := publish(ctx, js, e); err != nil {
				log.Warn("an event is lost: the broker did not take it while the program stopped", zap.String("type", e.Type), zap.Error(err))
				o.counted.WithLabelValues("dropped").Inc()
				continue
			}
			o.counted.WithLabelValues("published").Inc()
		default:
			return
		}
	}
}

// send publishes one event, again and again until the broker takes it, or open ends.
func (o *Outbox) send(ctx, open context.Context, js jetstream.JetStream, log *zap.Logger, e event.Event) {
	for tried := 0; ; tried++ {
		err := publish(ctx, js, e)
		if err == nil {
			o.counted.WithLabelValues("published").Inc()
			return
		}
		if tried == 0 {
			log.Warn("an event could not be published, and is tried again", zap.String("type", e.Type), zap.Error(err))
		}
		select {
		case <-time.After(retryPause):
		case <-open.Done():
			o.counted.WithLabelValues("dropped").Inc()
			return
		}
	}
}

func publish(ctx context.Context, js jetstream.JetStream, e event.Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	m := &nats.Msg{Subject: e.Topic, Data: text, Header: nats.Header{"Content-Type": {event.MediaType}}}
	if _, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(e.ID), jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("publishing an event: %w", err)
	}
	return nil
}
