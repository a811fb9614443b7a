package live

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// Where a client of several nodes is, and how it comes back.
//
// The number of an event says, at the node that gave it, that everything before it was
// given too. Where several nodes give, an event's id is the ids of all of them, parted by
// dots: where the client is at each. Whoever comes back with it comes back to each node,
// which finds its own part, and gives what came after it. A node is left out that has no
// stream of the subscription: nothing of it can be missed. It says so, and where the
// client is once all its streams have begun it, by a mark.
//
// What cannot be had is said by the message "lost", which names the streams that begin
// anew, or none where a node is gone and nobody knows what it had.

// place is where a client is at one node.
type place struct {
	known bool
	// id is the node's of the last event; "" where nothing of it can be missed.
	id string
}

// mark says where a subscription is, between two events.
type mark struct {
	sub   *Subscription
	n     uint64
	known bool
	none  bool // the subscription has no stream here
}

// Marked makes the client one that is told where it is, before its first subscription:
// another node, which gives to a client of its own what it is given.
func (c *Client) Marked() { c.marked = true }

// tracked reports whether it is to be known where the client is.
func (c *Client) tracked() bool { return c.consumer == Events && (c.abroad || c.marked) }

// Name is this process's, in the ids of events.
func (h *Hub) Name() string { return h.name }

// Processes are the names in an id.
func Processes(id string) (names []string) {
	for one := range strings.SplitSeq(id, ".") {
		if name, _, ok := strings.Cut(one, "-"); ok {
			names = append(names, name)
		}
	}
	return names
}

// mark tells a client where it is, once all streams have begun its subscription.
func (h *Hub) mark(sub *Subscription) {
	c := sub.client
	if !c.tracked() || sub.unjoined.Load() != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && !sub.closed {
		c.queue = append(c.queue, item{mark: &mark{sub, h.n, true, sub.followed == 0}})
		c.signal()
	}
}

// markedAt takes a mark that was taken out of the queue.
func (c *Client) markedAt(m *mark) {
	if c.runs != 0 { // changes that the number says were given are held back
		m.known = false
	}
	m.sub.own = place{known: m.known}
	if m.known && !m.none {
		m.sub.own.id = c.hub.eventID(m.n)
	}
	if c.marked && m.known {
		c.messages = append(c.messages, Message{Type: Answer, ID: m.sub.own.id, Data: markText})
	}
}

var markText = []byte(`{"type":"at"}`)

// moved notes where the client is with an event, and reports whether it is given it.
func (sub *Subscription) moved(i *item) bool {
	e := i.event
	if e.said == nil {
		sub.own = place{known: i.id != 0}
		if i.id != 0 {
			sub.own.id = sub.client.hub.eventID(i.id)
		}
		return sub.passes(e)
	}
	f := e.said.by
	f.at = place{e.said.placed, e.said.id}
	switch e.said.sign {
	case opens:
		sub.abroad = append(sub.abroad, f)
	case closes:
		sub.abroad = slices.DeleteFunc(sub.abroad, func(o *Foreign) bool { return o == f })
	case stands:
	case gives:
		return sub.passes(e)
	}
	return false
}

// where is the id of the event that was given last; "" while it is not known of every
// node.
func (c *Client) where(sub *Subscription) string {
	if c.consumer != Events || c.runs != 0 || !sub.own.known {
		return ""
	}
	id := sub.own.id
	for _, f := range sub.abroad {
		switch {
		case !f.at.known:
			return ""
		case f.at.id == "":
		case id == "":
			id = f.at.id
		default:
			id += "." + f.at.id
		}
	}
	return id
}

// sign is what a node says of itself, beside what it gives.
type sign uint8

const (
	gives  sign = iota // a message
	opens              // from now on
	stands             // where the client is with it
	closes             // it has given everything, and gives no more
)

// At says where the client is with the node: an id of that; "" says that it has no stream
// of the subscription. Errors are as of [Foreign.Give].
func (f *Foreign) At(ctx context.Context, id string) error {
	return f.put(ctx, &event{said: &said{by: f, sign: stands, placed: true, id: id}}, 0)
}

// Gone says that the node has given everything that it had, and handed its streams over.
// Errors are as of [Foreign.Give].
func (f *Foreign) Gone(ctx context.Context) error {
	return f.put(ctx, &event{said: &said{by: f, sign: closes}}, 0)
}

// Lacks tells the client what the node cannot give of what it has missed: asked is the
// id that it came back with, streams begin anew.
func (f *Foreign) Lacks(asked, why string, streams []string) {
	f.client.Lacks(f.sub.name, asked, why, streams)
}

// Lacks tells the client that something after an id is lost to it; streams are those that
// begin anew, none where it is not known which were concerned.
func (c *Client) Lacks(subscription, asked, why string, streams []string) {
	c.hub.metrics.reset.Inc()
	c.reply(lostText(subscription, asked, why, streams))
}

func lostText(subscription, asked, why string, streams []string) []byte {
	dst := market.AppendJSONString([]byte(`{"type":"lost","subscription":`), subscription)
	dst = market.AppendJSONString(append(dst, `,"last_event_id":`...), asked)
	dst = market.AppendJSONString(append(dst, `,"message":`...), why)
	dst = append(dst, `,"begun_anew":[`...)
	for i, s := range streams {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = market.AppendJSONString(dst, s)
	}
	return append(dst, ']', '}')
}

// resume gives a client that is tracked what it has missed; the streams of which that
// cannot be had begin anew, and it is told which.
func (h *Hub) resume(sub *Subscription, b *comeback) {
	c := sub.client
	var whole, anew []*join
	var names []string
	why := h.expired(b)
	all := why != ""
	for _, j := range b.joins {
		reason := why
		if !all {
			reason = h.unkept(sub, j, b.after)
		}
		if reason == "" {
			whole = append(whole, j)
			continue
		}
		why, anew = reason, append(anew, j)
	}
	for _, j := range anew {
		names = append(names, j.source.instrument.ID().String())
	}
	if len(anew) > 0 {
		c.Lacks(sub.name, b.asked, why, names)
	}
	h.replay(sub, b, whole)
	sub.unjoined.Add(-int32(len(anew))) // each is counted again
	for _, j := range anew {
		c.want(j)
	}
	h.mark(sub)
}

// parseID reads an id that a client came back with: the part of it that is this
// process's.
func (h *Hub) parseID(id string) (n uint64, ours bool) {
	for one := range strings.SplitSeq(id, ".") {
		name, number, _ := strings.Cut(one, "-")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && name == h.name {
			return n, true
		}
	}
	return 0, false
}
