package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

// Options of the branch.
type Options struct {
	Config Config
	// Shards is the journal's number of shards.
	Shards int
	// Open returns the open journal; see [Opener]. It may block, and is called
	// again after an error.
	Open func(ctx context.Context) (*wal.Journal, error)
	// Verify says whether a shard of the journal is the one that the store reads: an
	// error that matches persistence.ErrForeign when it is not, another one when that
	// cannot be said now. nil: it is. It is asked before the first record, every few
	// seconds, and before a refusal ends.
	Verify func(ctx context.Context, j *wal.Journal, shard int) error
	// Guard refuses before the broker's disk is full; the zero value guards nothing.
	Guard wal.DiskGuard
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer
}

// Handle is how the rest of the program records. It outlives the actors, and is
// safe for concurrent use.
type Handle struct {
	options Options
	metrics *metrics
	shards  []*shard
}

// New makes the handle of recorders that start with [Handle.Spec].
func New(o Options) (*Handle, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("recorder configuration: %w", err)
	}
	if o.Shards < 1 || o.Shards > wal.MaxShards {
		return nil, fmt.Errorf("recorders of %d shards, allowed 1 to %d", o.Shards, wal.MaxShards)
	}
	if o.Open == nil {
		return nil, errors.New("recorders without a journal")
	}
	h := &Handle{options: o}
	for k := range o.Shards {
		h.shards = append(h.shards, newShard(k, o.Config))
	}
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("recorder metrics: %w", err)
	}
	for _, s := range h.shards {
		s.metrics = h.metrics.shard(s.index)
	}
	return h, nil
}

// Spec is the branch "journal", with the actors recorder/<shard>. It is ready when
// every recorder has opened the journal.
func (h *Handle) Spec() supervise.Spec {
	recorders := make([]supervise.Spec, 0, len(h.shards))
	for _, s := range h.shards {
		recorders = append(recorders, supervise.Spec{
			Name:            strconv.Itoa(s.index),
			Kind:            "recorder",
			New:             func() supervise.Actor { return newRecorder(s, h.options) },
			AwaitReady:      true,
			StartTimeout:    2 * time.Minute,
			ShutdownTimeout: h.options.Config.FlushTimeout,
			Mailbox:         supervise.Mailbox{Capacity: 64}, // wake-ups never pile up, requests may
		})
	}
	return supervise.Branch("journal", supervise.DefaultStrategy(),
		supervise.Branch("recorder", supervise.DefaultStrategy(), recorders...))
}

// Shards is the journal's number of shards.
func (h *Handle) Shards() int { return len(h.shards) }

// Recorder is the way into one shard; it panics on a shard that does not exist.
// Beside what persistence.Recorder says, Record refuses records that no store could
// hold (an error that matches persistence.ErrRecord), and entries larger than all
// the credit there is (persistence.ErrTooLarge).
func (h *Handle) Recorder(shard int) persistence.Recorder { return h.shards[shard] }

// For is the recorder of a collected market-data stream. External records go to
// Recorder(0), whatever their stream.
func (h *Handle) For(id market.StreamID) persistence.Recorder {
	return h.shards[wal.Shard(id.Exchange, id.Market.String(), id.Symbol, len(h.shards))]
}

// Refusing says why a shard's recorder does not take entries; nil when it does.
func (h *Handle) Refusing(shard int) error { return h.shards[shard].refusal() }

// Status describes every recorder. Errors: those of supervise.Ask.
func (h *Handle) Status(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(h.shards))
	for _, s := range h.shards {
		r := s.ref.Load()
		if r == nil {
			return nil, supervise.ErrStopped
		}
		st, err := supervise.Ask[Status](ctx, r.system, r.pid, statusRequest{})
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

// Status is where one recorder is.
type Status struct {
	Shard        int       `json:"shard" doc:"its number, from 0"`
	State        string    `json:"state" doc:"opening, accepting, refusing or draining"`
	Reason       string    `json:"reason,omitempty" doc:"why it refuses; absent when it does not"`
	Incarnation  string    `json:"incarnation" doc:"identity under which it writes, 32 hex digits; empty while it cannot say"`
	Batches      uint64    `json:"batches" doc:"that it has written under it"`
	Entries      int       `json:"entries" doc:"that wait for their outcome"`
	Bytes        int64     `json:"bytes" doc:"of memory that these take"`
	Limit        int64     `json:"limit_bytes" doc:"of memory that these may take"`
	Seq          uint64    `json:"seq" doc:"position in the journal of the last acknowledged batch"`
	Acknowledged time.Time `json:"acknowledged" doc:"when that was; 0001-01-01T00:00:00Z before the first"`
	NoCredit     uint64    `json:"no_credit_total" doc:"entries refused because the memory was used up"`
}
