package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/marketprism/marketprism/internal/market"
)

// Subscription is one filter of one client.
type Subscription struct {
	client *Client
	name   string
	match  *matcher
	// unjoined counts streams that are still to begin it, or to begin it anew: while
	// there are any, no event's number says that everything before it was given.
	unjoined atomic.Int32

	// Under the client's lock.
	closed bool
	topics int // counted in the client's

	lanes    []*lane // the relay's, as
	followed int     // streams that it follows

	// The reader's: messages given, and where several nodes give, who gives books of
	// streams, and where the client is at this node and the others.
	n      uint64
	givers map[string]giver
	own    place
	abroad []*Foreign
}

func (sub *Subscription) join(s *Source) *join {
	return &join{sub: sub, source: s, kinds: sub.match.kinds}
}

// Asked is a request for a subscription.
type Asked struct {
	Filter
	// Echo is repeated in the answer as its id; nil is none.
	Echo json.RawMessage
	// LastEventID is where a client of server-sent events was; "" begins anew.
	LastEventID string
	// Parts are what other nodes have answered to the same filter; see [Client.Foreign].
	Parts []Part
}

// Check reports what is wrong with a filter. The error is a [*Refusal].
func (h *Hub) Check(f Filter) error {
	_, err := compile(f, h.directory)
	return err
}

// Subscribe begins a subscription and returns its name; the answer and then its records
// are among what Take returns. The error is a [*Refusal].
func (c *Client) Subscribe(a Asked) (name string, err error) {
	h := c.hub
	m, err := compile(a.Filter, h.directory)
	if err != nil {
		h.metrics.refusedSubs.Inc()
		return "", err
	}
	sub := &Subscription{client: c, match: m}
	h.mu.Lock()
	var streams []*Source
	for s := range h.sources {
		if m.takes(s) {
			streams = append(streams, s)
		}
	}
	err = c.admit(sub, a, streams)
	if err == nil {
		h.subs[sub] = true
	}
	h.mu.Unlock()
	if err != nil {
		h.metrics.refusedSubs.Inc()
		return "", err
	}
	slices.SortFunc(streams, func(a, b *Source) int { return a.instrument.ID().Compare(b.instrument.ID()) })
	joins := make([]*join, len(streams))
	for i, s := range streams {
		joins[i] = sub.join(s)
	}
	if a.LastEventID != "" {
		b := &comeback{asked: a.LastEventID, joins: joins}
		b.after, b.ours = h.parseID(a.LastEventID)
		sub.unjoined.Add(int32(len(joins)))
		h.queue.control(&event{what: comesBack, sub: sub, back: b})
		return sub.name, nil
	}
	if len(joins) == 0 && c.tracked() {
		h.queue.control(&event{what: marks, sub: sub})
	}
	for _, j := range joins {
		c.want(j)
	}
	return sub.name, nil
}

// admit registers a subscription with the client and answers it.
func (c *Client) admit(sub *Subscription, a Asked, streams []*Source) error {
	limits := c.hub.config
	topics := len(streams) * sub.match.kinds.count()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended != nil:
		return refuse("ended", "", "the connection is being ended")
	case len(c.subs) >= limits.MaxSubscriptions:
		return refuse("too_many_subscriptions", "", "the connection has %d subscriptions, the most it may have", len(c.subs))
	case c.topics+topics > limits.MaxTopics:
		return refuse("too_many_topics", "", "it would come to %d pairs of stream and kind; a connection may have %d", c.topics+topics, limits.MaxTopics)
	}
	c.topics += topics
	sub.topics = topics
	c.named++
	sub.name = fmt.Sprintf("s%d", c.named)
	c.subs[sub.name] = sub
	count, waiting := len(streams), sub.match.waiting(streams)
	for _, p := range a.Parts {
		count += p.Streams
		waiting = slices.DeleteFunc(waiting, func(symbol string) bool { return !slices.Contains(p.Waiting, symbol) })
	}
	text, err := json.Marshal(subscribed{"subscribed", a.Echo, sub.name, sub.match.asked, count, waiting, c.process()})
	if err != nil {
		return refuse("invalid_field", "id", "cannot be repeated: %v", err)
	}
	c.replyLocked(item{text: text})
	return nil
}

// subscribed is the answer to a subscription, which other nodes read too.
type subscribed struct {
	Type         string          `json:"type"`
	ID           json.RawMessage `json:"id,omitempty"`
	Subscription string          `json:"subscription"`
	Filter
	Streams int      `json:"streams"`
	Waiting []string `json:"waiting"`
	Process string   `json:"process,omitempty"`
}

// process is what a node that passes on what it is given is told: whose ids it gets.
func (c *Client) process() string {
	if c.marked {
		return c.hub.name
	}
	return ""
}

// Unsubscribe ends a subscription; the answer says how many messages it has had.
// What waited for it is dropped. The error is a [*Refusal].
func (c *Client) Unsubscribe(name string, echo json.RawMessage) error {
	c.mu.Lock()
	sub := c.subs[name]
	if sub == nil {
		c.mu.Unlock()
		return refuse("unknown_subscription", "subscription", "there is no subscription %q", name)
	}
	c.closeLocked(sub)
	c.queue = slices.DeleteFunc(c.queue, func(i item) bool {
		if i.lane == nil || i.lane.sub != sub {
			return false
		}
		c.forgetLocked(&i)
		return true
	})
	c.replyLocked(item{farewell: sub, text: echo})
	c.mu.Unlock()
	c.hub.closeSubs(sub)
	return nil
}

// closeLocked ends what a subscription is given.
func (c *Client) closeLocked(sub *Subscription) {
	sub.closed = true
	c.topics -= sub.topics
	delete(c.subs, sub.name)
	c.asks = slices.DeleteFunc(c.asks, func(j *join) bool { return j.sub == sub })
}

// closeSubs makes the relay forget subscriptions.
func (h *Hub) closeSubs(subs ...*Subscription) {
	h.mu.Lock()
	for _, sub := range subs {
		delete(h.subs, sub)
	}
	h.mu.Unlock()
	for _, sub := range subs {
		h.queue.control(&event{what: leaves, sub: sub})
	}
}

// farewellText answers an unsubscribe.
func farewellText(sub *Subscription, echo []byte) []byte {
	dst := []byte(`{"type":"unsubscribed",`)
	if len(echo) > 0 {
		dst = append(append(append(dst, `"id":`...), echo...), ',')
	}
	dst = market.AppendJSONString(append(dst, `"subscription":`...), sub.name)
	return fmt.Appendf(dst, `,"messages":%d}`, sub.n)
}
