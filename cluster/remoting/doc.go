// Package remoting lets the nodes of a cluster ask each other: for their actors, for what
// an operator wants done to them, and, of the owner of a stream, for its book. It stands
// on protoactor-go's remote and cluster. Ticks never travel here; they have the journal
// and the live plane.
//
// # Authority
//
// Who the members are, the provider says (cluster/provider). Who owns a stream, the plan
// says, and nothing else: the identity lookup reads it, and the node that is asked to
// speak for a stream reads it again before it does. A caller that follows an older plan
// is told the owner, and goes there.
//
// # Two systems of actors
//
// What peers can name is an actor system of its own, which has nothing but what is there
// for them:
//
//	the program's tree                    what peers can name
//	root/remoting ──── owns, starts ────▶ root/node         questions to this node
//	              ◀─── calls ──────────── root/activator    who speaks for a stream?
//	                                      root/streams/<stream>   the owner's, one a stream
//
// So no message from outside reaches an actor of the tree, whatever it is addressed to,
// and a failure of the library's parts is one of root/remoting, which is started anew.
//
// # What a peer may send
//
// The port speaks TLS 1.3 with certificates on both ends, of members, and without
// certificates on loopback only. Of what comes over it nothing is given to the library
// before it was looked at ([guard]): indices that are out of range crash a process
// otherwise, and system messages stop actors. Whatever is refused is counted by reason
// and ends the connection, not more. Interceptors turn a panic into an error.
//
// # States of the way to a peer
//
//	         first call: its port answers       connected
//	(idle) ─────────────────────────────▶ dialled ─────────▶ up
//	   ▲                                     │ refused        │ lost, or the member left
//	   └──────────── calls fail at once ─────┴────────────────┘
//
// # Failure
//
// A call fails, within its deadline, with an error that says which node and why: at once
// when the port is closed, when the handshake was refused, or when the connection is lost
// while it waits. The next call tries anew. Questions in flight are bounded at both ends;
// what is above is refused, not queued.
package remoting
