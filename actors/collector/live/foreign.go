package live

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/marketprism/marketprism/internal/market"
)

// Foreign is what another node gives to a subscription, beside what this node's own
// streams give. One goroutine gives.
//
// A stream moves from node to node, and for a moment two have it. Of a book, and of the
// states of one, a subscription is given what one node says, until another begins it
// with a snapshot and a higher ownership number: what the node before still has on its
// way would otherwise be taken for changes of the new one. Of other kinds everything is
// given: no record is of two nodes.
type Foreign struct {
	client *Client
	sub    *Subscription
	lane   *lane
	at     place // the reader's
}

// Part is what another node has answered to a filter.
type Part struct {
	// Streams match there, Waiting are symbols that none does.
	Streams int
	Waiting []string
	// Process is the node's name in ids of events; "" when it does not say.
	Process string
}

// giver is who gives a subscription its book of a stream: nil is this node.
type giver struct {
	foreign *Foreign
	epoch   int64
}

// said is what a foreign event is about.
type said struct {
	by       *Foreign
	stream   string // exchange/market/symbol, of books and states
	epoch    int64  // of a snapshot
	snapshot bool
	ended    bool
	received int64

	sign   sign
	placed bool   // id says where the client is
	id     string // the node's, of the event
}

// Abroad makes the client one that other nodes give to as well, before its first
// subscription. The ids of its events say where it is at each of them.
func (c *Client) Abroad() { c.abroad = true }

// Foreign adds a node to a subscription; nil when that has ended.
func (c *Client) Foreign(subscription string) *Foreign {
	c.mu.Lock()
	defer c.mu.Unlock()
	sub := c.subs[subscription]
	if sub == nil {
		return nil
	}
	f := &Foreign{client: c, sub: sub, lane: &lane{sub: sub, policy: passed}}
	f.addLocked(&event{said: &said{by: f, sign: opens}}, 0)
	return f
}

// Give gives the subscription a message of the node: of one, Type, Coalesced, ID and Data
// count. It waits while too much waits for the client. The error is an [*End], also when
// the subscription has ended, or that of ctx.
func (f *Foreign) Give(ctx context.Context, m Message) error {
	e := &event{text: bytes.Clone(m.Data), said: &said{by: f, placed: m.ID != "", id: m.ID}}
	if m.Type == State {
		e.what = aState
	}
	e.read()
	return f.put(ctx, e, m.Coalesced)
}

// addLocked puts an event into the client's queue.
func (f *Foreign) addLocked(e *event, lost int) {
	c := f.client
	c.foreign++
	c.foreignBytes += e.size()
	c.queue = append(c.queue, item{lane: f.lane, event: e, lost: lost})
	c.signal()
}

// put is addLocked once there is room.
func (f *Foreign) put(ctx context.Context, e *event, lost int) error {
	c := f.client
	limits := &c.hub.config
	for {
		c.mu.Lock()
		switch {
		case c.ended != nil:
			end := c.ended
			c.mu.Unlock()
			return end
		case f.sub.closed:
			c.mu.Unlock()
			return &End{CodeNormal, "unsubscribed"}
		case c.foreign < limits.QueueRecords && (c.foreignBytes == 0 || c.foreignBytes+e.size() <= limits.QueueBytes):
			f.addLocked(e, lost)
			c.mu.Unlock()
			return nil
		}
		if c.emptied == nil {
			c.emptied = make(chan struct{})
		}
		emptied := c.emptied
		c.mu.Unlock()
		select {
		case <-emptied:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lost ends the client: the node cannot be heard any more, and nobody knows what it
// would have given.
func (f *Foreign) Lost(reason string) {
	c := f.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if !f.sub.closed {
		c.endLocked(CodeOverloaded, reason, outcomeLost)
	}
}

// Slow ends the client: the node has found it too slow.
func (f *Foreign) Slow(reason string) {
	c := f.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if !f.sub.closed {
		c.endLocked(CodeSlow, reason, outcomeSlow)
	}
}

// emptyLocked lets those go on who wait for room.
func (c *Client) emptyLocked() {
	c.foreign, c.foreignBytes = 0, 0
	if c.emptied != nil {
		close(c.emptied)
		c.emptied = nil
	}
}

// maxHead is where the header of a record ends, at the latest: before its levels.
const maxHead = 1024

// read finds in the one JSON form what decides whether the event is passed on.
func (e *event) read() {
	head := e.text[:min(len(e.text), maxHead)]
	kind, ok := market.ParseKind(member(head, "kind"))
	// 0: it says none.
	e.said.received, _ = strconv.ParseInt(number(head, "receive_time_ns"), 10, 64)
	if e.what == aRecord && (!ok || kind != market.KindBookDelta) {
		e.kind = kind
		return
	}
	e.kind = market.KindBookDelta
	e.said.stream = member(head, "exchange") + "/" + member(head, "market") + "/" + member(head, "symbol")
	if e.what == aState {
		e.said.ended = member(head, "state") == "ended"
		return
	}
	if e.said.snapshot = bytes.Contains(head, []byte(`"is_snapshot":true`)); e.said.snapshot {
		e.said.epoch, _ = strconv.ParseInt(number(head, "epoch"), 10, 64)
	}
}

// after is what stands behind a member's name.
func after(head []byte, name string) []byte {
	_, rest, _ := bytes.Cut(head, []byte(`"`+name+`":`))
	return rest
}

// member is a member that is text without escapes, as names are; "" for none.
func member(head []byte, name string) string {
	rest := after(head, name)
	if len(rest) == 0 || rest[0] != '"' {
		return ""
	}
	text, _, ok := bytes.Cut(rest[1:], []byte(`"`))
	if !ok {
		return ""
	}
	return string(text)
}

func number(head []byte, name string) string {
	rest := after(head, name)
	end := slices.IndexFunc(rest, func(c byte) bool { return (c < '0' || c > '9') && c != '-' })
	return string(rest[:max(end, 0)])
}

// passes reports whether a subscription that several nodes give to is given an event.
func (sub *Subscription) passes(e *event) bool {
	s := e.said
	if s == nil {
		if e.kind != market.KindBookDelta && e.what != ends {
			return true
		}
		s = &said{stream: e.source.instrument.ID().String(), snapshot: e.snapshot, ended: e.what == ends}
		if e.book != nil {
			s.epoch = e.book.Epoch
		}
	}
	if s.stream == "" {
		return true
	}
	now, had := sub.givers[s.stream]
	switch {
	case s.ended && (!had || now.foreign == s.by):
		delete(sub.givers, s.stream)
	case !had, now.foreign == s.by, s.snapshot && s.epoch >= now.epoch:
		if sub.givers == nil {
			sub.givers = map[string]giver{}
		}
		epoch := s.epoch
		if !s.snapshot {
			epoch = now.epoch
		}
		sub.givers[s.stream] = giver{s.by, epoch}
	default:
		return false
	}
	return true
}
