// Package persistence says what a store of market data is. It holds the
// interfaces that the reader actors, the router and the façades are written
// against; the engines live in folders of their own (embedded, questdb) and pass
// one suite (persistencetest).
//
// # Authority
//
// The journal is the only write-ahead log. An [Engine] is a function of it: one
// reader per journal shard applies the shard's messages in order, and the engine
// saves with its data the [Position] up to which it has them. After any crash
// the reader starts behind that position, and what it applies twice replaces
// itself, because records have keys (market.Kind.KeyColumns).
//
//	journal shard --Apply--> in memory, visible --Seal--> frozen --Publish--> on disk, with its Position
//	                   ^                                                          |
//	                   +-------------- after a crash: from the Position ----------+
//
// # Records
//
// The record key is ts, exchange, market, symbol, origin and the kind's key
// columns; a record with market.FlagUnkeyed adds receive_time_ns, epoch, conn and
// seq. Of two records with one key the one later in journal order is read, at
// every moment; counts are counts of keys. Collected book deltas and unkeyed
// records whose epoch is below the highest epoch seen before in their stream are
// dropped and counted as superseded.
//
// The reading order is ts, seq (of a trade: its numeric id), then the key; a book
// delta that is a snapshot precedes the others of its ts and seq.
package persistence
