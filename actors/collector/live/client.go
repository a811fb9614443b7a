package live

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
)

// End says why the hub ended a client.
type End struct {
	// Code is one of the Code constants.
	Code   int
	Reason string
}

func (e *End) Error() string { return fmt.Sprintf("%s (%d)", e.Reason, e.Code) }

// maxReplies is how many answers wait for a client before its next request is
// looked at.
const maxReplies = 64

// beginsAtOnce is how many books a client is given before it has taken those
// before: a subscription to everything is not all books at once in memory.
const beginsAtOnce = 16

// item is something that waits for a client: an event in a lane, or an answer.
type item struct {
	lane  *lane
	event *event // nil for a marker: the lane's latest
	id    uint64
	begun bool // the last of what a stream with a book begins with
	lost  int  // records that this one stands for

	text     []byte
	farewell *Subscription
	mark     *mark
}

// Client is one connection. One goroutine takes, others may ask and answer.
type Client struct {
	hub      *Hub
	consumer Consumer
	onEnd    func()
	counts   *consumerCounts
	ready    chan struct{} // holds one token while there is something to take
	room     chan struct{} // holds one token when answers have been taken

	mu          sync.Mutex
	queue       []item
	sequenced   int // records in it that must not be left out
	bytes       int
	replies     int
	ended       *End
	closed      bool
	subs        map[string]*Subscription
	named       int
	topics      int
	asks        []*join // that wait for their turn
	outstanding int     // books that were asked for and not taken yet

	marked                bool          // it is told where it is
	abroad                bool          // other nodes give too; fixed before the first subscription
	foreign, foreignBytes int           // of theirs, in the queue
	emptied               chan struct{} // closed once the queue has been taken; nil: nobody waits

	// The reader's.
	taken, spare []item
	messages     []Message
	runs         int // books of which changes are being put into one
}

// Ready delivers when there may be something to take.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// Ended is why the hub ended the client; nil while it has not.
func (c *Client) Ended() *End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Close forgets the client and its subscriptions. It may be called again.
func (c *Client) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	if c.ended == nil {
		c.ended = &End{CodeNormal, "closed"}
	}
	var subs []*Subscription
	for _, sub := range c.subs {
		subs = append(subs, sub)
		c.closeLocked(sub)
	}
	c.queue = nil
	c.emptyLocked()
	c.mu.Unlock()
	select {
	case c.room <- struct{}{}:
	default:
	}
	c.hub.mu.Lock()
	delete(c.hub.clients, c)
	c.hub.mu.Unlock()
	c.hub.closeSubs(subs...)
}

// end ends the client: it is given nothing any more.
func (c *Client) end(code int, reason string, why outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(code, reason, why)
}

// Stuck ends a client that did not take a write in time, or whose connection is
// gone.
func (c *Client) Stuck() {
	c.end(CodeSlow, "slow consumer: a write was not taken in time", outcomeSlow)
}

// Silent ends a client of which nothing is heard.
func (c *Client) Silent() { c.end(CodeGoingAway, "nothing was heard of the client", outcomeDead) }

func (c *Client) endLocked(code int, reason string, why outcome) {
	if c.ended != nil {
		return
	}
	c.ended = &End{code, reason}
	c.queue, c.bytes = nil, 0
	c.emptyLocked()
	c.hub.metrics.ended(why)
	c.signal()
	select {
	case c.room <- struct{}{}:
	default:
	}
	if c.onEnd != nil {
		c.onEnd()
	}
}

func (c *Client) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Reply answers a request with JSON text. It waits while too many answers have not
// been taken: a client that does not read is not read either. The error is that of
// ctx, or an [*End].
func (c *Client) Reply(ctx context.Context, text []byte) error {
	for {
		if err := c.Await(ctx); err != nil {
			return err
		}
		if c.answered(text) {
			return nil
		}
	}
}

// answered gives an answer if there is room for it.
func (c *Client) answered(text []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil || c.replies >= maxReplies {
		return false
	}
	c.replyLocked(item{text: text})
	return true
}

// Await waits until answers may be given; see [Client.Reply].
func (c *Client) Await(ctx context.Context) error {
	for {
		c.mu.Lock()
		ended, full := c.ended, c.replies >= maxReplies
		c.mu.Unlock()
		switch {
		case ended != nil:
			return ended
		case !full:
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reply is Reply that does not wait, for what the relay has to say.
func (c *Client) reply(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replyLocked(item{text: text})
}

func (c *Client) replyLocked(i item) {
	c.replies++
	c.queue = append(c.queue, i)
	c.signal()
}

// left reports whether a subscription has ended.
func (c *Client) left(sub *Subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sub.closed
}

// want asks a stream to begin the client, now or when it is its turn.
func (c *Client) want(j *join) {
	c.mu.Lock()
	if j.sub.closed {
		c.mu.Unlock()
		return
	}
	j.sub.unjoined.Add(1)
	if j.hasBook() {
		if c.outstanding >= beginsAtOnce {
			c.asks = append(c.asks, j)
			c.mu.Unlock()
			return
		}
		c.outstanding++
	}
	c.mu.Unlock()
	c.ask(j)
}

func (c *Client) ask(j *join) {
	if j.again == nil {
		j.source.take(j.kinds, 1)
	}
	if !j.source.ask(j) { // it has ended
		if j.again == nil {
			j.source.take(j.kinds, -1)
		}
		c.unask(j)
	}
}

// unask takes back a join that comes to nothing.
func (c *Client) unask(j *join) {
	if j.sub.unjoined.Add(-1) == 0 && c.tracked() {
		c.hub.queue.control(&event{what: marks, sub: j.sub})
	}
	c.mu.Lock()
	if j.hasBook() {
		c.outstanding--
	}
	next := c.nextLocked()
	c.mu.Unlock()
	for _, j := range next {
		c.ask(j)
	}
}

// nextLocked takes the joins whose turn it is.
func (c *Client) nextLocked() []*join {
	n := min(len(c.asks), beginsAtOnce-c.outstanding)
	if n <= 0 {
		return nil
	}
	next := slices.Clone(c.asks[:n])
	c.asks = slices.Delete(c.asks, 0, n)
	c.outstanding += n
	return next
}

// joined counts a join that a replay has made good.
func (c *Client) joined(j *join) { j.sub.unjoined.Add(-1) }

// begin gives a client the beginning of its lanes in a stream.
func (c *Client) begin(j *join, lanes []*lane, b *beginning) {
	j.sub.unjoined.Add(-1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if j.hasBook() && (c.ended != nil || j.sub.closed || b.state == nil) {
		c.outstanding--
	}
	if c.ended != nil || j.sub.closed {
		return
	}
	for _, l := range lanes {
		l.behind = false
		if l.kind == market.KindBookDelta && b.state != nil {
			if b.book != nil {
				c.addLocked(l, item{lane: l, event: b.book, lost: l.lost})
				l.lost = 0
			}
			c.addLocked(l, item{lane: l, event: b.state, begun: true})
		}
		for _, e := range b.last {
			if e.kind == l.kind {
				c.addLocked(l, item{lane: l, event: e})
			}
		}
	}
	c.signal()
}

// addLocked puts an item into the queue.
func (c *Client) addLocked(l *lane, i item) {
	if i.event != nil {
		size := i.event.size()
		l.bytes += size
		c.bytes += size
	}
	l.pending++
	if l.policy == Sequenced {
		c.sequenced++
	}
	c.queue = append(c.queue, i)
}

// forgetLocked is the reverse, for an item that has been taken out.
func (c *Client) forgetLocked(i *item) {
	l := i.lane
	if l.policy == passed {
		c.foreign--
		c.foreignBytes -= i.event.size()
		return
	}
	if i.event != nil {
		size := i.event.size()
		l.bytes -= size
		c.bytes -= size
	}
	l.pending--
	if l.policy == Sequenced {
		c.sequenced--
	}
	if i.begun {
		c.outstanding--
	}
	if i.event == nil {
		l.latest, l.marked, l.replaced = nil, false, 0
	}
}

// push gives the client an event of a lane, within its bounds.
func (c *Client) push(l *lane, e *event) {
	limits := &c.hub.config
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil || l.sub.closed {
		return
	}
	i := item{lane: l, event: e}
	if l.sub.unjoined.Load() == 0 {
		i.id = e.n
	}
	tight := c.bytes+e.size() > limits.QueueBytes
	switch {
	case l.policy == Merged && l.behind:
		if e.what == aRecord {
			l.lost++
		}
		return
	case l.policy == Merged && (tight || l.pending >= limits.BookBacklog):
		c.behindLocked(l)
		l.lost++
		return
	case l.policy == Latest && l.marked:
		l.latest = e
		l.replaced++
		return
	case l.policy == Latest && (tight || l.pending >= limits.CoalesceAfter):
		l.latest, l.marked = e, true
		c.addLocked(l, item{lane: l})
		c.signal()
		return
	case l.policy == Sequenced && (tight || c.sequenced >= limits.QueueRecords):
		c.endLocked(CodeSlow, fmt.Sprintf("slow consumer: %d records waited, among them %s, which are not left out", c.sequenced, l.kind), outcomeSlow)
		return
	}
	c.addLocked(l, i)
	c.signal()
}

// replay gives the client what it has missed; the ring bounds how much that is.
func (c *Client) replay(l *lane, e *event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && !l.sub.closed {
		c.addLocked(l, item{lane: l, event: e, id: e.n})
		c.signal()
	}
}

// tell gives the client what comes last of a stream.
func (c *Client) tell(l *lane, e *event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && !l.sub.closed {
		c.addLocked(l, item{lane: l, event: e})
		c.signal()
	}
}

// fallBehind drops what waits of a book, which is begun anew once the client
// reads.
func (c *Client) fallBehind(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && !l.sub.closed && !l.behind {
		c.behindLocked(l)
	}
}

func (c *Client) behindLocked(l *lane) {
	l.behind = true
	l.sub.unjoined.Add(1)
	// Numbers that were given out say that what is dropped here was given.
	for n := range c.queue {
		c.queue[n].id = 0
		if m := c.queue[n].mark; m != nil {
			m.known = false
		}
	}
	c.queue = slices.DeleteFunc(c.queue, func(i item) bool {
		if i.lane != l {
			return false
		}
		if i.event.what == aRecord {
			l.lost += 1 + i.lost
		}
		c.forgetLocked(&i)
		return true
	})
	c.asks = append(c.asks, &join{sub: l.sub, source: l.source, kinds: kindsOf(l.kind), again: l})
	c.hub.metrics.behind.Add(1)
	c.signal() // its turn comes when the client takes
}
