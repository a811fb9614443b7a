package client

import (
	"time"
)

// Written is what came of a write: the journal has the records, synced.
type Written struct {
	Message   string    `json:"message"`
	Status    string    `json:"status"` // success
	Stored    int64     `json:"stored"` // records that the journal has, synced
	Timestamp time.Time `json:"timestamp"`
	Visible   bool      `json:"visible"` // whether reads see them already; false after two seconds, they will
}

// Operation is an archive or a cleanup of the store.
type Operation struct {
	ByTable     map[string]int64 `json:"by_table,omitempty"`
	Bytes       int64            `json:"bytes"`
	Created     time.Time        `json:"created,omitzero"`
	CutoffTime  time.Time        `json:"cutoff_time,omitzero"`
	Files       int64            `json:"files"`
	Finished    time.Time        `json:"finished,omitzero"`
	Job         string           `json:"job,omitempty"`
	OperationID string           `json:"operation_id,omitempty"`
	Problem     string           `json:"problem,omitempty"`
	Resumed     int64            `json:"resumed"`
	Rows        int64            `json:"rows"`
	RowsKept    int64            `json:"rows_kept"`
	RowsTotal   int64            `json:"rows_total"`
	Scheduled   bool             `json:"scheduled"`
	Started     time.Time        `json:"started,omitzero"`
	State       string           `json:"state,omitempty"`
	Tables      []string         `json:"tables,omitempty"`
}

// OperationOf is an operation in a list.
type OperationOf struct {
	Operation
	Node string `json:"node,omitempty"` // that runs it; empty where no other is known
}

// Applied is how far queries see a shard of the journal.
type Applied struct {
	Applied   int64  `json:"applied"` // up to where queries see everything
	JournalID string `json:"journal_id"`
	Reached   bool   `json:"reached"` // false: not within the wait
	Shard     int64  `json:"shard"`
	Status    string `json:"status"` // success
}

// JournalStanding is whether the journal and the store belong together.
type JournalStanding struct {
	HighestEpoch   int64           `json:"highest_epoch"`
	JournalID      string          `json:"journal_id,omitempty"`
	Shards         []ShardStanding `json:"shards,omitempty"`
	StoreJournalID string          `json:"store_journal_id,omitempty"`
}

// ShardStanding is how the store and one shard of the journal stand to each other.
type ShardStanding struct {
	Applied      int64  `json:"applied"`
	Detail       string `json:"detail,omitempty"`
	JournalFirst int64  `json:"journal_first"`
	JournalLast  int64  `json:"journal_last"`
	Position     int64  `json:"position"`
	Shard        int64  `json:"shard"`
	Verdict      string `json:"verdict,omitempty"`
}

// Adoption is how a shard of a journal was joined to the store.
type Adoption struct {
	Applied           int64     `json:"applied"`
	DamagedBatches    int64     `json:"damaged_batches"`
	Detail            string    `json:"detail,omitempty"`
	JoinedAt          int64     `json:"joined_at"`
	JournalFirst      int64     `json:"journal_first"`
	JournalLast       int64     `json:"journal_last"`
	LostAfterPosition int64     `json:"lost_after_position"`
	LostFrom          time.Time `json:"lost_from,omitzero"`
	LostTo            time.Time `json:"lost_to,omitzero"`
	MarkedGaps        int64     `json:"marked_gaps"`
	Position          int64     `json:"position"`
	RecoveredBatches  int64     `json:"recovered_batches"`
	RecoveredRecords  int64     `json:"recovered_records"`
	Shard             int64     `json:"shard"`
	Verdict           string    `json:"verdict,omitempty"`
}

// Part is one Parquet file of the store.
type Part struct {
	Archived  bool      `json:"archived"`
	Bytes     int64     `json:"bytes"`
	Checksum  string    `json:"checksum,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	Damaged   bool      `json:"damaged"`
	FirstSeq  int64     `json:"first_seq"`
	LastSeq   int64     `json:"last_seq"`
	MaxTimeNS int64     `json:"max_time_ns"`
	MinTimeNS int64     `json:"min_time_ns"`
	Path      string    `json:"path,omitempty"`
	Rows      int64     `json:"rows"`
	Shard     int64     `json:"shard"`
	Table     string    `json:"table,omitempty"`
	Tier      string    `json:"tier,omitempty"`
}

// StorageStats is how much is stored, and how much was asked.
type StorageStats struct {
	ColdStorage    ColdStats       `json:"cold_storage"` // what is archived; it means nothing while available is false
	ColdTables     []TableStats    `json:"cold_tables"`  // every table of the cold store that has files; rows are keys, as of the last time that files were compared
	HotStorage     HotStats        `json:"hot_storage"`
	Operations     OperationCounts `json:"operations"`
	Quarantined    []Quarantined   `json:"quarantined"`     // damaged files that were moved aside
	SupersededRows int64           `json:"superseded_rows"` // rows of a former owner that were dropped, since the start
	Tables         []TableStats    `json:"tables"`          // every table of the hot store
}

// HotStats is what the hot store holds.
type HotStats struct {
	OrderbooksCount int64   `json:"orderbooks_count"`
	SizeMb          float64 `json:"size_mb"` // of all published files, 10^6 bytes, those that are archived too included
	TickersCount    int64   `json:"tickers_count"`
	TradesCount     int64   `json:"trades_count"`
}

// ColdStats is what the cold store holds.
type ColdStats struct {
	Available       bool    `json:"available"` // whether the cold store could be opened
	OrderbooksCount int64   `json:"orderbooks_count"`
	SizeGb          float64 `json:"size_gb"` // of all files, 10^9 bytes
	TickersCount    int64   `json:"tickers_count"`
	TradesCount     int64   `json:"trades_count"`
}

// OperationCounts is how often the store was asked, since its start.
type OperationCounts struct {
	TotalArchives int64 `json:"total_archives"`
	TotalCleanups int64 `json:"total_cleanups"`
	TotalReads    int64 `json:"total_reads"`
	TotalWrites   int64 `json:"total_writes"`
}

// TableStats is how much one table holds.
type TableStats struct {
	Bytes      int64  `json:"bytes"`
	MemoryRows int64  `json:"memory_rows"`
	Parts      int64  `json:"parts"`
	Rows       int64  `json:"rows"`
	Table      string `json:"table,omitempty"`
}

// Quarantined is a damaged file that was set aside.
type Quarantined struct {
	MovedTo string `json:"moved_to,omitempty"`
	Part    *Part  `json:"part,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// StoredStream is an instrument that has rows.
type StoredStream struct {
	Exchange string   `json:"exchange"`
	Kinds    []string `json:"kinds"`  // that have rows
	Market   string   `json:"market"` // spot, perpetual, future, option
	Symbol   string   `json:"symbol"` // canonical
}

// Tally is the collected records of one stretch of time.
type Tally struct {
	Records  int64 `json:"records"`
	StartNS  int64 `json:"start_ns"`
	Verified int64 `json:"verified"`
}

// CandleRow is one candle as Candles answers it; prices have every digit.
type CandleRow struct {
	Close          Decimal   `json:"close"`         // number, or text that holds one; every digit is kept
	CloseTimeNS    int64     `json:"close_time_ns"` // last instant inside
	Closed         bool      `json:"closed"`
	Conn           int64     `json:"conn"`
	Epoch          int64     `json:"epoch"`
	Exchange       string    `json:"exchange"`         // as asked
	ExchangeTimeNS int64     `json:"exchange_time_ns"` // Unix ns
	Flags          []string  `json:"flags,omitempty"`  // future, backfilled, suspect, …
	High           Decimal   `json:"high"`             // number, or text that holds one; every digit is kept
	Interval       string    `json:"interval"`
	Low            Decimal   `json:"low"`                     // number, or text that holds one; every digit is kept
	Market         string    `json:"market"`                  // spot, perpetual, future, option
	NativeSymbol   string    `json:"native_symbol,omitempty"` // the exchange's own spelling
	Open           Decimal   `json:"open"`                    // number, or text that holds one; every digit is kept
	OpenTimeNS     int64     `json:"open_time_ns"`
	Origin         string    `json:"origin"` // collected, external
	PrevSeq        int64     `json:"prev_seq"`
	QuoteVolume    Decimal   `json:"quote_volume,omitempty"` // number, or text that holds one; every digit is kept
	ReceiveTimeNS  int64     `json:"receive_time_ns"`        // Unix ns
	Seq            int64     `json:"seq"`                    // the exchange's sequence number
	Symbol         string    `json:"symbol"`                 // as asked
	Timestamp      time.Time `json:"timestamp"`              // open time
	Trades         int64     `json:"trades"`
	Volume         Decimal   `json:"volume"` // in base
}
