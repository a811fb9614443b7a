package messages

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// Bounds of a Desk.
const (
	maxRequests  = 512 // at a time
	maxFollowers = 256
)

// apiTimeout bounds one request to JetStream where the caller's context does not.
const apiTimeout = 10 * time.Second

// Message is what is published, and what comes.
type Message struct {
	Subject string
	// Header is as in NATS: names keep their case.
	Header map[string][]string
	Data   []byte
	// ID is what duplicates share; "" is none.
	ID string
}

// Bury keeps a message of a work queue as a dead letter before it is given up.
type Bury func(ctx context.Context, stream, consumer string, seq, deliveries uint64, reason string) error

// Options of a Desk.
type Options struct {
	Broker *broker.Handle
	// Bury is called before a message is terminated; nil: nothing is kept.
	Bury Bury
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer
}

// Desk does what clients ask for. It is safe for concurrent use.
type Desk struct {
	Options
	nc         *nats.Conn
	js         jetstream.JetStream
	seal       *Seal
	requests   chan struct{}
	followers  chan struct{}
	following  prometheus.Gauge
	configured map[string]bool
}

// Open connects, as long as ctx lasts. The Desk is the caller's to close.
func Open(ctx context.Context, o Options) (*Desk, error) {
	following := catalogue.NewGauge(catalogue.BrokerFollowers)
	if err := catalogue.Register(o.Registerer, following); err != nil {
		return nil, fmt.Errorf("messages' metrics: %w", err)
	}
	seal, err := OpenSeal(ctx, o.Broker)
	if err != nil {
		return nil, err
	}
	nc, err := o.Broker.ConnectClientsAs(ctx, broker.Messages)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxRequests*4))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	d := &Desk{
		Options: o, nc: nc, js: js, seal: seal, configured: map[string]bool{},
		following: following, requests: make(chan struct{}, maxRequests), followers: make(chan struct{}, maxFollowers),
	}
	for _, s := range o.Broker.Config().Streams {
		d.configured[s.Name] = true
	}
	return d, nil
}

// Close ends the connection, and with it every Follower.
func (d *Desk) Close() { d.nc.Close() }

// Seal signs receipts.
func (d *Desk) Seal() *Seal { return d.seal }

// enter takes a place among the requests; leave gives it back.
func (d *Desk) enter() error {
	select {
	case d.requests <- struct{}{}:
		return nil
	default:
		return broker.ErrBusy
	}
}

func (d *Desk) leave() { <-d.requests }

// within runs fn as one request with JetStream's patience. An error is explained as
// one of doing.
func (d *Desk) within(ctx context.Context, doing string, fn func(ctx context.Context) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := d.Broker.Up(); err != nil {
		return err
	}
	return Explained(doing, fn(ctx))
}
