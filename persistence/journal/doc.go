// Package journal is the one write-ahead log, over NATS JetStream.
//
// # Authority
//
// A record is acknowledged when the journal has it, synced. The journal is K
// streams, JOURNAL_0 to JOURNAL_<K-1>, made once with one random id; K never
// changes. A market-data stream belongs to one shard for good (Shard), external
// rows to shard 0. The broker must sync always (nats-server sync_interval:
// always) and take messages of MaxMessage bytes.
//
//	Recorder (one per node and shard) --batch--> JOURNAL_<k> --Reader (one per store and shard)--> parts
//	                                                 ^
//	           Readers: who has stored up to where --+-- Purge
//
// The journal refuses when it is full (discard new) and forgets only what Purge
// takes: everything up to the lowest position that a registered reader has
// stored, except the last message.
//
// # Batch format, version 1
//
// A batch is one JetStream message without headers. Integers are little endian.
//
//	offset size
//	     0    4  magic "MPJ" 0x01
//	     4    2  version, 1
//	     6    2  flags: 0 payload as it is, 1 payload is one zstd frame; all else reserved
//	     8   16  recorder incarnation (start time in Unix ns, big endian; 8 random bytes)
//	    24    8  n, the incarnation's batch number: 1, 2, 3 …
//	    32    4  rows in the payload
//	    36    4  length of the uncompressed payload, at most 64 MiB
//	    40    4  length of the stored payload
//	    44    4  CRC32C (Castagnoli) of bytes 0–43 and of everything from 48 on
//	    48    …  payload
//
// A message is at most 8 MiB. A version, flag or checksum that is not right
// stops the reader with a typed error; nothing is skipped.
//
// # Exactly once
//
// A Recorder has one batch in flight. While its outcome is unknown it repeats
// the same bytes, and only an acknowledgement lets n advance; giving up means a
// new incarnation, which begins with n = 1. A Reader takes a batch whose n is
// one above that incarnation's last, drops one that is not above it (a repeat;
// the last one must have the same checksum), and stops at a jump. It saves the
// last n of each incarnation with its position, so the rule holds across its
// own restarts.
//
// The reader remembers the 256 incarnations that wrote last, by stream
// sequence. A recorder that was silent for ten minutes begins a new incarnation
// with its next batch, so a forgotten one never writes again unless 256 others
// began within those minutes; then the reader stops with ErrJump rather than
// take a repeat.
//
//	       Seal            acknowledged
//	idle --------> flight --------------> idle            n+1
//	                |  ^ \ refused (ErrFull, ErrDiskFull): certain, flight kept
//	    no answer   |  |
//	                v  | same bytes again
//	              in doubt --Abandon--> idle              new incarnation, n = 1
//
// # Failure
//
// A Reader survives a broker restart, a lost connection and a lost consumer: it
// makes a new consumer behind its position and checks, each time, that the
// journal is the same one, begins at or before position + 1 and ends at or
// after the position. It checks every message for sequence = previous + 1,
// because a JetStream consumer passes over a deleted message without a word.
// What cannot be read on is a *Fault; it is final for that Reader.
package journal
