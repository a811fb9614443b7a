// Package memtable keeps the records of a store that are not published yet: in
// columns, sorted, and visible to queries from the moment they are applied.
//
//	Apply --> active table --Seal--> sealed tables --Drop--> (published elsewhere)
//
// # Authority
//
// A [Store] decides what is applied: it holds, per shard of the journal, the
// highest sequence whose records queries see, and the highest epoch of each
// stream, by which records of a former owner are dropped. It knows nothing of
// where records are published.
//
// # Reading
//
// A table keeps blocks of sorted rows for each instrument; a row that arrives out
// of order begins another block, so that a block once written never changes under
// its readers. Equal keys are dropped where blocks are merged; the last in journal
// order wins: a later table over an earlier one, memory over what is published.
//
// # Failure
//
// What is in memory is lost in a crash and applied again from the journal. Beyond
// the allowed backlog Apply and Seal answer persistence.ErrBacklog, so that the
// reader waits and the journal keeps.
package memtable
