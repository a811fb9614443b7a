// Package bucket keeps what belongs to the whole of MarketPrism and to no single
// node: documents under keys, in a key-value bucket of the message broker.
//
// # Authority
//
// The broker's bucket is the truth. A writer names the revision that its change
// stands on; of two that stand on the same one, the second is refused with
// [ErrConflict] and has to read again. What a Get or a Watch shows may be a moment
// old (a follower answers too): nothing is decided by it without a Put or a Remove
// that names its revision.
//
// # Failure
//
// Without the broker every call fails with [ErrUnavailable], within its context or
// ten seconds. After a Put or Remove that failed so it is unknown whether it took
// place; a Get tells. A Watch ends with that error and is the caller's to begin
// again; it then begins with all that there is.
package bucket
