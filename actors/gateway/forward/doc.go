// Package forward sends a request to an instance of a service, and to another one
// where that is safe.
//
// # When a request is sent again
//
//	it never left (nobody answers at the address)        any method
//	it may have been handled, and                        GET HEAD OPTIONS PUT DELETE TRACE,
//	  the connection broke, or another instance is        and any with an Idempotency-Key
//	  there and this one answered 502, 503 or 504
//
// Always only while its body is still whole (none, or of at most Config.BufferBytes and
// known length, then it is kept; a longer one is streamed and goes once), within
// Config.Attempts, and as far as the budget of the service allows. Another instance is
// tried at once, the same one after a pause. A request without a body that was put on a
// connection which the instance had closed meanwhile is put on another one by the
// transport, and counts once.
//
// # Failure
//
// What cannot be answered is an [*Error], which says how far the request came. An
// answer that breaks off is one of reading its body.
package forward
