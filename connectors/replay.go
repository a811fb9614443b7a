package connectors

import (
	"net/url"

	"github.com/marketprism/marketprism/internal/market"
)

// Replayable is an [Exchange] whose own side of the protocol can be spoken, so
// that its captures can be served again.
type Replayable interface {
	// Replayer speaks for the hosts of a market.
	Replayer(m market.Market) (Replayer, error)
}

// Replayer is an exchange's server, without the sockets and the clock: what its
// URLs ask for, and in which words it answers. It is pure and safe for
// concurrent use.
type Replayer interface {
	// AppendTopic appends the topic of a recorded frame: one word for a channel
	// and an instrument, the same however fast or in which envelope it was
	// recorded. A frame that belongs to no subscription has none.
	AppendTopic(dst, frame []byte) []byte
	// Connect begins a client's connection; false when the exchange has no
	// WebSocket there.
	Connect(u *url.URL) (ReplayConn, bool)
	// Call says what a URL of the REST interface asks for.
	Call(u *url.URL) ReplayCall
	// Compose writes the answer to a call that nobody recorded; false when the
	// state does not hold what the answer consists of.
	Compose(c ReplayCall, s *ReplayState) ([]byte, bool)
}

// ReplayOpener is a [Replayer] of an exchange whose books begin with a snapshot on
// the channel: a client that subscribes in the middle is told the book as it then
// stands.
type ReplayOpener interface {
	// BookOf is the native name of the instrument whose book a topic brings; "" for
	// a topic that does not begin with a snapshot.
	BookOf(topic string) (native string)
	// Open appends the frame with which the topic begins, as it would have been
	// recorded.
	Open(dst []byte, topic string, b *ReplayBook) []byte
}

// ReplayConn is one client's connection as the exchange sees it. It is not safe
// for concurrent use.
type ReplayConn interface {
	// Hear takes a frame of the client and returns the answers, in order.
	Hear(frame []byte) (replies [][]byte)
	// Topics are those asked for at present.
	Topics() []string
	// Say sends a recorded frame in the words in which this client asked for its
	// topic: once for each. The bytes are good during the call to send only.
	Say(topic string, frame []byte, send func([]byte) error) error
}

// ReplayCall is what a URL asks for.
type ReplayCall struct {
	// Key is the same for all calls that one recorded response answers, whatever
	// host and limit they name.
	Key  string
	Kind NeedKind // 0 for what is none of the needs
	// Symbol is the instrument's native name; "" for none.
	Symbol string
	// Topic is that of the frames that the answer goes with: a snapshot's changes;
	// "" for none.
	Topic string
	// Limit is how many are asked for, 0 when the URL does not say; FromID the
	// first trade asked for.
	Limit  int
	FromID int64
}

// ReplayState is what is known at a moment of a capture, as far as the kind of a
// call needs it.
type ReplayState struct {
	// Time is the recorded time, Unix ns.
	Time int64
	// Instruments are those of every market of the host for a call of all of them;
	// else the call's own.
	Instruments []*market.Instrument
	// Trades are those seen so far of the instrument, by id.
	Trades []market.Trade
	// Book is the instrument's book; nil where it is not known.
	Book *ReplayBook
}

// ReplayBook is a book at a moment.
type ReplayBook struct {
	Seq int64
	// Time is the exchange's, Unix ns.
	Time int64
	// Bids and Asks are best first.
	Bids, Asks []market.Level
}
