// Package messages is what clients do with the broker over any façade: publish,
// ask for a reply, follow a subject, consume a stream, and manage streams.
//
// # Authority
//
// A [Desk] has one connection in the clients' account and no state of its own: what
// it acknowledges, JetStream has, synced. It works on the goroutine of whoever
// asks, at most max_requests at a time; the rest are refused with broker.ErrBusy.
// Everything that it cannot reach, by account, no client can: the journal and the
// buckets. What it could reach and clients may not, it refuses ([Refusal]).
//
// # Following
//
// A [Follower] of a subject that a stream keeps is an ordered consumer behind a
// [Position]: it survives a restart of the server, and whoever comes back with the
// last position goes on behind it. What the stream no longer has is told, never
// passed over. Of a subject that no stream keeps there is only what comes while
// one listens.
//
//	Position{}              what comes from now on
//	Position{created, seq}  what lies behind seq; all, if the stream was made anew
//
// # Consuming
//
// A message that was fetched is answered with a receipt: its acknowledgement
// subject, signed. Any process of the cluster takes it, after any restart; nobody
// keeps a list. The key is in a bucket of the program's account.
//
// # Failure
//
// A broker that is down, or does not answer in time, is broker.ErrNotRunning; what
// was being published may have been stored, and publishing it again with the same id
// within the stream's window stores nothing twice.
package messages
