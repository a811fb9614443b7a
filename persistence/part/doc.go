// Package part reads and writes the immutable Parquet files that hold published
// records, and the manifest that lists them. The embedded engine and the cold
// store are built on it; it knows neither.
//
// # Blocks
//
// A [Block] holds records of one kind in columns. Blocks are what memtables keep,
// what a page of a file decodes into, what the merge of several sources reads and
// what the writer takes, so that a record is taken apart once, when it arrives,
// and put together once, when somebody reads it.
//
//	records --Block.Append--> blocks --Merge--> Writer --> file
//	                             ^                           |
//	     records <--Block.Fill-- Merge <---- pages <---------+
//
// # Files
//
// A file holds one kind, sorted by exchange, market, symbol and then in reading
// order. Every field of the JSON form is a column of its own. A page ends at the
// same row in every column, so that the page index of ts_ns finds a time range in
// all of them. The footer's metadata carries the journal range and the row range
// of each instrument, so that a manifest can be rebuilt from the files.
//
// # The manifest
//
// A log of records, each with two checksums, synced one by one. The last record
// may be torn by a crash and is cut off; damage anywhere before is a
// [*persistence.CorruptError], never a shorter store.
package part
