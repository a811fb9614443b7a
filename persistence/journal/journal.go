package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/internal/copies"
)

// Time that one request to the broker's API may take.
const apiTimeout = 5 * time.Second

// Journal is an open journal: the entrance to its recorders, readers, purge,
// registrations and epoch. It is immutable and safe for concurrent use; it
// holds no resource beyond the connection, which belongs to the caller.
type Journal struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	cfg     Config
	id      string
	metrics *Metrics
}

// Open opens the journal on the broker behind nc, and makes it if there is
// none. nc should not buffer while it is disconnected (nats.ReconnectBufSize(-1)):
// a batch that leaves late is only a repeat, but a useless one.
//
// A journal that exists must have cfg.Shards shards (ErrShards), all of its
// streams with one id (ErrMissing, ErrOtherJournal) and settings that keep its
// promise (ErrSettings). max_bytes and replicas of existing streams follow cfg.
func Open(ctx context.Context, nc *nats.Conn, cfg Config, m *Metrics) (*Journal, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("journal configuration: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	j := &Journal{nc: nc, js: js, cfg: cfg, metrics: m}
	first, err := j.lookup(ctx, 0)
	switch {
	case err == nil:
		if err := j.adopt(ctx, first); err != nil {
			return nil, fmt.Errorf("opening the journal: %w", err)
		}
	case errors.Is(err, ErrMissing):
		if err := j.create(ctx); err != nil {
			return nil, fmt.Errorf("making the journal: %w", err)
		}
	default:
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return j, nil
}

// ID is the journal's id, 32 hexadecimal digits, made once.
func (j *Journal) ID() string { return j.id }

// Shards is K.
func (j *Journal) Shards() int { return j.cfg.Shards }

// Config is the configuration that the journal was opened with.
func (j *Journal) Config() Config { return j.cfg }

// adopt checks an existing journal, whose shard 0 is first, and brings the
// changeable settings of its streams in line.
func (j *Journal) adopt(ctx context.Context, first *jetstream.StreamInfo) error {
	j.id = first.Config.Metadata[metaID]
	for k := range j.cfg.Shards {
		info := first
		if k > 0 {
			var err error
			if info, err = j.lookup(ctx, k); err != nil {
				return fmt.Errorf("shard %d of journal %s: %w", k, j.id, err)
			}
		}
		if err := j.check(k, info); err != nil {
			return err
		}
		if err := j.resize(ctx, info); err != nil {
			return err
		}
	}
	return nil
}

// create makes the streams, shard 0 last: where shard 0 exists, the journal is
// complete. Streams of an interrupted creation are taken over if they are empty.
func (j *Journal) create(ctx context.Context) error {
	j.id = newJournalID()
	for k := j.cfg.Shards - 1; k >= 0; k-- {
		info, err := j.lookup(ctx, k)
		if errors.Is(err, ErrMissing) {
			info, err = j.createStream(ctx, k)
		}
		if err != nil {
			return err
		}
		// Another node may be making the same journal: the one that made the
		// highest shard gave it its id.
		if k == j.cfg.Shards-1 {
			j.id = info.Config.Metadata[metaID]
		}
		if err := j.check(k, info); err != nil {
			return err
		}
		if k > 0 && info.State.LastSeq > 0 && !j.exists(ctx, 0) {
			return fmt.Errorf("%w: %s holds data, but %s is gone", ErrMissing, StreamName(k), StreamName(0))
		}
	}
	return nil
}

func (j *Journal) createStream(ctx context.Context, k int) (*jetstream.StreamInfo, error) {
	s, err := j.js.CreateStream(ctx, j.streamConfig(k))
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // made by another node meanwhile
		return j.lookup(ctx, k)
	}
	if err != nil {
		return nil, fmt.Errorf("making stream %s: %w", StreamName(k), err)
	}
	return s.CachedInfo(), nil
}

func (j *Journal) exists(ctx context.Context, k int) bool {
	_, err := j.lookup(ctx, k)
	return err == nil
}

// lookup asks the broker for shard k's stream. Error: ErrMissing.
func (j *Journal) lookup(ctx context.Context, k int) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := copies.Known(ctx, j.js, StreamName(k))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrMissing, StreamName(k))
	}
	if err != nil {
		return nil, fmt.Errorf("asking for stream %s: %w", StreamName(k), err)
	}
	return s.CachedInfo(), nil
}

// State is what one shard holds.
type State struct {
	// First and Last are stream sequences; an empty shard has First = Last + 1.
	First, Last uint64
	// Messages and Bytes are those stored now.
	Messages, Bytes uint64
	// MaxBytes is the shard's limit.
	MaxBytes int64
	// Replicas is how many nodes hold it, as it is meant to be.
	Replicas int
}

// State asks the broker what shard k holds. Errors: ErrMissing,
// ErrOtherJournal, ErrShards, ErrSettings; ErrUnavailable while who answers does not
// hear a majority of the nodes that hold it.
func (j *Journal) State(ctx context.Context, k int) (State, error) {
	info, err := j.lookup(ctx, k)
	if err != nil {
		return State{}, err
	}
	if err := j.check(k, info); err != nil {
		return State{}, err
	}
	if err := heard(info); err != nil {
		return State{}, err
	}
	s := State{
		First: info.State.FirstSeq, Last: info.State.LastSeq,
		Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes, Replicas: info.Config.Replicas,
	}
	if s.Messages == 0 {
		s.First = s.Last + 1
	}
	j.metrics.observeState(k, s)
	return s, nil
}

// Cut is how many bytes of shard k's files the broker found unreadable when it
// started, and cut off, together with what followed them: a batch that was being
// written when the machine stopped, or damage. The broker does not say which, and
// forgets it when it starts again. Error: ErrMissing.
func (j *Journal) Cut(ctx context.Context, k int) (bytes uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := copies.Known(ctx, j.js, StreamName(k))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, fmt.Errorf("%w: %s", ErrMissing, StreamName(k))
	}
	if err != nil {
		return 0, fmt.Errorf("asking for stream %s: %w", StreamName(k), err)
	}
	// What is lost is among the details of what was deleted; nothing is.
	info, err := s.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return 0, fmt.Errorf("asking for the details of stream %s: %w", StreamName(k), err)
	}
	if info.State.Lost == nil {
		return 0, nil
	}
	return info.State.Lost.Bytes, nil
}

func newJournalID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
