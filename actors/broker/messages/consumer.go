package messages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// ConsumerConfig describes a consumer: who reads a stream, and how far. Each message
// is acknowledged by itself.
type ConsumerConfig struct {
	Name string
	// Subjects filter the stream; none is all of it.
	Subjects []string
	// AckWait is how long a message waits for its acknowledgement before it comes
	// again; 0 is 30 s.
	AckWait time.Duration
	// MaxDeliver is how often a message comes before it is a dead letter; 0 is no end.
	MaxDeliver int
	// BackOff replaces AckWait by one wait for each time; there are no more of them
	// than MaxDeliver.
	BackOff []time.Duration
	// MaxAckPending bounds the messages on their way; 0 is 1000.
	MaxAckPending int
	// From is where it begins: FromFirst (the default), FromNew or FromLast; or FromSeq,
	// or FromTime, when given.
	From     string
	FromSeq  uint64
	FromTime time.Time
	// Idle is after what time without a reader it is removed; 0 keeps it.
	Idle time.Duration
}

// ConsumerStatus is what a consumer has read.
type ConsumerStatus struct {
	Stream         string    `json:"stream" required:"true"`
	Name           string    `json:"name" required:"true"`
	FilterSubjects []string  `json:"filter_subjects" required:"true" doc:"none is the whole stream"`
	Created        time.Time `json:"created_at" required:"true"`
	Pending        uint64    `json:"pending" required:"true" doc:"messages that were not delivered yet"`
	Unacknowledged int       `json:"unacknowledged" required:"true" doc:"messages that were delivered and wait for their answer"`
	Redelivered    int       `json:"redelivered" required:"true" doc:"of the unacknowledged, those that came more than once"`
	Waiting        int       `json:"waiting_requests" required:"true" doc:"requests for messages that wait"`
	Delivered      uint64    `json:"delivered_seq" required:"true" doc:"of the stream: the last that was delivered"`
	Acknowledged   uint64    `json:"acknowledged_seq" required:"true" doc:"of the stream: up to it all is acknowledged"`
	AckWait        float64   `json:"ack_wait_seconds" required:"true" doc:"how long a message waits for its answer before it comes again"`
	MaxDeliver     int       `json:"max_deliver" required:"true" doc:"-1 is no end"`
	Durable        bool      `json:"durable" required:"true" doc:"it is kept, however long nobody reads"`
}

func consumerStatus(i *jetstream.ConsumerInfo) ConsumerStatus {
	s := ConsumerStatus{
		Stream: i.Stream, Name: i.Name, FilterSubjects: i.Config.FilterSubjects, Created: i.Created,
		Pending: i.NumPending, Unacknowledged: i.NumAckPending, Redelivered: i.NumRedelivered, Waiting: i.NumWaiting,
		Delivered: i.Delivered.Stream, Acknowledged: i.AckFloor.Stream,
		AckWait: i.Config.AckWait.Seconds(), MaxDeliver: i.Config.MaxDeliver, Durable: i.Config.Durable != "",
	}
	if i.Config.FilterSubject != "" {
		s.FilterSubjects = []string{i.Config.FilterSubject}
	}
	return s
}

// CreateConsumer makes a consumer, or changes what can change of one of that name.
func (d *Desk) CreateConsumer(ctx context.Context, stream string, c ConsumerConfig) (ConsumerStatus, error) {
	var status ConsumerStatus
	cfg, err := c.jetStream()
	if err != nil {
		return status, err
	}
	if err := checkName(stream); err != nil {
		return status, err
	}
	err = d.within(ctx, "making consumer "+c.Name+" of "+stream, func(ctx context.Context) error {
		consumer, err := d.js.CreateOrUpdateConsumer(ctx, stream, cfg)
		if err == nil {
			status = consumerStatus(consumer.CachedInfo())
		}
		return err
	})
	return status, err
}

func (c ConsumerConfig) jetStream() (jetstream.ConsumerConfig, error) {
	out := jetstream.ConsumerConfig{
		Durable: c.Name, FilterSubjects: c.Subjects, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: c.AckWait, MaxDeliver: c.MaxDeliver, BackOff: c.BackOff, MaxAckPending: c.MaxAckPending, InactiveThreshold: c.Idle,
	}
	if err := Subject("name", broker.CheckName(c.Name)); err != nil {
		return out, err
	}
	for _, subject := range c.Subjects {
		if err := broker.CheckRead(subject); err != nil {
			return out, Subject("filter_subjects", err)
		}
	}
	if c.MaxDeliver == 0 {
		out.MaxDeliver = -1
	}
	if len(c.BackOff) > 0 && c.MaxDeliver < len(c.BackOff) {
		return out, Refuse(Malformed, "backoff_seconds", "there are %d waits for max_deliver %d", len(c.BackOff), c.MaxDeliver)
	}
	switch {
	case c.FromSeq > 0:
		out.DeliverPolicy, out.OptStartSeq = jetstream.DeliverByStartSequencePolicy, c.FromSeq
	case !c.FromTime.IsZero():
		out.DeliverPolicy, out.OptStartTime = jetstream.DeliverByStartTimePolicy, &c.FromTime
	case c.From == FromNew:
		out.DeliverPolicy = jetstream.DeliverNewPolicy
	case c.From == FromLast:
		out.DeliverPolicy = jetstream.DeliverLastPolicy
	}
	return out, nil
}

// Consumers lists the consumers of a stream.
func (d *Desk) Consumers(ctx context.Context, stream string) ([]ConsumerStatus, error) {
	if err := checkName(stream); err != nil {
		return nil, err
	}
	all := []ConsumerStatus{}
	err := d.within(ctx, "listing the consumers of "+stream, func(ctx context.Context) error {
		s, err := d.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		lister := s.ListConsumers(ctx)
		for info := range lister.Info() {
			all = append(all, consumerStatus(info))
		}
		return lister.Err()
	})
	return all, err
}

// Consumer describes one consumer.
func (d *Desk) Consumer(ctx context.Context, stream, name string) (ConsumerStatus, error) {
	var status ConsumerStatus
	err := d.consumer(ctx, stream, name, func(_ context.Context, c jetstream.Consumer) error {
		status = consumerStatus(c.CachedInfo())
		return nil
	})
	return status, err
}

// DeleteConsumer removes a consumer; what it has not read stays in the stream.
func (d *Desk) DeleteConsumer(ctx context.Context, stream, name string) error {
	if err := checkName(stream); err != nil {
		return err
	}
	if err := Subject("consumer", broker.CheckName(name)); err != nil {
		return err
	}
	return d.within(ctx, "removing consumer "+name+" of "+stream, func(ctx context.Context) error {
		return d.js.DeleteConsumer(ctx, stream, name)
	})
}

// consumer runs fn with a consumer.
func (d *Desk) consumer(ctx context.Context, stream, name string, fn func(ctx context.Context, c jetstream.Consumer) error) error {
	if err := checkName(stream); err != nil {
		return err
	}
	if err := Subject("consumer", broker.CheckName(name)); err != nil {
		return err
	}
	return d.within(ctx, "consumer "+name+" of "+stream, func(ctx context.Context) error {
		c, err := d.js.Consumer(ctx, stream, name)
		if err != nil {
			return err
		}
		return fn(ctx, c)
	})
}

// Fetched is a message with what is needed to answer it.
type Fetched struct {
	Delivery
	// Delivered is how often the message has come, from 1.
	Delivered uint64
	// Receipt is for Settle.
	Receipt string
}

// Fetch takes at most n messages of a consumer. It waits up to wait for the first of
// them; 0 does not wait.
func (d *Desk) Fetch(ctx context.Context, stream, name string, n int, wait time.Duration) ([]Fetched, error) {
	var c jetstream.Consumer
	var created int64
	err := d.consumer(ctx, stream, name, func(ctx context.Context, found jetstream.Consumer) error {
		c = found
		s, err := d.js.Stream(ctx, stream)
		if err == nil {
			created = s.CachedInfo().Created.Unix()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	messages, err := Pull(ctx, c, n, wait)
	if err != nil {
		return nil, Explained("fetching from "+name+" of "+stream, err)
	}
	out := make([]Fetched, 0, len(messages))
	for _, m := range messages {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("fetching from %s of %s: %w", name, stream, err)
		}
		out = append(out, Fetched{
			Delivery: Delivery{
				Message:  Message{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()},
				Position: Position{stream, created, meta.Sequence.Stream}, Time: meta.Timestamp, Pending: meta.NumPending,
			},
			Delivered: meta.NumDelivered, Receipt: d.seal.Sign(forMessages, m.Reply()),
		})
	}
	return out, nil
}

// Pull takes at most n messages, all that there are or what comes within wait. When
// ctx ends meanwhile, what has come goes back.
func Pull(ctx context.Context, c jetstream.Consumer, n int, wait time.Duration) ([]jetstream.Msg, error) {
	batch, err := c.FetchNoWait(n)
	if err != nil {
		return nil, err
	}
	var out []jetstream.Msg
	for m := range batch.Messages() {
		out = append(out, m)
	}
	if err := batch.Error(); err != nil || len(out) > 0 || wait <= 0 {
		return out, ended(err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := c.Next(jetstream.FetchContext(ctx))
	if err != nil {
		return nil, ended(err)
	}
	return []jetstream.Msg{m}, nil
}

// ended is nil for what ends a fetch without a message.
func ended(err error) error {
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Settling is the answer to a message that was fetched.
type Settling string

// The answers.
const (
	Ack      Settling = "ack"      // it is done with
	Nak      Settling = "nak"      // it shall come again
	Term     Settling = "term"     // it shall not come again, and is a dead letter
	Progress Settling = "progress" // it is being worked on: its wait begins anew
)

// forMessages is the purpose of the receipts of Fetch.
const forMessages = "message"

// Settle answers a message, and returns once the server has taken the answer. delay
// is for a Nak, reason for a Term.
func (d *Desk) Settle(ctx context.Context, receipt string, how Settling, delay time.Duration, reason string) error {
	reply, err := d.seal.Open(forMessages, receipt)
	if err != nil {
		return err
	}
	place, err := ParsePlace(reply)
	if err != nil {
		return err
	}
	return d.within(ctx, "answering message "+strconv.FormatUint(place.Seq, 10)+" of "+place.Stream, func(ctx context.Context) error {
		if how == Term && d.Bury != nil {
			if reason == "" {
				reason = "terminated by its consumer"
			}
			if err := d.Bury(ctx, place.Stream, place.Consumer, place.Seq, place.Delivered, reason); err != nil {
				return err
			}
		}
		return Answer(ctx, d.nc, reply, how, delay, reason)
	})
}

// settlers is how many messages SettleAll answers at a time.
const settlers = 16

// SettleAll is Settle for many messages, with an error for each.
func (d *Desk) SettleAll(ctx context.Context, receipts []string, how Settling, delay time.Duration, reason string) []error {
	errs := make([]error, len(receipts))
	var next atomic.Int64
	var work sync.WaitGroup
	for range min(settlers, len(receipts)) {
		work.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(receipts); i = next.Add(1) - 1 {
				errs[i] = d.Settle(ctx, receipts[i], how, delay, reason)
			}
		})
	}
	work.Wait()
	return errs
}

// Answer tells the server what becomes of a message, by its acknowledgement subject,
// and waits until it knows. A consumer that is gone is an Unknown.
func Answer(ctx context.Context, nc *nats.Conn, reply string, how Settling, delay time.Duration, reason string) error {
	var body string
	switch how {
	case Ack:
		body = "+ACK"
	case Nak:
		body = "-NAK"
		if delay > 0 {
			body = fmt.Sprintf(`-NAK {"delay": %d}`, delay.Nanoseconds())
		}
	case Term:
		body = "+TERM"
		if reason != "" {
			body += " " + reason
		}
	case Progress:
		body = "+WPI"
	default:
		return Refuse(Malformed, "", "%q is no answer to a message", how)
	}
	_, err := nc.RequestWithContext(ctx, reply, []byte(body))
	if errors.Is(err, nats.ErrNoResponders) {
		return Refuse(Unknown, "token", "the consumer that gave out this message is gone")
	}
	return err
}

// Place says which delivery an acknowledgement subject is of.
type Place struct {
	Stream, Consumer string
	Delivered, Seq   uint64
}

// ParsePlace reads an acknowledgement subject: $JS.ACK, then domain and account where
// there are nine tokens more (ADR-15 of NATS), stream, consumer, times delivered,
// stream sequence, consumer sequence, time, pending.
func ParsePlace(reply string) (Place, error) {
	tokens := strings.Split(reply, ".")
	if len(tokens) >= 11 {
		tokens = append(tokens[:2:2], tokens[4:]...)
	}
	bad := Refuse(Malformed, "token", "the token is of no message")
	if len(tokens) < 9 || tokens[0] != "$JS" || tokens[1] != "ACK" {
		return Place{}, bad
	}
	delivered, err := strconv.ParseUint(tokens[4], 10, 64)
	seq, err2 := strconv.ParseUint(tokens[5], 10, 64)
	if err != nil || err2 != nil {
		return Place{}, bad
	}
	return Place{tokens[2], tokens[3], delivered, seq}, nil
}

// PlaceOf says which delivery a message is.
func PlaceOf(m jetstream.Msg) (Place, error) { return ParsePlace(m.Reply()) }
