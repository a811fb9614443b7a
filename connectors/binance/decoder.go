package binance

import (
	"bytes"
	"math"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// decoder reads frames in two ways: by the order of keys in which Binance has
// always sent them (fast.go), and, when a frame has any other form, in whatever
// order they come. Both give the same records.
type decoder struct {
	table   *market.Instruments
	futures bool
	index   channelIndex
	last    *market.Instrument // the instrument of the frame before
	native  string             // its native name; never empty once last is set
	s       connectors.Scanner
	starts  []int // the events of an array
}

// channelIndex holds the place of each channel in the venue's table; -1 for
// none.
type channelIndex struct {
	trade, aggTrade, depth, bookTicker, ticker, markPrice, liquidation int

	candles [16]int // as in intervals
}

func newDecoder(m market.Market, table []line, t *market.Instruments) *decoder {
	d := &decoder{table: t, futures: m != market.Spot}
	d.index = channelIndex{
		trade: indexOf(table, chTrade), aggTrade: indexOf(table, chAggTrade), depth: indexOf(table, chDepth),
		bookTicker: indexOf(table, chBookTicker), ticker: indexOf(table, chTicker),
		markPrice: indexOf(table, chMarkPrice), liquidation: indexOf(table, chLiquidation),
	}
	for i, interval := range intervals {
		d.index.candles[i] = indexOf(table, chCandle+interval)
	}
	return d
}

// instrument finds an instrument by its native name.
func (d *decoder) instrument(native []byte) *market.Instrument {
	if d.last != nil && string(native) == d.native {
		return d.last
	}
	i, ok := d.table.Native(native)
	if !ok {
		return nil
	}
	d.last, d.native = i, i.Native
	return i
}

// Decode implements [connectors.Decoder].
func (d *decoder) Decode(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, error) {
	if note, ok := d.fast(frame, rc, out); ok {
		return note, nil
	}
	before := out.Len()
	note, err := d.envelope(frame, rc, out)
	if err != nil {
		out.Truncate(before)
	}
	return note, err
}

// message is one event inside a frame.
type message struct {
	frame []byte
	from  int // where the event's object begins
	rc    connectors.Receipt
	out   *market.Batch
	// mayBeQuote: an event without a name may be a spot bookTicker, because no
	// stream's name says otherwise.
	mayBeQuote bool
}

// verdict is what a message's reader says of it.
type verdict struct {
	reason  connectors.Reason
	channel int
}

// envelope finds out what the frame is: an event by itself, one under "data",
// several of either, or an answer.
func (d *decoder) envelope(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, error) {
	s := &d.s
	s.Reset(frame, 0)
	m := message{frame: frame, rc: rc, out: out, mayBeQuote: true}
	if s.Peek() == '[' {
		s.Skip()
	} else {
		var answer control
		inside := false
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "stream":
				m.mayBeQuote = bytes.HasSuffix(s.String(), bookTicker)
			case "data", "event":
				s.Peek()
				m.from, inside = s.Offset(), true
				s.Skip()
			default:
				answer.key(s, key)
			}
		}
		if !inside && s.Err() == nil && answer.is() {
			s.End()
			return answer.note(), s.Err()
		}
	}
	s.End()
	if err := s.Err(); err != nil {
		return none(connectors.UnknownChannel), err
	}
	return d.events(m)
}

// events reads one event, or an array of them. The text is known to be JSON.
func (d *decoder) events(m message) (connectors.Note, error) {
	s := &d.s
	s.Reset(m.frame, m.from)
	if s.Peek() != '[' {
		v, err := d.event(m)
		return v.note(), err
	}
	d.starts = d.starts[:0]
	s.Array()
	for s.Element() {
		s.Peek()
		d.starts = append(d.starts, s.Offset())
		s.Skip()
	}
	total := verdict{reason: connectors.Empty, channel: -1}
	for i, start := range d.starts {
		m.from = start
		v, err := d.event(m)
		if err != nil {
			return none(v.reason), err
		}
		if i == 0 || v.reason == connectors.Records {
			total = v
		}
	}
	return total.note(), nil
}

func none(r connectors.Reason) connectors.Note { return connectors.Note{Reason: r, Channel: -1} }

func (v verdict) note() connectors.Note {
	n := connectors.Note{Reason: v.reason, Channel: v.channel}
	if v.reason == connectors.Shutdown {
		n.Control = &connectors.Control{Text: eventShutdown}
	}
	return n
}

const eventShutdown = "serverShutdown"

// event reads one event by its name; a spot bookTicker has none.
func (d *decoder) event(m message) (verdict, error) {
	s := &d.s
	var read func(*decoder, message) verdict
	named, quote := false, false
	s.Reset(m.frame, m.from)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "e":
			read, named = reader(s.String()), true
		case "B":
			quote = true
			s.Skip()
		default:
			s.Skip()
		}
	}
	if !named && quote && m.mayBeQuote {
		read = (*decoder).bookTicker
	}
	if err := s.Err(); err != nil || read == nil {
		return verdict{reason: connectors.UnknownChannel, channel: -1}, err
	}
	s.Reset(m.frame, m.from)
	v := read(d, m)
	return v, s.Err()
}

// reader is the function that reads an event; nil for one that we do not know.
// It finds the scanner at the event's object.
func reader(name []byte) func(*decoder, message) verdict {
	switch string(name) {
	case "trade":
		return (*decoder).trade
	case "aggTrade":
		return (*decoder).aggTrade
	case "depthUpdate":
		return (*decoder).depth
	case "bookTicker":
		return (*decoder).bookTicker
	case "24hrTicker":
		return (*decoder).ticker
	case "kline":
		return (*decoder).candle
	case "markPriceUpdate":
		return (*decoder).markPrice
	case "forceOrder":
		return (*decoder).forceOrder
	case eventShutdown:
		return func(*decoder, message) verdict { return verdict{connectors.Shutdown, -1} }
	}
	return nil
}

// head fills in what every record of a frame has.
func head(h *market.Header, i *market.Instrument, m message) {
	h.Instrument, h.ReceiveTime, h.Conn = i, m.rc.Time, m.rc.Conn
}

// nanos turns the exchange's time into nanoseconds; false for one that is
// negative or that nanoseconds cannot hold. A connection made with
// timeUnit=MICROSECOND sends 16 digits instead of 13.
func nanos(t int64) (int64, bool) {
	unit := int64(1e6)
	if t >= 1e14 {
		unit = 1e3
	}
	return t * unit, t >= 0 && t <= math.MaxInt64/unit
}

// time reads a time; 0 is absent.
func (d *decoder) time() int64 {
	t, ok := nanos(d.s.Int())
	if !ok {
		d.s.Fail("a time out of range")
		return 0
	}
	return t
}

// side is the taker's, from "was the buyer the maker".
func side(buyerIsMaker bool) market.Side {
	if buyerIsMaker {
		return market.Sell
	}
	return market.Buy
}

// lower returns s in lower case without allocating when it is the same.
func lower(s []byte) string { return string(bytes.ToLower(s)) }
