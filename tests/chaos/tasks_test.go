package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// What a worker process is told, and what payloads say.
const (
	workerURL    = "MARKETPRISM_TEST_WORKER_URL"    // a file that holds where the broker answers
	workerEffect = "MARKETPRISM_TEST_WORKER_EFFECT" // a file that it appends what it did to

	taskQueue   = "chaos"
	taskFails   = 7  // every such task fails the first time
	taskPoison  = 41 // every such task fails always
	taskSlow    = 13 // every such task takes longer than its lease, and says so
	taskPerKill = 60
)

// TestWorkerProcess is no test: it is the process of a worker, which ends by being
// killed.
func TestWorkerProcess(t *testing.T) {
	if os.Getenv(workerURL) == "" {
		t.Skip("the process of a worker; TestTasksUnderFire starts it")
	}
	effect, err := os.OpenFile(os.Getenv(workerEffect), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w := worker{t: t, name: fmt.Sprint("process ", os.Getpid()), effect: effect}
	for {
		if err := w.round(t.Context()); err != nil {
			harness.Pause(t, 20*time.Millisecond) // the broker is away
		}
	}
}

// worker does tasks over HTTP. It writes down what it has done before it says so, as
// any effect outside of the broker is.
type worker struct {
	t      *testing.T
	name   string
	effect io.Writer
}

type claimed struct {
	ID       string `json:"task_id"`
	Payload  int
	Attempts int
	Token    string
}

func (w *worker) round(ctx context.Context) error {
	var got struct{ Tasks []claimed }
	if err := w.say(ctx, "queues/"+taskQueue+"/claim", map[string]any{"worker": w.name, "max": 3, "wait_seconds": 1}, &got); err != nil {
		return err
	}
	for _, c := range got.Tasks {
		if err := w.do(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) do(ctx context.Context, c claimed) error {
	about := map[string]any{"token": c.Token}
	switch {
	case c.Payload%taskPoison == 0, c.Payload%taskFails == 0 && c.Attempts == 1:
		about["error"] = fmt.Sprint("attempt ", c.Attempts)
		return w.say(ctx, "tasks/"+c.ID+"/fail", about, nil)
	case c.Payload%taskSlow == 0:
		for percent := range 4 { // twice its lease
			harness.Pause(w.t, 500*time.Millisecond)
			if err := w.say(ctx, "tasks/"+c.ID+"/progress", map[string]any{"token": c.Token, "percent": 25 * percent}, nil); err != nil {
				return err
			}
		}
	}
	if _, err := fmt.Fprintln(w.effect, c.Payload); err != nil {
		return err
	}
	about["result"] = c.Payload * 2
	return w.say(ctx, "tasks/"+c.ID+"/complete", about, nil)
}

// say asks the broker once. That a task is not wanted any more is no error.
func (w *worker) say(ctx context.Context, path string, in, out any) error {
	base, err := os.ReadFile(os.Getenv(workerURL))
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(base)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := harness.Do(ctx, r)
	switch {
	case err != nil:
		return err
	case a.Status == http.StatusConflict, a.Status == http.StatusNotFound && strings.Contains(string(a.Body), "gone"):
		return nil
	case a.Status/100 != 2:
		return fmt.Errorf("%s: %d %.200s", path, a.Status, a.Body)
	case out == nil:
		return nil
	}
	return json.Unmarshal(a.Body, out)
}

// crew are worker processes.
type crew struct {
	t           *testing.T
	url, effect string
	hands       []*exec.Cmd
}

func (c *crew) hire() {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkerProcess$", "-test.timeout=1h")
	cmd.Env = append(os.Environ(), workerURL+"="+c.url, workerEffect+"="+c.effect)
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.hands = append(c.hands, cmd)
}

// kill ends one with SIGKILL, in the middle of whatever it does.
func (c *crew) kill(i int) {
	_ = c.hands[i].Process.Kill()
	_ = c.hands[i].Wait() // that it was killed
	c.hands = append(c.hands[:i], c.hands[i+1:]...)
}

func (c *crew) dismiss() {
	for len(c.hands) > 0 {
		c.kill(0)
	}
}

// TestTasksUnderFire: workers and the broker are killed while tasks are submitted, each
// again until it is taken, and done. Every task is done at least once and recorded once,
// with its result; those that always fail are dead, with one letter each; those that
// were cancelled stay so; and nothing is left in the queue.
func TestTasksUnderFire(t *testing.T) {
	kills := 2 * harness.Rounds(t)
	total := kills * taskPerKill
	random := seeded(t)
	data, home := t.TempDir(), t.TempDir()
	settings := harness.Settings{
		harness.Broker + ".tasks.lease": "1s", harness.Broker + ".tasks.max_attempts": 4 + kills/4,
		harness.Broker + ".tasks.first_pause": "10ms", harness.Broker + ".tasks.last_pause": "100ms",
	}
	c := &crew{t: t, url: filepath.Join(home, "url"), effect: filepath.Join(home, "effect")}
	t.Cleanup(c.dismiss)
	w := &work{t: t, data: data, total: total, settings: settings, told: c.url}
	w.begin()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	for range 3 {
		c.hire()
	}
	ids, cancelled := make([]string, total), map[int]bool{}
	var submitting sync.WaitGroup
	own := rand.New(rand.NewPCG(random.Uint64(), 1))
	submitting.Go(func() {
		for n := range total {
			ids[n] = w.submit(ctx, n)
			if own.IntN(10) == 0 { // again, as one does who has lost the answer
				if again := w.submit(ctx, n); again != ids[n] {
					t.Errorf("task %d is %s and %s", n, ids[n], again)
				}
			}
			if own.IntN(25) == 0 && w.cancelTask(ctx, ids[n]) {
				cancelled[n] = true
			}
		}
	})
	for i := range kills {
		want := (i*2 + 1) * total / (3 * kills)
		harness.Await(t, 5*time.Minute, "tasks under way", func() bool { return len(effects(t, c.effect)) >= want })
		if i%3 == 2 {
			w.kill()
			continue
		}
		c.kill(random.IntN(len(c.hands)))
		c.hire()
	}
	submitting.Wait()
	states := map[string]int{}
	harness.Await(t, 5*time.Minute, "the end of all tasks", func() bool {
		clear(states)
		for _, id := range ids {
			states[w.task(id).Status]++
		}
		return states["succeeded"]+states["dead"]+states["cancelled"] == total
	})
	c.dismiss()
	done, poison := effects(t, c.effect), 0
	for n, id := range ids {
		task, want := w.task(id), "succeeded"
		switch {
		case cancelled[n]:
			want = "cancelled"
		case n%taskPoison == 0:
			want = "dead"
			poison++
		}
		if task.Status != want {
			t.Errorf("task %d is %s, want %s: %+v", n, task.Status, want, task)
		}
		if want == "succeeded" && (done[n] < 1 || task.Result != 2*n) {
			t.Errorf("task %d was done %d times, and its result is %d", n, done[n], task.Result)
		}
	}
	w.checkLeft(poison)
	again := 0
	for _, times := range done {
		again += times - 1
	}
	t.Logf("%d tasks, %d kills: %v, %d effects that came a second time", total, kills, states, again)
}

// effects counts what the workers did.
func effects(t *testing.T, path string) map[int]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	out := map[int]int{}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscan(line, &n); err == nil && strings.HasSuffix(line, "\n") {
			out[n]++
		}
	}
	return out
}

// taskRecord is what the broker knows of a task.
type taskRecord struct {
	Status   string
	Result   int
	Attempts int
	Error    string
}

func (w *work) task(id string) (r taskRecord) {
	w.t.Helper()
	harness.GetJSON(w.t, w.url()+"tasks/"+id, &r)
	return r
}

func (w *work) submit(ctx context.Context, n int) string {
	var out struct {
		ID string `json:"task_id"`
	}
	w.post(ctx, "tasks", map[string]any{"queue": taskQueue, "payload": n}, &out, "Idempotency-Key", fmt.Sprint("task-", n))
	return out.ID
}

// cancelTask reports whether it was in time. Asked again, because an answer was lost,
// the broker says the same.
func (w *work) cancelTask(ctx context.Context, id string) bool {
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url()+"tasks/"+id+"/cancel", nil)
		if err != nil {
			w.t.Error(err)
			return false
		}
		if a, err := harness.Do(ctx, r); err == nil && a.Status < 500 {
			if a.Status != http.StatusOK && a.Status != http.StatusConflict {
				w.t.Errorf("cancelling %s: %d %.300s", id, a.Status, a.Body)
			}
			return a.Status == http.StatusOK
		}
	}
	return false
}

// checkLeft wants an empty queue and so many dead letters.
func (w *work) checkLeft(poison int) {
	w.t.Helper()
	var letters struct{ Total int }
	harness.Await(w.t, time.Minute, "all dead letters", func() bool {
		harness.GetJSON(w.t, w.url()+"dlq?limit=1", &letters)
		return letters.Total >= poison
	})
	if letters.Total != poison {
		w.t.Errorf("%d dead letters, want %d", letters.Total, poison)
	}
	var stream struct{ Messages int }
	harness.Await(w.t, time.Minute, "an empty queue", func() bool {
		// What is done and was not acknowledged in time goes with the next claim.
		var none struct{}
		w.post(w.t.Context(), "queues/"+taskQueue+"/claim", map[string]any{"max": 100}, &none)
		harness.GetJSON(w.t, w.url()+"streams/TASKS", &stream)
		return stream.Messages == 0
	})
}
