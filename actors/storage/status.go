package storage

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// Status is how far the store is, and what ails it.
type Status struct {
	Shards []ShardStatus `json:"shards" doc:"by number"`
	// Failures and Warnings are those of Health.
	Failures    []string                  `json:"failures" doc:"why the store is unhealthy"`
	Warnings    []string                  `json:"warnings" doc:"why the store is degraded"`
	Leases      int                       `json:"leases" doc:"queries that have their rows open"`
	MaxLeases   int                       `json:"max_leases" doc:"most queries that may have"`
	Maintained  time.Time                 `json:"maintained" doc:"when maintenance ran last; 0001-01-01T00:00:00Z before the first time"`
	Quarantined []persistence.Quarantined `json:"quarantined" doc:"files that were found damaged and moved aside"`
	Archiving   Archiving                 `json:"archiving" doc:"how rows move to the cold store"`
	Writable    bool                      `json:"writable" doc:"whether this node takes writes now"`
}

// Archiving is how rows move to the cold store, and how that is.
type Archiving struct {
	Cold       persistence.ColdStats `json:"cold" doc:"what is archived"`
	Automatic  bool                  `json:"automatic" doc:"whether rows are archived by themselves"`
	Interval   float64               `json:"interval_seconds" doc:"how often they are"`
	After      float64               `json:"after_seconds" doc:"at which age they are, counted from when they arrived"`
	Lag        float64               `json:"lag_seconds" doc:"how long ago the oldest row arrived that is not archived; 0 where rows are not archived by themselves"`
	Waiting    int64                 `json:"waiting_rows" doc:"rows that are not archived"`
	HotTTL     float64               `json:"hot_ttl_seconds" doc:"how long the hot store keeps rows"`
	HotLimit   int64                 `json:"hot_limit_bytes" doc:"what the hot store may take; 0 is no limit"`
	ColdTTL    float64               `json:"cold_ttl_seconds" doc:"how long the cold store keeps rows; 0 is for ever"`
	Operations []Operation           `json:"operations" doc:"the last 20, newest first"`
}

// operationsShown is how many operations a status has.
const operationsShown = 20

func (h *Handle) archiving() Archiving {
	p := h.Policy()
	a := Archiving{
		Cold: h.ColdStats(), Automatic: p.Lifecycle.Archive && h.options.Tiers != nil, Interval: p.interval().Seconds(), After: p.archiveAfter().Seconds(),
		Lag: h.Lag().Seconds(), HotTTL: p.ttl().Seconds(), HotLimit: p.sizeLimit(), ColdTTL: float64(p.ColdTTLDays) * 24 * 3600,
		Operations: h.Operations(),
	}
	a.Operations = a.Operations[:min(len(a.Operations), operationsShown)]
	if h.options.Tiers != nil {
		a.Waiting, _ = h.options.Tiers.Behind()
	}
	return a
}

// ShardStatus is how far one shard is.
type ShardStatus struct {
	Shard       int            `json:"shard" doc:"its number, from 0"`
	State       string         `json:"state" doc:"opening, copying (from another node), standby (another has the turn), reading, draining, faulted or stopped"`
	Fault       string         `json:"fault,omitempty" doc:"why reading has stopped; absent while it has not"`
	Turn        string         `json:"turn_of,omitempty" doc:"the node that brings the shard into a store that several share; absent where it is this one"`
	Copying     *CopyStatus    `json:"copying,omitempty" doc:"what the journal has forgotten, and how far it is copied from another node; absent when nothing has to be"`
	Applied     uint64         `json:"applied" doc:"position of the journal up to which queries see everything"`
	Position    uint64         `json:"position" doc:"position up to which that is durable"`
	Registered  uint64         `json:"registered" doc:"position that the journal knows of, and may be purged to"`
	Last        Read           `json:"last" doc:"the last message that was applied since the start"`
	PublishedTo uint64         `json:"published_to" doc:"position up to which the records are where they belong; position may follow later"`
	Behind      float64        `json:"behind_seconds" doc:"age of the oldest records that are due to be published; 0 when there are none"`
	Age         *float64       `json:"age_seconds,omitempty" doc:"how long ago the journal had no more than queries see; absent when that is not known of any moment since the start"`
	Doubt       string         `json:"doubt,omitempty" doc:"why it is not known whether the journal has more now; absent when it is known"`
	Writers     []WriterStatus `json:"writers" doc:"those of the shard's tables that have written, or tried to"`
	Published   time.Time      `json:"published" doc:"when publishing succeeded last; 0001-01-01T00:00:00Z when it has not yet"`
	Waiting     bool           `json:"waiting" doc:"the reader waits for what is applied to be published"`
	Journal     *JournalStatus `json:"journal,omitempty" doc:"what the journal holds; absent when it cannot be asked"`
}

// JournalStatus is what one shard of the journal holds.
type JournalStatus struct {
	First    uint64               `json:"first" doc:"position of the oldest message"`
	Last     uint64               `json:"last" doc:"position of the newest message"`
	Lag      uint64               `json:"lag" doc:"messages that are not applied yet"`
	Bytes    uint64               `json:"bytes" doc:"that it takes"`
	MaxBytes int64                `json:"max_bytes" doc:"that it may take"`
	Readers  []journal.Registered `json:"readers" doc:"the stores that it is kept for, and how far each is"`
}

func (h *Handle) status(ctx context.Context) (Status, error) {
	s := Status{
		Leases: len(h.leases), MaxLeases: cap(h.leases),
		Failures: []string{}, Warnings: []string{}, Quarantined: []persistence.Quarantined{},
		Archiving: h.archiving(),
		Writable:  h.options.Recorder != nil && h.options.Recorder.Accepting(),
	}
	failures, warnings := h.Health()
	for _, err := range failures {
		s.Failures = append(s.Failures, err.Error())
	}
	for _, err := range warnings {
		s.Warnings = append(s.Warnings, err.Error())
	}
	h.lifecycle.mu.Lock()
	s.Maintained = h.lifecycle.at
	s.Quarantined = append(s.Quarantined, h.lifecycle.quarantined...)
	h.lifecycle.mu.Unlock()
	// A journal that does not answer must not hide the rest.
	ask, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	var registry *journal.Registry
	j, err := h.options.Journal(ask)
	if err == nil {
		registry, err = j.Registry(ask)
	}
	if err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	for _, p := range h.shards {
		shard := h.shardStatus(p)
		if registry != nil {
			if shard.Journal, err = journalStatus(ask, j, registry, shard); err != nil {
				s.Warnings = append(s.Warnings, err.Error())
			}
		}
		s.Shards = append(s.Shards, shard)
	}
	return s, ctx.Err()
}

// journalTimeout bounds what a status waits for the journal.
const journalTimeout = 2 * time.Second

func (h *Handle) shardStatus(p *progress) ShardStatus {
	engine := h.options.Engine
	s := ShardStatus{Shard: p.shard, Applied: engine.Applied(p.shard), Position: engine.Position(p.shard).Seq, PublishedTo: engine.Published(p.shard)}
	if sealed, ok := engine.Sealed(p.shard); ok {
		s.Behind = max(0, time.Since(sealed.Began).Seconds())
	}
	s.Copying = p.copyStatus()
	_, since, why := p.fresh.at(s.Applied)
	if !since.IsZero() {
		age := max(0, time.Since(since).Seconds())
		s.Age = &age
	}
	if why != nil {
		s.Doubt = why.Error()
	}
	s.Writers = []WriterStatus{}
	for _, t := range p.tables {
		if t == nil {
			continue
		}
		if w := t.status(); w.Writes > 0 || w.State != "idle" {
			s.Writers = append(s.Writers, w)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.State, s.Registered, s.Last, s.Published, s.Waiting = p.state.String(), p.registered, p.last, p.publishedAt, p.waiting
	if p.fault != nil {
		s.Fault = p.fault.Error()
	}
	switch s.Turn = p.turn; {
	case s.Copying != nil:
		s.State = "copying"
	case s.Turn != "":
		s.State = "standby"
	}
	return s
}

func journalStatus(ctx context.Context, j *journal.Journal, registry *journal.Registry, s ShardStatus) (*JournalStatus, error) {
	st, err := j.State(ctx, s.Shard)
	if err != nil {
		return nil, err
	}
	readers, err := registry.Readers(ctx, s.Shard)
	if err != nil {
		return nil, err
	}
	out := &JournalStatus{First: st.First, Last: st.Last, Bytes: st.Bytes, MaxBytes: st.MaxBytes, Readers: readers}
	if behind := max(s.Applied, st.First-1); st.Last > behind {
		out.Lag = st.Last - behind
	}
	return out, nil
}
