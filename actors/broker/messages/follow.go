package messages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// What a follower holds for a client that reads more slowly than messages come. From
// a stream no more is asked for until it reads on; what nobody keeps is lost beyond
// these, and ends the following.
const (
	prefetch        = 256
	prefetchBytes   = 16 << 20 // at least the largest message
	pendingMessages = 8192
	pendingBytes    = 16 << 20
	followerIdle    = time.Minute // after which the server forgets a follower that is gone
)

// ErrSlow ends the following of a subject that no stream keeps by a client that does
// not read fast enough.
var ErrSlow = errors.New("messages came faster than they were read, and nothing keeps them")

// Position is a place in a stream. The zero value is none.
type Position struct {
	Stream  string
	Created int64 // Unix seconds when the stream was made, which tells it from another of its name
	Seq     uint64
}

// String is the form that clients hand back.
func (p Position) String() string {
	if p.Stream == "" {
		return ""
	}
	return p.Stream + ":" + strconv.FormatInt(p.Created, 36) + ":" + strconv.FormatUint(p.Seq, 10)
}

// ParsePosition reads what String has written; "" is none.
func ParsePosition(text string) (Position, error) {
	if text == "" {
		return Position{}, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) == 3 && parts[0] != "" {
		created, err := strconv.ParseInt(parts[1], 36, 64)
		if seq, bad := strconv.ParseUint(parts[2], 10, 64); err == nil && bad == nil {
			return Position{parts[0], created, seq}, nil
		}
	}
	return Position{}, Refuse(Malformed, "Last-Event-ID", "%q is not a position in a stream", text[:min(len(text), 64)])
}

// Where a follower without a position begins.
const (
	FromNew   = "new"   // with what comes from now on
	FromFirst = "first" // with the oldest that the stream has
	FromLast  = "last"  // with the newest that it has
)

// Following is what to follow.
type Following struct {
	// Subject may hold wildcards.
	Subject string
	// Stream is where to look; "" is the one that keeps the subject.
	Stream string
	// After is the last position that the client has; the zero value is none.
	After Position
	// From is where to begin without one; "" is FromNew.
	From string
}

// Delivery is a message that was followed.
type Delivery struct {
	Message
	// Position is the zero value for what no stream keeps.
	Position Position
	// Time is when the stream took it, or when it came.
	Time time.Time
	// Pending is how many more are there already, as far as is known.
	Pending uint64
}

// Start is where a follower stands before its first message.
type Start struct {
	// Position is the zero value when no stream keeps the subject.
	Position Position
	// Reset: the client's position is of a stream that is no more, and everything that
	// there is follows.
	Reset bool
	// LostFrom to LostTo are the sequences that the stream no longer has, of those that
	// the client has not had; 0 when there are none. Not all of them had the subject.
	LostFrom, LostTo uint64
}

// Follower gives the messages of a subject. One goroutine uses it, and closes it.
type Follower struct {
	Start Start

	desk     *Desk
	consumer jetstream.Consumer
	iterator jetstream.MessagesContext // nil: core
	core     *nats.Subscription
}

// Follow begins to follow. Errors: a [*Refusal], broker.ErrNotRunning, broker.ErrBusy
// (too many followers).
func (d *Desk) Follow(ctx context.Context, f Following) (*Follower, error) {
	if err := broker.CheckRead(f.Subject); err != nil {
		return nil, Subject("subject", err)
	}
	select {
	case d.followers <- struct{}{}:
	default:
		return nil, broker.ErrBusy
	}
	follower := &Follower{desk: d}
	err := d.within(ctx, "following "+f.Subject, func(ctx context.Context) error {
		stream, err := d.source(ctx, f)
		if err != nil || stream == nil {
			if err == nil {
				err = follower.listen(f.Subject)
			}
			return err
		}
		return follower.begin(ctx, stream, f)
	})
	if err != nil {
		<-d.followers
		return nil, err
	}
	d.following.Inc()
	return follower, nil
}

// source is the stream to follow a subject in; nil when none keeps it.
func (d *Desk) source(ctx context.Context, f Following) (jetstream.Stream, error) {
	name := f.Stream
	if name == "" {
		var names []string
		lister := d.js.StreamNames(ctx, jetstream.WithStreamListSubject(f.Subject))
		for n := range lister.Name() {
			names = append(names, n)
		}
		if err := lister.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return nil, err
		}
		switch len(names) {
		case 0:
			return nil, nil
		case 1:
			name = names[0]
		default:
			return nil, Refuse(Malformed, "stream", "%s is kept by %s: say which to follow", f.Subject, strings.Join(names, ", "))
		}
	}
	if broker.IsInternal(name) {
		return nil, Refuse(Forbidden, "stream", "%s is one of the program's own", name)
	}
	return d.js.Stream(ctx, name)
}

// listen follows what no stream keeps.
func (f *Follower) listen(subject string) error {
	sub, err := f.desk.nc.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return errors.Join(err, sub.Unsubscribe())
	}
	f.core = sub
	return f.desk.nc.Flush()
}

// begin follows a stream.
func (f *Follower) begin(ctx context.Context, stream jetstream.Stream, what Following) error {
	info := stream.CachedInfo()
	cfg := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{what.Subject}, InactiveThreshold: followerIdle,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
	}
	here := Position{info.Config.Name, info.Created.Unix(), info.State.LastSeq}
	switch {
	case what.After.Stream != "":
		f.resume(here, info.State.FirstSeq, what.After)
	case what.From == FromFirst:
		here.Seq = max(info.State.FirstSeq, 1) - 1
		f.Start.Position = here
	case what.From == FromLast:
		here.Seq = 0
		if last, err := stream.GetLastMsgForSubject(ctx, what.Subject); err == nil {
			here.Seq = last.Sequence - 1
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		f.Start.Position = here
	default:
		f.Start.Position = here
	}
	cfg.OptStartSeq = f.Start.Position.Seq + 1
	consumer, err := f.desk.js.OrderedConsumer(ctx, here.Stream, cfg)
	if err != nil {
		return err
	}
	f.consumer = consumer
	f.iterator, err = consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(prefetch, max(prefetchBytes, f.desk.Broker.Config().MaxPayload*2)))
	return err
}

// resume finds where a client goes on that has been here before.
func (f *Follower) resume(here Position, first uint64, after Position) {
	begin := max(first, 1) - 1 // behind this
	switch {
	case after.Stream != here.Stream || after.Created != here.Created || after.Seq > here.Seq:
		f.Start.Reset = true
		here.Seq = begin
	case after.Seq < begin:
		f.Start.LostFrom, f.Start.LostTo = after.Seq+1, begin
		here.Seq = begin
	default:
		here.Seq = after.Seq
	}
	f.Start.Position = here
}

// Next waits for the next message. Errors: those of ctx; ErrSlow; any other ends the
// following, and the client may come back with its last position.
func (f *Follower) Next(ctx context.Context) (Delivery, error) {
	if f.iterator == nil {
		m, err := f.core.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrSlowConsumer):
			return Delivery{}, ErrSlow
		case err != nil:
			return Delivery{}, Explained("following", err)
		}
		d := Delivery{Message: Message{Subject: m.Subject, Header: m.Header, Data: m.Data}, Time: time.Now()}
		if waiting, _, err := f.core.Pending(); err == nil {
			d.Pending = uint64(waiting)
		}
		return d, nil
	}
	m, err := f.iterator.Next(jetstream.NextContext(ctx))
	if err != nil {
		return Delivery{}, Explained("following", err)
	}
	meta, err := m.Metadata()
	if err != nil {
		return Delivery{}, fmt.Errorf("following: %w", err)
	}
	return Delivery{
		Message:  Message{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()},
		Position: Position{f.Start.Position.Stream, f.Start.Position.Created, meta.Sequence.Stream}, Time: meta.Timestamp,
		Pending: meta.NumPending,
	}, nil
}

// Close ends the following. ctx gives the time that it takes.
func (f *Follower) Close(ctx context.Context) {
	defer func() { <-f.desk.followers; f.desk.following.Dec() }()
	if f.core != nil {
		_ = f.core.Unsubscribe() // on a connection that is gone there is nothing to be ended
		return
	}
	f.iterator.Stop()
	info := f.consumer.CachedInfo()
	if info == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = f.desk.js.DeleteConsumer(ctx, info.Stream, info.Name) // the server would forget it by itself, later
}
