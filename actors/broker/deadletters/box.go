package deadletters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

// Filter narrows letters; "" is all.
type Filter struct{ Stream, Consumer string }

// subject is the filter as one of DLQ.
func (f Filter) subject() (string, error) {
	for field, name := range map[string]string{"stream": f.Stream, "consumer": f.Consumer} {
		if name == "" {
			continue
		}
		if err := broker.CheckName(name); err != nil {
			return "", messages.Subject(field, err)
		}
	}
	star := func(name string) string {
		if name == "" {
			return "*"
		}
		return name
	}
	return "dlq." + star(f.Stream) + "." + star(f.Consumer) + ".>", nil
}

// List returns letters behind an id, oldest first, at most limit, and whether there
// are more.
func (b *Box) List(ctx context.Context, f Filter, after uint64, limit int) (letters []Letter, more bool, err error) {
	subject, err := f.subject()
	if err != nil {
		return nil, false, err
	}
	letters = []Letter{}
	err = b.within(ctx, "listing dead letters", func(ctx context.Context, s jetstream.Stream) error {
		for next := after + 1; ; {
			m, err := s.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			if len(letters) == limit {
				more = true
				return nil
			}
			letters = append(letters, read(m))
			next = m.Sequence + 1
		}
	})
	return letters, more, err
}

// Count is how many letters there are.
func (b *Box) Count(ctx context.Context) (uint64, error) {
	var n uint64
	err := b.within(ctx, "counting dead letters", func(_ context.Context, s jetstream.Stream) error {
		n = s.CachedInfo().State.Msgs
		return nil
	})
	return n, err
}

// Get returns one letter.
func (b *Box) Get(ctx context.Context, id uint64) (Letter, error) {
	var l Letter
	err := b.within(ctx, "reading a dead letter", func(ctx context.Context, s jetstream.Stream) error {
		m, err := letter(ctx, s, id)
		if err == nil {
			l = read(m)
		}
		return err
	})
	return l, err
}

func letter(ctx context.Context, s jetstream.Stream, id uint64) (*jetstream.RawStreamMsg, error) {
	m, err := s.GetMsg(ctx, id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, messages.Refuse(messages.Unknown, "id", "there is no dead letter %d", id)
	}
	return m, err
}

// Replay publishes the message of a letter again, where it was, with the reason in
// its headers, and removes the letter.
func (b *Box) Replay(ctx context.Context, id uint64) (messages.Receipt, error) {
	var receipt messages.Receipt
	err := b.within(ctx, "replaying dead letter "+strconv.FormatUint(id, 10), func(ctx context.Context, s jetstream.Stream) error {
		raw, err := letter(ctx, s, id)
		if err != nil {
			return err
		}
		l := read(raw)
		switch {
		case l.PayloadLost:
			return messages.Refuse(messages.Conflict, "id", "the payload of dead letter %d is lost: it was terminated in a work queue", id)
		case l.Subject == "":
			return messages.Refuse(messages.Conflict, "id", "message %d of %s is no dead letter", id, Stream)
		}
		m := &nats.Msg{Subject: l.Subject, Data: l.Data, Header: nats.Header(l.Header)}
		m.Header.Set(headerReason, l.Reason)
		m.Header.Set(headerID, strconv.FormatUint(id, 10))
		m.Header.Set(headerReplays, strconv.Itoa(l.Replays+1))
		// A replay that is asked for again after a crash is not stored again, for as long
		// as the stream looks back.
		own := fmt.Sprintf("dead-letter-%d-%d", s.CachedInfo().Created.Unix(), id)
		ack, err := b.js.PublishMsg(ctx, m, jetstream.WithMsgID(own), jetstream.WithRetryAttempts(0))
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			return messages.Refuse(messages.Conflict, "id", "no stream takes %s any more", l.Subject)
		}
		if err != nil {
			return err
		}
		receipt = messages.Receipt{Stream: ack.Stream, Seq: ack.Sequence, Duplicate: ack.Duplicate}
		return remove(ctx, s, id)
	})
	return receipt, err
}

// Remove takes a letter away.
func (b *Box) Remove(ctx context.Context, id uint64) error {
	return b.within(ctx, "removing a dead letter", func(ctx context.Context, s jetstream.Stream) error {
		if _, err := letter(ctx, s, id); err != nil {
			return err
		}
		return remove(ctx, s, id)
	})
}

func remove(ctx context.Context, s jetstream.Stream, id uint64) error {
	err := s.DeleteMsg(ctx, id)
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return nil // somebody else has
	}
	return err
}

// Purge removes all letters of a filter, and returns how many there were.
func (b *Box) Purge(ctx context.Context, f Filter) (uint64, error) {
	subject, err := f.subject()
	if err != nil {
		return 0, err
	}
	var removed uint64
	err = b.within(ctx, "purging dead letters", func(ctx context.Context, s jetstream.Stream) error {
		before := s.CachedInfo().State.Msgs
		if err := s.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return err
		}
		after, err := s.Info(ctx)
		if err == nil && after.State.Msgs < before {
			removed = before - after.State.Msgs
		}
		return err
	})
	return removed, err
}

// within runs fn with the stream of letters.
func (b *Box) within(ctx context.Context, doing string, fn func(ctx context.Context, s jetstream.Stream) error) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := b.js.Stream(ctx, Stream)
	if err == nil {
		err = fn(ctx, s)
	}
	return messages.Explained(doing, err)
}

// Task is the id of the task that a letter's message is of, "" when it is of none.
func (l Letter) Task() string { return strings.Join(l.Header["Task-Id"], "") }
