package scheduler

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// pacer wakes tasks when they are due, and tells them what was recorded: no more than
// inHand at a time, the next once those have been handled. Ten thousand tasks that are
// due in one moment are thereby worked off while whoever asks the API meanwhile finds
// a processor free. It is safe for concurrent use; one goroutine runs it.
type pacer struct {
	mu     sync.Mutex
	alarms alarms
	byTask map[string]*alarm
	queue  []note
	out    int           // told, and not handled yet
	kick   chan struct{} // there may be something to do
}

// Bounds of what is told and not handled yet.
const (
	inHand = 64
	// stalled is when who does not say that it has handled something is waited for no
	// more: it has failed, or is gone.
	stalled = 100 * time.Millisecond
)

// note is a message for a task.
type note struct {
	to      *actor.PID
	message any
}

// alarm is a note for later, one of each task.
type alarm struct {
	note
	at   time.Time
	task string
	pos  int // in the heap
}

func newPacer() *pacer {
	return &pacer{byTask: map[string]*alarm{}, kick: make(chan struct{}, 1)}
}

// reset forgets everything: whom it was for begins anew.
func (p *pacer) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alarms, p.byTask, p.queue, p.out = nil, map[string]*alarm{}, nil, 0
}

// wakeAt tells a task something at a time, instead of what it was to be told later.
func (p *pacer) wakeAt(task string, at time.Time, n note) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.byTask[task]
	if a == nil {
		a = &alarm{task: task, at: at, note: n}
		p.byTask[task] = a
		heap.Push(&p.alarms, a)
	} else {
		a.at, a.note = at, n
		heap.Fix(&p.alarms, a.pos)
	}
	if a.pos == 0 {
		p.look()
	}
}

// forget drops what a task was to be told later.
func (p *pacer) forget(task string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.byTask[task]; a != nil {
		heap.Remove(&p.alarms, a.pos)
		delete(p.byTask, task)
	}
}

// tell tells a task something as soon as it can.
func (p *pacer) tell(n note) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, n)
	p.look()
}

// handled says that a task is done with what it was told.
func (p *pacer) handled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out--; p.out <= 0 {
		p.out = 0
		p.look()
	}
}

func (p *pacer) look() {
	select {
	case p.kick <- struct{}{}:
	default: // it will
	}
}

// run tells until ctx ends. A task that has no room is told again once others had the
// time to stall; one that cannot be told is gone.
func (p *pacer) run(ctx context.Context, tell func(to *actor.PID, message any) error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		notes, wait := p.next(time.Now())
		for _, n := range notes {
			switch err := tell(n.to, n.message); {
			case errors.Is(err, supervise.ErrMailboxFull):
				p.tell(n) // it counts as not handled
			case err != nil:
				p.handled()
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
			p.unstall()
		case <-p.kick:
		case <-ctx.Done():
			return
		}
	}
}

// next takes what is to be told now, and says when to look again unless something
// happens before.
func (p *pacer) next(now time.Time) (notes []note, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == 0 {
		n := min(len(p.queue), inHand)
		notes, p.queue = p.queue[:n:n], p.queue[n:]
		for len(notes) < inHand && p.due(now) {
			a, _ := heap.Pop(&p.alarms).(*alarm)
			delete(p.byTask, a.task)
			notes = append(notes, a.note)
		}
		p.out = len(notes)
	}
	switch {
	case p.out > 0:
		return notes, stalled
	case len(p.alarms) > 0:
		return nil, max(p.alarms[0].at.Sub(now), 0)
	}
	return nil, time.Hour
}

func (p *pacer) due(now time.Time) bool {
	return len(p.alarms) > 0 && !p.alarms[0].at.After(now)
}

// unstall goes on although something was not handled in time.
func (p *pacer) unstall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = 0
}

// alarms are a heap, the next one first.
type alarms []*alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].pos, a[j].pos = i, j
}

// Push implements heap.Interface.
func (a *alarms) Push(x any) {
	one, _ := x.(*alarm)
	one.pos = len(*a)
	*a = append(*a, one)
}

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	one := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return one
}
