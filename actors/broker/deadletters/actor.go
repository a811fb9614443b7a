package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/copies"
)

// Subjects of the server's notices
// (https://docs.nats.io/running-a-nats-service/nats_admin/monitoring/monitoring_jetstream).
const (
	exceeded   = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
	terminated = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."
)

// Bounds of the notices.
const (
	noticeBytes = 64 << 20
	reader      = "deadletters"
	ackWait     = time.Minute
	retryPause  = 2 * time.Second
	ahead       = 64 // notices that are fetched at a time
)

// Options of the actor.
type Options struct {
	Broker     *broker.Handle
	Registerer prometheus.Registerer
	// Died is told of every letter that the actor has made; nil: nobody is. A notice
	// is kept until it has returned nil.
	Died func(ctx context.Context, l Letter) error
}

// Spec is the actor "deadletters", a child of the broker's branch.
func Spec(o Options) (supervise.Spec, error) {
	made := catalogue.NewCounterVec(catalogue.BrokerDeadLetters)
	if err := catalogue.Register(o.Registerer, made); err != nil {
		return supervise.Spec{}, fmt.Errorf("dead letters' metrics: %w", err)
	}
	return supervise.Spec{
		Name: "deadletters", Kind: "broker_deadletters",
		New:             func() supervise.Actor { return &undertaker{Options: o, made: made} },
		AwaitReady:      true,
		StartTimeout:    time.Minute,
		ShutdownTimeout: 10 * time.Second,
		Mailbox:         supervise.Mailbox{Capacity: 8},
	}, nil
}

// undertaker is root/broker/deadletters.
type undertaker struct {
	Options
	made *prometheus.CounterVec
}

type listening struct{}

// Receive handles one message.
func (u *undertaker) Receive(c *supervise.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		c.Go(func(ctx context.Context) { u.work(ctx, c) })
		c.Go(func(ctx context.Context) { u.sweep(ctx, c) })
	case listening:
		c.Ready()
	}
}

// work takes notices until ctx ends, whatever happens to the server.
func (u *undertaker) work(ctx context.Context, c *supervise.Context) {
	box, err := OpenBox(ctx, u.Broker)
	if err != nil {
		return // ctx has ended
	}
	defer box.Close()
	for ctx.Err() == nil {
		err := u.listen(ctx, c, box)
		if ctx.Err() != nil {
			return
		}
		c.Log().Warn("taking notices of dead letters failed, and is tried again", zap.Error(err))
		c.After(0, listening{}) // what waits for this actor can do without it for a while
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// listen makes the stream of notices and its consumer, and takes what comes.
func (u *undertaker) listen(ctx context.Context, c *supervise.Context, box *Box) error {
	consumer, err := openNotices(ctx, box.js, u.Broker.Config())
	if err != nil {
		return err
	}
	c.After(0, listening{})
	iterator, err := consumer.Messages(jetstream.PullMaxMessages(ahead))
	if err != nil {
		return fmt.Errorf("reading notices: %w", err)
	}
	defer iterator.Stop()
	for {
		m, err := iterator.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading notices: %w", err)
		}
		if err := u.take(ctx, box, m); err != nil {
			c.Log().Error("a dead letter could not be kept; its notice comes again", zap.String("notice", m.Subject()), zap.Error(err))
			if err := m.NakWithDelay(retryPause); err != nil {
				return fmt.Errorf("giving a notice back: %w", err)
			}
		}
	}
}

func openNotices(ctx context.Context, js jetstream.JetStream, c broker.Config) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	replicas := 0
	for _, s := range c.Streams {
		replicas = max(replicas, s.Replicas)
	}
	err := copies.Ensure(ctx, js, jetstream.StreamConfig{
		Name: broker.NoticeStream, Description: "what the server says of messages that consumers have given up",
		Subjects: []string{exceeded + ">", terminated + ">"}, Retention: jetstream.WorkQueuePolicy,
		Storage: jetstream.FileStorage, MaxBytes: noticeBytes, Discard: jetstream.DiscardOld, Replicas: copies.Of(js, replicas),
	})
	if err != nil {
		return nil, fmt.Errorf("making the stream of notices: %w", err)
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, broker.NoticeStream, jetstream.ConsumerConfig{
		Durable: reader, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("making the consumer of notices: %w", err)
	}
	return consumer, nil
}

// take makes a letter of one notice.
func (u *undertaker) take(ctx context.Context, box *Box, m jetstream.Msg) error {
	var n notice
	if err := json.Unmarshal(m.Data(), &n); err != nil {
		return m.TermWithReason("it is no notice")
	}
	how := "exceeded"
	switch {
	case n.removed():
		return acknowledge(ctx, m)
	case strings.HasPrefix(m.Subject(), terminated):
		how = "terminated"
		if n.Reason == "" {
			n.Reason = "terminated by its consumer"
		}
	case n.Reason == "":
		n.Reason = fmt.Sprintf("not acknowledged in %d deliveries", n.Deliveries)
	}
	made, err := box.bury(ctx, n)
	if err != nil {
		return err
	}
	if made {
		u.made.WithLabelValues(n.Stream, how).Inc()
	}
	if u.Died != nil {
		if err := u.tell(ctx, box, n); err != nil {
			return err
		}
	}
	return acknowledge(ctx, m)
}

func acknowledge(ctx context.Context, m jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return messages.Explained("acknowledging a notice", m.DoubleAck(ctx))
}

// removed reports whether the server only says that a message which a consumer had not
// acknowledged is gone: purged, aged, or acknowledged just before a crash. Nobody has
// given it up, and there is nothing to be kept. The words are all that tells it apart
// (ackTermUnackedLimitsReason and ackTermLimitsReason in nats-server's consumer.go).
func (n notice) removed() bool {
	return n.Reason == "Message deleted by stream limits" || n.Reason == "Unacknowledged message was deleted"
}

// tell passes on the letter of a notice, if it is still there.
func (u *undertaker) tell(ctx context.Context, box *Box, n notice) error {
	var l *Letter
	err := box.within(ctx, "reading a dead letter", func(ctx context.Context, s jetstream.Stream) error {
		raw, err := s.GetLastMsgForSubject(ctx, fmt.Sprintf("dlq.%s.%s.%d.*", n.Stream, n.Consumer, n.Seq))
		if err == nil {
			found := read(raw)
			l = &found
		}
		return err
	})
	var refused *messages.Refusal
	switch {
	case errors.As(err, &refused) && refused.Why == messages.Unknown:
		return nil
	case err != nil:
		return err
	}
	return u.Died(ctx, *l)
}
