// Package replay serves a capture as the exchange itself would: its WebSocket,
// which acknowledges subscriptions and sends the recorded frames, and its REST
// interface, which gives the recorded responses.
//
// # The time line
//
// Several captures are one time line, by recorded time. It stands still until
// somebody subscribes; from then on it moves at the speed asked for, the same for
// everybody: a client that comes later joins it where it is.
//
//	Waiting ── first subscription, and no other for a while ──> Playing ── end ──> Over
//
// A frame is sent to every connection that asked for its topic, in the words in
// which it asked; nothing is dropped. A connection that takes no bytes stops the
// time line, and is closed after a while. At the highest speed the appetite of
// the clients is the clock, so that nothing moves while nobody is subscribed.
// Afterwards connections stay open and pings are answered.
//
// # REST
//
// A call is held until the time line has passed the place of its response. The
// other way round, the time line waits a moment for the first call of a snapshot
// whose changes somebody listens to, unless that client is held elsewhere: so a
// book is spliced as it was when it was recorded, at any speed. Nothing waits for
// ever: a call that comes before any subscription is answered after a moment.
//
// What was not recorded is composed where the capture holds what it consists of:
// the list of instruments from the built-in table, past trades from the frames
// sent so far, the snapshot of a client that joined later from the book as it
// stands. The report lists all of it. Where an exchange sends snapshots on the
// channel, such a client gets it there.
//
// # Who owns what
//
// A [Server] owns the goroutine that moves the time line, one for each listener,
// and those of the connections. Close ends them all.
package replay
