// Package broker is the message broker's branch of the tree: an embedded NATS
// server with JetStream, or the client of an external one, and the streams that
// clients publish to.
//
// # Authority
//
// The actor root/broker/server owns the embedded server: it alone starts, probes,
// restarts and stops it. [Handle] hands out connections, which belong to whoever
// asked for them. An in-process connection asks the Handle for the server that
// runs now each time it dials, so it survives a restart of the server, which is a
// new server over the same directory. Connections buffer nothing while they are
// disconnected: a publish then fails at once instead of leaving late.
//
//	Connect ── nats.Conn ──dials──▶ Handle.InProcessConn ──▶ the server that runs now
//
// # Rights
//
// The program's own connections have a password of their own. Who connects to the
// port without credentials publishes and reads, but not to the journal, the live
// plane and the buckets, and manages no streams. That keeps mistakes out, not an
// attacker: within one NATS account a reply subject or a push consumer can still be
// aimed anywhere. Listen beyond loopback only where every client is trusted.
//
// # States
//
//	            started, streams made               probe fails
//	starting ─────────────────────────▶ running ───────────────▶ stopping
//	   ▲  │ failed: backoff                                          │ gone
//	   │  └──────────────┐                                           ▼
//	   └──── space again ┴──────────────────────────────────── waiting
//
// With an external server, running means connected, and waiting that the
// connection is being made again.
//
// # Failure
//
// A server that meets a full disk switches JetStream off, or refuses to write a
// stream without a word to the publisher, and stays so: publishes time out. The
// probe sees both; the actor stops that server, waits until the disk has
// restart_free_bytes free, and starts it again. What it had acknowledged is on
// disk, synced, because the server syncs always.
//
// A server that cannot start (port taken, directory not writable) is tried again
// with a backoff while the branch waits to be ready; the tree gives up after the
// spec's start timeout.
package broker
