package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
)

// Subscribing is what is followed of the broker.
type Subscribing struct {
	// Subject may hold * for one token and > for the rest.
	Subject string
	// Stream is needed where several keep some of the subject.
	Stream string
	// From is new, first or last; "" is new.
	From string
	// After is the position of a message, behind which it begins; it counts more than From.
	After string
	Following
}

// Subscribe follows a subject until ctx ends, whose cause is then yielded as the error. Of
// a subject that a stream keeps nothing is missed over a lost connection.
func (b *Broker) Subscribe(ctx context.Context, s Subscribing) iter.Seq2[Delivered, error] {
	var p parameters
	p.set("subject", s.Subject)
	p.set("stream", s.Stream)
	p.set("from", s.From)
	request := func(id string) *request {
		r := get(BrokerService, brokerPath+"/subscribe", p.Values)
		if id == "" {
			id = s.After
		}
		if id != "" {
			r.header = http.Header{"Last-Event-Id": {id}}
		}
		return r
	}
	return func(yield func(Delivered, error) bool) {
		for e, err := range b.c.follow(ctx, s.Following, request, ending) {
			var d Delivered
			if err == nil && e.Name != "" && e.Name != "message" {
				continue // start
			}
			if err == nil {
				if err = json.Unmarshal(e.Data, &d); err != nil {
					err = fmt.Errorf("reading a message: %w", err)
				}
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}
