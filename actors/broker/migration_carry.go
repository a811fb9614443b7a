package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of a stream on its way: size of a piece, how many bytes are under way, and how
// long one answer may take; the server looks through the whole stream before the first.
const (
	pieceBytes  = 512 << 10
	windowBytes = 4 << 20
	pieceWithin = time.Minute
	checkWithin = 30 * time.Minute
)

// carry moves a stream with its consumers from one server to another, by the server's own
// snapshot: sequences, times, headers and what consumers have had stay as they are
// (https://docs.nats.io/running-a-nats-service/nats_admin/jetstream_admin/disaster_recovery).
// What arrived is compared with what there was. Error: ErrCarried.
func carry(ctx context.Context, from, to *accountLink, s CarriedStream, progress func(bytes uint64)) error {
	pieces := make(chan *nats.Msg, 2*windowBytes/pieceBytes)
	inbox := nats.NewInbox()
	sub, err := from.nc.ChanSubscribe(inbox, pieces)
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed soon
	var taken server.JSApiStreamSnapshotResponse
	err = apiRequest(ctx, from.nc, fmt.Sprintf(server.JSApiStreamSnapshotT, s.Name), server.JSApiStreamSnapshotRequest{
		DeliverSubject: inbox, CheckMsgs: true, ChunkSize: pieceBytes, WindowSize: windowBytes,
	}, checkWithin, &taken)
	if err == nil && taken.Error != nil {
		err = taken.Error
	}
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	var ready server.JSApiStreamRestoreResponse
	err = apiRequest(ctx, to.nc, fmt.Sprintf(server.JSApiStreamRestoreT, s.Name), server.JSApiStreamRestoreRequest{Config: *taken.Config, State: *taken.State}, pieceWithin, &ready)
	if err == nil && ready.Error != nil {
		err = ready.Error
	}
	if err != nil {
		return fmt.Errorf("beginning it anew: %w", err)
	}
	if err := pump(ctx, pieces, to.nc, ready.DeliverSubject, progress); err != nil {
		return err
	}
	return compare(ctx, from, to, s)
}

// pump hands on one piece after the other, and then the end.
func pump(ctx context.Context, pieces <-chan *nats.Msg, to *nats.Conn, subject string, progress func(bytes uint64)) error {
	var sent uint64
	for {
		var m *nats.Msg
		select {
		case m = <-pieces:
		case <-ctx.Done():
			return fmt.Errorf("reading it: %w", ctx.Err())
		case <-time.After(pieceWithin):
			return errors.New("reading it: the server has stopped sending")
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return fmt.Errorf("reading it: %s %s", status, m.Header.Get("Description"))
			}
			return sendEnd(ctx, to, subject)
		}
		answer, err := request(ctx, to, subject, m.Data, pieceWithin)
		if err != nil {
			return fmt.Errorf("writing it: %w", err)
		}
		if len(answer) > 0 {
			return fmt.Errorf("writing it: %w", problemOf(answer))
		}
		if m.Reply != "" { // the last piece has none
			if err := m.Respond(nil); err != nil {
				return fmt.Errorf("reading it: %w", err)
			}
		}
		sent += uint64(len(m.Data))
		progress(sent)
	}
}

// sendEnd ends a restoration: the server then opens the stream and answers what it is.
func sendEnd(ctx context.Context, to *nats.Conn, subject string) error {
	answer, err := request(ctx, to, subject, nil, checkWithin)
	if err == nil {
		err = problemOf(answer)
	}
	if err != nil {
		return fmt.Errorf("opening it anew: %w", err)
	}
	return nil
}

// problemOf is the error in an answer of the server; nil when there is none.
func problemOf(answer []byte) error {
	var r server.ApiResponse
	if err := json.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if r.Error != nil {
		return r.Error
	}
	return nil
}

func request(ctx context.Context, nc *nats.Conn, subject string, data []byte, within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func apiRequest(ctx context.Context, nc *nats.Conn, subject string, ask any, within time.Duration, into any) error {
	text, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	answer, err := request(ctx, nc, subject, text, within)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// compare waits until the consumers of a stream that arrived are known to the cluster, and
// looks whether stream and consumers are as they were.
func compare(ctx context.Context, from, to *accountLink, s CarriedStream) error {
	was, err := stateOf(ctx, from.js, s.Name)
	if err != nil {
		return err
	}
	is, err := stateOf(ctx, to.js, s.Name)
	if err != nil {
		return err
	}
	// What is too old goes by itself, here or there first.
	aged := is.Config.MaxAge > 0 || is.Config.AllowMsgTTL
	empty := is.State.Msgs == 0 && was.State.Msgs == 0 // where one begins is then said in several ways
	same := is.State.LastSeq == was.State.LastSeq && (aged || empty ||
		is.State.FirstSeq == was.State.FirstSeq && is.State.Msgs == was.State.Msgs && is.State.Bytes == was.State.Bytes)
	if !same {
		return fmt.Errorf("%w: it has %d messages of %d bytes, %d to %d, and had %d of %d, %d to %d", ErrCarried,
			is.State.Msgs, is.State.Bytes, is.State.FirstSeq, is.State.LastSeq, was.State.Msgs, was.State.Bytes, was.State.FirstSeq, was.State.LastSeq)
	}
	if err := awaitConsumers(ctx, to.js, s); err != nil {
		return err
	}
	for _, name := range s.Consumers {
		if err := compareConsumer(ctx, from.js, to.js, s.Name, name); err != nil {
			return fmt.Errorf("consumer %s: %w", name, err)
		}
	}
	return nil
}

func stateOf(ctx context.Context, js jetstream.JetStream, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("looking at it: %w", err)
	}
	return s.CachedInfo(), nil
}

// awaitConsumers waits until the group knows of the consumers: the server tells it of them
// after it has opened the stream (v2.15.2, requestConsumerAssignment).
func awaitConsumers(ctx context.Context, js jetstream.JetStream, s CarriedStream) error {
	ctx, cancel := context.WithTimeout(ctx, pieceWithin)
	defer cancel()
	poll := time.NewTicker(peerPoll)
	defer poll.Stop()
	for {
		have, err := durables(ctx, js, s.Name)
		if err == nil && slices.Equal(have, s.Consumers) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: it has consumers %v, and had %v (%w)", ErrCarried, have, s.Consumers, errors.Join(err, ctx.Err()))
		case <-poll.C:
		}
	}
}

func compareConsumer(ctx context.Context, from, to jetstream.JetStream, stream, name string) error {
	was, err := consumerOf(ctx, from, stream, name)
	if err != nil {
		return err
	}
	is, err := consumerOf(ctx, to, stream, name)
	if err != nil {
		return err
	}
	if is.Delivered.Consumer != was.Delivered.Consumer || is.Delivered.Stream != was.Delivered.Stream ||
		is.AckFloor.Consumer != was.AckFloor.Consumer || is.AckFloor.Stream != was.AckFloor.Stream || is.NumAckPending != was.NumAckPending {
		return fmt.Errorf("%w: it has delivered %d, had %d acknowledged and waits for %d; before %d, %d and %d", ErrCarried,
			is.Delivered.Stream, is.AckFloor.Stream, is.NumAckPending, was.Delivered.Stream, was.AckFloor.Stream, was.NumAckPending)
	}
	return nil
}

func consumerOf(ctx context.Context, js jetstream.JetStream, stream, name string) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	c, err := js.Consumer(ctx, stream, name)
	if err != nil {
		return nil, fmt.Errorf("looking at it: %w", err)
	}
	return c.CachedInfo(), nil
}
