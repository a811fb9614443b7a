package deribit

import "github.com/marketprism/marketprism/connectors"

// heartbeatEvery is how often the exchange is to send a sign of life, in seconds;
// at least 10.
const heartbeatEvery = 30

// The frames that keep a connection alive. A test_request must be answered with
// public/test, or the exchange closes the connection.
// https://docs.deribit.com/api-reference/session-management/public-set_heartbeat
var (
	setHeartbeat = []byte(`{"jsonrpc":"2.0","id":0,"method":"public/set_heartbeat","params":{"interval":30}}`)
	testReply    = []byte(`{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}`)
)

// heartbeat is the note on a frame of the method heartbeat.
func heartbeat(kind string) connectors.Note {
	n := none(connectors.Heartbeat)
	if kind == "test_request" {
		n.Control = &connectors.Control{Reply: testReply}
	}
	return n
}

// answer collects what the frames that answer us consist of.
type answer struct {
	id, code int64
	text     string
	hasID    bool
	// result: it has one; list: that is channels, those that are subscribed now or
	// no longer.
	result, error bool
	list          []string // nil for none
}

// key takes one member of the frame's object.
func (a *answer) key(s *connectors.Scanner, key []byte) {
	switch string(key) {
	case "id":
		// Ours are numbers; another's may be text.
		if !isDigit(s.Peek()) {
			s.Skip()
			return
		}
		a.id, a.hasID = s.Int(), true
	case "result":
		a.result = true
		if s.Peek() != '[' {
			s.Skip()
			return
		}
		a.channels(s)
	case "error":
		if s.Peek() != '{' {
			s.Skip()
			return
		}
		a.error = true
		s.Object()
		for k, ok := s.Key(); ok; k, ok = s.Key() {
			switch {
			case string(k) == "code" && (isDigit(s.Peek()) || s.Peek() == '-'):
				a.code = s.Int()
			case string(k) == "message" && s.Peek() == '"':
				a.text = string(s.String())
			default:
				s.Skip()
			}
		}
	default:
		s.Skip()
	}
}

// channels reads the list of an answer to public/subscribe: a channel that was
// asked for and is not in it does not exist.
// https://docs.deribit.com/api-reference/subscription-management/public-subscribe
func (a *answer) channels(s *connectors.Scanner) {
	a.list = []string{}
	s.Array()
	for s.Element() {
		if s.Peek() != '"' {
			s.Skip()
			continue
		}
		a.list = append(a.list, string(s.String()))
	}
}

// is reports whether the frame is an answer.
func (a *answer) is() bool { return a.error || a.result && a.hasID }

// note: the number 0 is that of calls that only keep the connection alive; their
// answers are signs of life.
func (a *answer) note() connectors.Note {
	switch {
	case a.error:
		n := none(connectors.Refused)
		n.Control = &connectors.Control{ID: a.id, Code: a.code, Text: a.text}
		return n
	case a.id == 0 && a.list == nil:
		return none(connectors.Heartbeat)
	}
	n := none(connectors.Ack)
	n.Control = &connectors.Control{ID: a.id, Granted: a.list}
	return n
}

func isDigit(c byte) bool { return c-'0' <= 9 }
