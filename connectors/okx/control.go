package okx

import (
	"bytes"
	"math"
	"strconv"

	"github.com/marketprism/marketprism/connectors"
)

// control collects what the frames that are not data consist of:
//
//	{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"…"}
//	{"id":"1","event":"error","code":"60018","msg":"…","connId":"…"}
//	{"event":"notice","code":"64008","msg":"…","connId":"…"}
//
// https://www.okx.com/docs-v5/en/#overview-websocket-subscribe
// https://www.okx.com/docs-v5/en/#overview-websocket-notification
type control struct {
	event    string
	id, code int64
	text     string
	// topic is that of the answer, "books:BTC-USDT".
	topic string
}

// key takes one member of the frame's object.
func (c *control) key(s *connectors.Scanner, key []byte) {
	if s.Peek() != '"' {
		s.Skip()
		return
	}
	switch string(key) {
	case "event":
		c.event = string(s.String())
	case "id":
		c.id = number(s.String())
	case "code":
		c.code = number(s.String())
	case "msg":
		c.text = string(s.String())
	default:
		s.Skip()
	}
}

// number is a whole number that may be another's text; 0 for that.
func number(text []byte) int64 {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return 0
	}
	return n
}

// serviceUpgrade announces the end of a connection, some 60 s before.
// https://www.okx.com/docs-v5/en/#overview-websocket-notification
const serviceUpgrade = 64008

func (c *control) note() connectors.Note {
	out := &connectors.Control{ID: c.id, Code: c.code, Text: c.text}
	switch c.event {
	case "subscribe", "unsubscribe":
		out.Topic = answerTopic(c.event, c.topic)
		return connectors.Note{Reason: connectors.Ack, Channel: -1, Control: out}
	case "error":
		return connectors.Note{Reason: connectors.Refused, Channel: -1, Control: out}
	case "notice":
		if c.code == serviceUpgrade {
			return connectors.Note{Reason: connectors.Shutdown, Channel: -1, Control: out}
		}
	}
	return none(connectors.Ignored)
}

// pong is the answer to "ping".
var pong = []byte("pong")

func isPong(frame []byte) bool { return bytes.Equal(frame, pong) }
