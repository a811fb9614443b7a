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
package questdb
