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
// # Payload format, version 1
//
// A payload is records, column by column (Encoder, Decoder). Integers are
// unsigned LEB128 varints unless said otherwise; "delta" is zigzag coded, in
// wrapping 64-bit arithmetic; a text is its length and its bytes.
//
//	u8       version, 1
//	varint   records, at most 2^20
//	u8, u32  how many fields are common to all kinds, and their fingerprint
//	varint   words, each a text; word 0 is "" and not listed
//	varint   instruments, each: text exchange, u8 market code, text symbol, text
//	         native symbol; instrument 0 is none and not listed
//	u8       kinds, each: u8 kind, u8 own fields, u32 fingerprint (little endian),
//	         varint length of the masks, varint length of each column
//	u8…      the kind of each record, in order
//	         and for each kind, in the order listed: its masks, then its columns
//
// The fields of a kind are those of its visitor in internal/market, the common
// ones first. A fingerprint is the CRC32C over each field's shape letter, column
// name and a zero byte. Fields are only ever added behind the last common field
// or behind the last field of a kind; a decoder reads payloads with fewer fields
// (those missing are absent) and refuses others with ErrVersion.
//
// A record is one mask (varint) and, for each field whose bit is set, an entry in
// the field's column. Without the bit a field has the value of the record before
// it in the payload of the same kind and instrument; before the first, all is
// absent, zero, false.
//
//	instrument  index; without the bit, that of the kind's record before
//	ts          delta
//	times       delta of the distance from the record's ts
//	counts      delta
//	integers    1 + delta; or 0 and: 0 absent; 1 and the zigzag value
//	ids         like integers; or 0, 2 and a text
//	decimals    1 + delta of the coefficient, at the same scale; or 0 and: 0
//	            absent; 2 and the digits as text; 3 + scale and the zigzag coefficient
//	words       index
//	enums       code
//	flags       the bits
//	booleans    nothing: the bit says that the value changed
//	levels      count and prices in one column, amounts in the next, as decimals;
//	            a price is relative to the one before, the first to the first of
//	            the record before, an amount to 0; without the bit there are none
//
// # Exactly once
//
// A Recorder has one batch in flight. While its outcome is unknown it repeats
// the same bytes, and only an acknowledgement lets n advance; giving up means a
// new incarnation, which begins with n = 1. A Reader takes a batch whose n is
// one above that incarnation's last, drops one that is not above it (a repeat;
// the last one must have the same checksum), and stops at a jump. It saves the
// last n of each incarnation with its position, so the rule holds across its
// own restarts. A reader that begins where the journal was purged takes the first
// batch of an incarnation with the number that it has.
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
// because a JetStream consumer passes over a deleted message without a word; and
// it asks an idle broker whether it is at the journal's end.
// What cannot be read on is a *Fault; it is final for that Reader.
package journal
