package connectors

import (
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Exchange is one exchange: its name, its defaults, and its markets. It is
// immutable and safe for concurrent use.
type Exchange interface {
	// Name is the lower-case name that records carry: "binance".
	Name() string
	// DefaultConfig lists the markets that the exchange has, with the settings
	// that its documentation asks for. Each call returns a new value.
	DefaultConfig() Config
	// Venue is one market under the given settings. The error says that the
	// exchange has no such market, or which setting is wrong.
	Venue(m market.Market, cfg MarketConfig) (*Venue, error)
}

// Venue is one market of one exchange: a table of what it can do. It is
// immutable and safe for concurrent use. A nil field is an ability that the
// venue does not have.
type Venue struct {
	// Exchange and Market are those of the records.
	Exchange string
	Market   market.Market
	// Hosts are the host names, without port, under which the exchange serves
	// this market; they tell whose a captured URL is.
	Hosts []string
	// Channels are all that can be received under the settings that the venue was
	// made with. A [Note] refers to them by index.
	Channels []Channel
	// NewDecoder returns a decoder that knows the given instruments.
	NewDecoder func(*market.Instruments) Decoder
	// Wire is the WebSocket protocol.
	Wire Wire
	// REST is the REST interface.
	REST REST
	// Sequence proves books that have Proof [BySequence].
	Sequence Sequence
	// Builtin returns the dated instrument table for work without a network.
	Builtin func() *market.Instruments
	// Limits are the exchange's limits, under the settings given.
	Limits Limits
}

// ChannelIndex finds a channel by name; -1 when there is none.
func (v *Venue) ChannelIndex(name string) int {
	for i := range v.Channels {
		if v.Channels[i].Name == name {
			return i
		}
	}
	return -1
}

// ChannelsFor lists the indices of the channels that together give the kinds
// asked for, in the order of the table; a kind that the venue does not have is
// left out.
func (v *Venue) ChannelsFor(kinds []market.Kind) []int {
	var out []int
	for i := range v.Channels {
		for _, k := range kinds {
			if v.Channels[i].Gives(k) {
				out = append(out, i)
				break
			}
		}
	}
	return out
}

// Channel is one thing that can be received for an instrument.
type Channel struct {
	// Name is unique in the venue: "trade", "depth", "kline_1m". It is the name in
	// the gap ledger's reports and in metrics.
	Name string
	// Kinds are the kinds of records that it gives.
	Kinds []market.Kind
	// Proof is what shows that nothing is missing.
	Proof Proof
	// Snapshot is where a book's starting state comes from.
	Snapshot SnapshotSource
	// Silence is the time without a frame, of one instrument, after which the
	// channel counts as broken; 0 where silence is normal.
	Silence time.Duration
	// Poll is the time between two calls of a channel that exists by REST only; 0
	// for one that comes over the WebSocket.
	Poll time.Duration
	// Lossy says that the exchange leaves records out by design.
	Lossy bool
	// Optional channels are not subscribed unless they are named: another channel
	// gives the same kind in a better form.
	Optional bool
}

// Gives reports whether the channel's records may be of kind k and the channel
// is one to subscribe to for it.
func (c *Channel) Gives(k market.Kind) bool {
	if c.Optional {
		return false
	}
	for _, have := range c.Kinds {
		if have == k {
			return true
		}
	}
	return false
}

// Proof is what shows that a channel is complete.
type Proof uint8

// The proofs.
const (
	// NoProof: nothing does. Its records carry the flag unverifiable.
	NoProof Proof = iota
	// BySequence: numbers without holes, by the venue's [Sequence] for books and
	// by trade ids for trades.
	BySequence
	// ByChecksum: a checksum of the book.
	ByChecksum
)

// String is "none", "sequence" or "checksum".
func (p Proof) String() string {
	switch p {
	case NoProof:
		return "none"
	case BySequence:
		return "sequence"
	case ByChecksum:
		return "checksum"
	}
	return "invalid"
}

// SnapshotSource says where the state that a book starts from comes from.
type SnapshotSource uint8

// The sources.
const (
	// NoSnapshot: the channel is not a book.
	NoSnapshot SnapshotSource = iota
	// SnapshotByREST: ask for it ([NeedSnapshot]) and splice.
	SnapshotByREST
	// SnapshotInStream: the channel begins with it; subscribe anew to get another.
	SnapshotInStream
)

// Subscription is one channel of one instrument.
type Subscription struct {
	// Channel is the index in [Venue.Channels].
	Channel    int
	Instrument *market.Instrument
}

// Sequence is the exchange's rule of how the changes of a book follow each
// other. It keeps no state: the caller remembers the last sequence number that
// it applied. A Sequence whose exchange sends checksums of the book implements
// stream.Checksummer too.
//
// Where numbers may fall, Old is for what repeats the last change and nothing
// else: a wrong Hole costs a snapshot, a wrong Old freezes the book. A change that
// only keeps the chain alive is Next.
type Sequence interface {
	// Splice judges a change against a snapshot with sequence number snapshotSeq
	// that has had no change applied yet.
	Splice(snapshotSeq int64, d *market.BookDelta) market.Continuity
	// Follow judges a change against the last one applied.
	Follow(lastSeq int64, d *market.BookDelta) market.Continuity
}
