package binance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Replayer implements [connectors.Replayable].
func (Exchange) Replayer(m market.Market) (connectors.Replayer, error) {
	switch m {
	case market.Spot:
		return replayer{paths: spotPaths}, nil
	case market.Perpetual, market.Future:
		return replayer{paths: usdmPaths, futures: true}, nil
	}
	return nil, fmt.Errorf("binance has no %s market", m)
}

// replayer is Binance's server. A topic is a stream's name without its speed:
// "btcusdt@depth" for "btcusdt@depth@100ms", "btcusdt@markPrice" for
// "btcusdt@markPrice@1s".
type replayer struct {
	paths   paths
	futures bool
}

// AppendTopic implements [connectors.Replayer].
func (replayer) AppendTopic(dst, frame []byte) []byte {
	if stream, _, ok := unwrap(frame); ok {
		return append(dst, topicOf(stream)...)
	}
	return appendEventTopic(dst, frame)
}

// unwrap takes {"stream":"…","data":…} apart.
func unwrap(frame []byte) (stream, data []byte, ok bool) {
	if i := connectors.TakeWord(frame, 0, `{"stream":"`); i > 0 {
		if n := bytes.IndexByte(frame[i:], '"'); n > 0 && frame[len(frame)-1] == '}' {
			if from := connectors.TakeWord(frame, i+n, `","data":`); from > 0 && bytes.IndexByte(frame[i:i+n], '\\') < 0 {
				return frame[i : i+n], frame[from : len(frame)-1], true
			}
		}
	}
	// The same in any other order or spacing.
	var s connectors.Scanner
	s.Reset(frame, 0)
	if s.Peek() != '{' {
		return nil, nil, false
	}
	s.Object()
	for key, more := s.Key(); more; key, more = s.Key() {
		switch string(key) {
		case "stream":
			stream = bytes.Clone(s.String())
		case "data":
			s.Peek()
			from := s.Offset()
			s.Skip()
			data = frame[from:s.Offset()]
		default:
			s.Skip()
		}
	}
	s.End()
	return stream, data, s.Err() == nil && len(stream) > 0 && data != nil
}

// topicOf takes the speed off a stream's name: "@100ms", "@1s".
func topicOf(stream []byte) []byte {
	i := bytes.LastIndexByte(stream, '@')
	if i <= 0 {
		return stream
	}
	digits := 0
	for i+1+digits < len(stream) && isDigit(stream[i+1+digits]) {
		digits++
	}
	if unit := string(stream[i+1+digits:]); digits > 0 && (unit == "ms" || unit == "s") {
		return stream[:i]
	}
	return stream
}

// eventChannels are the streams that events without an envelope come from.
var eventChannels = map[string]string{
	"depthUpdate": "depth", "trade": "trade", "aggTrade": "aggTrade", "bookTicker": "bookTicker", "24hrTicker": "ticker",
	"24hrMiniTicker": "miniTicker", "markPriceUpdate": "markPrice", "forceOrder": "forceOrder",
}

// appendEventTopic finds the topic of an event by itself.
func appendEventTopic(dst, frame []byte) []byte {
	var s connectors.Scanner
	s.Reset(frame, 0)
	if s.Peek() != '{' {
		return dst
	}
	var event, symbol, interval string
	quote := false
	read := func(inner bool) {
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch {
			case string(key) == "e" && s.Peek() == '"':
				event = string(s.String())
			case string(key) == "s" && s.Peek() == '"':
				symbol = lower(s.String())
			case string(key) == "i" && inner && s.Peek() == '"':
				interval = string(s.String())
			case string(key) == "B" && !inner:
				quote = true
				s.Skip()
			default:
				s.Skip()
			}
		}
	}
	read(false)
	if event == "kline" || event == "forceOrder" {
		at, ok := member(frame, map[string]string{"kline": "k", "forceOrder": "o"}[event])
		if !ok {
			return dst
		}
		top := event
		s.Reset(frame, at)
		read(true)
		event = top
	}
	channel := eventChannels[event]
	switch {
	case event == "kline" && interval != "":
		channel = "kline_" + interval
	case event == "" && quote:
		channel = "bookTicker" // of the spot market: the only event without a name
	}
	if s.Err() != nil || symbol == "" || channel == "" {
		return dst
	}
	return append(append(append(dst, symbol...), '@'), channel...)
}

// member is where the object under a key begins.
func member(frame []byte, name string) (at int, ok bool) {
	var s connectors.Scanner
	s.Reset(frame, 0)
	s.Object()
	for key, more := s.Key(); more; key, more = s.Key() {
		if string(key) == name && s.Peek() == '{' {
			at, ok = s.Offset(), true
		}
		s.Skip()
	}
	return at, ok && s.Err() == nil
}

// Connect implements [connectors.Replayer]. USD-M puts its streams under /public
// and /market; here either serves both.
// https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#general-wss-information
func (replayer) Connect(u *url.URL) (connectors.ReplayConn, bool) {
	path := u.Path
	for _, group := range []string{"/public", "/market"} {
		path = strings.TrimPrefix(path, group)
	}
	path = strings.TrimSuffix(path, "/")
	c := &replayConn{}
	switch {
	case path == "/stream":
		c.combined = true
		c.subscribe(strings.Split(u.Query().Get("streams"), "/"))
	case path == "/ws":
	case strings.HasPrefix(path, "/ws/"):
		c.subscribe(strings.Split(strings.TrimPrefix(path, "/ws/"), "/"))
	default:
		return nil, false
	}
	return c, true
}

// replayConn is a client's connection.
type replayConn struct {
	combined bool
	streams  []string // as asked for
	frame    []byte
}

func (c *replayConn) subscribe(streams []string) {
	for _, s := range streams {
		if s != "" && !slices.Contains(c.streams, s) {
			c.streams = append(c.streams, s)
		}
	}
}

// Topics implements [connectors.ReplayConn].
func (c *replayConn) Topics() []string {
	topics := make([]string, 0, len(c.streams))
	for _, s := range c.streams {
		if !strings.ContainsAny(s, "@!") {
			continue // no stream, such as the 0 of /ws/0, by which clients tell their connections apart
		}
		if t := string(topicOf([]byte(s))); !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	return topics
}

// request is what a client says:
// https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#live-subscribingunsubscribing-to-streams
type request struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	ID     json.RawMessage `json:"id"`
}

// Hear implements [connectors.ReplayConn].
func (c *replayConn) Hear(frame []byte) [][]byte { return [][]byte{c.answer(frame)} }

func (c *replayConn) answer(frame []byte) []byte {
	var r request
	if err := json.Unmarshal(frame, &r); err != nil {
		return []byte(`{"code":3,"msg":"Invalid JSON"}`)
	}
	id := string(r.ID)
	if id == "" {
		id = "null"
	}
	result, problem := c.do(r)
	if problem != "" {
		return append(market.AppendJSONString([]byte(`{"error":{"code":2,"msg":`), "Invalid request: "+problem), `},"id":`+id+`}`...)
	}
	return []byte(`{"result":` + result + `,"id":` + id + `}`)
}

func (c *replayConn) do(r request) (result, problem string) {
	switch r.Method {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		var streams []string
		if err := json.Unmarshal(r.Params, &streams); err != nil || len(streams) == 0 {
			return "", "params are no list of streams"
		}
		if r.Method == "SUBSCRIBE" {
			c.subscribe(streams)
			return "null", ""
		}
		c.streams = slices.DeleteFunc(c.streams, func(s string) bool { return slices.Contains(streams, s) })
		return "null", ""
	case "LIST_SUBSCRIPTIONS":
		list, err := json.Marshal(append([]string{}, c.streams...))
		if err != nil {
			return "", "no list"
		}
		return string(list), ""
	case "SET_PROPERTY", "GET_PROPERTY":
		return c.property(r)
	}
	return "", "unknown method " + strconv.Quote(r.Method)
}

func (c *replayConn) property(r request) (result, problem string) {
	var params []json.RawMessage
	if err := json.Unmarshal(r.Params, &params); err != nil || len(params) == 0 || string(params[0]) != `"combined"` {
		return "", "the only property is combined"
	}
	if r.Method == "GET_PROPERTY" {
		return strconv.FormatBool(c.combined), ""
	}
	if len(params) != 2 {
		return "", "a property needs a value"
	}
	if err := json.Unmarshal(params[1], &c.combined); err != nil {
		return "", "combined is true or false"
	}
	return "null", ""
}

// Say implements [connectors.ReplayConn].
func (c *replayConn) Say(topic string, frame []byte, send func([]byte) error) error {
	recorded, data, wrapped := unwrap(frame)
	if !wrapped {
		data = frame
	}
	for _, s := range c.streams {
		if string(topicOf([]byte(s))) != topic {
			continue
		}
		out := data
		switch {
		case c.combined && wrapped && string(recorded) == s:
			out = frame
		case c.combined:
			c.frame = append(append(append(append(c.frame[:0], `{"stream":"`...), s...), `","data":`...), data...)
			c.frame = append(c.frame, '}')
			out = c.frame
		}
		if err := send(out); err != nil {
			return err
		}
	}
	return nil
}
