package okx

import (
	"math"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// decoder reads frames in two ways: those that come by the million as compact JSON
// with members that are known (fast.go), and, when a frame has any other form, in
// whatever form JSON allows. Both give the same records.
type decoder struct {
	market   market.Market
	table    *market.Instruments
	channels map[string]route
	// indexes are the instruments of each index.
	indexes map[string][]*market.Instrument
	index   hotIndex
	last    *market.Instrument // the instrument of the frame before
	native  string             // its native name; never empty once last is set
	size    size               // and its contract's
	s       connectors.Scanner
	// message and cursor are those of the frame, here because they are passed to
	// functions chosen at run time.
	message message
	cursor  cursor
}

// route is how a channel is read.
type route struct {
	channel  int
	about    about
	interval string
	read     func(*decoder, *message)
}

// hotIndex holds the place of the channels that fast.go reads.
type hotIndex struct{ books, bbo, trades, tradesAll int }

// readers read one element of a channel's data.
var readers = map[string]func(*decoder, *message){
	"trades-all": (*decoder).trade, "trades": (*decoder).trade, "books": (*decoder).book, "bbo-tbt": (*decoder).quote,
	"tickers": (*decoder).ticker, "mark-price": (*decoder).markPrice, "open-interest": (*decoder).openInterest,
	"index-tickers": (*decoder).indexPrice, "liquidation-orders": (*decoder).liquidation, "funding-rate": (*decoder).funding,
}

func newDecoder(m market.Market, table []line, t *market.Instruments) *decoder {
	d := &decoder{market: m, table: t, channels: map[string]route{}, indexes: map[string][]*market.Instrument{}}
	for i := range table {
		l := &table[i]
		if l.channel == "" {
			continue
		}
		read := readers[l.channel]
		if strings.HasPrefix(l.channel, "candle") {
			read = (*decoder).candle
		}
		d.channels[l.channel] = route{channel: i, about: l.about, interval: l.interval, read: read}
	}
	d.index = hotIndex{
		books: d.channels["books"].channel, bbo: d.channels["bbo-tbt"].channel,
		trades: d.channels["trades"].channel, tradesAll: d.channels["trades-all"].channel,
	}
	if m != market.Spot {
		for _, i := range t.All() {
			name := indexName(i)
			d.indexes[name] = append(d.indexes[name], i)
		}
	}
	return d
}

// instrument finds an instrument by its native name, and makes its contract's
// size the one to multiply by.
func (d *decoder) instrument(native []byte) *market.Instrument {
	if d.last != nil && string(native) == d.native {
		return d.last
	}
	i, ok := d.table.Native(native)
	if !ok {
		return nil
	}
	d.use(i)
	return i
}

func (d *decoder) use(i *market.Instrument) {
	d.last, d.native, d.size = i, i.Native, sizeOf(i)
}

// message is one element of a frame's data.
type message struct {
	frame    []byte
	rc       connectors.Receipt
	out      *market.Batch
	route    route
	inst     *market.Instrument   // of the topic; nil for a topic of several
	concerns []*market.Instrument // of an index
	action   action
	strange  bool // it names an instrument that is not in the table
	// elsewhere: the channel is one of another market's.
	elsewhere bool
}

// action says what data of a book is.
type action uint8

const (
	noAction action = iota
	snapshot
	update
)

// Decode implements [connectors.Decoder].
func (d *decoder) Decode(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, error) {
	if note, ok := d.fast(frame, rc, out); ok {
		return note, nil
	}
	if isPong(frame) {
		return none(connectors.Heartbeat), nil
	}
	before := out.Len()
	note, err := d.envelope(frame, rc, out)
	if err != nil {
		out.Truncate(before)
	}
	return note, err
}

func none(r connectors.Reason) connectors.Note { return connectors.Note{Reason: r, Channel: -1} }

// envelope reads {"arg":{"channel":…,"instId":…},"action":…,"data":[…]}, or what
// is not data.
func (d *decoder) envelope(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, error) {
	s := &d.s
	s.Reset(frame, 0)
	d.message = message{frame: frame, rc: rc, out: out}
	m := &d.message
	var c control
	data, arg, known := -1, -1, false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "arg":
			s.Peek()
			arg = s.Offset()
			known = d.arg(m)
		case "action":
			m.action = actionOf(s.String())
		case "data":
			s.Peek()
			data = s.Offset()
			s.Skip()
		default:
			c.key(s, key)
		}
	}
	s.End()
	if err := s.Err(); err != nil {
		return none(connectors.UnknownChannel), err
	}
	switch {
	case c.event != "":
		if arg >= 0 {
			c.topic = d.topic(frame, arg)
		}
		return c.note(), s.Err()
	case arg < 0 || data < 0:
		return none(connectors.UnknownChannel), nil
	case !known && m.elsewhere:
		return none(connectors.UnknownSymbol), nil
	case !known:
		return none(connectors.UnknownChannel), nil
	case m.route.about == byInstrument && m.inst == nil, m.route.about == byIndex && len(m.concerns) == 0:
		return connectors.Note{Reason: connectors.UnknownSymbol, Channel: m.route.channel}, nil
	}
	s.Reset(frame, data)
	return d.elements(m)
}

func actionOf(word []byte) action {
	switch string(word) {
	case "snapshot":
		return snapshot
	case "update":
		return update
	}
	return noAction
}

// arg reads what the data is of; false for a channel that is not in the table.
func (d *decoder) arg(m *message) (known bool) {
	s := &d.s
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "channel":
			name := s.String()
			m.route, known = d.channels[string(name)]
			m.elsewhere = readers[string(name)] != nil
		case "instId":
			name := s.String()
			m.inst, m.concerns = d.instrument(name), d.indexes[string(name)]
		default:
			s.Skip()
		}
	}
	return known
}

// topic is that of the object at frame[at:], "books:BTC-USDT".
func (d *decoder) topic(frame []byte, at int) string {
	s := &d.s
	var channel, subject string
	s.Reset(frame, at)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "channel":
			channel = string(s.String())
		case "instId":
			subject = string(s.String())
		case "instType":
			if word := s.String(); subject == "" {
				subject = string(word)
			}
		default:
			s.Skip()
		}
	}
	return channel + ":" + subject
}

// elements reads an array of data.
func (d *decoder) elements(m *message) (connectors.Note, error) {
	s := &d.s
	note := connectors.Note{Channel: m.route.channel}
	before := m.out.Len()
	s.Array()
	for s.Element() {
		m.route.read(d, m)
	}
	switch {
	case s.Err() != nil:
		return note, s.Err()
	case m.out.Len() > before:
		note.Reason = connectors.Records
	case m.strange:
		note.Reason = connectors.UnknownSymbol
	default:
		note.Reason = connectors.Empty
	}
	return note, nil
}

// head fills in what every record of a frame has.
func (m *message) head(h *market.Header, i *market.Instrument, at int64) {
	h.Instrument, h.ExchangeTime, h.ReceiveTime, h.Conn = i, at, m.rc.Time, m.rc.Conn
}

// maxMillis is the latest time that nanoseconds can hold.
const maxMillis = math.MaxInt64 / 1_000_000

// time reads milliseconds; an empty text or null is 0, which is absent.
func (d *decoder) time() int64 {
	t := d.s.Decimal()
	if !t.IsSet() {
		return 0
	}
	n, ok := t.Coefficient()
	if !ok || t.Scale() != 0 || n < 0 || n > maxMillis {
		d.s.Fail("a time that is no number of milliseconds")
		return 0
	}
	return n * 1_000_000
}

// levels reads [["price","contracts","0","orders"],…].
func (d *decoder) levels(m *message) []market.Level {
	levels := d.s.Levels(m.out)
	if d.size.set {
		for i := range levels {
			levels[i].Amount = d.amount(levels[i].Amount)
		}
	}
	return levels
}

// amount is contracts as an amount.
func (d *decoder) amount(contracts market.Decimal) market.Decimal {
	a := d.size.amount(contracts)
	if contracts.IsSet() && !a.IsSet() {
		d.s.Fail("an amount of too many digits")
	}
	return a
}

func side(word []byte) market.Side {
	switch string(word) {
	case "buy":
		return market.Buy
	case "sell":
		return market.Sell
	}
	return market.SideUnknown
}
