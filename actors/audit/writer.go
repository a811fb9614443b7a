package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/identity"
)

const (
	retryPause   = 500 * time.Millisecond
	flushTimeout = 3 * time.Second // of what waits, at a stop
)

// Spec is the actor "audit", which publishes what was recorded. It belongs below the
// broker's branch, which it needs.
func (l *Log) Spec() supervise.Spec {
	return supervise.Spec{
		Name: "audit", Kind: "audit",
		New: func() supervise.Actor {
			return supervise.Worker(func(ctx, open context.Context, _ *zap.Logger) {
				l.write(open)
				l.flush(ctx)
			})
		},
		ShutdownTimeout: flushTimeout + 2*time.Second,
		Mailbox:         supervise.Mailbox{Capacity: 8},
	}
}

// write publishes entries, in order, until running ends.
func (l *Log) write(running context.Context) {
	for {
		select {
		case i := <-l.queue:
			if !l.insist(running, i) {
				l.lost(i.entry, "the program stopped before the broker took it")
				return
			}
		case <-running.Done():
			return
		}
	}
}

// insist publishes one entry, again and again while running.
func (l *Log) insist(running context.Context, i item) bool {
	for tried := 0; ; tried++ {
		// One that is on its way when the stop comes is not given up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(running), flushTimeout)
		err := l.publish(ctx, i)
		cancel()
		if err == nil {
			return true
		}
		if tried == 0 {
			l.o.Log.Warn("an audit entry could not be published, and is tried again", zap.Error(err))
		}
		l.entries.WithLabelValues("retried").Inc()
		pause := time.NewTimer(retryPause)
		select {
		case <-pause.C:
		case <-running.Done():
			pause.Stop()
			return false
		}
	}
}

// flush publishes what waits, each once.
func (l *Log) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for {
		select {
		case i := <-l.queue:
			if err := l.publish(ctx, i); err != nil {
				l.lost(i.entry, err.Error())
			}
		default:
			return
		}
	}
}

func (l *Log) publish(ctx context.Context, i item) error {
	js, err := l.open(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(i.entry)
	if err != nil {
		return fmt.Errorf("encoding an audit entry: %w", err)
	}
	m := &nats.Msg{Subject: subject, Data: text, Header: nats.Header{}}
	// The id makes a repetition after a lost acknowledgement no second entry.
	id := fmt.Sprintf("%s %d %p", l.o.Node, i.entry.Time.UnixNano(), i.recorded)
	if _, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("publishing an audit entry: %w", err)
	}
	l.entries.WithLabelValues("recorded").Inc()
	close(i.recorded)
	return nil
}

// Act records what the principal of ctx does: it calls do and puts down what became
// of it. Without authentication the principal is nobody in particular.
func (l *Log) Act(ctx context.Context, e Entry, do func() error) error {
	err := do()
	p, ok := identity.From(ctx)
	if !ok {
		p = identity.Nobody()
	}
	e.Principal, e.Role, e.Outcome = p.String(), p.Role.String(), Done
	l.Record(context.WithoutCancel(ctx), e.Of(err))
	return err
}
