package collector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
)

// writeChunk is what is put together before it is written to a client, in bytes.
const writeChunk = 64 << 10

// filterParams are the parameters of a first subscription.
func filterParams() []chassis.Param {
	return []chassis.Param{
		{Name: "kinds", Doc: "Kinds of records, separated by commas; `*` is all.", Example: "trade,book_delta"},
		{Name: "exchanges", Doc: "Exchanges, separated by commas; none is all.", Example: "binance"},
		{Name: "markets", Doc: "Markets, separated by commas: spot, perpetual, future, option; none is all.", Example: "spot"},
		{Name: "symbols", Doc: "Symbols in any spelling, or patterns over ours, separated by commas; none is all.", Example: "BTC-USDT,*-USDC"},
		paramScope,
	}
}

func (f *service) liveRoutes() []chassis.Route {
	refused := []chassis.Response{
		{Status: http.StatusUnprocessableEntity, Doc: "a first subscription that cannot be taken", Body: chassis.Problem{}, Media: "application/problem+json"},
		{Status: http.StatusTooManyRequests, Doc: "too many connections", Body: chassis.Problem{}, Media: "application/problem+json"},
	}
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: "/ws/v1/stream", ID: "followByWebSocket", Tag: tagLive, Live: true,
			Summary: "Follow streams over WebSocket",
			Description: "Books begin with a snapshot, and every message carries its subscription's number, which rises by one. " +
				"The parameters, if any, make the first subscription; further ones are messages such as " +
				"`{\"op\":\"subscribe\",\"id\":1,\"kinds\":[\"trade\"],\"symbols\":[\"BTC-USDT\",\"*-USDC\"]}`. docs/live.md describes the protocol.",
			Params: filterParams(),
			Responses: append([]chassis.Response{
				{Status: http.StatusSwitchingProtocols, Doc: "a WebSocket"},
				{Status: http.StatusUpgradeRequired, Doc: "not a WebSocket handshake", Body: chassis.Problem{}, Media: "application/problem+json"},
			}, refused...),
			Handler: f.followSocket,
		},
		{
			Method: http.MethodGet, Path: base + "stream", ID: "followByEvents", Tag: tagLive, Live: true,
			Summary: "Follow streams as server-sent events",
			Description: "What is given is that of the WebSocket. A client that comes back with `Last-Event-ID` gets what it has missed, " +
				"or an event `reset` and then what a new client gets.",
			Params: append(filterParams(),
				chassis.Param{Name: "Last-Event-ID", In: "header", Doc: "Id of the last event that was received."},
				chassis.Param{Name: "last_event_id", Doc: "The same, for clients that cannot set a header."}),
			Responses: append([]chassis.Response{{Media: chassis.MediaEvents, Doc: "events until one side ends it"}}, refused...),
			Handler:   f.followEvents,
		},
		{
			Method: http.MethodPost, Path: base + "stream", ID: "followByEventsOf", Tag: tagLive, Live: true, Hidden: true, // for other nodes: a filter may be too long for a URL
			Accepts: []string{"application/json"}, Request: live.Filter{}, Handler: f.followEvents,
		},
	}
}

// filterOf reads the parameters of a first subscription; given reports whether
// there are any.
func filterOf(q *chassis.Query) (filter live.Filter, given bool) {
	filter = live.Filter{Kinds: q.List("kinds"), Exchanges: q.List("exchanges"), Markets: q.List("markets"), Symbols: q.List("symbols")}
	return filter, q.Has("kinds") || q.Has("exchanges") || q.Has("markets") || q.Has("symbols")
}

// askedOf reads the first subscription of server-sent events, which other nodes send as
// a body.
func askedOf(r *http.Request, q *chassis.Query) (live.Filter, error) {
	filter, _ := filterOf(q)
	if r.Method != http.MethodPost {
		return filter, nil
	}
	text, err := chassis.ReadBody(r)
	if err != nil {
		return filter, err
	}
	if err := json.Unmarshal(text, &filter); err != nil {
		return filter, chassis.BadRequest("the body is not a filter").WithCode("malformed").WithCause(err)
	}
	return filter, nil
}

// connect adds a client to the hub; ended is called when the hub ends it.
func (f *service) connect(consumer live.Consumer, ended func()) (*live.Client, error) {
	if f.Live == nil {
		return nil, chassis.Unavailable(time.Minute, "this collector has no live streams")
	}
	c, err := f.Live.Connect(consumer, ended)
	return c, refusedFilter(err)
}

// refusedFilter is the answer to a refusal of the hub.
func refusedFilter(err error) error {
	var r *live.Refusal
	switch {
	case !errors.As(err, &r):
		return err
	case r.Code == "too_many_clients":
		return chassis.TooMany(5*time.Second, "%s", r.Message).WithCode(r.Code)
	}
	return chassis.Unprocessable(chassis.FieldError{In: "query", Pointer: "/" + r.Field, Message: r.Message}).WithCode(r.Code)
}

// goodbye is why a connection ends, for the client.
type goodbye struct {
	code   int
	reason string
}

// endOf tells a client why the hub, the server or the connection ended.
func endOf(ctx context.Context, err error) goodbye {
	var end *live.End
	switch {
	case errors.As(err, &end):
		return goodbye{end.Code, end.Reason}
	case errors.Is(context.Cause(ctx), chassis.ErrDraining):
		return goodbye{live.CodeGoingAway, "going away: the server stops"}
	}
	return goodbye{live.CodeInternal, "the connection failed"}
}
