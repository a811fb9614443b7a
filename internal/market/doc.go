// Package market is MarketPrism's vocabulary: what a record of market data is,
// whichever exchange it came from. It imports nothing of ours.
//
// A [Record] is one of the kinds in the kind table ([Kinds]). Each kind lives in
// a file of its own: its struct, its row of the kind table and its one field
// visitor ([Record.Fields]). JSON, Parquet, ILP, the journal's codec and every
// table definition are visitors over that one function, so that adding a field
// adds it everywhere.
//
// Numbers are exact ([Decimal]); times are Unix nanoseconds in int64, 0 meaning
// absent; sequence numbers that an exchange may leave out are [OptInt].
//
// A [Batch] owns the memory of the records in it, and is reused: decoding a
// frame into a batch that has seen such frames before allocates nothing.
package market
