package okx

import (
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// maxArgs bounds the arguments of a request, in bytes: "the total length of
// multiple channels cannot exceed 64 KB".
// https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
const maxArgs = 48 << 10

// maxBooks bounds the books on a connection: OKX recommends fewer than 30.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
const maxBooks = 29

// wire is the WebSocket protocol. It implements [connectors.Sharing]: an index, and
// all liquidations of a market, serve several instruments.
// https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
type wire struct {
	base, instType string
	lines          []line
	perConnection  int
}

// Rules implements [connectors.Wire].
func (w *wire) Rules() connectors.WireRules { return rules }

// Topic implements [connectors.Sharing]: "books:BTC-USDT".
func (w *wire) Topic(s connectors.Subscription) string {
	l := &w.lines[s.Channel]
	return l.channel + ":" + w.subject(l, s.Instrument)
}

// subject is what a topic names beside its channel.
func (w *wire) subject(l *line, i *market.Instrument) string {
	switch l.about {
	case byIndex:
		return indexName(i)
	case byType:
		return w.instType
	case byInstrument:
	}
	return i.Native
}

// unit is what must be, or is best, on one connection: topics counts what is
// asked for.
type unit struct {
	subs          []connectors.Subscription
	topics, books int
}

// Plan implements [connectors.Wire]. Each channel is served under one of two
// paths.
func (w *wire) Plan(subs []connectors.Subscription) []connectors.Connection {
	var out []connectors.Connection
	for _, path := range []string{public, business} {
		var mine []connectors.Subscription
		for _, s := range subs {
			if w.lines[s.Channel].path == path {
				mine = append(mine, s)
			}
		}
		out = append(out, w.pack(path, w.units(mine))...)
	}
	return out
}

// units are the shared topics first, then each instrument.
func (w *wire) units(subs []connectors.Subscription) []unit {
	var shared, own []unit
	at := map[string]int{}
	subs = slices.Clone(subs)
	slices.SortStableFunc(subs, func(a, b connectors.Subscription) int {
		return strings.Compare(a.Instrument.Symbol, b.Instrument.Symbol)
	})
	var last *market.Instrument
	for _, s := range subs {
		l := &w.lines[s.Channel]
		if l.about != byInstrument {
			topic := w.Topic(s)
			n, known := at[topic]
			if !known {
				n = len(shared)
				at[topic] = n
				shared = append(shared, unit{topics: 1})
			}
			shared[n].subs = append(shared[n].subs, s)
			continue
		}
		if s.Instrument != last || own[len(own)-1].topics == w.perConnection {
			own, last = append(own, unit{}), s.Instrument
		}
		u := &own[len(own)-1]
		u.subs = append(u.subs, s)
		u.topics++
		if l.Snapshot == connectors.SnapshotInStream {
			u.books++
		}
	}
	return append(shared, own...)
}

// pack spreads units over connections.
func (w *wire) pack(path string, units []unit) []connectors.Connection {
	url := strings.TrimSuffix(w.base, "/") + "/ws/v5/" + path
	var out []connectors.Connection
	var have unit
	for _, u := range units {
		if len(out) == 0 || have.topics+u.topics > w.perConnection || have.books+u.books > maxBooks {
			out, have = append(out, connectors.Connection{URL: url, Group: path}), unit{}
		}
		c := &out[len(out)-1]
		c.Subs = append(c.Subs, u.subs...)
		have.topics += u.topics
		have.books += u.books
	}
	return out
}

// Subscribe implements [connectors.Wire].
func (w *wire) Subscribe(firstID int64, subs []connectors.Subscription) []connectors.Demand {
	return w.demands("subscribe", firstID, subs)
}

// Unsubscribe implements [connectors.Wire].
func (w *wire) Unsubscribe(firstID int64, subs []connectors.Subscription) []connectors.Demand {
	return w.demands("unsubscribe", firstID, subs)
}

func (w *wire) demands(op string, id int64, subs []connectors.Subscription) []connectors.Demand {
	var out []connectors.Demand
	for len(subs) > 0 {
		body := strconv.AppendInt([]byte(`{"id":"`), id, 10)
		body = append(body, `","op":"`+op+`","args":[`...)
		d := connectors.Demand{ID: id}
		n := 0
		for ; n < len(subs) && len(body) < maxArgs; n++ {
			if n > 0 {
				body = append(body, ',')
			}
			body = w.appendArg(body, subs[n])
			d.Topics = append(d.Topics, answerTopic(op, w.Topic(subs[n])))
		}
		d.Body, d.Subs = append(body, "]}"...), subs[:n:n]
		out = append(out, d)
		subs = subs[n:]
		id++
	}
	return out
}

func (w *wire) appendArg(body []byte, s connectors.Subscription) []byte {
	l := &w.lines[s.Channel]
	key := "instId"
	if l.about == byType {
		key = "instType"
	}
	body = append(body, `{"channel":"`+l.channel+`","`+key+`":`...)
	body = market.AppendJSONString(body, w.subject(l, s.Instrument))
	return append(body, '}')
}

// answerTopic is what the answer to a request is known by: an end is not a
// beginning.
func answerTopic(op, topic string) string { return op + " " + topic }
