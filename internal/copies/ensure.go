package copies

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Ensure makes a stream, or brings what it is in line with what is wanted; several nodes
// may do so at once. A stream that is as it is wanted is not updated: an update that
// comes while a stream of several replicas is being made is never answered
// (nats-server v2.15.2), and neither is the request that makes it. Errors are those of
// the broker.
func Ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	found, err := Known(ctx, js, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, want)
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
		found, err = Stream(ctx, js, want.Name) // another node makes it at this moment, as it wants it
	}
	if err != nil {
		return err
	}
	if Same(found.CachedInfo().Config, want) {
		return nil
	}
	_, err = js.UpdateStream(ctx, want)
	return err
}

// Same reports whether a stream that the server describes is as it is wanted, but for
// what the server fills in where nothing is wanted.
func Same(found, want jetstream.StreamConfig) bool {
	for _, c := range []*jetstream.StreamConfig{&found, &want} {
		c.MaxMsgs, c.MaxBytes, c.MaxMsgsPerSubject = max(c.MaxMsgs, 0), max(c.MaxBytes, 0), max(c.MaxMsgsPerSubject, 0)
		c.MaxMsgSize, c.MaxConsumers = max(c.MaxMsgSize, 0), max(c.MaxConsumers, 0)
		c.Replicas = max(c.Replicas, 1)
		own := maps.Clone(c.Metadata)
		maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, "_nats.") })
		if len(own) == 0 {
			own = nil
		}
		c.Metadata = own
	}
	if want.Duplicates == 0 {
		found.Duplicates = 0
	}
	if want.FirstSeq == 0 {
		found.FirstSeq = 0
	}
	return reflect.DeepEqual(found, want)
}
