package binance

import "github.com/marketprism/marketprism/connectors"

// control collects what the frames that answer us consist of:
//
//	{"result":null,"id":1}
//	{"error":{"code":2,"msg":"…"},"id":1}   {"code":2,"msg":"…","id":1}
type control struct {
	id, code                    int64
	text                        string
	event, hasID, result, error bool
}

// key takes one member of the frame's object.
func (c *control) key(s *connectors.Scanner, key []byte) {
	switch string(key) {
	case "e":
		c.event = true
		s.Skip()
	case "id":
		// Ours are numbers; another's may be text.
		if !isDigit(s.Peek()) {
			s.Skip()
			return
		}
		c.id, c.hasID = s.Int(), true
	case "result":
		c.result = true
		s.Skip()
	case "error":
		if s.Peek() != '{' { // null: no error
			s.Skip()
			return
		}
		c.error = true
		s.Object()
		for k, ok := s.Key(); ok; k, ok = s.Key() {
			c.reason(s, k)
		}
	default:
		c.reason(s, key)
	}
}

func (c *control) reason(s *connectors.Scanner, key []byte) {
	switch {
	case string(key) == "code" && (isDigit(s.Peek()) || s.Peek() == '-'):
		c.code, c.error = s.Int(), true
	case string(key) == "msg" && s.Peek() == '"':
		c.text = string(s.String())
	default:
		s.Skip()
	}
}

// is reports whether the frame is an answer.
func (c *control) is() bool { return !c.event && (c.result && c.hasID || c.error) }

func isDigit(c byte) bool { return c-'0' <= 9 }

func (c *control) note() connectors.Note {
	n := none(connectors.Ack)
	if c.error {
		n.Reason = connectors.Refused
	}
	n.Control = &connectors.Control{ID: c.id, Code: c.code, Text: c.text}
	return n
}
