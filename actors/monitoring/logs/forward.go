package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Subjects of forwarded lines: service.logs.<node>. The stream SERVICE_LOGS keeps them.
const (
	subjectPrefix = "service.logs."
	headerProcess = "Mp-Process"
)

// Bounds of forwarding.
const (
	gather       = 500 * time.Millisecond // between two batches; each is an fsync
	batchLines   = 2000
	batchBytes   = 512 << 10
	sendTimeout  = 5 * time.Second
	retryPause   = time.Second
	followBack   = 15 * time.Minute // how far a follower that starts looks back
	flushTimeout = 2 * time.Second
)

// Link is how the two sides reach each other.
type Link struct {
	// Connect connects to the broker, in the account that holds SERVICE_LOGS.
	Connect func(ctx context.Context) (*nats.Conn, error)
	// Stream is the stream that keeps service.>.
	Stream string
	// Node is this node's name, Process one run of one process.
	Node, Process string
}

// Forwarder is the actor that sends the lines of a ring.
func (r *Ring) Forwarder(l Link) supervise.Spec {
	return supervise.Spec{
		Name: "logs", Kind: "log_forwarder", ShutdownTimeout: flushTimeout + 2*time.Second, Mailbox: supervise.Mailbox{Capacity: 8},
		New: func() supervise.Actor { return supervise.Worker((&forwarder{ring: r, link: l}).run) },
	}
}

// forwarder sends until it is told to finish.
type forwarder struct {
	ring *Ring
	link Link
	log  *zap.Logger
}

// run sends until open ends, and then what is left, as long as ctx lasts.
func (f *forwarder) run(ctx, open context.Context, log *zap.Logger) {
	f.log = log
	nc, err := f.link.Connect(open)
	if err != nil {
		return // told to finish before the broker was there
	}
	defer nc.Close()
	wake, cancel := f.ring.Subscribe()
	defer cancel()
	next := f.send(open, nc, 0)
	for {
		select {
		case <-wake:
		case <-open.Done():
			f.sendLast(ctx, nc, next)
			return
		}
		if !pause(open, gather) {
			continue
		}
		next = f.send(open, nc, next)
	}
}

// sendLast sends what is left, in a bounded time.
func (f *forwarder) sendLast(ctx context.Context, nc *nats.Conn, next uint64) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	f.send(ctx, nc, next)
}

// send sends everything behind a number and returns the number to go on behind. A batch
// that is not taken is tried again; what the ring forgets meanwhile is told.
func (f *forwarder) send(ctx context.Context, nc *nats.Conn, next uint64) uint64 {
	for {
		found, after, missed := f.ring.After(next, &Filter{Level: zapcore.DebugLevel}, batchLines)
		if len(found) == 0 {
			return after
		}
		text, n := batch(found, missed)
		if n < len(found) {
			after = found[n-1].Seq
		}
		msg := &nats.Msg{Subject: subjectPrefix + token(f.link.Node), Data: text, Header: nats.Header{headerProcess: {f.link.Process}}}
		for failures := 0; ; failures++ {
			err := publish(ctx, nc, msg)
			if err == nil {
				break
			}
			if failures == 0 && ctx.Err() == nil { // once, for the line itself waits too
				f.log.Warn("log lines cannot be forwarded, trying again", zap.Error(err))
			}
			if !pause(ctx, retryPause) {
				return next
			}
		}
		next = after
	}
}

func publish(ctx context.Context, nc *nats.Conn, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	if _, err := js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("forwarding log lines: %w", err)
	}
	return nil
}

// batch writes lines as NDJSON, as many as fit.
func batch(lines []Entry, missed uint64) ([]byte, int) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range lines {
		e := lines[i]
		if i == 0 && missed > 0 {
			e.Fields = json.RawMessage(fmt.Sprintf(`{"missed_before":%d,"fields":%s}`, missed, e.Fields))
		}
		if err := enc.Encode(&e); err != nil {
			continue // a field that is no JSON: the process's own log has the line
		}
		if b.Len() >= batchBytes {
			return b.Bytes(), i + 1
		}
	}
	return b.Bytes(), len(lines)
}

// token makes a node's name one token of a subject.
func token(node string) string {
	return strings.Map(func(c rune) rune {
		if c == '.' || c == '*' || c == '>' || c <= ' ' {
			return '_'
		}
		return c
	}, node)
}

// pause waits, and reports whether ctx still lasts.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Follower is the actor that puts the lines of other processes into a ring.
func (r *Ring) Follower(l Link) supervise.Spec {
	return supervise.Spec{
		Name: "logs", Kind: "log_follower", Mailbox: supervise.Mailbox{Capacity: 8},
		New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) {
				if _, ok := c.Message().(*actor.Started); ok {
					c.Go(func(ctx context.Context) { r.follow(ctx, l, c.Log()) })
				}
			})
		},
	}
}

// follow reads the stream from some minutes ago on, and begins anew after a failure.
func (r *Ring) follow(ctx context.Context, l Link, log *zap.Logger) {
	from := time.Now().Add(-followBack)
	for {
		err := r.read(ctx, l, &from)
		if ctx.Err() != nil {
			return
		}
		log.Warn("the log lines of other processes cannot be followed, trying again", zap.Error(err))
		if !pause(ctx, retryPause) {
			return
		}
	}
}

func (r *Ring) read(ctx context.Context, l Link, from *time.Time) error {
	nc, err := l.Connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	consumer, err := js.OrderedConsumer(ctx, l.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subjectPrefix + ">"}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: from,
	})
	if err != nil {
		return fmt.Errorf("following the stream %s: %w", l.Stream, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("following the stream %s: %w", l.Stream, err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		m, err := messages.Next()
		if err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("reading the stream %s: %w", l.Stream, err))
		}
		if meta, err := m.Metadata(); err == nil {
			*from = meta.Timestamp.Add(1)
		}
		if m.Headers().Get(headerProcess) != l.Process {
			r.takeBatch(m.Data())
		}
	}
}

// takeBatch keeps the lines of another process; what is no line is left out.
func (r *Ring) takeBatch(text []byte) {
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) != nil || e.level.UnmarshalText([]byte(e.Level)) != nil || e.Time.IsZero() {
			continue
		}
		if len(e.Fields) == 0 {
			e.Fields = none
		}
		r.Add(&e)
	}
}
