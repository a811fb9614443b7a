// Package broker is the façade of the message-broker-service: what the NATS server
// and its JetStream streams are doing, and everything that clients do with them.
// Every route is served under /api/v1 and, for the gateway's prefix, under
// /api/v1/broker.
//
// It holds no state: each request is one question to the branch, and a receipt that a
// client shows says by itself what it is of.
package broker
