package deribit

// fields is what is known of the members of one kind of object.
type fields struct {
	// names are those that are read; the others are passed over.
	names []string
	// order is how they came when the first such object was read: the exchange
	// keeps its order, whatever that is, so that the next key can be guessed.
	order []guess
}

// guess is a key in the form `"key":`, and its place in names, or -1.
type guess struct {
	text string
	name int
}

// maxOrder bounds the order that is remembered.
const maxOrder = 64

// reading is an object that is being read.
type reading struct {
	*fields
	next int // in order
}

// field steps over a key and its colon and returns the key's place in names; -1
// for one that is not read.
func (c *cursor) field(r *reading) int {
	if c.i < 0 {
		return -1
	}
	if r.next < len(r.order) {
		g := &r.order[r.next]
		if end := c.i + len(g.text); end <= len(c.b) && string(c.b[c.i:end]) == g.text {
			c.i = end
			r.next++
			return g.name
		}
	}
	from := c.i
	name := r.place(c.key())
	if c.i < 0 {
		return -1
	}
	r.resume(c.b[from:c.i], name)
	return name
}

func (f *fields) place(key []byte) int {
	for i, name := range f.names {
		if string(key) == name {
			return i
		}
	}
	return -1
}

// resume finds where the order goes on after a key that was not the next one. The
// first object of all is remembered.
func (r *reading) resume(text []byte, name int) {
	for i := range r.order {
		if r.order[i].text == string(text) {
			r.next = i + 1
			return
		}
	}
	if r.next == len(r.order) && r.next < maxOrder {
		r.order = append(r.order, guess{string(text), name})
		r.next++
	}
}

// The objects that are read fast, and the members of each that count.
const (
	bookType = iota
	bookTime
	bookID
	bookPrevID
	bookBids
	bookAsks
)

const (
	tradeID = iota
	tradeSeq
	tradeTime
	tradePrice
	tradeAmount
	tradeDirection
	tradeLiquidation
	tradeBlock
)

const (
	tickerTime = iota
	tickerLast
	tickerBid
	tickerAsk
	tickerMark
	tickerIndex
	tickerInterest
	tickerFunding
	tickerStats
)

const (
	statsVolume = iota
	statsVolumeUSD
	statsVolumeNotional
	statsChange
	statsLow
	statsHigh
)

const (
	quoteTime = iota
	quoteBid
	quoteBidAmount
	quoteAsk
	quoteAskAmount
)

// objects are the fields of each.
type objects struct {
	book, trade, ticker, stats, quote fields
}

func newObjects() objects {
	return objects{
		book: fields{names: []string{"type", "timestamp", "change_id", "prev_change_id", "bids", "asks"}},
		trade: fields{names: []string{
			"trade_id", "trade_seq", "timestamp", "price", "amount", "direction", "liquidation", "block_trade_id"}},
		ticker: fields{names: []string{
			"timestamp", "last_price", "best_bid_price", "best_ask_price", "mark_price", "index_price", "open_interest",
			"current_funding", "stats"}},
		stats: fields{names: []string{"volume", "volume_usd", "volume_notional", "price_change", "low", "high"}},
		quote: fields{names: []string{
			"timestamp", "best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount"}},
	}
}
