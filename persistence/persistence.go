package persistence

import (
	"context"
	"errors"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Engine is a store that keeps what a journal's shards hold. Its parts are
// separate interfaces, so that a caller asks for no more than it uses.
type Engine interface {
	Writer
	Publisher
	Visibility
	Reader
	Inspector
	// Maintain does what time brings due (merging, unlinking, retrying), in the
	// calling goroutine, until it is done or ctx ends. One caller at a time.
	Maintain(ctx context.Context) error
	// Close releases the store without publishing; what was not published is
	// replayed from the journal. It waits for calls under way, is idempotent, and
	// makes every later call fail with [ErrClosed], also on Rows that are open.
	Close() error
}

// Writer takes one journal shard's messages in order. Apply, Seal and Due of a
// shard belong to one goroutine; Publish of that shard may run in another at the
// same time, one at a time.
type Writer interface {
	// Apply makes a message's records part of the store and visible to queries.
	// seq is the message's sequence in its journal stream and must be above
	// Applied(shard); a message without records is applied too. The batch is not
	// kept. Errors: [ErrBacklog] (nothing was applied; publish, then again),
	// [ErrClosed], and an error that matches [ErrRecord] for a record that
	// cannot be stored (nothing of the message was applied).
	Apply(shard int, seq uint64, batch *market.Batch) error
	// Due says whether the shard's records should be sealed now: enough rows, or
	// old enough.
	Due(shard int) bool
	// Seal freezes what has been applied to p.Shard as the next thing to publish,
	// together with p, which must say p.Seq == Applied(p.Shard). The engine fills
	// in p.Epochs. It does no I/O. Errors: [ErrBacklog] while as much as allowed is
	// sealed already, [ErrClosed].
	Seal(p Position) error
	// Publish makes everything sealed durable: all tables of the shard up to one
	// position in one commit. Only when it has returned without error does the
	// position count. After an error (disk full, I/O: [*IOError]) nothing is lost;
	// call it again. Without sealed records it does nothing.
	Publish(ctx context.Context, shard int) error
}

// Publisher is Publish in its steps, so that each table can have its own writer,
// with its own pace and its own failures. All methods are safe for concurrent use.
type Publisher interface {
	// Sealed describes the oldest that a shard has sealed; false when there is
	// nothing. When nothing is Left of it, Commit is due.
	Sealed(shard int) (Sealed, bool)
	// Write brings the records of one kind where they belong. Done, or without such
	// records, it does nothing. After an error nothing is lost; call it again.
	// [ErrRewind] means that calling it again does not help.
	Write(ctx context.Context, shard int, kind market.Kind) error
	// Commit makes all that Write has brought count, in one step. It fails while
	// something is left to write.
	Commit(ctx context.Context, shard int) error
	// Settle makes Position equal to Published now, where it would follow later.
	Settle(ctx context.Context, shard int) error
	// Rewind makes a store that has answered [ErrRewind] forget what it had applied
	// of a shard behind Position, for a reader that begins there again; any other
	// does nothing. No other call for the shard may be under way.
	Rewind(shard int)
}

// Sealed describes what waits to be published.
type Sealed struct {
	// Seq is the last journal sequence of it.
	Seq uint64
	// Began is when the first of its records was applied.
	Began time.Time
	// Left are the kinds that are not written yet.
	Left []market.Kind
}

// Visibility answers how far a store is.
type Visibility interface {
	// Position is the last durable position of a shard; its Seq is 0 when nothing
	// was ever published. The maps in it belong to the caller.
	Position(shard int) Position
	// Published is the highest sequence whose records Publish has brought where they
	// belong. Position may be behind it, where that place is not durable at once.
	Published(shard int) uint64
	// Applied is the highest sequence whose records queries see.
	Applied(shard int) uint64
	// WaitApplied waits until Applied(shard) >= seq, or returns ctx's error.
	WaitApplied(ctx context.Context, shard int, seq uint64) error
}

// Reader answers queries. All methods are safe for concurrent use.
type Reader interface {
	// Query opens a scan over one immutable view of the store. The caller must
	// Close the Rows. Errors: [ErrCursor], [ErrQuery], [ErrClosed].
	Query(ctx context.Context, q Query) (Rows, error)
	// Candles computes candles from trades. The Rows hold candle records, oldest
	// first (newest first with q.Newest); with OriginAll a candle has the origin of
	// the trade that was read first.
	Candles(ctx context.Context, q CandleQuery) (Rows, error)
	// Last copies the last record, in reading order, of a stream's channel into
	// the batch and returns it; ok is false when there is none.
	Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin OriginFilter, into *market.Batch) (r market.Record, ok bool, err error)
}

// Inspector describes what is stored.
type Inspector interface {
	// Stats counts. It may read the parts of the files whose keys could overlap.
	Stats(ctx context.Context) (Stats, error)
	// Parts lists the files that hold the published records. A file stays readable
	// for at least ten minutes after it has left the list.
	Parts() []PartInfo
	// Streams lists the streams that have records of a kind, all of them: ErrAway and
	// [ErrUnavailable] when a place that may have more does not answer.
	Streams(ctx context.Context, kind market.Kind) ([]market.StreamID, error)
	// Ailments are what is wrong with the place where records are kept, as far as it
	// is known; it asks nobody.
	Ailments() []error
}

// Rows yields a query's records. It belongs to one goroutine.
type Rows interface {
	// Next appends the next records to the batch, at most a chunk of them, and
	// returns how many; 0 and io.EOF at the end. The caller resets the batch. Another
	// error may come with the records before it; ctx's own lets the caller go on.
	Next(ctx context.Context, into *market.Batch) (int, error)
	// Cursor continues after the last record that Next has returned, in the same
	// kind of query, also while records arrive and files are merged; "" when no
	// record can follow.
	Cursor() string
	// Close releases the view; it is idempotent.
	Close() error
}

// Query selects records of one kind.
type Query struct {
	Kind market.Kind
	// Stream selects one stream; nil selects all.
	Stream *market.StreamID
	// From and To bound ts, Unix ns, From inclusive and To exclusive; 0 leaves the
	// side open.
	From, To int64
	// Limit is the largest number of records; 0 is no limit.
	Limit int
	// Newest reads in descending order.
	Newest bool
	Origin OriginFilter
	// Cursor continues a query that differs in nothing but Limit.
	Cursor string
	// Columns names the columns to read; nil reads all. Key columns are always
	// read; a field that was not read is absent in the record.
	Columns []string
	// Tier is for stores that have both; the others ignore it.
	Tier Tier
}

// CandleQuery selects candles computed from trades.
type CandleQuery struct {
	Stream market.StreamID
	// Interval is a market interval word: "1s", "1m", "15m", "4h", "1d", "1w"
	// (from Monday), "1M" (calendar month, UTC).
	Interval string
	// From and To bound the trades' ts, Unix ns, half-open; the caller aligns them
	// to the interval if it wants whole candles. 0 leaves the side open.
	From, To int64
	Limit    int
	Newest   bool
	// Origin defaults to OriginPreferCollected for aggregates: a zero value here
	// means that.
	Origin OriginFilter
	Cursor string
}

// OriginFilter selects records by who brought them.
type OriginFilter uint8

// The origin filters.
const (
	// OriginDefault is OriginAll for rows and OriginPreferCollected for aggregates.
	OriginDefault OriginFilter = iota
	OriginAll
	OriginCollected
	OriginExternal
	// OriginPreferCollected is collected for a stream that has collected records
	// of the kind, else external.
	OriginPreferCollected
)

// ParseOriginFilter reads the words of the HTTP contract: "all", "collected",
// "external"; "" is OriginDefault.
func ParseOriginFilter(s string) (OriginFilter, bool) {
	switch s {
	case "":
		return OriginDefault, true
	case "all":
		return OriginAll, true
	case "collected":
		return OriginCollected, true
	case "external":
		return OriginExternal, true
	}
	return OriginDefault, false
}

// PartInfo describes one published file.
type PartInfo struct {
	Table    string      `json:"table"`
	Kind     market.Kind `json:"-"`
	Tier     string      `json:"tier" doc:"hot or cold"`
	Archived bool        `json:"archived,omitempty" doc:"the cold store lists every row of this hot file too"`
	Damaged  bool        `json:"damaged,omitempty" doc:"the file is listed and not read: its bytes are not what they were, or gone"`
	Path     string      `json:"path" doc:"absolute; of a file in a bucket its URL"`
	Bytes    int64       `json:"bytes"`
	Rows     int64       `json:"rows"`
	MinTime  int64       `json:"min_time_ns" doc:"lowest time of a row, Unix ns"`
	MaxTime  int64       `json:"max_time_ns" doc:"highest time of a row, Unix ns"`
	Shard    int         `json:"shard" doc:"of the journal that its rows come from"`
	FirstSeq uint64      `json:"first_seq" doc:"first position of the journal that it covers"`
	LastSeq  uint64      `json:"last_seq" doc:"last position of the journal that it covers"`
	Created  time.Time   `json:"created" doc:"when it was published"`
	Checksum string      `json:"checksum" doc:"xxHash64 of the file, 16 hex digits"`
}

// Stats are counts of a store.
type Stats struct {
	// Tables has a row for each kind that is stored, in the order of the kinds.
	Tables []TableStats `json:"tables"`
	// Quarantined lists files that were found damaged and moved aside.
	Quarantined []Quarantined `json:"quarantined"`
	// Superseded counts records dropped by the epoch rule since the store was
	// opened.
	Superseded int64 `json:"superseded"`
	// PublishFailures counts failed Publish calls in a row; 0 after a success.
	PublishFailures int `json:"publish_failures"`
}

// TableStats are counts of one table.
type TableStats struct {
	Table      string      `json:"table"`
	Kind       market.Kind `json:"-"`
	Rows       int64       `json:"rows" doc:"keys, unpublished records included"`
	Bytes      int64       `json:"bytes" doc:"of published files"`
	Parts      int         `json:"parts" doc:"published files"`
	MemoryRows int64       `json:"memory_rows" doc:"records that are not yet in a file, before equal keys are dropped"`
}

// Quarantined is a damaged file that was moved aside. Its rows are not served
// any more, and a store that has one is not healthy.
type Quarantined struct {
	Part   PartInfo `json:"part" doc:"the file as it was listed"`
	Path   string   `json:"moved_to" doc:"where the file is now"`
	Reason string   `json:"reason" doc:"what is wrong with it"`
}

// Errors of every engine.
var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store closed")
	// ErrBacklog: too much awaits publishing.
	ErrBacklog = errors.New("too many unpublished records")
	// ErrRecord: a record cannot be stored: no instrument, or a kind without table.
	ErrRecord = errors.New("record cannot be stored")
	// ErrCursor: the cursor is not one of this query's.
	ErrCursor = errors.New("invalid cursor")
	// ErrQuery: the query asks for something that does not exist (kind without
	// table, unknown column, unknown interval).
	ErrQuery = errors.New("invalid query")
	// ErrCorrupt: stored data is damaged. errors.As finds the [*CorruptError].
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrUnavailable: the server that keeps the records does not answer. Try again
	// later.
	ErrUnavailable = errors.New("the store's server does not answer")
	// ErrRewind: the server has lost records that it had taken, because it was set
	// back. They are to be read again from Position on; see Publisher.Rewind.
	ErrRewind = errors.New("the store's server has lost what it had taken")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is open in another process")
)

// IOError is a failed operation of the disk. It may succeed later (disk full).
type IOError struct {
	// Op is what was being done: "write part".
	Op   string
	Path string
	Err  error
}

// Error implements error.
func (e *IOError) Error() string { return e.Op + " " + e.Path + ": " + e.Err.Error() }

// Unwrap gives the cause to errors.Is.
func (e *IOError) Unwrap() error { return e.Err }

// CorruptError says which file is damaged, and how. It matches [ErrCorrupt].
type CorruptError struct {
	Path   string
	Reason string
}

// Error implements error.
func (e *CorruptError) Error() string { return e.Path + " is corrupt: " + e.Reason }

// Is makes the error match ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
