package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
)

// Live is what of the live streams is followed. Kinds are needed; each of the other lists,
// left out, is all. Symbols are taken in any spelling, or as patterns (*-USDT).
type Live struct {
	Kinds     []string
	Exchanges []string
	Markets   []string
	Symbols   []string
	Following
}

func (l *Live) parameters() url.Values {
	var p parameters
	p.list("kinds", l.Kinds)
	p.list("exchanges", l.Exchanges)
	p.list("markets", l.Markets)
	p.list("symbols", l.Symbols)
	return p.Values
}

// The types of a [LiveMessage].
const (
	LiveSubscribed = "subscribed"
	LiveRecord     = "record"
	LiveState      = "state"
	LiveReset      = "reset"
)

// LiveMessage is what the live streams give.
type LiveMessage struct {
	// Type is record; state, of a book that is live, stale or syncing from now on; or
	// reset: what came since the message before may be missed, and books begin anew.
	Type         string `json:"type"`
	Subscription string `json:"subscription,omitempty"`
	// N numbers the messages of a connection's subscription from 1, rising by one.
	N int64 `json:"n,omitempty"`
	// Coalesced is how many further records this one stands for.
	Coalesced int64           `json:"coalesced,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Reason    string          `json:"reason,omitempty"` // of a reset
	// Waiting says that nothing more has come yet.
	Waiting bool `json:"-"`
}

// Kind is the kind of a record.
func (m *LiveMessage) Kind() string {
	var r struct {
		Kind string `json:"kind"`
	}
	if m.Type != LiveRecord || json.Unmarshal(m.Data, &r) != nil {
		return ""
	}
	return r.Kind
}

// BookState is what a message of type state says.
type BookState struct {
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	State    string `json:"state"` // live, stale, syncing, or ended
	Seq      *int64 `json:"seq"`
}

// BookState reads a message of type state.
func (m *LiveMessage) BookState() (s BookState, err error) {
	if m.Type != LiveState {
		return s, fmt.Errorf("a message of type %q has no state of a book", m.Type)
	}
	return s, json.Unmarshal(m.Data, &s)
}

// Follow follows live streams until ctx ends, whose cause is then yielded as the error. A
// lost connection is made again where it was lost; where that cannot be, a message of type
// reset comes first. A book begins with a record that has is_snapshot, also then.
func (c *Collector) Follow(ctx context.Context, l Live) iter.Seq2[LiveMessage, error] {
	request := func(id string) *request {
		r := get(CollectorService, "/api/v1/stream", l.parameters())
		if id != "" {
			r.header = http.Header{"Last-Event-Id": {id}}
		}
		return r
	}
	return func(yield func(LiveMessage, error) bool) {
		for e, err := range c.c.follow(ctx, l.Following, request, ending) {
			if err != nil {
				yield(LiveMessage{}, err)
				return
			}
			var m LiveMessage
			if err := json.Unmarshal(e.Data, &m); err != nil {
				yield(m, fmt.Errorf("reading a message: %w", err))
				return
			}
			if m.Waiting = e.waiting; e.again && !e.resumed && m.Type != LiveReset {
				if !yield(LiveMessage{Type: LiveReset, Reason: "the connection was lost, and could not be taken up"}, nil) {
					return
				}
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// ending ends a connection by the last event of the service.
func ending(e Event) error {
	if e.Name != "end" {
		return nil
	}
	var m struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(e.Data, &m); err != nil {
		return fmt.Errorf("reading the end of a stream: %w", err)
	}
	return errStreamEnd{m.Reason}
}
