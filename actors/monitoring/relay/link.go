package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of what is carried.
const (
	gather      = 500 * time.Millisecond // between two batches; each is an fsync
	sendWithin  = 5 * time.Second
	retryAfter  = time.Second
	lookBack    = 15 * time.Minute // of a follower that starts
	lastWithin  = 2 * time.Second  // for what is left at a stop
	headerOwner = "Mp-Process"
)

// BatchBytes is about the size from which on a source ends a batch.
const BatchBytes = 512 << 10

// Link is how the two sides reach each other.
type Link struct {
	// Connect connects to the broker, in the account that holds the stream.
	Connect func(ctx context.Context) (*nats.Conn, error)
	// Stream is the stream that keeps service.>.
	Stream string
	// Node is this node's name, Process one run of one process: nobody takes what is its own.
	Node, Process string
}

// publish publishes a batch, and returns once the stream has it.
func (l Link) publish(ctx context.Context, nc *nats.Conn, subject string, batch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	msg := &nats.Msg{Subject: subject + token(l.Node), Data: batch, Header: nats.Header{headerOwner: {l.Process}}}
	if _, err := js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("publishing to %s: %w", msg.Subject, err)
	}
	return nil
}

// read takes what others publish below a subject, from a time on, which it moves along.
// It returns with why it ended.
func (l Link) read(ctx context.Context, subject string, from *time.Time, take func(batch []byte)) error {
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
		FilterSubjects: []string{subject + ">"}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: from,
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
		if m.Headers().Get(headerOwner) != l.Process {
			take(m.Data())
		}
	}
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
