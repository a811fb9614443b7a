package supervise

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Tree is the registry of all actors of a system. Its memory is bounded by the
// actors that branches own, alive or stopped, and by the length of its history.
type Tree struct {
	sys *System

	nodes sync.Map // id -> *node; read on every Tell
	order atomic.Uint64

	mu      sync.Mutex // guards what follows, and the order of events
	ring    []Event    // of the last events; ring[seq % len]
	seq     uint64
	subs    map[*subscriber]struct{}
	dropped uint64

	deadLetters atomic.Uint64
}

type subscriber struct{ events chan Event }

func newTree(sys *System, history int) *Tree {
	return &Tree{sys: sys, ring: make([]Event, history), subs: make(map[*subscriber]struct{})}
}

func (t *Tree) get(id string) (*node, bool) {
	n, ok := t.nodes.Load(id)
	if !ok {
		return nil, false
	}
	return n.(*node), true
}

// add registers n unless a live actor has its id. owned nodes take over the
// record of an earlier actor of the same id.
func (t *Tree) add(n *node) bool {
	n.order = t.order.Add(1)
	for {
		old, ok := t.nodes.LoadOrStore(n.id, n)
		if !ok {
			return true
		}
		if !old.(*node).ended() {
			return false
		}
		n.inherit(old.(*node))
		if t.nodes.CompareAndSwap(n.id, old, n) {
			return true
		}
	}
}

// forget removes n and all stopped actors below it.
func (t *Tree) forget(n *node) {
	t.nodes.CompareAndDelete(n.id, n)
	if n.spec.branch == nil {
		return
	}
	t.nodes.Range(func(id, below any) bool {
		if strings.HasPrefix(id.(string), n.id+"/") && below.(*node).ended() {
			t.nodes.CompareAndDelete(id, below)
		}
		return true
	})
}

func (t *Tree) all() []*node {
	var out []*node
	t.nodes.Range(func(_, n any) bool {
		out = append(out, n.(*node))
		return true
	})
	return out
}

// Snapshot is the tree now.
func (t *Tree) Snapshot() Snapshot {
	now := t.sys.clock.Now()
	nodes := t.all()
	slices.SortFunc(nodes, func(a, b *node) int { return cmp.Compare(a.order, b.order) })
	children := make(map[string][]*node)
	known := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		known[n.id] = true
	}
	for _, n := range nodes {
		parent := n.parent
		if !known[parent] { // the library's own, or gone
			parent = ""
		}
		children[parent] = append(children[parent], n)
	}
	out := Snapshot{Time: now, Ready: t.sys.Ready(), Actors: make([]Node, 0, len(nodes)), DeadLetters: t.deadLetters.Load()}
	var walk func(parent string)
	walk = func(parent string) {
		for _, n := range children[parent] {
			out.Actors = append(out.Actors, n.shown(now))
			walk(n.id)
		}
	}
	walk("")
	t.mu.Lock()
	out.EventsDropped = t.dropped
	t.mu.Unlock()
	return out
}

// shown is the node as the tree shows it, with its place there.
func (n *node) shown(now time.Time) Node {
	out := n.snapshot(now)
	out.Order = n.order
	return out
}

// Node is one actor with its messages by type and the spread of its waits.
func (t *Tree) Node(id string) (Node, bool) {
	n, ok := t.get(id)
	if !ok {
		return Node{}, false
	}
	out := n.shown(t.sys.clock.Now())
	out.Messages = n.meter.messages()
	out.Mailbox.Waits = n.queue.waits.spread.buckets()
	return out, true
}

// publish gives e its number, keeps it and hands it to the subscribers.
func (t *Tree) publish(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	e.Seq = t.seq
	t.ring[e.Seq%uint64(len(t.ring))] = e
	for s := range t.subs {
		select {
		case s.events <- e:
		default:
			t.dropped++
		}
	}
}

// Events returns the history after seq, oldest first, at most limit entries.
func (t *Tree) Events(after uint64, limit int) []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := after + 1
	if kept := uint64(len(t.ring)); t.seq > kept {
		first = max(first, t.seq-kept+1)
	}
	var out []Event
	for seq := first; seq <= t.seq && len(out) < limit; seq++ {
		out = append(out, t.ring[seq%uint64(len(t.ring))])
	}
	return out
}

// Recent returns the last events, oldest first.
func (t *Tree) Recent(limit int) []Event {
	t.mu.Lock()
	last := t.seq
	t.mu.Unlock()
	return t.Events(last-min(last, uint64(max(0, limit))), limit)
}

// Subscribe delivers events from now on to a channel of the given buffer. A
// subscriber that is too slow loses events, counted; Event.Seq shows the hole and
// Events fills it. cancel closes the channel and may be called again.
func (t *Tree) Subscribe(buffer int) (events <-chan Event, cancel func()) {
	s := &subscriber{events: make(chan Event, max(1, buffer))}
	t.mu.Lock()
	t.subs[s] = struct{}{}
	t.mu.Unlock()
	return s.events, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := t.subs[s]; ok {
			delete(t.subs, s)
			close(s.events)
		}
	}
}

// letter counts a message that reached no actor.
func (t *Tree) letter(e *actor.DeadLetterEvent) {
	switch e.Message.(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage, actor.MailboxMessage, *actor.DeadLetterResponse:
		return
	}
	t.deadLetters.Add(1)
	kind := "unknown"
	if e.PID != nil {
		if n, ok := t.get(e.PID.Id); ok {
			n.deadLetters.Add(1)
			kind = n.spec.Kind
		} else if strings.HasPrefix(e.PID.Id, askPrefix) {
			kind = "ask"
		}
	}
	t.sys.metrics.deadLetters.WithLabelValues(kind, nameOf(e.Message)).Inc()
}
