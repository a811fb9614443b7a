package simulator

import (
	"net/http"
	"net/url"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Simulated is an [connectors.Exchange] that can be simulated.
type Simulated interface {
	connectors.Exchange
	// Simulations are its hosts, one for each address under which the exchange
	// serves: all markets of one host are in one of them.
	Simulations() []Simulation
}

// Simulation is one host of an exchange in the exchange's own words: the other
// side of its Decoder, Wire and REST. It is a table of pure functions, safe for
// concurrent use: sockets, clock, market, limits and faults are the simulator's.
type Simulation struct {
	// Name tells the hosts of an exchange apart: "spot", "usdm".
	Name string
	// Profile is "" for the exchange as it is; one that is otherwise, as it was years
	// ago say, has a word for that: "legacy" is asked for as okx-legacy.
	Profile string
	// Markets are those that the host serves.
	Markets []market.Market
	// Terms are the exchange's limits and habits.
	Terms Terms
	// Generate makes up the n-th further instrument of a market, n from 0, in the
	// exchange's own spelling, with its tick and step; see [Coin]. nil where there
	// are none beyond the built-in table.
	Generate func(m market.Market, n int) *market.Instrument
	// Shape says how an instrument trades; nil is [ShapeOf].
	Shape func(i *market.Instrument) Shape
	// Connect begins a client's connection; false when the exchange has no
	// WebSocket there. What the URL itself subscribes to goes into r, as in
	// [Dialogue.Hear].
	Connect func(u *url.URL, l *Listing, r *Reply) (Dialogue, bool)
	// REST is the REST interface.
	REST REST
}

// Terms are an exchange's limits and habits. A zero is none.
type Terms struct {
	// Stride is the distance between the sequence numbers of two events of a book;
	// 0 is 1. An exchange whose numbers are not contiguous has a larger one.
	Stride int64
	// Messages is how many frames a client may send on one connection, pings
	// included; one more ends the connection.
	Messages connectors.Rate
	// Connects is how many connections an address may try; one more is refused.
	Connects connectors.Rate
	// Weight is how much REST weight an address may use in a window.
	Weight connectors.Rate
	// StreamsPerConnection bounds the subscriptions of a connection; one more ends
	// it.
	StreamsPerConnection int
	// PingEvery is the time between two WebSocket pings of the server; a client that
	// does not answer within PongWithin is disconnected.
	PingEvery, PongWithin time.Duration
	// Idle is how long a client may say nothing while it is also told nothing.
	Idle time.Duration
	// Lifetime is how long a connection lives.
	Lifetime time.Duration
	// BanAfter is how many calls beyond the budget turn a refusal (429) into a ban
	// (418); 0 for exchanges that do not ban.
	BanAfter int
	// WSPath and RESTPath are what the settings ws_url and rest_url have after the
	// host; usually "".
	WSPath, RESTPath string
}

// Dialogue is one client's connection as the exchange sees it. It is not safe for
// concurrent use.
//
// It may have more abilities: [Beater], [Leaver].
type Dialogue interface {
	// Hear takes a frame of the client: what is to be said and done goes into r, in
	// order. The frame is not kept.
	Hear(frame []byte, r *Reply)
	// Append appends the frame with which this client is told of an event, without
	// any WebSocket framing. Nothing appended is nothing sent.
	Append(dst []byte, s *Subscription, e *Event) []byte
}

// Beater is a [Dialogue] that says something at intervals of its own: see
// [Reply.BeatEvery].
type Beater interface{ Beat(r *Reply) }

// Leaver is a [Dialogue] that announces that the exchange will close the
// connection.
type Leaver interface{ Leave(r *Reply) }

// Feed is what of the market drives a subscription.
type Feed uint8

// The feeds. Each event has the field of its feed set, beside the common ones.
const (
	// FeedTrades: every trade, when it happens ([Event.Trades]).
	FeedTrades Feed = 1 + iota
	// FeedBook: the changes of the book since the last frame, every
	// [Subscription.Every] at times that differ from connection to connection; after
	// every change when Every is 0 ([Event.Book]). With Subscription.Snapshot it
	// begins with the whole book.
	FeedBook
	// FeedQuote: best prices and amounts, when they change ([Event.Quote]).
	FeedQuote
	// FeedState: everything else that can be said of an instrument, every
	// [Subscription.Every] ([Event.State]).
	FeedState
	// FeedCandle: the candle of [Subscription.Interval], every
	// [Subscription.Every], and once more when it closes ([Event.Candle]).
	FeedCandle
	// FeedLiquidations: forced orders ([Event.Liquidation]).
	FeedLiquidations
)

// Subscription is one thing that a client asked for.
type Subscription struct {
	// Topic is the client's own word for it, unique in the connection.
	Topic string
	// Channel is the name of the channel ([connectors.Channel]) that the client's
	// decoder takes it for: it says what proof there is, in the log of faults.
	Channel string
	// Market and Native name the instrument. Native "" is every instrument of the
	// market.
	Market market.Market
	Native string

	Feed Feed
	// Every is the time between two frames of feeds that have one.
	Every time.Duration
	// Interval is that of candles: "1m".
	Interval string
	// Together puts all trades of one order into one event; else each has its own.
	Together bool
	// Snapshot lets a book begin with a snapshot.
	Snapshot bool
	// Checksum says that frames carry one, so that it can be wrong.
	Checksum bool
	// Tag is the dialogue's own.
	Tag int
}

// Reply collects what a [Dialogue] wants said and done, in order.
type Reply struct {
	steps []replyStep
	now   int64
}

type replyStep struct {
	frame       []byte
	subscribe   *Subscription
	unsubscribe string
	beat        time.Duration
	close       int
	reason      string
}

// Now is the exchange's time, Unix ns.
func (r *Reply) Now() int64 { return r.now }

// Send says a frame.
func (r *Reply) Send(frame []byte) { r.steps = append(r.steps, replyStep{frame: frame}) }

// Subscribe begins a subscription; one with the same topic changes nothing. What
// it begins with is sent at once.
func (r *Reply) Subscribe(s Subscription) { r.steps = append(r.steps, replyStep{subscribe: &s}) }

// Unsubscribe ends the subscription with a topic.
func (r *Reply) Unsubscribe(topic string) {
	r.steps = append(r.steps, replyStep{unsubscribe: topic})
}

// BeatEvery asks for [Beater.Beat] at an interval from now on.
func (r *Reply) BeatEvery(d time.Duration) { r.steps = append(r.steps, replyStep{beat: d}) }

// Close ends the connection with a WebSocket close code (RFC 6455, 7.4).
func (r *Reply) Close(code int, reason string) {
	r.steps = append(r.steps, replyStep{close: code, reason: reason})
}

// Event is something to tell the clients of. It is good during the call only.
type Event struct {
	Instrument *market.Instrument
	// Time is when it happened, Sent when the exchange tells of it, Unix ns.
	Time, Sent int64
	// Seq is the book's sequence number at that moment.
	Seq int64

	Trades      []market.Trade // ids rise by one; Header has instrument, time and Seq = id
	Book        *Book
	Quote       market.Quote
	State       *State
	Candle      *Candle
	Liquidation *market.Liquidation
	// BadChecksum asks for a wrong checksum.
	BadChecksum bool
}

// Book is a change of a book, or the whole of it.
type Book struct {
	Snapshot bool
	// FirstSeq and Seq are the first and last event in it, PrevSeq the last event
	// before it: the Seq of the same subscription's frame before. In a snapshot all
	// of them are equal.
	FirstSeq, Seq, PrevSeq int64
	// Bids and Asks are absolute amounts, best first; 0 deletes.
	Bids, Asks []Level

	engine *engine
}

// Level is a level with its amount.
type Level struct {
	market.Level
	// Existed says that the client's book has the price. A level that came and went
	// between two frames has not existed and has amount 0.
	Existed bool
}

// Top returns the best n levels of each side of the whole book after the change,
// for checksums. They are new slices.
func (b *Book) Top(n int) (bids, asks []market.Level) { return b.engine.top(n) }

// State is what can be said of an instrument at a moment. Amounts are in the unit
// of records.
type State struct {
	Time, Seq, TradeID int64
	Last, LastAmount   market.Decimal
	Quote              market.Quote
	// Of the last 24 hours: the window's open, extremes, amounts traded and number
	// of trades; Opened is when the window begins, Unix ns.
	Open, High, Low     market.Decimal
	Volume, QuoteVolume market.Decimal
	Trades              int64
	Opened              int64
	// Mark and Index are prices; Rate and NextRate the funding rates of this and the
	// next period, as fractions; Funding when this one is paid, Unix ns.
	Mark, Index    market.Decimal
	Rate, NextRate market.Decimal
	Funding        int64
	OpenInterest   market.Decimal
	// OpenInterestQuote is the same in quote.
	OpenInterestQuote market.Decimal
	// Volatility is an index of implied volatility, in percent a year.
	Volatility market.Decimal
}

// Candle is a candle with what exchanges say beside it.
type Candle struct {
	market.Candle
	// FirstID and LastID are the first and last trade; 0 when there was none.
	FirstID, LastID int64
	// BoughtVolume and BoughtQuoteVolume are those of trades whose taker bought.
	BoughtVolume, BoughtQuoteVolume market.Decimal
}

// REST is a host's REST interface, without sockets and limits.
type REST interface {
	// Weight is what a call costs of the budget.
	Weight(u *url.URL) int
	// Answer answers a call: the exchange's own error for what it does not have.
	Answer(u *url.URL, v *View) Answer
	// Refuse answers a call that is beyond the budget, or comes from a banned
	// address. It may set headers; Retry-After is set already.
	Refuse(r Refusal, h http.Header) Answer
}

// Meter is a [REST] that says in headers how much of the budget is used.
type Meter interface{ Meter(h http.Header, used int) }

// Answer is the answer to a REST call, as JSON.
type Answer struct {
	Status int
	Body   []byte
}

// Refusal is why a call is refused.
type Refusal struct {
	// Status is 429 or 418.
	Status int
	// Until is when it may be tried again, Unix ns.
	Until int64
}
