package live

import (
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// MessageType is what a message is.
type MessageType uint8

// The types.
const (
	// Record: Data is a record in the one JSON form.
	Record MessageType = iota
	// State: Data tells of a book's state, or of a stream's end.
	State
	// Answer: Data is a whole message.
	Answer
)

// String is the type's word.
func (t MessageType) String() string {
	switch t {
	case Record:
		return "record"
	case State:
		return "state"
	}
	return "answer"
}

// Message is something to be written to a client, in this order.
type Message struct {
	Type MessageType
	// Subscription is the name of the one it belongs to, N its number there, from 1
	// and rising by one.
	Subscription string
	N            uint64
	// Coalesced is how many further records this one stands for.
	Coalesced int
	// ID is what a client may come back with; "" when that would not be whole.
	ID string
	// Data is JSON, shared with others: do not change it.
	Data []byte
	// Received is the receive time of the record, Unix ns; 0 when it has none.
	Received int64
}

// Take returns what waits, good until the next call. The error is an [*End].
// Merging happens here, on the reader's own time.
func (c *Client) Take() ([]Message, error) {
	c.mu.Lock()
	if c.ended != nil {
		defer c.mu.Unlock()
		c.taken, c.spare, c.messages = nil, nil, nil
		return nil, c.ended
	}
	clear(c.taken)
	c.taken, c.spare = c.queue, c.taken[:0]
	c.queue = c.spare
	for i := range c.taken {
		c.settleLocked(&c.taken[i])
	}
	c.sequenced, c.bytes, c.replies = 0, 0, 0
	c.emptyLocked()
	next := c.nextLocked()
	c.mu.Unlock()
	select {
	case c.room <- struct{}{}:
	default:
	}
	for _, j := range next {
		c.ask(j)
	}
	return c.messagesOf(c.taken), nil
}

// settleLocked takes an item out of its lane's figures.
func (c *Client) settleLocked(i *item) {
	l := i.lane
	if l == nil {
		return
	}
	l.pending, l.bytes = 0, 0
	if i.begun {
		c.outstanding--
	}
	if i.event == nil {
		i.event, i.lost = l.latest, l.replaced
		l.latest, l.marked, l.replaced = nil, false, 0
	}
	if l.policy == Merged && i.event.what == aRecord && !i.event.snapshot {
		l.left++
	}
}

// messagesOf makes messages of items, and one of many changes of a book.
func (c *Client) messagesOf(items []item) []Message {
	clear(c.messages)
	c.messages = c.messages[:0]
	after := c.hub.config.CoalesceAfter
	for n := range items {
		i := &items[n]
		l := i.lane
		switch {
		case i.mark != nil:
			c.markedAt(i.mark)
		case l == nil:
			text := i.text
			if i.farewell != nil {
				text = farewellText(i.farewell, i.text)
			}
			c.messages = append(c.messages, Message{Type: Answer, Data: text})
		case l.policy != Merged || i.event.what != aRecord:
			c.add(i, i.event.bytes(), i.lost)
		case i.event.snapshot: // whatever changes came before it are in it
			dropped := len(l.run)
			c.endRun(l)
			c.add(i, i.event.bytes(), i.lost+dropped)
		default:
			c.change(i, after)
		}
	}
	return c.messages
}

// change takes a change of a book: alone, or the last of those that are put into
// one.
func (c *Client) change(i *item, after int) {
	l := i.lane
	if l.left--; len(l.run) == 0 && l.left < after {
		c.add(i, i.event.bytes(), i.lost)
		return
	}
	if len(l.run) == 0 {
		c.runs++
	}
	l.run = append(l.run, i.event)
	if l.left > 0 {
		return
	}
	text, more := merge(l.source.instrument, l.run), len(l.run)-1
	c.endRun(l)
	c.add(i, text, more)
}

func (c *Client) endRun(l *lane) {
	if len(l.run) > 0 {
		c.runs--
	}
	l.run = nil
}

func (c *Client) add(i *item, data []byte, coalesced int) {
	sub, e := i.lane.sub, i.event
	if c.abroad && !sub.moved(i) {
		return
	}
	sub.n++
	m := Message{Type: Record, Subscription: sub.name, N: sub.n, Coalesced: coalesced, Data: data, Received: e.received}
	if e.said != nil {
		m.Received = e.said.received
	}
	if e.what != aRecord {
		m.Type = State
	}
	// While changes are held back to be put into one, a number would say that they
	// were given.
	switch {
	case c.abroad:
		m.ID = c.where(sub)
	case i.id != 0 && c.runs == 0 && c.consumer == Events:
		m.ID = c.hub.eventID(i.id)
	}
	if coalesced > 0 {
		c.hub.metrics.coalesced.Add(uint64(coalesced))
	}
	c.messages = append(c.messages, m)
}

// Wrote counts messages that have been written to the client, and how old they
// were.
func (c *Client) Wrote(messages []Message, bytes int) {
	c.counts.messages.Add(uint64(len(messages)))
	c.counts.bytes.Add(uint64(bytes))
	now := time.Now().UnixNano()
	for i := range messages {
		// The oldest of what was written at once says enough.
		if messages[i].Received != 0 {
			c.counts.lag.Observe(max(0, float64(now-messages[i].Received)/1e9))
			return
		}
	}
}

// Word is the type's word of an answer.
func (m *Message) Word() string {
	const opening = `{"type":"`
	if text := string(m.Data[:min(len(m.Data), 64)]); strings.HasPrefix(text, opening) {
		word, _, _ := strings.Cut(text[len(opening):], `"`)
		return word
	}
	return ""
}

// AppendTo appends the message as one JSON object.
func (m *Message) AppendTo(dst []byte) []byte {
	if m.Type == Answer {
		return append(dst, m.Data...)
	}
	return append(append(m.AppendHead(dst), m.Data...), '}')
}

// AppendHead appends what stands before Data in a record's or state's message.
func (m *Message) AppendHead(dst []byte) []byte {
	dst = append(append(append(dst, `{"type":"`...), m.Type.String()...), `","subscription":`...)
	dst = market.AppendJSONString(dst, m.Subscription)
	dst = appendNumber(append(dst, `,"n":`...), m.N)
	if m.Coalesced > 0 {
		dst = appendNumber(append(dst, `,"coalesced":`...), uint64(m.Coalesced))
	}
	return append(dst, `,"data":`...)
}
