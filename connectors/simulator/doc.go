// Package simulator is exchanges that are not there: real WebSocket and REST
// servers on loopback that speak an exchange's own protocol, about a market of
// the simulator's making, and that lie as exchanges and networks do, when told
// to. It says what is true, so that whoever listens can be proven right.
//
// # The market
//
// Each instrument has a market of its own: a book whose levels makers change,
// orders that trade against it, and what follows from both. It is an endless row
// of steps at a steady rate. What happens in a step follows from the seed, the
// instrument and the number of the step; when it happens, from the number alone
// (see [Genesis]). So the same seed and rate give the same market to everybody,
// whenever the simulator was started and whoever listens, and any moment of the
// past can be made again: nothing is kept, however long it runs.
//
//	seed, instrument, step ──> engine: book, trades ──> events ──> Dialogue: frames
//	                             │                                    │
//	                             └──> truth                           └──> faults ──> socket
//
// A market that nobody listens to costs nothing: it is made again when somebody
// comes.
//
// Each connection has its own times at which the changes of a book are put into a
// frame, so that two connections get the same book in different pieces.
//
// # What an exchange adds
//
// Its sim.go: a [Simulation] for each host. It is the other side of its Decoder,
// Wire and REST, as pure functions: which subscriptions a client's frame asks for,
// in which words an [Event] is told, what a call is answered.
//
// # Who owns what
//
// A [Server] owns a goroutine for each host, which lets the markets go on and does
// what is due on its connections, and the goroutines of the listeners. A
// connection has two: one reads, one writes, from a queue of bounded size; a
// client that is too far behind is disconnected, as exchanges do. One lock a host
// guards its markets and connections. [Server.Close] ends them all.
//
// # Failure
//
// A machine that is too slow makes the market slow: it never jumps. A listener
// that fails is told by [Server.Failed].
package simulator
