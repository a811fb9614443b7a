package connectors

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/marketprism/marketprism/internal/market"
)

// REST is an exchange's REST interface as pure functions: what to ask, and what
// the answer means. It is safe for concurrent use.
type REST interface {
	// Request is the call that meets a need; [ErrUnsupported] when the exchange
	// has none.
	Request(n Need) (Request, error)
	// Recognise turns a recorded URL back into its request.
	Recognise(u *url.URL, known *market.Instruments) (Request, bool)
	// Decode appends every record of a response to out: a snapshot as a
	// [market.BookDelta] with IsSnapshot, trades oldest first with the flag
	// backfilled. The
	// error is a *[FrameError] when the body is not what was asked for; out is then
	// as it was.
	Decode(req Request, body []byte, rc Receipt, out *market.Batch) error
	// Instruments reads one response of [NeedInstruments]: those of this venue.
	Instruments(body []byte) ([]*market.Instrument, error)
}

// Metered is a [REST] whose responses say how much of the budget is used.
type Metered interface {
	// Used reads the weight used in the current window; ok is false when the
	// response does not say.
	Used(h http.Header) (weight int, ok bool)
}

// Throttling is a [REST] of an exchange that refuses calls because of too many in
// the words of the response, whatever its status: the call is then one answered
// with status 429.
type Throttling interface {
	// Throttled reports whether the response is such a refusal.
	Throttled(body []byte) bool
}

// Parted is a [REST] that needs several calls to meet some needs.
type Parted interface {
	// Parts is how many calls a need takes, numbered by [Need.Part]; at least 1.
	Parts(k NeedKind) int
}

// Ranked is a [REST] that tells how much of its instruments is traded, so that
// the most active of them can be chosen ([NeedVolumes]).
type Ranked interface {
	// Volumes reads one response of [NeedVolumes]. The error is a *[FrameError].
	Volumes(body []byte) ([]Volume, error)
}

// Volume is how much of one instrument was traded in the last 24 hours.
type Volume struct {
	// Native is the exchange's own spelling of the instrument.
	Native string
	// Turnover is in a unit that all instruments of the market share; with Price, in
	// the instrument's own quote: it ranks them.
	Turnover float64
	// Price is the last one, in quote, where instruments of different quotes are to
	// be compared by it; else 0.
	Price float64
}

// ErrUnsupported says that the exchange offers no call for a need.
var ErrUnsupported = errors.New("the exchange has no such call")

// NeedKind is what a REST call is for.
type NeedKind uint8

// The needs.
const (
	// NeedInstruments: the list of instruments.
	NeedInstruments NeedKind = 1 + iota
	// NeedSnapshot: the book of an instrument, as deep as configured.
	NeedSnapshot
	// NeedRecentTrades: the newest trades, as many as one call gives.
	NeedRecentTrades
	// NeedTradesFrom: trades from an id on, as many as one call gives.
	NeedTradesFrom
	// NeedPoll: the present value of a polled channel.
	NeedPoll
	// NeedVolumes: how much of each instrument is traded ([Ranked]).
	NeedVolumes
	// NeedHistory: records of a time that is over, as many as one call gives
	// ([Historian]).
	NeedHistory
	// NeedTradeAt: which trade was the first at or after a time ([Historian]).
	NeedTradeAt
)

// String is the need's word: "snapshot".
func (k NeedKind) String() string {
	switch k {
	case NeedInstruments:
		return "instruments"
	case NeedSnapshot:
		return "snapshot"
	case NeedRecentTrades:
		return "recent_trades"
	case NeedTradesFrom:
		return "trades_from"
	case NeedPoll:
		return "poll"
	case NeedVolumes:
		return "volumes"
	case NeedHistory:
		return "history"
	case NeedTradeAt:
		return "trade_at"
	}
	return "invalid"
}

// Need is what to ask the exchange for.
type Need struct {
	Kind       NeedKind
	Instrument *market.Instrument
	// Channel is the index in [Venue.Channels], for [NeedPoll].
	Channel int
	// FromID and ToID bound the trades wanted by their numbers
	// ([market.Trade.Number]), both inclusive; ToID 0 is no bound. Trades outside
	// are not decoded.
	FromID, ToID int64
	// Part is which of the calls that the need takes this is, from 0 ([Parted]).
	Part int
	// History is the index in [Historian.Histories], for [NeedHistory].
	History int
	// From and To bound the time, Unix ns, From inclusive and To exclusive, for
	// [NeedHistory]; [NeedTradeAt] has From alone. Records outside are not decoded.
	From, To int64
}

// Request is one GET.
type Request struct {
	Need
	// URL is complete.
	URL string
	// Weight is what the call costs of the budget.
	Weight int
	// PageSize is the number of trades that one call gives at most; 0 for calls
	// that are not of trades.
	PageSize int
}
