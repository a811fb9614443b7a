package storage

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// Status is how far the store is, and what ails it.
type Status struct {
	Shards []ShardStatus `json:"shards"`
	// Failures and Warnings are those of Health.
	Failures []string `json:"failures"`
	Warnings []string `json:"warnings"`
	// Leases is how many queries have their rows open, of MaxLeases.
	Leases    int `json:"leases"`
	MaxLeases int `json:"max_leases"`
	// Maintained is when maintenance ran last.
	Maintained time.Time `json:"maintained"`
	// Quarantined lists files that were found damaged and moved aside.
	Quarantined []persistence.Quarantined `json:"quarantined"`
	// Archiving is how rows move to the cold store.
	Archiving Archiving `json:"archiving"`
	// Writable says whether this node takes writes, now.
	Writable bool `json:"writable"`
}

// Archiving is how rows move to the cold store, and how that is.
type Archiving struct {
	// Cold counts what is archived; its place is "" where there is no cold store.
	Cold persistence.ColdStats `json:"cold"`
	// Automatic says whether rows are archived by themselves, Interval how often, in
	// seconds, and After at which age.
	Automatic bool    `json:"automatic"`
	Interval  float64 `json:"interval_seconds"`
	After     float64 `json:"after_seconds"`
	// Lag is how long ago the oldest row arrived that is not archived, in seconds.
	Lag float64 `json:"lag_seconds"`
	// Waiting counts the rows that are not archived.
	Waiting int64 `json:"waiting_rows"`
	// HotTTL and ColdTTL are in seconds; a ColdTTL of 0 is for ever. HotLimit is in
	// bytes; 0 is none.
	HotTTL   float64 `json:"hot_ttl_seconds"`
	HotLimit int64   `json:"hot_limit_bytes"`
	ColdTTL  float64 `json:"cold_ttl_seconds"`
	// Operations are the last ones, newest first.
	Operations []Operation `json:"operations"`
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
	Shard int `json:"shard"`
	// State is opening, copying, standby, reading, draining, faulted or stopped.
	State string `json:"state"`
	// Fault is why reading has stopped.
	Fault string `json:"fault,omitempty"`
	// Turn is the node that brings the shard into a store that several share, where it is
	// another.
	Turn string `json:"turn_of,omitempty"`
	// Copying is how far what the journal has forgotten is copied from another node; nil
	// when nothing has to be.
	Copying *CopyStatus `json:"copying,omitempty"`
	// Applied is the journal sequence up to which queries see everything, Position
	// the one up to which it is durable, Registered the one that the journal knows
	// of and may be purged to.
	Applied    uint64 `json:"applied"`
	Position   uint64 `json:"position"`
	Registered uint64 `json:"registered"`
	// Last is the last message that was applied since the start.
	Last Read `json:"last"`
	// PublishedTo is the sequence up to which the records are where they belong;
	// Position may follow later.
	PublishedTo uint64 `json:"published_to"`
	// Behind is the age in seconds of the oldest records that are due to be
	// published; 0 when there are none.
	Behind float64 `json:"behind_seconds"`
	// Age is how long ago, in seconds, the journal had no more than queries see; nil when
	// that is not known of any moment since the start. Doubt is why it is not known of now.
	Age   *float64 `json:"age_seconds,omitempty"`
	Doubt string   `json:"doubt,omitempty"`
	// Writers are those of the shard's tables that have written, or tried to.
	Writers []WriterStatus `json:"writers"`
	// Published is when the last Publish succeeded; zero when none has.
	Published time.Time `json:"published"`
	// Waiting says that the reader waits for Publish.
	Waiting bool `json:"waiting"`
	// Journal is what the journal holds; nil when it cannot be asked.
	Journal *JournalStatus `json:"journal,omitempty"`
}

// JournalStatus is what one shard of the journal holds.
type JournalStatus struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Lag is how many messages are not applied yet.
	Lag      uint64               `json:"lag"`
	Bytes    uint64               `json:"bytes"`
	MaxBytes int64                `json:"max_bytes"`
	Readers  []journal.Registered `json:"readers"`
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
