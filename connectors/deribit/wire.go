package deribit

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// maxChannels is how many channels a frame asks for: few enough that it stays
// small, enough that ten frames subscribe thousands.
const maxChannels = 200

// wire is the WebSocket protocol.
// https://docs.deribit.com/api-reference/subscription-management/public-subscribe
type wire struct {
	base          string
	lines         []line
	perConnection int
}

// Rules implements [connectors.Wire]. Deribit names no limit to a connection's
// life; it asks nothing of a client that has set a heartbeat but to answer its
// test requests.
func (w *wire) Rules() connectors.WireRules {
	return connectors.WireRules{
		Greeting: [][]byte{setHeartbeat}, ServerPingEvery: heartbeatEvery * time.Second, ReadLimit: 16 << 20,
	}
}

// Plan implements [connectors.Wire].
func (w *wire) Plan(subs []connectors.Subscription) []connectors.Connection {
	url := strings.TrimSuffix(w.base, "/") + wsPath
	subs = slices.Clone(subs)
	slices.SortStableFunc(subs, func(a, b connectors.Subscription) int {
		return strings.Compare(a.Instrument.Symbol, b.Instrument.Symbol)
	})
	var out []connectors.Connection
	for from := 0; from < len(subs); {
		to := from + 1
		for to < len(subs) && subs[to].Instrument == subs[from].Instrument {
			to++
		}
		for part := range slices.Chunk(subs[from:to], w.perConnection) {
			if n := len(out); n > 0 && len(out[n-1].Subs)+len(part) <= w.perConnection {
				out[n-1].Subs = append(out[n-1].Subs, part...)
				continue
			}
			out = append(out, connectors.Connection{URL: url, Subs: slices.Clone(part)})
		}
		from = to
	}
	return out
}

// wsPath is where the WebSocket is.
const wsPath = "/ws/api/v2"

// Subscribe implements [connectors.Wire].
func (w *wire) Subscribe(firstID int64, subs []connectors.Subscription) []connectors.Demand {
	return w.demands("public/subscribe", firstID, subs)
}

// Unsubscribe implements [connectors.Wire].
func (w *wire) Unsubscribe(firstID int64, subs []connectors.Subscription) []connectors.Demand {
	return w.demands("public/unsubscribe", firstID, subs)
}

func (w *wire) demands(method string, id int64, subs []connectors.Subscription) []connectors.Demand {
	var out []connectors.Demand
	for part := range slices.Chunk(subs, maxChannels) {
		body := strconv.AppendInt([]byte(`{"jsonrpc":"2.0","id":`), id, 10)
		body = append(body, `,"method":"`+method+`","params":{"channels":[`...)
		names := make([]string, len(part))
		for i, sub := range part {
			if i > 0 {
				body = append(body, ',')
			}
			names[i] = topicName(w.lines[sub.Channel], sub.Instrument)
			body = market.AppendJSONString(body, names[i])
		}
		body = append(body, `]}}`...)
		out = append(out, connectors.Demand{ID: id, Names: names, Body: body, Subs: part})
		id++
	}
	return out
}
