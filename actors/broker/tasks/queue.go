package tasks

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// Stream holds the work; its configuration is among the broker's streams.
const Stream = "TASKS"

const (
	recordBucket = "tasks"
	headerTask   = "Task-Id"
	apiTimeout   = 10 * time.Second
)

// MaxPayload is the largest payload, and the largest result, in bytes.
const MaxPayload = 1 << 20

// Options of the Queues.
type Options struct {
	Config Config
	Broker *broker.Handle
	// Seal signs what workers show.
	Seal *messages.Seal
	// Letters keeps the dead.
	Letters    *deadletters.Box
	Registerer prometheus.Registerer
	// Now is the time of records; nil is time.Now.
	Now func() time.Time
}

// Queues are all queues. They are safe for concurrent use.
type Queues struct {
	Options
	program, clients *nats.Conn
	js               jetstream.JetStream // of the clients
	records          *bucket.JetStream
	store            jetstream.Stream // of records
	counted          *prometheus.CounterVec
}

// Open connects, as long as ctx lasts, and makes the records' bucket. The Queues are
// the caller's to close.
func Open(ctx context.Context, o Options) (*Queues, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("tasks' configuration: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	q := &Queues{Options: o, counted: catalogue.NewCounterVec(catalogue.BrokerTasks)}
	if err := catalogue.Register(o.Registerer, q.counted); err != nil {
		return nil, fmt.Errorf("tasks' metrics: %w", err)
	}
	if err := q.connect(ctx); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

func (q *Queues) connect(ctx context.Context) error {
	var err error
	if q.program, err = q.Broker.ConnectAs(ctx, broker.Tasks); err != nil {
		return err
	}
	if q.clients, err = q.Broker.ConnectClientsAs(ctx, broker.Tasks); err != nil {
		return err
	}
	if q.js, err = jetstream.New(q.clients); err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	q.records = bucket.New(func(ctx context.Context) (*nats.Conn, error) { return q.Broker.ConnectAs(ctx, broker.Tasks) }, bucket.Options{
		Name: recordBucket, Description: "what is known of tasks", TTL: q.Config.Keep, MaxBytes: q.Config.MaxBytes, Replicas: q.replicas(),
	})
	if err := q.records.Open(ctx); err != nil {
		return err
	}
	js, err := jetstream.New(q.program)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	if q.store, err = js.Stream(ctx, "KV_"+recordBucket); err != nil {
		return fmt.Errorf("opening the bucket of tasks: %w", err)
	}
	return nil
}

// replicas are those of the stream of the work.
func (q *Queues) replicas() int {
	for _, s := range q.Broker.Config().Streams {
		if s.Name == Stream {
			return s.Replicas
		}
	}
	return 0
}

// Close ends the connections.
func (q *Queues) Close() {
	if q.records != nil {
		q.records.Close()
	}
	for _, nc := range []*nats.Conn{q.program, q.clients} {
		if nc != nil {
			nc.Close()
		}
	}
}

// Submission is a task to be.
type Submission struct {
	// Queue is where workers ask for it: letters, digits, - and _.
	Queue   string
	Payload json.RawMessage
	// Key makes submissions the same task; "" is none.
	Key string
	// MaxAttempts is at most the configuration's; 0 is that.
	MaxAttempts int
}

// Submit queues a task. existed reports that one with this key is known already, and
// is returned as it stands.
func (q *Queues) Submit(ctx context.Context, s Submission) (task Task, existed bool, err error) {
	if err := checkQueue(s.Queue); err != nil {
		return task, false, err
	}
	switch {
	case len(s.Payload) > MaxPayload:
		return task, false, messages.Refuse(messages.TooLarge, "payload", "the payload has %d bytes, at most %d are taken", len(s.Payload), MaxPayload)
	case s.MaxAttempts < 0 || s.MaxAttempts > q.Config.MaxAttempts:
		return task, false, messages.Refuse(messages.Malformed, "max_attempts", "max_attempts is at most %d here", q.Config.MaxAttempts)
	case s.MaxAttempts == 0:
		s.MaxAttempts = q.Config.MaxAttempts
	}
	if len(s.Payload) == 0 {
		s.Payload = json.RawMessage("null")
	}
	w := work{ID: newID(s), Queue: s.Queue, Payload: s.Payload, MaxAttempts: s.MaxAttempts, Round: 1, Created: q.Now().UTC()}
	err = q.within(ctx, "submitting a task", func(ctx context.Context) error {
		if s.Key != "" {
			known, _, err := q.read(ctx, w.ID)
			if err == nil {
				task, existed = known, true
				return nil
			}
			if !isUnknown(err) {
				return err
			}
		}
		if _, err := q.consumer(ctx, s.Queue); err != nil {
			return err
		}
		task, err = q.publish(ctx, w)
		return err
	})
	if err == nil && !existed {
		q.counted.WithLabelValues("submitted").Inc()
	}
	return task, existed, err
}

// publish writes the message of a task, and then its record.
func (q *Queues) publish(ctx context.Context, w work) (Task, error) {
	body, err := json.Marshal(w)
	if err != nil {
		return Task{}, fmt.Errorf("encoding a task: %w", err)
	}
	m := &nats.Msg{Subject: "tasks." + w.Queue, Data: body, Header: nats.Header{headerTask: {w.ID}, "Content-Type": {"application/json"}}}
	ack, err := q.js.PublishMsg(ctx, m, jetstream.WithMsgID(fmt.Sprint("task-", w.ID, "-", w.Round)), jetstream.WithExpectStream(Stream))
	if err != nil {
		return Task{}, err
	}
	fresh := w.task(q.Now().UTC())
	return q.change(ctx, w.ID, fresh, func(t *Task) error {
		if t.Round < w.Round {
			*t = fresh
		}
		if t.Round == w.Round { // a worker may have it already
			t.Seq = ack.Sequence
		}
		return nil
	})
}

// newID is the id of a submission: of its key, or random.
func newID(s Submission) string {
	if s.Key == "" {
		return "t" + strings.ToLower(rand.Text())
	}
	sum := sha256.Sum256([]byte(s.Queue + "\x00" + s.Key))
	return "k" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

func checkQueue(name string) error { return messages.Subject("queue", broker.CheckName(name)) }

// consumer is that of the workers of a queue; it is made with the first task.
func (q *Queues) consumer(ctx context.Context, queue string) (jetstream.Consumer, error) {
	c, err := q.js.CreateOrUpdateConsumer(ctx, Stream, jetstream.ConsumerConfig{
		Durable: "queue_" + queue, FilterSubject: "tasks." + queue, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: q.Config.Lease, MaxDeliver: q.Config.MaxAttempts, MaxAckPending: 10_000,
	})
	if err != nil {
		return nil, fmt.Errorf("opening queue %s: %w", queue, err)
	}
	return c, nil
}

// within runs fn with JetStream's patience.
func (q *Queues) within(ctx context.Context, doing string, fn func(ctx context.Context) error) error {
	if err := q.Broker.Up(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return messages.Explained(doing, fn(ctx))
}

// read returns a record and its revision; an Unknown when there is none.
func (q *Queues) read(ctx context.Context, id string) (Task, uint64, error) {
	var t Task
	if err := broker.CheckName(id); err != nil {
		return t, 0, unknown(id)
	}
	d, there, err := q.records.Get(ctx, id)
	switch {
	case err != nil:
		return t, 0, err
	case !there:
		return t, 0, unknown(id)
	}
	if err := json.Unmarshal(d.Value, &t); err != nil {
		return t, 0, fmt.Errorf("the record of task %s: %w", id, err)
	}
	return t, d.Revision, nil
}

func unknown(id string) error {
	return messages.Refuse(messages.Unknown, "id", "there is no task %q", id[:min(len(id), 64)])
}

func isUnknown(err error) bool {
	var r *messages.Refusal
	return errors.As(err, &r) && r.Why == messages.Unknown
}

// change reads a record, lets fn change it, and writes it if nobody else has
// meanwhile; else again. Without a record it begins with fresh; an empty one of those
// is an Unknown. An error of fn is returned, and nothing is written.
func (q *Queues) change(ctx context.Context, id string, fresh Task, fn func(t *Task) error) (Task, error) {
	for {
		t, revision, err := q.read(ctx, id)
		if isUnknown(err) && fresh.ID != "" {
			t, revision, err = fresh, 0, nil
		}
		if err != nil {
			return t, err
		}
		if err := fn(&t); err != nil {
			return t, err
		}
		t.Updated = q.Now().UTC()
		body, err := json.Marshal(t)
		if err != nil {
			return t, fmt.Errorf("encoding a task: %w", err)
		}
		if _, err = q.records.Put(ctx, id, body, revision); !errors.Is(err, bucket.ErrConflict) {
			return t, err
		}
	}
}
