// Package collector is the façade of the market-data-collector: what is
// collected, the books and trades of this moment, and how complete it all is.
//
// It holds no state. Figures are read without asking an actor, so that they
// answer while actors are busy; a book, a refresh and a subscription are one
// message each to the stream or the branch that decides.
//
// Those who follow streams are clients of the branch's hub (actors/collector/live),
// which owns their queues; a handler writes what its client takes, as WebSocket
// frames or as server-sent events.
//
// A book is answered with its state, its sequence and its age, whatever its form:
// only one in state live is proven right.
package collector
