// Package coordinator makes several collectors one: it decides which node has which
// stream, and hands streams from node to node without a hole.
//
// # Authority
//
// The plan is a document in a bucket of the broker, and its revision orders all plans.
// One node, which has the lease, writes it by compare-and-set: a writer that was
// suspended finds another revision, and reads. Every node follows the plan and nothing
// else: it takes what the plan gives to it, and gives a stream up when the node that
// has it by a plan that is not older asks for it, never before. So what Consul does
// not say, and a plan that cannot be read, change nothing.
//
// # How a stream moves
//
//	new owner                                   old owner
//	  subscribes, holds, fetches the book         records
//	  ready ──── "let go", plan r ──────────────▶ is it mine by a plan ≥ r? refuses
//	                                              goes on for half a second
//	                                              ends its intake, drains,
//	  begins after what is stored ◀──── "gone" ── all in the journal
//
// All nodes are asked, since a node knows only of itself what it records. Every one
// that lives has to answer, whether it is to have streams or leaves; one that lives no
// more, or does not answer in time, is taken for dead: what it still writes is below
// the ownership number of the new owner, which is taken after the plan was read, and
// loses.
//
// # Failure
//
// Without the broker no stream moves, and none could be recorded. Without Consul the
// holder of the lease keeps it, and nobody is given up. Where there has never been a
// plan and nobody can have the lease, a node takes everything after a while: what is
// recorded twice is stored once.
//
// What a node says that it can collect is kept while it is away, and forgotten by whoever
// makes the plan after an hour, or when the node is taken out for good ([Forget]); it
// says so again when it is back.
package coordinator
