// Package storage is the façade of the data-storage-service: hot writes and
// reads, range queries, candles, and what is stored where.
//
// It holds no data. A write becomes one entry for the journal's recorder and is
// answered when the journal has it, synced, and, at most two seconds later, when
// queries see it. A read opens a view of the store, streams it in constant
// memory, and releases it when the answer is complete or the client has left.
//
//	POST hot/*  -> rows checked -> recorder -> journal acknowledged -> applied, or 2 s -> 200 {stored, visible}
//	GET  hot/*, query, candles -> view -> a chunk of records -> JSON, NDJSON, CSV or Parquet -> … -> released
//
// # Two forms of a record
//
// Rows of hot/* carry the names that clients POST, the exchange and the symbol
// as the request spells them, and prices as numbers (?decimals=string: as text).
// Rows of query are the one JSON form of the whole program: canonical names,
// times in nanoseconds, decimals as text (?decimals=number: as numbers). Both
// have every digit that the exchange or the client wrote.
//
// # The end of an answer
//
// While a chunk is being sent the next one is read. An answer that fails before its
// first 128 KiB is a problem document; afterwards it is cut off, and lacks what every
// format ends with: the closing members of JSON, the trailer X-Row-Count, the footer
// of Parquet. The same end says what was read (Server-Timing).
//
// # Whose rows
//
// POSTed rows have origin external: they stand beside collected rows and never
// replace them. ?origin= selects; rows of both are the default, and aggregates
// are made of collected rows where there are any.
package storage
