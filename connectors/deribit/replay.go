package deribit

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
	if m > market.Option {
		return nil, fmt.Errorf("deribit has no %s market", m)
	}
	return replayer{}, nil
}

// replayer is Deribit's server. A topic is a channel's name without its interval:
// "book.BTC-PERPETUAL" for "book.BTC-PERPETUAL.100ms" and for ".raw"; the
// resolution of a chart is part of it.
type replayer struct{}

// AppendTopic implements [connectors.Replayer].
func (replayer) AppendTopic(dst, frame []byte) []byte {
	from, to, ok := channelIn(frame)
	if !ok {
		return dst
	}
	return append(dst, topicOf(frame[from:to])...)
}

// topicOf takes the interval off a channel's name; nil for a channel that we do
// not know.
func topicOf(channel []byte) []byte {
	f, _, rest := split(channel)
	switch f {
	case noFamily:
		return nil
	case book, trades, ticker:
		return channel[:len(channel)-len(rest)-1]
	}
	return channel
}

// channelIn is where the name of a notification's channel stands in the frame.
func channelIn(frame []byte) (from, to int, ok bool) {
	if bytes.HasPrefix(frame, []byte(prefix)) {
		n := bytes.IndexByte(frame[len(prefix):], '"')
		return len(prefix), len(prefix) + n, n > 0
	}
	// The same in any other order or spacing.
	var s connectors.Scanner
	s.Reset(frame, 0)
	if s.Peek() != '{' {
		return 0, 0, false
	}
	s.Object()
	for key, more := s.Key(); more; key, more = s.Key() {
		if string(key) != "params" || s.Peek() != '{' {
			s.Skip()
			continue
		}
		s.Object()
		for key, more := s.Key(); more; key, more = s.Key() {
			if string(key) == "channel" && s.Peek() == '"' {
				from = s.Offset() + 1
				to = from + len(s.String())
				continue
			}
			s.Skip()
		}
	}
	s.End()
	return from, to, s.Err() == nil && to > from
}

// Connect implements [connectors.Replayer].
func (replayer) Connect(u *url.URL) (connectors.ReplayConn, bool) {
	return &replayConn{}, strings.TrimSuffix(u.Path, "/") == wsPath
}

// BookOf implements [connectors.ReplayOpener].
func (replayer) BookOf(topic string) string {
	name, ok := strings.CutPrefix(topic, "book.")
	if !ok {
		return ""
	}
	return name
}

// Open implements [connectors.ReplayOpener].
func (replayer) Open(dst []byte, topic string, b *connectors.ReplayBook) []byte {
	w := simWriter{dst: append(append(append(dst, prefix...), topic...), `.100ms","data":`...), first: true}
	w.open('{')
	w.text("type", "snapshot")
	w.int("timestamp", b.Time/1e6)
	w.text("instrument_name", replayer{}.BookOf(topic))
	w.int("change_id", b.Seq)
	w.key("bids")
	w.dst = appendNew(w.dst, b.Bids)
	w.key("asks")
	w.dst = appendNew(w.dst, b.Asks)
	w.close('}')
	return append(w.dst, suffix...)
}

// appendNew writes [["new",price,amount],…].
func appendNew(dst []byte, levels []market.Level) []byte {
	dst = append(dst, '[')
	for i, l := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendFloat(append(dst, `["new",`...), l.Price), ',')
		dst = append(appendFloat(dst, l.Amount), ']')
	}
	return append(dst, ']')
}

// replayConn is a client's connection.
type replayConn struct {
	channels []string // as asked for
	frame    []byte
}

// Topics implements [connectors.ReplayConn].
func (c *replayConn) Topics() []string {
	topics := make([]string, 0, len(c.channels))
	for _, ch := range c.channels {
		if t := string(topicOf([]byte(ch))); !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	return topics
}

// Say implements [connectors.ReplayConn].
func (c *replayConn) Say(topic string, frame []byte, send func([]byte) error) error {
	from, to, ok := channelIn(frame)
	if !ok {
		return nil
	}
	for _, ch := range c.channels {
		if string(topicOf([]byte(ch))) != topic {
			continue
		}
		out := frame
		if ch != string(frame[from:to]) {
			c.frame = append(append(append(c.frame[:0], frame[:from]...), ch...), frame[to:]...)
			out = c.frame
		}
		if err := send(out); err != nil {
			return err
		}
	}
	return nil
}

// Hear implements [connectors.ReplayConn].
func (c *replayConn) Hear(frame []byte) [][]byte {
	var r rpcRequest
	if err := json.Unmarshal(frame, &r); err != nil {
		return [][]byte{rpcError(nil, rpcParse, "Parse error")}
	}
	if asks, channels := r.channels(); asks {
		return [][]byte{rpcResult(r.ID, c.ask(r.Method, channels))}
	}
	if result, ok := r.answer(); ok {
		return [][]byte{rpcResult(r.ID, result)}
	}
	return [][]byte{rpcError(r.ID, rpcNoMethod, "Method not found")}
}

// ask changes what is subscribed and returns the list that the exchange answers
// with: what it granted, or what it ended.
func (c *replayConn) ask(method string, channels []string) []byte {
	done := []string{}
	for _, ch := range channels {
		have := slices.Contains(c.channels, ch)
		switch {
		case topicOf([]byte(ch)) == nil || slices.Contains(done, ch):
		case method == methodSubscribe:
			if !have {
				c.channels = append(c.channels, ch)
			}
			done = append(done, ch)
		case have:
			c.channels = slices.DeleteFunc(c.channels, func(o string) bool { return o == ch })
			done = append(done, ch)
		}
	}
	return rpcList(done)
}
