package supervise_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

func TestAsk(t *testing.T) {
	errOwn := errors.New("own error")
	type fault struct{}
	type silent struct{}
	s := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(fault); ok {
			c.Respond(errOwn)
		}
	})
	s.Mailbox.Capacity = 1
	s.Restart = supervise.Transient
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		pid := f.pid("root/b/x")
		ask := func(message any) error {
			ctx, cancel := context.WithTimeout(f.ctx, 5*time.Second)
			defer cancel()
			_, err := supervise.Ask[count](ctx, f.System, pid, message)
			return err
		}
		atOnce := func(message any, want error) {
			t.Helper()
			begin := time.Now()
			wantError(t, ask(message), want)
			if took := time.Since(begin); took != 0 {
				t.Errorf("%T answered after %s, want at once", message, took)
			}
		}
		must(t, ask(getCount{}))
		atOnce(fault{}, errOwn)
		atOnce(crash{"asked to"}, supervise.ErrFailed)
		f.sleep(time.Second)

		begin := time.Now()
		wantError(t, ask(silent{}), supervise.ErrTimeout)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("timed out after %s", took)
		}
		cancelled, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := supervise.Ask[count](cancelled, f.System, pid, getCount{})
		wantError(t, err, context.Canceled)
		_, err = supervise.Ask[string](f.ctx, f.System, pid, getCount{})
		wantError(t, err, supervise.ErrUnexpectedReply)

		until := make(chan struct{})
		f.tell("root/b/x", block{until})
		f.tell("root/b/x", hello{})
		atOnce(getCount{}, supervise.ErrMailboxFull)
		close(until)
		f.sleep(0)

		until = make(chan struct{})
		f.tell("root/b/x", block{until})
		waiting := make(chan error)
		go func() { waiting <- ask(getCount{}) }()
		f.sleep(0)
		f.Actors().Root.Stop(pid)
		close(until)
		wantError(t, <-waiting, supervise.ErrStopped)
		f.sleep(0)
		atOnce(getCount{}, supervise.ErrStopped)
		_, err = supervise.Ask[count](f.ctx, f.System, actor.NewPID("nonhost", "nobody"), getCount{})
		wantError(t, err, supervise.ErrStopped)
	})
}

func TestAskOfDroppedOldestFailsAtOnce(t *testing.T) {
	s := spec("x", nil)
	s.Mailbox = supervise.Mailbox{Capacity: 1, Overflow: supervise.DropOldest}
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		until := make(chan struct{})
		f.tell("root/b/x", block{until})
		waiting := make(chan error)
		go func() {
			_, err := supervise.Ask[count](f.ctx, f.System, f.pid("root/b/x"), getCount{})
			waiting <- err
		}()
		f.sleep(0)
		f.tell("root/b/x", hello{})
		wantError(t, <-waiting, supervise.ErrMailboxFull)
		close(until)
	})
}
