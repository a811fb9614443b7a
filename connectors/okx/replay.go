package okx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Replayer implements [connectors.Replayable]: one server speaks for all markets.
func (Exchange) Replayer(m market.Market) (connectors.Replayer, error) {
	if _, ok := instTypes[m]; !ok {
		return nil, fmt.Errorf("okx has no %s market", m)
	}
	return replayer{}, nil
}

// replayer is OKX's server. A topic is a channel and what it is of,
// "books:BTC-USDT"; trades and trades-all are one, so that a client gets the trades
// that were recorded, whichever it asks for.
type replayer struct{}

// AppendTopic implements [connectors.Replayer].
func (replayer) AppendTopic(dst, frame []byte) []byte {
	a, ok := argOf(frame)
	if !ok {
		return dst
	}
	return append(dst, topicOf(a.Channel, a.subject())...)
}

func topicOf(channel, subject string) string {
	if channel == "trades-all" {
		channel = "trades"
	}
	return channel + ":" + subject
}

// argument names a topic.
type argument struct {
	Channel    string `json:"channel"`
	InstID     string `json:"instId"`
	InstType   string `json:"instType"`
	InstFamily string `json:"instFamily"`
}

func (a *argument) subject() string {
	switch {
	case a.InstID != "":
		return a.InstID
	case a.InstFamily != "":
		return a.InstFamily
	}
	return a.InstType
}

// argOf is what a frame of data is of; false for any other frame.
func argOf(frame []byte) (a argument, ok bool) {
	var s connectors.Scanner
	s.Reset(frame, 0)
	if s.Peek() != '{' {
		return a, false
	}
	hasData, hasEvent := false, false
	s.Object()
	for key, more := s.Key(); more; key, more = s.Key() {
		switch {
		case string(key) == "arg" && s.Peek() == '{':
			a = scanArg(&s)
		case string(key) == "data":
			hasData = true
			s.Skip()
		case string(key) == "event":
			hasEvent = true
			s.Skip()
		default:
			s.Skip()
		}
	}
	return a, s.Err() == nil && a.Channel != "" && hasData && !hasEvent
}

func scanArg(s *connectors.Scanner) (a argument) {
	s.Object()
	for key, more := s.Key(); more; key, more = s.Key() {
		if s.Peek() != '"' {
			s.Skip()
			continue
		}
		switch name := string(key); name {
		case "channel":
			a.Channel = string(s.String())
		case "instId":
			a.InstID = string(s.String())
		case "instType":
			a.InstType = string(s.String())
		case "instFamily":
			a.InstFamily = string(s.String())
		default:
			s.Skip()
		}
	}
	return a
}

// Connect implements [connectors.Replayer]. Each channel is under one of the two
// paths; here either serves all.
// https://www.okx.com/docs-v5/en/#overview-production-trading-services
func (replayer) Connect(u *url.URL) (connectors.ReplayConn, bool) {
	path, ok := endpoint(u)
	return &replayConn{path: path}, ok
}

func endpoint(u *url.URL) (path string, ok bool) {
	path, ok = strings.CutPrefix(strings.TrimSuffix(u.Path, "/"), "/ws/v5/")
	return path, ok && (path == public || path == business)
}

// replayConn is a client's connection.
type replayConn struct {
	path  string
	args  []argument // as asked for
	frame []byte
}

// request is what a client says.
// https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
type request struct {
	ID   string            `json:"id"`
	Op   string            `json:"op"`
	Args []json.RawMessage `json:"args"`
}

// The errors that a client can make.
const (
	codeBadRequest = "60012"
	codeNoChannel  = "60018"
	codeTooMany    = "60014"
)

// connID is that of every connection: nobody asks for it.
const connID = "a4d3ae55"

// Hear implements [connectors.ReplayConn].
func (c *replayConn) Hear(frame []byte) [][]byte {
	return c.hear(frame, func(op string, a argument) string {
		c.change(op, a)
		return ""
	})
}

// hear answers a frame; do carries an argument out, or says what is wrong with it.
func (c *replayConn) hear(frame []byte, do func(op string, a argument) (problem string)) (replies [][]byte) {
	if string(frame) == "ping" {
		return [][]byte{pong}
	}
	var r request
	err := json.Unmarshal(frame, &r)
	if err != nil || (r.Op != "subscribe" && r.Op != "unsubscribe") || len(r.Args) == 0 {
		return [][]byte{refusal(r.ID, codeBadRequest, "Invalid request: "+string(frame))}
	}
	for _, raw := range r.Args {
		var a argument
		if json.Unmarshal(raw, &a) != nil || a.Channel == "" || a.subject() == "" {
			replies = append(replies, refusal(r.ID, codeBadRequest, "Invalid request: "+string(frame)))
			continue
		}
		if problem := do(r.Op, a); problem != "" {
			replies = append(replies, refusal(r.ID, codeNoChannel, problem))
			continue
		}
		replies = append(replies, acceptance(r.ID, r.Op, raw))
	}
	return replies
}

// change takes up a topic, or drops it.
func (c *replayConn) change(op string, a argument) {
	at := slices.Index(c.args, a)
	switch {
	case op == "subscribe" && at < 0:
		c.args = append(c.args, a)
	case op == "unsubscribe" && at >= 0:
		c.args = slices.Delete(c.args, at, at+1)
	}
}

func acceptance(id, op string, arg []byte) []byte {
	out := appendID([]byte(`{`), id)
	out = append(append(out, `"event":"`+op+`","arg":`...), bytes.TrimSpace(arg)...)
	return append(out, `,"connId":"`+connID+`"}`...)
}

func refusal(id, code, text string) []byte {
	out := appendID([]byte(`{`), id)
	out = market.AppendJSONString(append(out, `"event":"error","code":"`+code+`","msg":`...), text)
	return append(out, `,"connId":"`+connID+`"}`...)
}

func appendID(out []byte, id string) []byte {
	if id == "" {
		return out
	}
	return append(market.AppendJSONString(append(out, `"id":`...), id), ',')
}

// Topics implements [connectors.ReplayConn].
func (c *replayConn) Topics() []string {
	topics := make([]string, 0, len(c.args))
	for _, a := range c.args {
		if t := topicOf(a.Channel, a.subject()); !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	return topics
}

// Say implements [connectors.ReplayConn].
func (c *replayConn) Say(topic string, frame []byte, send func([]byte) error) error {
	recorded, ok := argOf(frame)
	if !ok {
		return nil
	}
	for _, a := range c.args {
		if topicOf(a.Channel, a.subject()) != topic {
			continue
		}
		out := frame
		if a.Channel != recorded.Channel {
			old := []byte(`"` + recorded.Channel + `"`)
			c.frame = append(c.frame[:0], bytes.Replace(frame, old, []byte(`"`+a.Channel+`"`), 1)...)
			out = c.frame
		}
		if err := send(out); err != nil {
			return err
		}
	}
	return nil
}
