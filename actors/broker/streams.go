package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/copies"
)

// apiTimeout bounds one request to JetStream. In a cluster nobody answers while a stream
// has no leader; there each is tried again after clusterTimeout.
const (
	apiTimeout     = 10 * time.Second
	clusterTimeout = 3 * time.Second
)

// ensureStreams makes the configured streams, and brings what can change of
// existing ones in line. Retention and storage cannot change: a stream that
// differs in them is left as it is, and logged.
func ensureStreams(ctx context.Context, js jetstream.JetStream, streams []StreamConfig, within time.Duration, log *zap.Logger) error {
	for _, s := range streams {
		if err := ensureStream(ctx, js, s, within, log); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return nil
}

func ensureStream(ctx context.Context, js jetstream.JetStream, s StreamConfig, within time.Duration, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	existing, err := js.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = js.CreateStream(ctx, s.JetStream(js)); err != nil {
			return fmt.Errorf("making it: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for it: %w", err)
	}
	cfg := existing.CachedInfo().Config
	if cfg.Retention != s.retention() || cfg.Storage != s.storage() {
		log.Warn("stream exists with another retention or storage and is left as it is", zap.String("stream", s.Name))
		return nil
	}
	want := s.apply(js, cfg)
	if copies.Same(cfg, want) {
		return nil // an update that is not needed may wait for ever: see copies.Ensure
	}
	if _, err := js.UpdateStream(ctx, want); err != nil {
		return fmt.Errorf("updating it: %w", err)
	}
	return nil
}

// dropLeftovers removes the configured streams from the program's account, where
// they stood before clients had one of their own. One that holds messages stays.
func dropLeftovers(ctx context.Context, js jetstream.JetStream, streams []StreamConfig, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for _, s := range streams {
		left, err := js.Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for stream %s in the program's account: %w", s.Name, err)
		}
		if n := left.CachedInfo().State.Msgs; n > 0 {
			log.Warn("stream stands in the program's account and holds messages, which clients cannot reach", zap.String("stream", s.Name), zap.Uint64("messages", n))
			continue
		}
		if err := js.DeleteStream(ctx, s.Name); err != nil {
			return fmt.Errorf("removing stream %s from the program's account: %w", s.Name, err)
		}
	}
	return nil
}

// JetStream is the configuration of a new stream at the server behind js.
func (s StreamConfig) JetStream(js jetstream.JetStream) jetstream.StreamConfig {
	return s.apply(js, jetstream.StreamConfig{Name: s.Name, Retention: s.retention(), Storage: s.storage()})
}

// apply sets what can change.
func (s StreamConfig) apply(js jetstream.JetStream, c jetstream.StreamConfig) jetstream.StreamConfig {
	c.Subjects = s.Subjects
	c.MaxBytes = s.MaxBytes
	c.MaxAge = s.MaxAge
	c.Replicas = copies.Of(js, s.Replicas)
	c.AllowAtomicPublish = slices.ContainsFunc(s.Subjects, isOfEvents)
	c.Discard = jetstream.DiscardOld
	if s.Discard == "new" {
		c.Discard = jetstream.DiscardNew
	}
	return c
}

// isOfEvents says whether a subject is one of the program's events, which it publishes in
// batches: many under one sync.
func isOfEvents(subject string) bool { return strings.HasPrefix(subject, "system.") }

func (s StreamConfig) retention() jetstream.RetentionPolicy {
	switch s.Retention {
	case "workqueue":
		return jetstream.WorkQueuePolicy
	case "interest":
		return jetstream.InterestPolicy
	}
	return jetstream.LimitsPolicy
}

func (s StreamConfig) storage() jetstream.StorageType {
	if s.Storage == "memory" {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}
