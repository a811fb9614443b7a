package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/event"
)

// Headers by which messages become a batch that is stored as a whole, under one sync
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
const (
	headerBatch    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// errNotBatched: the server stores no batches, or not this one.
var errNotBatched = errors.New("the events are not taken as a batch")

// encoded is an event as it is published. Its id is the message's: a stream takes it
// once.
func encoded(e event.Event) (*nats.Msg, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	m := nats.NewMsg(e.Topic)
	m.Data = text
	m.Header.Set("Content-Type", event.MediaType)
	m.Header.Set(jetstream.MsgIDHeader, e.ID)
	return m, nil
}

// publishBatch publishes events as one batch: all are stored, in order, or none. Error:
// errNotBatched, after which each is to be published by itself.
func publishBatch(ctx context.Context, nc *nats.Conn, events []event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	id := rand.Text()
	for i, e := range events {
		m, err := encoded(e)
		if err != nil {
			return err
		}
		m.Header.Set(headerBatch, id)
		m.Header.Set(headerSequence, strconv.Itoa(i+1))
		if i < len(events)-1 {
			if err := nc.PublishMsg(m); err != nil {
				return fmt.Errorf("publishing events: %w", err)
			}
			continue
		}
		m.Header.Set(headerCommit, "1")
		answer, err := nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return fmt.Errorf("publishing events: %w", err)
		}
		return judge(answer.Data, id)
	}
	return nil
}

// judge reads the answer to a batch.
func judge(answer []byte, id string) error {
	var a struct {
		Error *jetstream.APIError `json:"error"`
		Batch string              `json:"batch"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return fmt.Errorf("publishing events: %w", err)
	}
	switch {
	case a.Error != nil && a.Error.Code < 500: // the stream takes none, others have begun too many, or it has one of the events already
		return fmt.Errorf("%w: %w", errNotBatched, a.Error)
	case a.Error != nil:
		return fmt.Errorf("publishing events: %w", a.Error)
	case a.Batch != id: // a server that knows none has stored what it understood
		return errNotBatched
	}
	return nil
}

// publishEach publishes events one by one. It returns how many were, from the first on.
func publishEach(ctx context.Context, js jetstream.JetStream, events []event.Event) (int, error) {
	for i, e := range events {
		if err := publish(ctx, js, e); err != nil {
			return i, err
		}
	}
	return len(events), nil
}

func publish(ctx context.Context, js jetstream.JetStream, e event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	m, err := encoded(e)
	if err != nil {
		return err
	}
	if _, err := js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("publishing an event: %w", err)
	}
	return nil
}
