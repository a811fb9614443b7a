package connectors

import "time"

// Wire is an exchange's WebSocket protocol: which connections to make and what
// to say on them. It is pure and safe for concurrent use.
type Wire interface {
	// Plan spreads subscriptions over connections within the exchange's limits.
	// Every WebSocket subscription is in exactly one of them; polled channels are
	// left out. The subscriptions of one instrument stay together where the
	// exchange allows it, and those that share a topic ([Sharing]) stay together
	// always.
	Plan(subs []Subscription) []Connection
	// Subscribe and Unsubscribe are the frames that ask for subscriptions, or end
	// them, on an open connection. firstID numbers the first frame, the next one
	// has firstID+1, and so on. As many subscriptions go into one frame as the
	// exchange takes. Of subscriptions that share a topic ([Sharing]) one is given,
	// and to Unsubscribe only when no other keeps the topic.
	Subscribe(firstID int64, subs []Subscription) []Demand
	Unsubscribe(firstID int64, subs []Subscription) []Demand
	// Rules are the connection's rules.
	Rules() WireRules
}

// Sharing is a [Wire] on which one topic may serve several subscriptions: all
// liquidations of an instrument type, an index that several instruments have.
//
// The session asks for a topic with the first of its subscriptions, and ends it
// with the last: the wire never sees two subscriptions of one topic in a call. A
// frame of such a topic may hold records of every instrument in the decoder's
// table that it concerns, one record for each; those that are not subscribed are
// left out by the receiver. A refusal of the topic refuses all its subscriptions.
type Sharing interface {
	// Topic is what a subscription asks for, in the wire's own words; the same for
	// subscriptions that one request serves.
	Topic(s Subscription) string
}

// Connection is one socket to make.
type Connection struct {
	// URL is what to dial. The subscriptions are not part of it: they are asked
	// for on the open connection, so that each is acknowledged.
	URL string
	// Group names what may share the connection: subscriptions of different
	// groups must not be moved between connections. "" when there is one group.
	Group string
	Subs  []Subscription
}

// Demand is one frame that asks for something, and how to know its answer.
type Demand struct {
	// ID is the number that the answer repeats; 0 when the exchange has none.
	ID int64
	// Topics are the subscriptions that are answered one by one, where the
	// exchange answers so; empty when ID is all. An answer with ID that names no
	// topic is of all of them: a refusal.
	Topics []string
	// Names are Subs in the exchange's own words, one for each, where its answer
	// lists those that it grants ([Control.Granted]); empty where it does not.
	Names []string
	Body  []byte
	Subs  []Subscription
}

// WireRules are the rules of a connection that are plain numbers.
type WireRules struct {
	// Greeting are the frames that a new connection begins with, before anything
	// is asked for: the terms on which the exchange is to send. Their answers, if
	// any, are waited for by nobody; numbers in them must be below 1, which are no
	// demand's.
	Greeting [][]byte
	// PingEvery is the time between pings that we must send; 0 when the exchange
	// pings us. Ping is the text frame for it; nil for a WebSocket ping.
	PingEvery time.Duration
	Ping      []byte
	// ServerPingEvery is how often the exchange says it pings; the connection is
	// dead when nothing at all came for three times as long. 0 when unknown.
	ServerPingEvery time.Duration
	// Lifetime is how long the exchange keeps a connection; 0 for ever.
	Lifetime time.Duration
	// ReadLimit is the size of the largest frame accepted, in bytes.
	ReadLimit int64
}

// Limits are how much an exchange takes from one client.
type Limits struct {
	// Messages is how many frames a connection may send, pings included.
	Messages Rate
	// Demands is how many frames of [Wire.Subscribe] and [Wire.Unsubscribe] a
	// connection may send: any number at once, up to N in any time of that length.
	// Those beyond wait, and what waits is put into common frames.
	Demands Rate
	// Connects is how many connections may be tried from one address.
	Connects Rate
	// Weight is how much REST weight may be used.
	Weight Rate
	// StreamsPerConnection is the number of subscriptions on one connection.
	StreamsPerConnection int
}

// Rate is a number of things in a time.
type Rate struct {
	N   int           `yaml:"n"`
	Per time.Duration `yaml:"per"`
}

// Each is the time between two things at that rate; 0 for no limit.
func (r Rate) Each() time.Duration {
	if r.N <= 0 {
		return 0
	}
	return r.Per / time.Duration(r.N)
}
