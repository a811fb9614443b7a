package binance

import (
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// A subscription frame stays small, because the exchange's limit on its length
// is not documented.
const (
	maxParams     = 100
	maxParamBytes = 3500
)

// wire is the WebSocket protocol:
// https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#live-subscribingunsubscribing-to-streams
type wire struct {
	base          string
	lines         []line
	rules         connectors.WireRules
	perConnection int
}

// Rules implements [connectors.Wire].
func (w *wire) Rules() connectors.WireRules { return w.rules }

// Plan implements [connectors.Wire]. USD-M serves each stream under one of two
// paths and says nothing when asked for it under the other.
func (w *wire) Plan(subs []connectors.Subscription) []connectors.Connection {
	groups := map[string][]connectors.Subscription{}
	for _, s := range subs {
		if w.lines[s.Channel].suffix != "" {
			g := w.group(s)
			groups[g] = append(groups[g], s)
		}
	}
	var out []connectors.Connection
	for _, g := range []string{"", "public", "market"} {
		out = append(out, w.fill(g, groups[g])...)
	}
	return out
}

func (w *wire) group(s connectors.Subscription) string {
	if s.Instrument.Market == market.Spot {
		return ""
	}
	return w.lines[s.Channel].group
}

// fill spreads one group over connections, an instrument at a time.
func (w *wire) fill(group string, subs []connectors.Subscription) []connectors.Connection {
	url := strings.TrimSuffix(w.base, "/") + "/stream"
	if group != "" {
		url = strings.TrimSuffix(w.base, "/") + "/" + group + "/stream"
	}
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
		for _, part := range slices.Collect(slices.Chunk(subs[from:to], w.perConnection)) {
			if n := len(out); n > 0 && len(out[n-1].Subs)+len(part) <= w.perConnection {
				out[n-1].Subs = append(out[n-1].Subs, part...)
				continue
			}
			out = append(out, connectors.Connection{URL: url, Group: group, Subs: slices.Clone(part)})
		}
		from = to
	}
	return out
}

// Subscribe implements [connectors.Wire].
func (w *wire) Subscribe(firstID int64, subs []connectors.Subscription) []connectors.Demand {
	return w.demands("SUBSCRIBE", firstID, subs)
}

// Unsubscribe implements [connectors.Wire].
func (w *wire) Unsubscribe(firstID int64, subs []connectors.Subscription) []connectors.Demand {
	return w.demands("UNSUBSCRIBE", firstID, subs)
}

func (w *wire) demands(method string, id int64, subs []connectors.Subscription) []connectors.Demand {
	var out []connectors.Demand
	for len(subs) > 0 {
		body := append([]byte(nil), `{"method":"`+method+`","params":[`...)
		n := 0
		for n < len(subs) && n < maxParams && (n == 0 || len(body) < maxParamBytes) {
			if n > 0 {
				body = append(body, ',')
			}
			body = append(body, market.AppendJSONString(nil, w.stream(subs[n]))...)
			n++
		}
		body = append(body, `],"id":`...)
		body = append(strconv.AppendInt(body, id, 10), '}')
		out = append(out, connectors.Demand{ID: id, Body: body, Subs: subs[:n:n]})
		subs = subs[n:]
		id++
	}
	return out
}

// stream is the stream's name: "btcusdt@depth@100ms".
func (w *wire) stream(s connectors.Subscription) string {
	return strings.ToLower(s.Instrument.Native) + "@" + w.lines[s.Channel].suffix
}
