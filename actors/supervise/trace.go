package supervise

import (
	"slices"
	"sync/atomic"
	"time"
)

// Traced is one message that an actor handled while it was traced. What the message
// says is not kept.
type Traced struct {
	Time    time.Time `json:"time" doc:"when its handling began"`
	Message string    `json:"message" doc:"Go type"`
	Took    float64   `json:"handle_seconds" doc:"until the actor was done with it"`
	Behind  int       `json:"waiting" doc:"messages in the mailbox when it was done"`
	Failed  bool      `json:"failed,omitempty" doc:"it made the actor panic"`
}

// tracer is somebody who watches the messages of one actor.
type tracer struct {
	messages chan Traced
	dropped  atomic.Uint64
}

// tracers of one actor; what is published is never changed. nil while nobody traces,
// which is all that an actor's own goroutine asks of it.
type tracers struct{ list atomic.Pointer[[]*tracer] }

func (t *tracers) change(f func([]*tracer) []*tracer) {
	for {
		old := t.list.Load()
		var before []*tracer
		if old != nil {
			before = *old
		}
		after := f(slices.Clone(before))
		next := &after
		if len(after) == 0 {
			next = nil
		}
		if t.list.CompareAndSwap(old, next) {
			return
		}
	}
}

// Trace delivers what the actor id handles from now on, over its restarts, to a channel
// of the given buffer; the actor never waits for it. dropped counts what the buffer had
// no room for. cancel ends it and may be called again; the channel is not closed. ok is
// false where there is no such actor.
func (t *Tree) Trace(id string, buffer int) (messages <-chan Traced, dropped func() uint64, cancel func(), ok bool) {
	n, ok := t.get(id)
	if !ok {
		return nil, nil, nil, false
	}
	mine := &tracer{messages: make(chan Traced, max(1, buffer))}
	n.tracers.change(func(l []*tracer) []*tracer { return append(l, mine) })
	return mine.messages, mine.dropped.Load, func() {
		n.tracers.change(func(l []*tracer) []*tracer {
			return slices.DeleteFunc(l, func(x *tracer) bool { return x == mine })
		})
	}, true
}

// traced handles message while somebody watches. It tells of one that panics too.
func (b *base) traced(message any, list []*tracer, handle func()) {
	e := Traced{Time: b.node.sys.clock.Now(), Message: nameOf(message), Failed: true}
	begin := b.node.sys.nanos()
	defer func() {
		e.Took = seconds(b.node.sys.nanos() - begin)
		e.Behind = b.node.queue.UserMessageCount()
		for _, t := range list {
			select {
			case t.messages <- e:
			default:
				t.dropped.Add(1)
			}
		}
	}()
	handle()
	e.Failed = false
}
