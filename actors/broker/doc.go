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
// Behind the server stand its packages, each with connections of its own: messages
// (what clients publish, follow and consume), tasks, deadletters, and outbox (the
// program's events).
//
// # Rights
//
// There are two accounts. The program's ($G) holds the journal, the buckets and the
// scheduler's ledger; the clients' (CLIENTS) holds the streams of the configuration and
// those that clients make. Nothing passes between them except the live plane, md.>,
// which clients read: no reply subject and no push consumer of a client reaches the
// journal. The program has a user in each, with one password.
//
//	$G       JOURNAL_<k>, KV_…, SCHEDULER_LEDGER   md.> ──export──▶ read by clients
//	CLIENTS  MARKET_DATA, …, TASKS, DLQ, DLQ_NOTICES
//
// Who connects to the port without credentials is a client, which is allowed where the
// server listens on loopback only; users of the configuration are clients with subjects
// of their own. Clients publish, read and make consumers. Streams are made over HTTP,
// which says which are whose; the live plane, dead letters and the server's notices are
// not theirs to write.
//
// At an external server the same holds if it has two accounts (clients_username); with
// one, the checks of subjects and names alone keep clients away over HTTP.
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
// # Several nodes
//
// With cluster.bootstrap_expect the embedded servers of three or five nodes are one: a
// run starts its server with the routes to all of them, and is not up before they have
// a leader (at their very first start: before all take part). Without a majority the
// broker is down until there is one again, and nothing is restarted. The program's
// account is called PROGRAM there, and a third one is the server's own, for Remove.
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
