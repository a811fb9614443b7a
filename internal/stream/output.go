package stream

import "github.com/marketprism/marketprism/internal/market"

// Output is what one step produced. The caller resets and reuses it.
type Output struct {
	// Records are to be published and journalled, in this order. They point into
	// the input batch or into the Output, and are good until the earlier of the
	// two is reset.
	Records []market.Record
	// Requests are to be carried out by the owner, who answers by calling
	// [Stream.Snapshot], [Stream.Backfilled] or [Stream.BackfillFailed].
	Requests []Request

	own    market.Batch
	levels [2][]market.Level // of a book, while they are looked at
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Records)
	o.Records = o.Records[:0]
	o.Requests = o.Requests[:0]
	o.own.Reset()
}

// Request is something that the stream needs from outside.
type Request struct {
	Kind RequestKind
	// From and To are the first and the last trade id wanted (RequestTrades).
	From, To int64
}

// RequestKind is a kind of request.
type RequestKind uint8

// The requests.
const (
	// RequestSnapshot asks for a new book by REST. One at a time is enough.
	RequestSnapshot RequestKind = 1 + iota
	// RequestResubscribe asks for a new subscription of the book channel, which
	// brings a snapshot.
	RequestResubscribe
	// RequestTrades asks for trades by id.
	RequestTrades
)

// String is the request's word.
func (k RequestKind) String() string {
	switch k {
	case RequestSnapshot:
		return "snapshot"
	case RequestResubscribe:
		return "resubscribe"
	case RequestTrades:
		return "trades"
	}
	return "invalid"
}
