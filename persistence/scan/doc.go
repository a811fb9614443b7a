// Package scan answers queries over the places that rows are in: memory, files, a
// server, the cold store. What a row is worth is decided here and once: rows come
// in reading order, of equal keys the later in journal order is read, cursors
// continue behind a key, candles are made of trades.
//
//	memory ─┐
//	hot     ├─ part.Merge, one a stream ─ part.Fan ─ Rows, Candles
//	cold   ─┘
//
// # Authority
//
// A [Layer] decides which of its rows a query sees, by pinning them. Layers are
// pinned from the newest to the oldest: rows only ever move to an older one, and
// are listed there first, so a query may meet a row twice, which its key undoes,
// and never misses one.
package scan
