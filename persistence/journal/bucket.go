package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

// bucket opens a key-value bucket, and makes it if there is none. Unlike the
// library's own, it has no direct reads: a Get is answered by the leader, never
// by a follower that is behind.
func (j *Journal) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream := "KV_" + name
	s, err := copies.Known(ctx, j.js, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = j.js.CreateStream(ctx, jetstream.StreamConfig{
			Name:              stream,
			Subjects:          []string{"$KV." + name + ".>"},
			Storage:           jetstream.FileStorage,
			Discard:           jetstream.DiscardNew,
			MaxMsgsPerSubject: 1,
			MaxMsgs:           -1,
			MaxBytes:          -1,
			Replicas:          copies.Of(j.js, j.cfg.Replicas),
			DenyDelete:        true,
			AllowRollup:       true,
			AllowDirect:       false,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // made by another node meanwhile
			s, err = copies.Stream(ctx, j.js, stream)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", name, err)
	}
	if s.CachedInfo().Config.AllowDirect {
		return nil, fmt.Errorf("%w: bucket %s allows direct reads", ErrSettings, name)
	}
	kv, err := copies.Bucket(ctx, j.js, name)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", name, err)
	}
	return kv, nil
}

// isConflict says whether a compare-and-set lost: another writer was first, or
// an earlier attempt of our own whose answer was lost.
func isConflict(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return true
	}
	return false
}
