// Package provider tells protoactor-go's cluster who its members are: what Consul says,
// as cluster/consul understands it, or what the configuration says.
//
// # Authority
//
// The source alone. A member leaves when the source drops it, which for Consul follows
// the rules of cluster/consul: a Consul that is frozen, slow, gone or empty takes nobody
// away. The library gossips nothing of its own and expires nobody.
//
// # Nobody is blocked
//
// The library puts every member that leaves on a list of ids that may never come back,
// and refuses their connections. A node that was given up by mistake would stay away
// until it is started again. So a member's id here is its name and how often it has
// joined, as this node has seen it: one that comes back is another member, and the ids
// by which processes know each other are never listed.
//
// # Failure
//
// Updates are given one after the other, by one goroutine, in the order in which the
// source had them: a list that is late cannot overtake a later one.
package provider
