package messages

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// maxID is the longest id of a message, in bytes.
const maxID = 256

// Receipt says where a message went. Stream "" is core NATS: whoever listened has
// it, and nothing keeps it.
type Receipt struct {
	Stream string
	Seq    uint64
	// Duplicate: the stream has a message with this id already; Seq is its.
	Duplicate bool
}

// Publish publishes one message: into the stream that keeps its subject,
// acknowledged, or else on core NATS.
func (d *Desk) Publish(ctx context.Context, m Message) (Receipt, error) {
	var receipt Receipt
	msg, err := d.outgoing(m)
	if err != nil {
		return receipt, err
	}
	err = d.within(ctx, "publishing to "+m.Subject, func(ctx context.Context) error {
		stream, err := d.keeper(ctx, m.Subject)
		if err != nil {
			return err
		}
		if stream == "" {
			if err := d.nc.PublishMsg(msg); err != nil {
				return err
			}
			return d.nc.FlushWithContext(ctx)
		}
		ack, err := d.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
		if err == nil {
			receipt = Receipt{ack.Stream, ack.Sequence, ack.Duplicate}
		}
		return err
	})
	return receipt, err
}

// Outcome is what became of one message of many.
type Outcome struct {
	Receipt
	Err error
}

// PublishAll publishes messages in their order, without waiting for one before the
// next. All are checked first: the error is a [*Refusal] of one of them, and none is
// published. Each has its own outcome.
func (d *Desk) PublishAll(ctx context.Context, all []Message) ([]Outcome, error) {
	out := make([]*nats.Msg, len(all))
	for i, m := range all {
		var err error
		if out[i], err = d.outgoing(m); err != nil {
			var r *Refusal
			if errors.As(err, &r) {
				r.Field = fmt.Sprintf("messages/%d/%s", i, r.Field)
			}
			return nil, err
		}
	}
	results := make([]Outcome, len(all))
	err := d.within(ctx, "publishing", func(ctx context.Context) error {
		keepers := map[string]string{}
		waiting := make([]jetstream.PubAckFuture, len(all))
		for i, m := range out {
			stream, known := keepers[m.Subject]
			if !known {
				var err error
				if stream, err = d.keeper(ctx, m.Subject); err != nil {
					return err
				}
				keepers[m.Subject] = stream
			}
			if stream == "" {
				results[i].Err = Explained("publishing to "+m.Subject, d.nc.PublishMsg(m))
				continue
			}
			future, err := d.js.PublishMsgAsync(m, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
			if err != nil {
				results[i].Err = Explained("publishing to "+m.Subject, err)
				continue
			}
			waiting[i] = future
		}
		for i, future := range waiting {
			if future != nil {
				results[i] = await(ctx, future, out[i].Subject)
			}
		}
		return d.nc.FlushWithContext(ctx)
	})
	return results, err
}

// await is the outcome of a message on its way into a stream.
func await(ctx context.Context, future jetstream.PubAckFuture, subject string) Outcome {
	select {
	case ack := <-future.Ok():
		return Outcome{Receipt: Receipt{ack.Stream, ack.Sequence, ack.Duplicate}}
	case err := <-future.Err():
		return Outcome{Err: Explained("publishing to "+subject, err)}
	case <-ctx.Done():
		return Outcome{Err: fmt.Errorf("publishing to %s: %w", subject, ctx.Err())}
	}
}

// Request publishes a message and returns the first reply, as long as ctx lasts.
// Nobody listening is a [*Refusal].
func (d *Desk) Request(ctx context.Context, m Message) (Message, error) {
	msg, err := d.outgoing(m)
	if err != nil {
		return Message{}, err
	}
	if err := d.enter(); err != nil {
		return Message{}, err
	}
	defer d.leave()
	if err := d.Broker.Up(); err != nil {
		return Message{}, err
	}
	reply, err := d.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return Message{}, Refuse(Nobody, "subject", "nobody answers requests on %s", m.Subject)
	case err != nil:
		return Message{}, Explained("asking on "+m.Subject, err)
	}
	return Message{Subject: m.Subject, Header: reply.Header, Data: reply.Data}, nil
}

// outgoing checks a message and makes NATS's of it.
func (d *Desk) outgoing(m Message) (*nats.Msg, error) {
	if err := broker.CheckPublished(m.Subject); err != nil {
		return nil, Subject("subject", err)
	}
	msg := nats.NewMsg(m.Subject)
	for name, values := range m.Header {
		if err := checkHeader(name, values); err != nil {
			return nil, err
		}
		msg.Header[name] = values
	}
	if m.ID != "" {
		if len(m.ID) > maxID || strings.ContainsFunc(m.ID, isControl) {
			return nil, Refuse(Malformed, "id", "an id is at most %d bytes of plain text", maxID)
		}
		msg.Header.Set(jetstream.MsgIDHeader, m.ID)
	}
	msg.Data = m.Data
	return msg, nil
}

// checkHeader refuses what would break the protocol, and headers by which a
// publisher steers the server.
func checkHeader(name string, values []string) error {
	if name == "" || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
		return Refuse(Malformed, "headers", "%q is not the name of a header", name[:min(len(name), 64)])
	}
	if strings.HasPrefix(strings.ToLower(name), "nats-") {
		return Refuse(Forbidden, "headers", "headers that begin with Nats- are the broker's own; the id of a message has a field of its own")
	}
	for _, v := range values {
		if len(v) > 4<<10 || strings.ContainsFunc(v, isControl) {
			return Refuse(Malformed, "headers", "the value of %s is longer than 4 KiB or holds a control character", name)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// keeper is the stream that keeps a subject, "" when none does.
func (d *Desk) keeper(ctx context.Context, subject string) (string, error) {
	stream, err := d.js.StreamNameBySubject(ctx, subject)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return "", nil
	}
	return stream, err
}
