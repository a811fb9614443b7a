// Package embedded is the store that needs no server: Parquet parts, as
// MergeTree does it.
//
// # Authority
//
// The journal is the write-ahead log; this package has none. What is in memory is
// lost in a crash and applied again from the journal. What is durable is what the
// manifest lists: parts, and per shard the position up to which they hold the
// journal. Both change in one manifest record.
//
//	Apply --> active memtable --Seal--> sealed --Publish--> parts + position
//	             |                        |                   |
//	             +----- a query reads all three, merged by key +--Maintain: merge, verify, unlink
//
// A publication makes one part a table: temporary name, sync, open again and
// verify, rename, sync the directory, manifest record, sync. Only then do the
// parts take the sealed memtable's place and the position counts.
//
// # Reading
//
// A query pins the parts and memtables that there are when it begins. A memtable
// keeps blocks of sorted rows for each instrument; a row that arrives out of order
// begins another block, so that a block once written never changes under its
// readers. Equal keys are dropped where blocks and parts are merged: in memory,
// when publishing, when merging parts, and in the query. The last in journal order
// wins: memory over parts, a part of later messages over one of earlier.
//
// # Merging
//
// Parts are merged when the hour of their publication is over: those of one
// table, shard and hour that are adjacent in journal order, up to a size. The
// merged file and the removal of its sources are one manifest record. A file that
// left the manifest is unlinked when no query reads it and ten minutes have
// passed. Files that no manifest lists are removed when the store is opened.
//
// # Copying
//
// Another store that keeps the same journal can take parts from this one (CopyOffer,
// OpenCopy), instead of what the journal has forgotten (LacksCopy, TakeCopy). Copied
// parts are linked under names of this store, proven by their footers and checksums, and
// listed together with the position that they reach to in one record: before that record
// they are nobody's, and the next start removes them. They may reach back behind the
// position before; rows that two parts have are one by their keys.
//
// # Failure
//
//   - Disk full or an I/O error while publishing: Publish returns a
//     *persistence.IOError, the sealed memtable stays, the next Publish goes on with
//     the parts that are missing. Beyond the allowed backlog Apply and Seal answer
//     persistence.ErrBacklog, so the reader waits and the journal keeps.
//   - A torn record at the manifest's end is cut off and logged: it was never
//     acknowledged. With damage elsewhere, the manifest is made again from the records
//     that can be read, those of the log before it, and the footers of the files; the
//     damaged one is kept as quarantine/MANIFEST-<n>, and in Stats, until somebody
//     removes that. The position is that of the last record that can be read.
//   - A damaged part is moved to quarantine/, and stays in Stats; the query that met it
//     fails with a *persistence.CorruptError. When the store is opened, a good copy in
//     its place is served again, and what was removed from quarantine/ is forgotten.
//   - A second process meets persistence.ErrLocked.
//
// The engine has no goroutines: its owner calls Publish and Maintain.
package embedded
