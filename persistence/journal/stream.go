package journal

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

// Stream metadata, written when the journal is made.
const (
	metaID     = "marketprism.journal.id"
	metaShards = "marketprism.journal.shards"
	metaFormat = "marketprism.journal.format"

	// streamFormat changes when the layout of streams and subjects does.
	streamFormat = "1"
)

// StreamName is the JetStream stream of shard k.
func StreamName(k int) string { return "JOURNAL_" + strconv.Itoa(k) }

// Subject is where the recorders of shard k publish. A stream takes
// journal.<k>.>, and only recorders may publish there.
func Subject(k int) string { return "journal." + strconv.Itoa(k) + ".batch" }

func subjects(k int) string { return "journal." + strconv.Itoa(k) + ".>" }

func (j *Journal) streamConfig(k int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        StreamName(k),
		Description: "MarketPrism journal, shard " + strconv.Itoa(k),
		Subjects:    []string{subjects(k)},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    j.shardBytes(),
		MaxMsgs:     -1,
		MaxMsgSize:  MaxMessage,
		Replicas:    copies.Of(j.js, j.cfg.Replicas),
		// No message carries an id; the window cannot be switched off.
		Duplicates:  100 * time.Millisecond,
		AllowDirect: false, // a read must see what the leader acknowledged
		DenyDelete:  true,  // only Purge removes, and only from the front
		Metadata: map[string]string{
			metaID:     j.id,
			metaShards: strconv.Itoa(j.cfg.Shards),
			metaFormat: streamFormat,
		},
	}
}

func (j *Journal) shardBytes() int64 { return j.cfg.MaxBytes / int64(j.cfg.Shards) }

// check holds a stream against what the journal promises.
func (j *Journal) check(k int, info *jetstream.StreamInfo) error {
	c := &info.Config
	switch id, shards := c.Metadata[metaID], c.Metadata[metaShards]; {
	case id == "":
		return fmt.Errorf("%w: %s carries no journal id", ErrOtherJournal, c.Name)
	case c.Metadata[metaFormat] != streamFormat:
		return fmt.Errorf("%w: %s has stream format %q, this program reads %s", ErrVersion, c.Name, c.Metadata[metaFormat], streamFormat)
	case shards != strconv.Itoa(j.cfg.Shards):
		return fmt.Errorf("%w: it was made with %s, the configuration says %d", ErrShards, shards, j.cfg.Shards)
	case id != j.id:
		return fmt.Errorf("%w: %s has id %s, want %s", ErrOtherJournal, c.Name, id, j.id)
	}
	want := j.streamConfig(k)
	switch {
	case len(c.Subjects) != 1 || c.Subjects[0] != want.Subjects[0]:
		return fmt.Errorf("%w: %s takes %v, want %s", ErrSettings, c.Name, c.Subjects, want.Subjects[0])
	case c.Storage != want.Storage:
		return fmt.Errorf("%w: %s has %v storage, want file", ErrSettings, c.Name, c.Storage)
	case c.Retention != want.Retention || c.Discard != want.Discard:
		return fmt.Errorf("%w: %s has retention %v and discard %v, want limits and new", ErrSettings, c.Name, c.Retention, c.Discard)
	case c.MaxAge != 0 || c.MaxMsgs > 0 || c.MaxMsgsPerSubject > 0:
		return fmt.Errorf("%w: %s forgets by age or count", ErrSettings, c.Name)
	case c.PersistMode != want.PersistMode:
		return fmt.Errorf("%w: %s has persist mode %v, want %v", ErrSettings, c.Name, c.PersistMode, want.PersistMode)
	case c.AllowDirect:
		return fmt.Errorf("%w: %s allows direct reads", ErrSettings, c.Name)
	case c.MaxMsgSize > 0 && c.MaxMsgSize < MaxMessage:
		return fmt.Errorf("%w: %s takes messages of %d bytes, want %d", ErrSettings, c.Name, c.MaxMsgSize, MaxMessage)
	}
	return nil
}

// resize gives an existing stream the configured size and replicas. Below what
// it holds it just refuses until a purge: discard new removes nothing.
func (j *Journal) resize(ctx context.Context, info *jetstream.StreamInfo) error {
	c := info.Config
	replicas := copies.Of(j.js, j.cfg.Replicas)
	if c.MaxBytes == j.shardBytes() && c.Replicas == replicas {
		return nil
	}
	c.MaxBytes, c.Replicas = j.shardBytes(), replicas
	if _, err := j.js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("resizing stream %s to %d bytes, %d replicas: %w", c.Name, c.MaxBytes, c.Replicas, err)
	}
	return nil
}
