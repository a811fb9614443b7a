package connectors

import (
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
)

// Receipt says when and on which connection bytes arrived.
type Receipt struct {
	// Time is when the frame had been read, Unix nanoseconds.
	Time int64
	// Conn is the connection's number; 0 for REST.
	Conn int64
}

// Decoder turns frames into records. It keeps no state of a market, and is not
// safe for concurrent use.
type Decoder interface {
	// Decode appends every record of the frame to out. The frame is not kept and
	// not changed.
	//
	// A frame that gives no record says why in the note. A frame that is not what
	// the exchange's protocol allows gives a *[FrameError], and no record of it is
	// left in out.
	//
	// A frame of a kind seen before allocates nothing.
	Decode(frame []byte, rc Receipt, out *market.Batch) (Note, error)
}

// Note says what a frame was.
type Note struct {
	Reason Reason
	// Channel is the index in [Venue.Channels] of the channel that the frame
	// belongs to; -1 when it belongs to none.
	Channel int
	// Control is what a frame that is not data asks of the session; nil for data.
	Control *Control
}

// Control is the content of a frame that is about the connection.
type Control struct {
	// ID is the number of our request that the frame answers; 0 when the exchange
	// has no such numbers.
	ID int64
	// Topic is the subscription that the frame answers, in the exchange's own
	// words, where it names one.
	Topic string
	// Granted are the subscriptions that an answer with a list says yes to, in the
	// exchange's own words: what was asked for and is not among them is refused.
	// nil where answers have no list.
	Granted []string `json:",omitempty"`
	// Code and Text are the exchange's explanation of a refusal or shutdown.
	Code int64
	Text string
	// Reply is a frame to send back; nil for none.
	Reply []byte
}

// Reason says why a frame gave no records.
type Reason uint8

// The reasons.
const (
	// Records: it gave records.
	Records Reason = iota
	// Ack answers one of our requests with yes.
	Ack
	// Refused answers one of our requests with no.
	Refused
	// Heartbeat carries nothing but a sign of life.
	Heartbeat
	// Shutdown announces that the exchange will close the connection.
	Shutdown
	// UnknownChannel: data of a channel that we do not know.
	UnknownChannel
	// UnknownSymbol: data of an instrument that is not in the decoder's table.
	UnknownSymbol
	// Ignored: an event that is, by the exchange's rules, no record (an insurance
	// fund's fill, say).
	Ignored
	// Empty: data without content.
	Empty
	reasonEnd
)

// NumReasons is the size of an array by reason.
const NumReasons = int(reasonEnd)

var reasonWords = [NumReasons]string{
	"records", "ack", "refused", "heartbeat", "shutdown", "unknown_channel", "unknown_symbol", "ignored", "empty",
}

// String is the reason's word: "unknown_symbol".
func (r Reason) String() string {
	if int(r) >= NumReasons {
		return "invalid"
	}
	return reasonWords[r]
}

// FrameError says that a frame, or a REST response, is not what the exchange's
// protocol allows, and where.
type FrameError struct {
	// Offset is the byte of the frame at which it was noticed.
	Offset int
	// Problem is constant text: what was wrong or missing.
	Problem string
	// Cause is what a parser of ours said; nil when the problem says it all.
	Cause error
}

// Error names the problem and the byte.
func (e *FrameError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s at byte %d: %v", e.Problem, e.Offset, e.Cause)
	}
	return fmt.Sprintf("%s at byte %d", e.Problem, e.Offset)
}

// Unwrap is the cause.
func (e *FrameError) Unwrap() error { return e.Cause }
