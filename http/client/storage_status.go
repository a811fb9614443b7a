package client

import (
	"time"
)

// StorageStatus is how far the store is behind the journal, and what its engine does.
type StorageStatus struct {
	Archiving   *Archiving    `json:"archiving,omitempty"`
	Failures    []string      `json:"failures,omitempty"`
	Leases      int64         `json:"leases"`
	Maintained  time.Time     `json:"maintained,omitzero"`
	MaxLeases   int64         `json:"max_leases"`
	Quarantined []Quarantined `json:"quarantined,omitempty"`
	Recorders   []Recorder    `json:"recorders"` // the ways into the journal on this node, one a shard
	Shards      []ShardStatus `json:"shards,omitempty"`
	Warnings    []string      `json:"warnings,omitempty"`
	Writable    bool          `json:"writable"`
}

// ShardStatus is how the reader of one shard stands.
type ShardStatus struct {
	AgeSeconds    *float64       `json:"age_seconds,omitempty"` // how long ago the journal had no more; nil when that is not known
	Applied       int64          `json:"applied"`
	BehindSeconds float64        `json:"behind_seconds"`
	Copying       *Copying       `json:"copying,omitempty"` // while the store lacks records that the journal has forgotten
	Doubt         string         `json:"doubt,omitempty"`   // why it is not known to have all of the journal now
	Fault         string         `json:"fault,omitempty"`
	Journal       *JournalStatus `json:"journal,omitempty"`
	Last          *LastRead      `json:"last,omitempty"`
	Position      int64          `json:"position"`
	Published     time.Time      `json:"published,omitzero"`
	PublishedTo   int64          `json:"published_to"`
	Registered    int64          `json:"registered"`
	Shard         int64          `json:"shard"`
	State         string         `json:"state,omitempty"`
	TurnOf        string         `json:"turn_of,omitempty"` // whose turn it is to write, of a store that nodes share
	Waiting       bool           `json:"waiting"`
	Writers       []WriterStatus `json:"writers,omitempty"`
}

// JournalStatus is one shard of the journal.
type JournalStatus struct {
	Bytes    int64           `json:"bytes"`
	First    int64           `json:"first"`
	Lag      int64           `json:"lag"`
	Last     int64           `json:"last"`
	MaxBytes int64           `json:"max_bytes"`
	Readers  []JournalReader `json:"readers,omitempty"`
}

// JournalReader is a reader that the journal keeps records for.
type JournalReader struct {
	FullCopy bool      `json:"full_copy"` // it keeps a store of its own
	Moved    time.Time `json:"moved,omitzero"`
	Node     string    `json:"node,omitempty"`
	Position int64     `json:"position"` // up to where it has stored the shard
	Reader   string    `json:"reader,omitempty"`
	Shard    int64     `json:"shard"`
}

// ReaderStanding is a reader of the journal, and how far it is.
type ReaderStanding struct {
	JournalReader
	Behind    int64 `json:"behind"`     // messages that it has not stored
	HoldsBack bool  `json:"holds_back"` // without it, the journal would be purged further
	Own       bool  `json:"own"`        // it is that of the node that was asked
}

// Copying is how far the copying of a shard from another node is.
type Copying struct {
	After      int64     `json:"after"` // the position behind which records are lacking
	Began      time.Time `json:"began,omitzero"`
	Bytes      int64     `json:"bytes"`
	BytesTotal int64     `json:"bytes_total"`
	Files      int64     `json:"files"`
	FilesTotal int64     `json:"files_total"`
	From       string    `json:"from,omitempty"`    // a reader of the journal; "" while none is found
	Problem    string    `json:"problem,omitempty"` // why nothing is copied at the moment
	To         int64     `json:"to"`                // the last position that is lacking; 0 while unknown
}

// LastRead is the last message that was read.
type LastRead struct {
	Pending int64     `json:"pending"`
	Seq     int64     `json:"seq"`
	Stored  time.Time `json:"stored,omitzero"`
}

// WriterStatus is the writer of one table.
type WriterStatus struct {
	At            time.Time `json:"at,omitzero"`
	Error         string    `json:"error,omitempty"`
	FailuresInRow int64     `json:"failures_in_row"`
	FailuresTotal int64     `json:"failures_total"`
	State         string    `json:"state,omitempty"`
	Table         string    `json:"table,omitempty"`
	TookSeconds   float64   `json:"took_seconds"`
	WritesTotal   int64     `json:"writes_total"`
}

// Recorder is the way into one shard of the journal.
type Recorder struct {
	Acknowledged  time.Time `json:"acknowledged,omitzero"`
	Batches       int64     `json:"batches"`
	Bytes         int64     `json:"bytes"`
	Entries       int64     `json:"entries"`
	Incarnation   string    `json:"incarnation,omitempty"`
	LimitBytes    int64     `json:"limit_bytes"`
	NoCreditTotal int64     `json:"no_credit_total"`
	Reason        string    `json:"reason,omitempty"`
	Seq           int64     `json:"seq"`
	Shard         int64     `json:"shard"`
	State         string    `json:"state,omitempty"`
}

// Archiving is how archive and retention stand.
type Archiving struct {
	AfterSeconds    float64     `json:"after_seconds"`
	Automatic       bool        `json:"automatic"`
	Cold            *ColdStore  `json:"cold,omitempty"`
	ColdTTLSeconds  float64     `json:"cold_ttl_seconds"`
	HotLimitBytes   int64       `json:"hot_limit_bytes"`
	HotTTLSeconds   float64     `json:"hot_ttl_seconds"`
	IntervalSeconds float64     `json:"interval_seconds"`
	LagSeconds      float64     `json:"lag_seconds"`
	Operations      []Operation `json:"operations,omitempty"`
	WaitingRows     int64       `json:"waiting_rows"`
}

// ArchivedTo is up to where a table of a shard is archived.
type ArchivedTo struct {
	JournalID string `json:"journal_id,omitempty"`
	Seq       int64  `json:"seq"`
	Shard     int64  `json:"shard"`
	Table     string `json:"table,omitempty"`
}

// ColdStore is the cold store.
type ColdStore struct {
	Archived []ArchivedTo  `json:"archived,omitempty"`
	Corrupt  bool          `json:"corrupt"`
	Damaged  []Quarantined `json:"damaged,omitempty"`
	Exact    bool          `json:"exact"`
	Open     bool          `json:"open"`
	Place    string        `json:"place,omitempty"`
	Problem  string        `json:"problem,omitempty"`
	Record   int64         `json:"record"` // the last of the manifest
	Tables   []TableStats  `json:"tables,omitempty"`
}
