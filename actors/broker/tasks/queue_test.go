package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/brokertest"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/tasks"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// world is queues at a server of their own, with the actor that buries.
type world struct {
	*tasks.Queues
	t       *testing.T
	server  *brokertest.Server
	letters *deadletters.Box
}

func newWorld(t *testing.T, change func(c *tasks.Config)) *world {
	t.Helper()
	c := tasks.DefaultConfig()
	c.FirstPause, c.LastPause = time.Millisecond, 2*time.Millisecond
	if change != nil {
		change(&c)
	}
	w := &world{t: t, server: brokertest.New(t, nil)}
	open := make(chan struct{})
	undertaker, err := deadletters.Spec(deadletters.Options{Broker: w.server.Handle, Died: func(ctx context.Context, l deadletters.Letter) error {
		<-open
		return w.Died(ctx, l)
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.server.Start(undertaker)
	ctx := testContext(t)
	if w.letters, err = deadletters.OpenBox(ctx, w.server.Handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.letters.Close)
	seal, err := messages.OpenSeal(ctx, w.server.Handle)
	if err != nil {
		t.Fatal(err)
	}
	if w.Queues, err = tasks.Open(ctx, tasks.Options{Config: c, Broker: w.server.Handle, Seal: seal, Letters: w.letters}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	close(open)
	return w
}

func (w *world) submit(s tasks.Submission) tasks.Task {
	w.t.Helper()
	task, _, err := w.Submit(testContext(w.t), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return task
}

func (w *world) claim(queue string) tasks.Claimed {
	w.t.Helper()
	got, err := w.Claim(testContext(w.t), queue, "w", 1, 20*time.Second)
	if err != nil || len(got) != 1 {
		w.t.Fatalf("claimed %d, %v", len(got), err)
	}
	return got[0]
}

func (w *world) state(id string) tasks.State {
	w.t.Helper()
	task, err := w.Get(testContext(w.t), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return task.State
}

func wantRefusal(t testing.TB, what string, err error, why messages.Why) {
	t.Helper()
	var r *messages.Refusal
	if !errors.As(err, &r) || r.Why != why {
		t.Errorf("%s: %v, want a refusal: %v", what, err, why)
	}
}

// Whoever submits with a key that is known gets the task that there is, also when many
// do so at once; it is worked on once.
func TestOneKeyIsOneTask(t *testing.T) {
	w := newWorld(t, nil)
	ids := make([]string, 16)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			task, _, err := w.Submit(testContext(t), tasks.Submission{Queue: "q", Key: "same", Payload: json.RawMessage(`1`)})
			if err != nil {
				t.Error(err)
			}
			ids[i] = task.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("two tasks: %s and %s", id, ids[0])
		}
	}
	other := w.submit(tasks.Submission{Queue: "other", Key: "same"})
	if other.ID == ids[0] {
		t.Error("the same key in another queue is the same task")
	}
	c := w.claim("q")
	if _, err := w.Complete(testContext(t), c.ID, c.Token, json.RawMessage(`2`)); err != nil {
		t.Fatal(err)
	}
	if more, err := w.Claim(testContext(t), "q", "w", 10, 0); err != nil || len(more) != 0 {
		t.Errorf("then there is %v, %v", more, err)
	}
	again, existed, err := w.Submit(testContext(t), tasks.Submission{Queue: "q", Key: "same"})
	if err != nil || !existed || again.State != tasks.Succeeded || string(again.Result) != "2" {
		t.Errorf("when it is done: %+v, %v, %v", again, existed, err)
	}
}

// Whoever reports keeps the task beyond its lease; whoever does not loses it, and what
// he says then is refused, but for the first who is done.
func TestLease(t *testing.T) {
	for lease := 500 * time.Millisecond; !leased(t, lease); lease *= 4 {
		t.Logf("this machine did not report within %v", lease)
		if lease > 20*time.Second {
			t.Fatal("nor will it")
		}
	}
}

// leased is false when the machine was too busy to report in time.
func leased(t *testing.T, lease time.Duration) bool {
	w := newWorld(t, func(c *tasks.Config) { c.Lease = lease })
	id := w.submit(tasks.Submission{Queue: "q"}).ID
	reported := time.Now()
	first := w.claim("q")
	for until := time.Now().Add(lease * 12 / 5); time.Now().Before(until); {
		if _, err := w.Report(testContext(t), id, first.Token, tasks.Progress{Percent: 10}); err != nil {
			t.Fatal(err)
		}
		if time.Since(reported) > lease*9/10 {
			return false
		}
		reported = time.Now()
		// Meanwhile nobody else gets it.
		got, err := w.Claim(testContext(t), "q", "greedy", 1, lease/5)
		if time.Since(reported) > lease*9/10 {
			return false
		}
		if err != nil || len(got) != 0 {
			t.Fatalf("somebody else has it too: %v, %v", got, err)
		}
	}
	second := w.claim("q")
	if second.ID != id || second.Attempts != 2 {
		t.Errorf("then: %+v", second.Task)
	}
	if _, err := w.Complete(testContext(t), id, first.Token, json.RawMessage(`"first"`)); err != nil {
		t.Errorf("the first is late, but done: %v", err)
	}
	_, err := w.Complete(testContext(t), id, second.Token, json.RawMessage(`"second"`))
	wantRefusal(t, "the second", err, messages.Conflict)
	task, err := w.Get(testContext(t), id)
	if err != nil || string(task.Result) != `"first"` {
		t.Errorf("result %s, %v", task.Result, err)
	}
	// The first token acknowledged a delivery that was not the last one; nobody gets
	// the task again all the same.
	if got, err := w.Claim(testContext(t), "q", "w", 1, 2*lease); err != nil || len(got) != 0 {
		t.Errorf("it comes again: %v, %v", got, err)
	}
	return true
}

func TestTokensAreOfOneTask(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.submit(tasks.Submission{Queue: "q"}), w.submit(tasks.Submission{Queue: "q"})
	c := w.claim("q")
	other := two.ID
	if c.ID == two.ID {
		other = one.ID
	}
	_, err := w.Complete(testContext(t), other, c.Token, nil)
	wantRefusal(t, "another task", err, messages.Malformed)
	_, err = w.Complete(testContext(t), c.ID, c.Token+"x", nil)
	wantRefusal(t, "a token that was changed", err, messages.Malformed)
	_, err = w.Complete(testContext(t), c.ID, c.Token, make(json.RawMessage, tasks.MaxPayload+1))
	wantRefusal(t, "a result that is too large", err, messages.TooLarge)
	_, err = w.Get(testContext(t), "tnone")
	wantRefusal(t, "no task", err, messages.Unknown)
	for what, s := range map[string]tasks.Submission{
		"a queue with a dot": {Queue: "a.b"}, "no queue": {}, "a wildcard": {Queue: ">"}, "too many attempts": {Queue: "q", MaxAttempts: 99},
	} {
		_, _, err := w.Submit(testContext(t), s)
		wantRefusal(t, what, err, messages.Malformed)
	}
	_, _, err = w.Submit(testContext(t), tasks.Submission{Queue: "q", Payload: make(json.RawMessage, tasks.MaxPayload+1)})
	wantRefusal(t, "a payload that is too large", err, messages.TooLarge)
}

// A crash between the message of a task and its record leaves a task all the same; a
// message that is none becomes a dead letter.
func TestMessagesWithoutRecords(t *testing.T) {
	w := newWorld(t, nil)
	w.submit(tasks.Submission{Queue: "q"})
	c := w.claim("q")
	if _, err := w.Complete(testContext(t), c.ID, c.Token, nil); err != nil {
		t.Fatal(err)
	}
	js := w.server.Clients()
	for _, body := range []string{
		`{"task_id":"tlost","queue":"q","payload":7,"max_attempts":3,"round":1,"created_at":"2024-08-08T00:00:00Z"}`, `no task`,
	} {
		if _, err := js.Publish(testContext(t), "tasks.q", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.claim("q"); got.ID != "tlost" || string(got.Payload) != "7" || w.state("tlost") != tasks.Running {
		t.Errorf("claimed %+v", got.Task)
	}
	if got, err := w.Claim(testContext(t), "q", "w", 1, 0); err != nil || len(got) != 0 {
		t.Errorf("claimed %v, %v", got, err)
	}
	letters, _, err := w.letters.List(testContext(t), deadletters.Filter{Stream: tasks.Stream}, 0, 10)
	if err != nil || len(letters) != 1 || !strings.Contains(letters[0].Reason, "no task") {
		t.Errorf("letters %+v, %v", letters, err)
	}
}

// What happens to a task by itself, and on demand: retries with pauses, death, a letter,
// another round.
func TestRounds(t *testing.T) {
	w := newWorld(t, func(c *tasks.Config) { c.MaxAttempts = 3 })
	id := w.submit(tasks.Submission{Queue: "q", Payload: json.RawMessage(`{"a":1}`)}).ID
	for attempt := 1; attempt <= 3; attempt++ {
		c := w.claim("q")
		if c.ID != id || c.Attempts != attempt {
			t.Errorf("attempt %d: %+v", attempt, c.Task)
		}
		got, err := w.Fail(testContext(t), id, c.Token, fmt.Sprint("reason ", attempt), false)
		want := tasks.Retrying
		if attempt == 3 {
			want = tasks.Dead
		}
		if err != nil || got.State != want || got.Error != fmt.Sprint("reason ", attempt) {
			t.Errorf("after attempt %d: %+v, %v", attempt, got, err)
		}
	}
	letters, _, err := w.letters.List(testContext(t), deadletters.Filter{Stream: tasks.Stream}, 0, 10)
	if err != nil || len(letters) != 1 || letters[0].Reason != "reason 3" || letters[0].Task() != id {
		t.Errorf("letters %+v, %v", letters, err)
	}
	var both sync.WaitGroup
	for range 2 { // two who ask at once make one round
		both.Go(func() {
			if _, err := w.Retry(testContext(t), id); err != nil {
				var r *messages.Refusal
				if !errors.As(err, &r) || r.Why != messages.Conflict {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	c := w.claim("q")
	if c.Round != 2 || c.Attempts != 1 || string(c.Payload) != `{"a":1}` {
		t.Errorf("the second round: %+v", c.Task)
	}
	if _, err := w.Complete(testContext(t), id, c.Token, json.RawMessage(`true`)); err != nil {
		t.Error(err)
	}
	if got, err := w.Claim(testContext(t), "q", "w", 1, 0); err != nil || len(got) != 0 {
		t.Errorf("and once more: %v, %v", got, err)
	}
	_, err = w.Retry(testContext(t), id)
	wantRefusal(t, "retrying what is done", err, messages.Conflict)
	_, err = w.Cancel(testContext(t), id)
	wantRefusal(t, "cancelling what is done", err, messages.Conflict)
}

func TestCancel(t *testing.T) {
	w := newWorld(t, nil)
	queued, running := w.submit(tasks.Submission{Queue: "q"}).ID, w.submit(tasks.Submission{Queue: "r"}).ID
	c := w.claim("r")
	for _, id := range []string{queued, running} {
		if got, err := w.Cancel(testContext(t), id); err != nil || got.State != tasks.Cancelled || got.Finished == nil {
			t.Errorf("cancelled: %+v, %v", got, err)
		}
	}
	if got, err := w.Claim(testContext(t), "q", "w", 1, 0); err != nil || len(got) != 0 {
		t.Errorf("one that is cancelled is given out: %v, %v", got, err)
	}
	_, err := w.Report(testContext(t), running, c.Token, tasks.Progress{})
	wantRefusal(t, "its worker", err, messages.Conflict)
	if got, err := w.Retry(testContext(t), running); err != nil || got.State != tasks.Queued || got.Round != 2 {
		t.Errorf("retried: %+v, %v", got, err)
	}
	_, err = w.Complete(testContext(t), running, c.Token, nil)
	wantRefusal(t, "its worker, of the round before", err, messages.Conflict)
	if again := w.claim("r"); again.ID != running || again.Round != 2 {
		t.Errorf("claimed: %+v", again.Task)
	}
}

// Tasks outlive workers that die and servers that are killed, each is done, and what
// nobody finishes is dead with a letter: nothing is lost and nothing hangs.
func TestTasksOutliveWorkersAndServers(t *testing.T) {
	const total = 60
	w := newWorld(t, func(c *tasks.Config) { c.Lease, c.MaxAttempts = 300*time.Millisecond, 5 })
	ctx := testContext(t)
	done := map[string]int{}
	var mu sync.Mutex
	finished := func() int { mu.Lock(); defer mu.Unlock(); return len(done) }
	ending, stop := context.WithCancel(ctx)
	defer stop()
	var workers sync.WaitGroup
	for worker := range 3 {
		workers.Go(func() {
			for n := 0; ending.Err() == nil; n++ {
				got, err := w.Claim(ending, "q", fmt.Sprint(worker), 3, 200*time.Millisecond)
				if err != nil {
					continue // the server is away
				}
				for i, c := range got {
					if c.Attempts == 1 && (n+i)%4 == 0 {
						continue // this worker dies of it
					}
					if _, err := w.Complete(ending, c.ID, c.Token, json.RawMessage(`1`)); err == nil {
						mu.Lock()
						done[c.ID]++
						mu.Unlock()
					}
				}
			}
		})
	}
	ids := map[string]bool{}
	for n := range total {
		if n == total/3 || n == 2*total/3 {
			w.server.Restart()
		}
		actorstest.Eventually(t, "a task is taken", func() bool {
			task, _, err := w.Submit(ctx, tasks.Submission{Queue: "q", Key: fmt.Sprint(n)})
			ids[task.ID] = err == nil || ids[task.ID]
			return err == nil
		})
	}
	actorstest.Eventually(t, "the end of all tasks", func() bool {
		if w.server.Up() != nil {
			return false
		}
		for id, submitted := range ids {
			if !submitted {
				continue
			}
			if task, err := w.Get(ctx, id); err != nil || task.State != tasks.Succeeded {
				return false
			}
		}
		return true
	})
	stop()
	workers.Wait()
	for id, n := range done {
		if n != 1 {
			t.Errorf("task %s was completed %d times", id, n)
		}
	}
	t.Logf("%d tasks, %d completions that were answered", total, finished())
}

func TestConfig(t *testing.T) {
	if err := tasks.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for key, change := range map[string]func(c *tasks.Config){
		"lease: ": func(c *tasks.Config) { c.Lease = time.Millisecond }, "max_attempts: ": func(c *tasks.Config) { c.MaxAttempts = 0 },
		"first_pause: ": func(c *tasks.Config) { c.FirstPause = time.Hour }, "last_pause: ": func(c *tasks.Config) { c.LastPause = 25 * time.Hour },
		"keep: ": func(c *tasks.Config) { c.Keep = time.Second }, "max_bytes: ": func(c *tasks.Config) { c.MaxBytes = 1 },
	} {
		c := tasks.DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key) {
			t.Errorf("%s%v", key, err)
		}
	}
	c := tasks.DefaultConfig()
	c.FirstPause, c.LastPause = time.Second, 10*time.Second
	for attempt, want := range []time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 100: 10 * time.Second} {
		if want != 0 && tasks.Pause(c, attempt) != want {
			t.Errorf("the pause after attempt %d is %v, want %v", attempt, tasks.Pause(c, attempt), want)
		}
	}
}

// A broker that is down is said to be.
func TestDown(t *testing.T) {
	w := newWorld(t, nil)
	w.server.Stop()
	if _, _, err := w.Submit(testContext(t), tasks.Submission{Queue: "q"}); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("submitting: %v", err)
	}
	if _, err := w.Claim(testContext(t), "q", "w", 1, time.Second); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("claiming: %v", err)
	}
}
