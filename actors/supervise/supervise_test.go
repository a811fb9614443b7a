package supervise_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// The messages of the test actors.
type (
	crash     struct{ reason any }
	hello     struct{ n int }
	getCount  struct{}
	count     struct{ hellos, incarnation int }
	goCrash   struct{}
	block     struct{ until chan struct{} }
	doneEarly struct{}
)

// diary is what the actors of a test did, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

// worker counts hellos and crashes when told to.
type worker struct {
	name   string
	diary  *diary
	hellos int
	on     func(c *supervise.Context) // sees every message first
}

func (w *worker) Receive(c *supervise.Context) {
	if w.on != nil {
		w.on(c)
	}
	switch m := c.Message().(type) {
	case *actor.Started:
		w.note("start")
	case *actor.Stopping:
		w.note("stop")
	case *actor.Restarting:
		w.note("restart")
	case crash:
		panic(m.reason)
	case goCrash:
		c.Go(func(context.Context) { panic("in a goroutine") })
	case block:
		<-m.until
	case doneEarly:
		c.Stop(c.Self())
	case hello:
		w.hellos++
	case getCount:
		c.Respond(count{hellos: w.hellos, incarnation: int(c.Incarnation())})
	}
}

func (w *worker) note(what string) {
	if w.diary != nil {
		w.diary.add(what + " " + w.name)
	}
}

func spec(name string, d *diary) supervise.Spec {
	return supervise.Spec{Name: name, Kind: "worker", New: func() supervise.Actor { return &worker{name: name, diary: d} }}
}

func hooked(name string, d *diary, on func(c *supervise.Context)) supervise.Spec {
	s := spec(name, d)
	s.New = func() supervise.Actor { return &worker{name: name, diary: d, on: on} }
	return s
}

// strategy backs off 1 s, 2 s, 4 s and at most 8 s, without jitter, and allows
// three restarts a minute.
func strategy() supervise.Strategy {
	return supervise.Strategy{
		Restarts: 3, Within: time.Minute,
		Backoff: supervise.Backoff{Base: time.Second, Cap: 8 * time.Second, ResetAfter: 30 * time.Second},
	}
}

type fixture struct {
	*testing.T
	*supervise.System
	ctx context.Context
}

// inBubble runs test on a fake clock. The bubble fails when a goroutine is left.
func inBubble(t *testing.T, o supervise.Options, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sys, err := supervise.NewSystem(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{T: t, System: sys, ctx: context.WithoutCancel(t.Context())}
		test(f)
		if err := sys.Stop(f.ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		pass(time.Millisecond) // the library's throttle of dead letters
	})
}

func (f *fixture) start(specs ...supervise.Spec) {
	f.Helper()
	if err := f.Start(f.ctx, specs...); err != nil {
		f.Fatalf("Start: %v", err)
	}
	synctest.Wait()
}

func (f *fixture) pid(id string) *actor.PID {
	f.Helper()
	pid, ok := f.Lookup(id)
	if !ok {
		f.Fatalf("no actor %s", id)
	}
	return pid
}

func (f *fixture) tell(id string, messages ...any) {
	f.Helper()
	for _, m := range messages {
		if err := f.Tell(f.pid(id), m); err != nil {
			f.Fatalf("Tell %s: %v", id, err)
		}
	}
	synctest.Wait()
}

func (f *fixture) node(id string) supervise.Node {
	f.Helper()
	n, ok := f.Tree().Node(id)
	if !ok {
		f.Fatalf("%s is not in the tree", id)
	}
	return n
}

func (f *fixture) wantState(id string, want supervise.State) supervise.Node {
	f.Helper()
	synctest.Wait()
	n := f.node(id)
	if n.State != want {
		f.Fatalf("%s is %s, want %s (last failure %+v)", id, n.State, want, n.LastFailure)
	}
	return n
}

func (f *fixture) count(id string) count {
	f.Helper()
	c, err := supervise.Ask[count](f.ctx, f.System, f.pid(id), getCount{})
	if err != nil {
		f.Fatalf("%v", err)
	}
	return c
}

// pass lets d go by on the clock of a bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the bubble's clock, not time

// sleep lets d go by, and what it set off come to rest.
func (f *fixture) sleep(d time.Duration) {
	pass(d)
	synctest.Wait()
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// events is the history as "kind id".
func (f *fixture) events() []string {
	var out []string
	for _, e := range f.Tree().Events(0, 1000) {
		out = append(out, string(e.Kind)+" "+e.ID)
	}
	return out
}
