// Package cold keeps what is old: Parquet files in a directory or in a bucket of
// an S3 service, laid out so that DuckDB, Spark and pandas find them by
// themselves.
//
//	<table>/exchange=…/market=…/symbol=…/date=2026-01-31/part-<min>-<max>-<hash>.parquet
//	manifest/<n>      the changes, in order
//	checkpoint/<n>    everything up to change n
//	quarantine/…      copies of damaged pieces of the manifest
//
// # Authority
//
// What the manifest lists is stored, and nothing else. It is a numbered log: a
// record is made under the next number only where there is none yet (an exclusive
// create; If-None-Match on S3), so of two writers one finds that it has to think
// again. A record is whole or not there.
//
// # Archiving
//
// [Store.Write] makes a file and reads it back; [Store.Commit] lists files
// together with the journal position up to which the store has the table
// ([Archived]). Names come from content: an archive that was interrupted runs
// again to the same files. A row may be stored twice, here and where it came from;
// its key is the same, and the later journal position wins when both are read.
//
// # Failure
//
//   - An answer of the bucket is lost: the record is looked up; ours counts.
//   - A damaged record, or one that is missing before others, is a wound. What can be
//     read is served, nothing is appended, and the next look at the manifest mends it: one
//     record, made under a number of its own like every other, begins anew with what the
//     rest of the records and the files say. Of several who try one succeeds, and the
//     others go on from its record.
//   - A damaged checkpoint is passed over; the records say the same.
//   - A damaged or missing file fails the queries that meet it, with a
//     *persistence.CorruptError that names it.
//
// The store has no goroutines: its owner calls [Store.Refresh] and [Store.Clean].
package cold
