package deadletters

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
	"github.com/marketprism/marketprism/actors/broker/messages"
)

// Stream holds the letters; its configuration is among the broker's streams.
const Stream = "DLQ"

// Headers of a letter, and of a message that was replayed.
const (
	headerStream     = "Dead-Letter-Stream"
	headerConsumer   = "Dead-Letter-Consumer"
	headerSeq        = "Dead-Letter-Sequence"
	headerSubject    = "Dead-Letter-Subject"
	headerReason     = "Dead-Letter-Reason"
	headerDeliveries = "Dead-Letter-Deliveries"
	headerTime       = "Dead-Letter-Time"
	headerReplays    = "Dead-Letter-Replays"
	headerLost       = "Dead-Letter-Payload-Lost"
	headerID         = "Dead-Letter-Id"
	headerPrefix     = "Dead-Letter-"
)

// Letter is a message that a consumer has given up.
type Letter struct {
	ID          uint64    `json:"id" required:"true" doc:"its sequence in the stream DLQ"`
	Stream      string    `json:"stream" required:"true" doc:"that had the message"`
	Consumer    string    `json:"consumer" required:"true" doc:"that gave it up"`
	Seq         uint64    `json:"seq" required:"true" doc:"of the message in its stream"`
	Subject     string    `json:"subject" required:"true" doc:"of the message"`
	Reason      string    `json:"reason" required:"true" doc:"why it was given up"`
	Deliveries  uint64    `json:"deliveries" required:"true" doc:"how often it came"`
	Replays     int       `json:"replays" required:"true" doc:"how often it was replayed before"`
	Died        time.Time `json:"died_at" required:"true" doc:"when it was given up"`
	Size        int       `json:"size" required:"true" doc:"bytes of the payload"`
	PayloadLost bool      `json:"payload_lost" required:"true" doc:"it was a work queue's, and gone before it could be fetched"`

	Header map[string][]string `json:"-"`
	Data   []byte              `json:"-"`
}

// apiTimeout bounds one request to JetStream.
const apiTimeout = 10 * time.Second

// Box is the letters. It is safe for concurrent use.
type Box struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// OpenBox connects, as long as ctx lasts. The Box is the caller's to close.
func OpenBox(ctx context.Context, h *broker.Handle) (*Box, error) {
	nc, err := h.ConnectClientsAs(ctx, broker.DeadLetters)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &Box{nc, js}, nil
}

// Close ends the connection.
func (b *Box) Close() { b.nc.Close() }

// notice is what is known of a message that was given up.
type notice struct {
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	Seq        uint64    `json:"stream_seq"`
	Deliveries uint64    `json:"deliveries"`
	Reason     string    `json:"reason"`
	Time       time.Time `json:"timestamp"`
}

// Bury makes a letter of a message, unless there is one already.
func (b *Box) Bury(ctx context.Context, stream, consumer string, seq, deliveries uint64, reason string) error {
	_, err := b.bury(ctx, notice{stream, consumer, seq, deliveries, reason, time.Now().UTC()})
	return messages.Explained("keeping a dead letter", err)
}

// bury reports whether it made a letter.
func (b *Box) bury(ctx context.Context, n notice) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if n.Stream == Stream || broker.IsInternal(n.Stream) {
		return false, nil // letters do not die
	}
	letter := nats.NewMsg("")
	source, err := b.js.Stream(ctx, n.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil // the message went with its stream
	}
	if err != nil {
		return false, fmt.Errorf("looking for the stream of a dead letter: %w", err)
	}
	prefix := fmt.Sprintf("dlq.%s.%s.%d.", n.Stream, n.Consumer, n.Seq)
	m, err := source.GetMsg(ctx, n.Seq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		if kept, err := b.has(ctx, prefix+"*"); kept || err != nil {
			return false, err
		}
		letter.Subject = prefix + "0"
		letter.Header.Set(headerLost, "true")
	case err != nil:
		return false, fmt.Errorf("fetching a dead letter: %w", err)
	default:
		letter.Subject = prefix + strconv.FormatInt(m.Time.UnixNano(), 36)
		letter.Data = m.Data
		inscribe(letter, m)
	}
	n.describe(letter)
	// The id keeps a notice from making another letter when the one that was written
	// before it, with a Term over HTTP, has been replayed or removed meanwhile.
	ack, err := b.js.PublishMsg(ctx, letter, jetstream.WithExpectStream(Stream), jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithMsgID(letter.Subject))
	if err != nil && !isThere(err) {
		return false, fmt.Errorf("writing a dead letter: %w", err)
	}
	made = err == nil && !ack.Duplicate
	if source.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy {
		// Nobody is given it again, and it would stay for ever.
		if err := source.DeleteMsg(ctx, n.Seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
			return made, fmt.Errorf("removing a dead letter from its queue: %w", err)
		}
	}
	return made, nil
}

// isThere reports whether a write was refused because its subject is taken.
func isThere(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func (b *Box) has(ctx context.Context, subject string) (bool, error) {
	s, err := b.js.Stream(ctx, Stream)
	if err != nil {
		return false, fmt.Errorf("looking for a dead letter: %w", err)
	}
	_, err = s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a dead letter: %w", err)
	}
	return true, nil
}

// inscribe copies the headers of a message to its letter.
func inscribe(letter *nats.Msg, m *jetstream.RawStreamMsg) {
	letter.Header.Set(headerSubject, m.Subject)
	for name, values := range m.Header {
		switch {
		case name == headerReplays || name == jetstream.MsgIDHeader:
			letter.Header["Dead-Letter-Had-"+name] = values
		case !strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, headerPrefix):
			letter.Header[name] = values
		}
	}
}

// describe writes what happened.
func (n notice) describe(letter *nats.Msg) {
	h := letter.Header
	h.Set(headerStream, n.Stream)
	h.Set(headerConsumer, n.Consumer)
	h.Set(headerSeq, strconv.FormatUint(n.Seq, 10))
	h.Set(headerDeliveries, strconv.FormatUint(n.Deliveries, 10))
	h.Set(headerTime, n.Time.UTC().Format(time.RFC3339Nano))
	h.Set(headerReason, plain(n.Reason))
}

// plain makes text fit for a header.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return text[:min(len(text), 1024)]
}

// read makes a Letter of a message of DLQ.
func read(m *jetstream.RawStreamMsg) Letter {
	h := m.Header
	number := func(name string) uint64 {
		n, _ := strconv.ParseUint(h.Get(name), 10, 64) // 0 where a stranger wrote it
		return n
	}
	replays, _ := strconv.Atoi(h.Get("Dead-Letter-Had-" + headerReplays))
	died, err := time.Parse(time.RFC3339Nano, h.Get(headerTime))
	if err != nil {
		died = m.Time
	}
	l := Letter{
		ID: m.Sequence, Stream: h.Get(headerStream), Consumer: h.Get(headerConsumer), Seq: number(headerSeq),
		Subject: h.Get(headerSubject), Reason: h.Get(headerReason), Deliveries: number(headerDeliveries), Replays: replays,
		Died: died, Size: len(m.Data), PayloadLost: h.Get(headerLost) != "", Header: map[string][]string{}, Data: m.Data,
	}
	for name, values := range h {
		if !strings.HasPrefix(name, headerPrefix) && !strings.HasPrefix(name, "Nats-") {
			l.Header[name] = values
		}
	}
	return l
}
