// Package questdb keeps records in a QuestDB server: one table a kind, made and
// written by visiting the kind's fields, so that a new field is a new column.
//
// # A table
//
// ts is the designated timestamp, in microseconds, which is all that QuestDB
// keeps; ts_ns beside it has every digit. Names and words are SYMBOL, numbers of
// ours and of the exchange LONG, levels VARCHAR. A decimal is a DOUBLE, its scale
// as BYTE, and, where a DOUBLE does not hold its digits, its text.
//
// The DEDUP keys are the record key (market.Kind.KeyColumns). A record whose
// identity does not outlive its connection (market.FlagUnkeyed) has the rest of
// its key in the column unkeyed, which is NULL in all others: QuestDB takes two
// NULLs of a key for equal. https://questdb.com/docs/concepts/deduplication/
//
// # Rows
//
// Rows travel by ILP over HTTP, never over TCP, which has no acknowledgement. One
// request holds rows of one table, and is then stored as a whole or not at all.
// https://questdb.com/docs/ingestion/ilp/overview/
//
// # An engine
//
//	Apply --> memory --Seal--> sealed --Publish--> one request a table --> shown --> position
//
// What is applied is visible at once, from memory (persistence/memtable); Publish
// sends it, waits until the server shows it, and then forgets it. A query merges
// both by key. The journal position is kept elsewhere ([Positions]) and trails what
// was sent by [Config.Trail], because the server answers before its disk has the
// rows; what is sent again replaces itself.
//
// # Leaving
//
// A row says which message of which journal and shard brought it last. Archived are
// those of a journal up to a sequence ([Engine.Archived]); a query leaves out what is
// archived when it begins, since the cold store has it.
//
//	shown --Oldest, Merge, Confirm--> listed in the cold store --Archived--> hidden --Forget--> dropped
//
// A partition is dropped when it has no row that a query, open or to come, reads, while
// the table's writer waits. When rows had arrived is kept in a table of its own, a row a
// minute; without it they are taken for younger.
//
// # Failure
//
//   - The server is away, busy or full: Publish returns an error and is called
//     again; memory fills to its backlog, then the reader waits and the journal
//     keeps.
//   - A request is refused for a row (400): it is halved until the row is found,
//     which takes the way of [Rejects]; the others are stored.
//   - The server is away, or set back, while rows are archived: what was read of a unit
//     is not listed, unless its rows were counted before and after.
//   - A table is suspended, and goes on taking rows that nobody sees: Publish does
//     not believe them stored, Maintain resumes the table, [Engine.Suspended] says
//     so.
package questdb
