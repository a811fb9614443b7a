// Package connectors is where exchanges meet the rest of MarketPrism: the
// contract that an exchange fulfils, the session that owns a socket to it, the
// client that calls its REST interface, and the form in which its traffic is
// recorded.
//
// # What an exchange is
//
// An exchange is a folder below this package and one line in connectors/all. It
// does no I/O, starts no goroutine and reads no clock: it is a table ([Venue])
// and a few pure functions over bytes, so that the live collector, `normalize`,
// `replay` and the simulator all run the same code.
//
//	Exchange ── Venue, one per market
//	             ├─ Channels   what can be received, what proves it, when silence is a fault
//	             ├─ Decoder    frame -> records, nothing dropped without a reason
//	             ├─ Wire       connections, subscriptions, pings, limits
//	             ├─ REST       snapshots, instruments, missed trades, polled kinds
//	             └─ Sequence   whether a book's change follows what came before it
//
// # Who owns what
//
// A [Session] owns one socket and every goroutine that touches it; its owner
// calls [Session.Run] and is told everything through a [Sink]. A [Client] owns
// the pace of the calls to one REST host. Books, gaps and their repair are
// internal/stream's; neither this package nor an exchange keeps state of a
// market.
//
// # Failure
//
// A frame that cannot be decoded gives a *[FrameError] and no records; the
// socket stays. A socket that fails, falls silent or is not acknowledged is
// closed and made again, for ever, with a growing random wait; it then has a new
// connection number. Sequence numbers tell the stream what was missed.
package connectors
