package relay

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Source is what is sent. It is safe for concurrent use.
type Source interface {
	// Subscribe wakes whoever sends; one wake may stand for many. cancel may be called again.
	Subscribe() (wake <-chan struct{}, cancel func())
	// Batch is what comes behind a number, the oldest first, and the number to go on behind.
	// An empty batch says that there is nothing more.
	Batch(after uint64) (batch []byte, next uint64)
}

// Sender is the actor that sends a source: everything that it has, and then what comes.
// subject ends in a dot; the node's name follows. Asked to stop, it sends what is left,
// within a bounded time.
func (l Link) Sender(name, kind, subject string, s Source) supervise.Spec {
	return supervise.Spec{
		Name: name, Kind: kind, ShutdownTimeout: lastWithin + 2*time.Second, Mailbox: supervise.Mailbox{Capacity: 8},
		New: func() supervise.Actor {
			return supervise.Worker((&sender{link: l, subject: subject, source: s}).run)
		},
	}
}

// sender sends until it is told to finish.
type sender struct {
	link    Link
	subject string
	source  Source
	log     *zap.Logger
}

// run sends until open ends, and then what is left, as long as ctx lasts.
func (s *sender) run(ctx, open context.Context, log *zap.Logger) {
	s.log = log
	nc, err := s.link.Connect(open)
	if err != nil {
		return // told to finish before the broker was there
	}
	defer nc.Close()
	wake, cancel := s.source.Subscribe()
	defer cancel()
	next := s.send(open, nc, 0)
	for {
		select {
		case <-wake:
		case <-open.Done():
			s.sendLast(ctx, nc, next)
			return
		}
		if !pause(open, gather) {
			continue
		}
		next = s.send(open, nc, next)
	}
}

// sendLast sends what is left, in a bounded time.
func (s *sender) sendLast(ctx context.Context, nc *nats.Conn, next uint64) {
	ctx, cancel := context.WithTimeout(ctx, lastWithin)
	defer cancel()
	s.send(ctx, nc, next)
}

// send sends everything behind a number, and returns the number to go on behind. A batch
// that is not taken is tried again.
func (s *sender) send(ctx context.Context, nc *nats.Conn, next uint64) uint64 {
	for {
		batch, after := s.source.Batch(next)
		if len(batch) == 0 {
			return after
		}
		for failures := 0; ; failures++ {
			err := s.link.publish(ctx, nc, s.subject, batch)
			if err == nil {
				break
			}
			if failures == 0 && ctx.Err() == nil { // once, for the line itself may wait too
				s.log.Warn("what is kept here cannot be sent to the monitoring-service, trying again", zap.Error(err))
			}
			if !pause(ctx, retryAfter) {
				return next
			}
		}
		next = after
	}
}

// Follower is the actor that takes what other processes send below a subject, from some
// minutes ago on. It begins anew after a failure.
func (l Link) Follower(name, kind, subject string, take func(batch []byte)) supervise.Spec {
	return supervise.Spec{
		Name: name, Kind: kind, Mailbox: supervise.Mailbox{Capacity: 8},
		New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) {
				if _, ok := c.Message().(*actor.Started); ok {
					c.Go(func(ctx context.Context) { l.follow(ctx, subject, take, c.Log()) })
				}
			})
		},
	}
}

func (l Link) follow(ctx context.Context, subject string, take func([]byte), log *zap.Logger) {
	from := time.Now().Add(-lookBack)
	for {
		err := l.read(ctx, subject, &from, take)
		if ctx.Err() != nil {
			return
		}
		log.Warn("what other processes send cannot be followed, trying again", zap.Error(err))
		if !pause(ctx, retryAfter) {
			return
		}
	}
}
