package deribit

import (
	"math"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// decoder reads frames in two ways: without white space and escapes, as Deribit
// sends them (fast.go), and, when a frame has any other form, as JSON allows. Both
// take keys in whatever order they come, which Deribit has changed over the years,
// and give the same records.
type decoder struct {
	table  *market.Instruments
	market market.Market
	lines  []line
	// indices are the instruments that carry an index, by its name.
	indices map[string]*market.Instrument
	// topics are the channels seen so far, of instruments that we know.
	topics  map[string]*topic
	last    *topic // that of the frame before
	s       connectors.Scanner
	ids     strings.Builder
	objects objects
	candles []running // of the present frame
}

// topic is what a channel's name says.
type topic struct {
	name       string
	family     family
	channel    int // in the venue's table; -1 for none
	instrument *market.Instrument
	interval   string // of a chart
	inverse    bool
	candle     *market.Candle // the newest, of a chart; nil before there is one
}

func newDecoder(m market.Market, table []line, t *market.Instruments) *decoder {
	d := &decoder{table: t, market: m, lines: table, indices: map[string]*market.Instrument{}, topics: map[string]*topic{}, objects: newObjects()}
	if m == market.Perpetual {
		for _, i := range t.All() {
			d.indices[indexName(i)] = i
		}
	}
	return d
}

// Decode implements [connectors.Decoder].
func (d *decoder) Decode(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, error) {
	before := out.Len()
	if note, ok := d.fast(frame, rc, out); ok {
		return note, nil
	}
	out.Truncate(before)
	note := d.envelope(message{frame: frame, rc: rc, out: out})
	if err := d.s.Err(); err != nil {
		out.Truncate(before)
		d.candles = d.candles[:0]
		return none(connectors.UnknownChannel), err
	}
	if note.Reason != connectors.Records {
		out.Truncate(before)
	}
	d.keep()
	return note, nil
}

// message is one notification.
type message struct {
	frame []byte
	rc    connectors.Receipt
	out   *market.Batch
	topic *topic
}

// params is what the member of that name consists of.
type params struct {
	kind    string // "test_request" or "heartbeat"
	channel bool   // it names a channel, that of row
	row     int
	reason  connectors.Reason
	dataAt  int  // where data begins, when it came before the channel; 0 for not
	read    bool // data has been read
}

// envelope reads a notification, an answer or a heartbeat:
//
//	{"jsonrpc":"2.0","method":"subscription","params":{"channel":"…","data":…}}
//	{"jsonrpc":"2.0","id":1,"result":…}   {"jsonrpc":"2.0","id":1,"error":{"code":…,"message":"…"}}
//	{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}
//
// https://docs.deribit.com/articles/notifications
func (d *decoder) envelope(m message) connectors.Note {
	s := &d.s
	s.Reset(m.frame, 0)
	p := params{reason: connectors.UnknownChannel, row: -1}
	var answer answer
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "params" && s.Peek() == '{' {
			d.params(&m, &p)
			continue
		}
		answer.key(s, key)
	}
	s.End()
	if p.dataAt > 0 && !p.read && s.Err() == nil {
		// The data came before the name of its channel.
		s.Reset(m.frame, p.dataAt)
		d.data(&m, &p)
	}
	switch {
	case p.channel:
		return connectors.Note{Reason: p.reason, Channel: p.row}
	case p.kind != "":
		return heartbeat(p.kind)
	case answer.is():
		return answer.note()
	}
	return none(connectors.UnknownChannel)
}

func (d *decoder) params(m *message, p *params) {
	s := &d.s
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "channel":
			d.channel(s.String(), m, p)
		case "data":
			if p.channel && !p.read {
				d.data(m, p)
				continue
			}
			s.Peek()
			p.dataAt = s.Offset()
			s.Skip()
		case "type":
			if s.Peek() != '"' {
				s.Skip()
				continue
			}
			switch string(s.String()) {
			case "test_request":
				p.kind = "test_request"
			case "heartbeat":
				p.kind = "heartbeat"
			}
		default:
			s.Skip()
		}
	}
}

// channel finds the topic of a name.
func (d *decoder) channel(name []byte, m *message, p *params) {
	p.channel, p.reason, m.topic = true, connectors.Empty, nil
	if d.last != nil && string(name) == d.last.name {
		m.topic = d.last
	} else if t, ok := d.topics[string(name)]; ok {
		m.topic, d.last = t, t
	}
	if m.topic != nil {
		p.row = m.topic.channel
		return
	}
	m.topic, p.reason, p.row = d.learn(name)
}

// learn takes a new channel's name apart; the topic is nil, for the reason given,
// when it is none of ours.
func (d *decoder) learn(name []byte) (*topic, connectors.Reason, int) {
	f, subject, rest := split(name)
	if f == noFamily {
		return nil, connectors.UnknownChannel, -1
	}
	interval := ""
	if f == chart {
		interval = resolutions[resolution(rest)].interval
	}
	row := rowOf(d.lines, f, interval)
	var inst *market.Instrument
	if f == volatilityIndex || f == priceIndex {
		inst = d.indices[string(subject)]
	} else {
		inst, _ = d.table.Native(subject)
	}
	if inst == nil {
		return nil, connectors.UnknownSymbol, row
	}
	t := &topic{name: string(name), family: f, channel: row, instrument: inst, interval: interval, inverse: inverse(inst)}
	d.topics[t.name] = t
	d.last = t
	return t, connectors.Empty, row
}

// data reads the member of that name by its channel's family.
func (d *decoder) data(m *message, p *params) {
	p.read = true
	if m.topic == nil {
		d.s.Skip()
		return
	}
	p.reason = connectors.Records
	switch m.topic.family {
	case book:
		d.book(m)
	case trades:
		if d.trades(m) == 0 {
			p.reason = connectors.Empty
		}
	case ticker:
		d.ticker(m)
	case quote:
		d.quote(m)
	case chart:
		d.candle(m)
	case volatilityIndex:
		d.volatilityIndex(m)
	case priceIndex:
		d.priceIndex(m)
	}
}

func none(r connectors.Reason) connectors.Note { return connectors.Note{Reason: r, Channel: -1} }

// head fills in what every record of a frame has.
func head(h *market.Header, m *message) {
	h.Instrument, h.ReceiveTime, h.Conn = m.topic.instrument, m.rc.Time, m.rc.Conn
}

// maxTime is the largest time in ms that nanoseconds can hold.
const maxTime = math.MaxInt64 / 1_000_000

// time reads a time in ms; 0 is absent.
func (d *decoder) time() int64 {
	t := d.s.Int()
	if t < 0 || t > maxTime {
		d.s.Fail("a time out of range")
		return 0
	}
	return t * 1e6
}

// inverse reports whether amounts are in quote: those of contracts that are
// settled in their base.
func inverse(i *market.Instrument) bool {
	return (i.Market == market.Perpetual || i.Market == market.Future) && i.Settle == i.Base
}

// idChunk is how much memory is taken at once for ids that are text.
const idChunk = 4 << 10

// id is a trade's id: a number for BTC, "ETH-34066" for the others. Texts share
// memory that is never written again.
func (d *decoder) id(text []byte) market.ID {
	if n, end := connectors.TakeInt(text, 0); end == len(text) && end > 0 {
		return market.NumID(n)
	}
	if len(text) == 0 || len(text) > idChunk {
		return market.TextID(string(text))
	}
	if d.ids.Cap()-d.ids.Len() < len(text) {
		d.ids.Reset()
		d.ids.Grow(idChunk)
	}
	from := d.ids.Len()
	d.ids.Write(text)
	return market.TextID(d.ids.String()[from:])
}
