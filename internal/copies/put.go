package copies

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// headerOperation is what a marker of a key that was removed has
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md).
const (
	headerOperation = "KV-Operation"
	operationDelete = "DEL"
)

// errCodeInFlight is the server's answer to a message whose first copy it is still about to
// store (JSStreamDuplicateMessageConflict).
const errCodeInFlight jetstream.ErrorCode = 10158

// Put writes a value under a key of a bucket if the newest revision of the key is last, 0
// for one that is not there, and returns the new revision. What nobody answers is sent
// again until ctx ends, under the same id: it is written once, whichever copy arrives. Errors are those of [jetstream.KeyValue.Create] and [jetstream.KeyValue.Update].
func Put(ctx context.Context, js jetstream.JetStream, bucket, key string, value []byte, last uint64) (uint64, error) {
	revision, err := send(ctx, js, bucket, key, value, "", last)
	if last > 0 || !isWrongLast(err) {
		return revision, err
	}
	m := newest(ctx, js, bucket, key)
	if m == nil || m.Header.Get(headerOperation) == "" {
		return 0, fmt.Errorf("%w: %w", jetstream.ErrKeyExists, err)
	}
	return send(ctx, js, bucket, key, value, "", m.Sequence)
}

// Remove removes a key of a bucket if its newest revision is last, as Put writes.
func Remove(ctx context.Context, js jetstream.JetStream, bucket, key string, last uint64) error {
	_, err := send(ctx, js, bucket, key, nil, operationDelete, last)
	return err
}

// validKey are the names of keys that the library takes.
var validKey = regexp.MustCompile(`^[-/_=a-zA-Z0-9]([-/_=.a-zA-Z0-9]*[-/_=a-zA-Z0-9])?$`)

func send(ctx context.Context, js jetstream.JetStream, bucket, key string, value []byte, operation string, last uint64) (uint64, error) {
	if !validKey.MatchString(key) {
		return 0, jetstream.ErrInvalidKey
	}
	id := rand.Text()
	var sent atomic.Int32
	ack, err := answered(ctx, func(ctx context.Context) (*jetstream.PubAck, error) {
		m := &nats.Msg{Subject: "$KV." + bucket + "." + key, Header: nats.Header{}, Data: value}
		if operation != "" {
			m.Header.Set(headerOperation, operation)
		}
		sent.Add(1)
		return js.PublishMsg(ctx, m, jetstream.WithMsgID(id), jetstream.WithExpectLastSequencePerSubject(last), jetstream.WithRetryAttempts(0))
	})
	if sent.Load() > 1 && isWrongLast(err) { // a server that stands alone compares before it looks at the id
		if m := newest(ctx, js, bucket, key); m != nil && m.Header.Get(jetstream.MsgIDHeader) == id {
			return m.Sequence, nil
		}
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func isWrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// newest is the message of a key, which may be the marker of its removal; nil where there
// is none, or nobody says.
func newest(ctx context.Context, js jetstream.JetStream, bucket, key string) *jetstream.RawStreamMsg {
	m, err := answered(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		s, err := js.Stream(ctx, "KV_"+bucket)
		if err != nil {
			return nil, err
		}
		return s.GetLastMsgForSubject(ctx, "$KV."+bucket+"."+key)
	})
	if err != nil {
		return nil
	}
	return m
}
