// Package remote reads a store that runs in another process, over the HTTP
// interface of its data-storage-service.
//
// # Authority
//
// The storage service alone says what is stored. A [Reader] keeps nothing: every
// call asks, at the first address that answers, and takes streams by their own names
// (exact), so that neither side needs the other's instrument tables. Records come in
// the one JSON form and are read back digit by digit (market.JSONReader).
//
//	Reader.Query   GET query/{kind}/{exchange}/{symbol}?exact&format=ndjson, page by page
//	Reader.Reached GET applied?position&journal, again and again until it is reached
//	Reader.Count   GET tally/{kind}/{exchange}/{symbol}?exact
//	Reader.Standing GET journal
//
// # Pages
//
// A query is read in pages, each a view of its own: unlike with an engine, a record
// that arrives meanwhile at a place that is still to come is read. No view is held
// open at the service between two pages.
//
// # Failure
//
// Whatever is not an answer is an error, at once; who asks decides how long to try
// again. An answer that is cut short, or holds anything that is no record, is an
// error too: never fewer records than there are. An answer that says no is an
// [*AnswerError].
package remote
