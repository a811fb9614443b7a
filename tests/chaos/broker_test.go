package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const (
	workStream   = "WORK"
	workConsumer = "hands"
	workPoison   = 997 // every such message is never acknowledged
)

// work is a broker that is killed while messages go through it.
type work struct {
	t        *testing.T
	data     string
	total    int
	settings harness.Settings
	told     string // a file that says where it answers; "" is none

	mu    sync.Mutex // guards what follows
	node  *harness.Node
	seen  []int // deliveries of each message
	acked []bool
	waste map[string]int // what consumers did with messages
}

func (w *work) url() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.node.URL(harness.Broker, "/api/v1/broker/")
}

// post asks until it is answered with a success; a broker that is killed does not
// answer.
func (w *work) post(ctx context.Context, path string, in, out any, header ...string) bool {
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Error(err)
		return false
	}
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url()+path, bytes.NewReader(body))
		if err != nil {
			w.t.Error(err)
			return false
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		a, err := harness.Do(ctx, r)
		switch {
		case err != nil || a.Status >= 500: // again
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		case a.Status/100 != 2:
			w.t.Errorf("%s: %d %.300s", path, a.Status, a.Body)
			return false
		}
		if err := json.Unmarshal(a.Body, out); err != nil {
			w.t.Errorf("%s: %v in %.200s", path, err, a.Body)
		}
		return err == nil
	}
	return false
}

// publish sends all messages, in batches, each with an id; one batch in five is sent
// twice. A batch of unknown outcome is sent again as a whole.
func (w *work) publish(ctx context.Context, random *rand.Rand) (duplicates int) {
	const batch = 250
	type message struct {
		Subject string `json:"subject"`
		Message int    `json:"message"`
		ID      string `json:"id"`
	}
	for from := 0; from < w.total; from += batch {
		var in struct {
			Messages []message `json:"messages"`
		}
		for n := from; n < min(from+batch, w.total); n++ {
			in.Messages = append(in.Messages, message{fmt.Sprint("work.", n%13), n, fmt.Sprint("work-", n)})
		}
		for again := true; again && ctx.Err() == nil; {
			var out struct {
				Success bool
				Results []struct{ Duplicate bool }
			}
			w.post(ctx, "batch", in, &out)
			for _, r := range out.Results {
				if r.Duplicate {
					duplicates++
				}
			}
			again = !out.Success || random.IntN(5) == 0
		}
	}
	return duplicates
}

// delivery is a message that was fetched.
type delivery struct {
	Data       int
	Deliveries int
	Token      string
}

// consume takes messages until ctx ends. Of the first deliveries it gives some back,
// and forgets others, as a process that dies does; poison it forgets or gives back
// each time, until cured.
func (w *work) consume(ctx context.Context, random *rand.Rand, cured bool) {
	for ctx.Err() == nil {
		var got struct{ Messages []delivery }
		if !w.post(ctx, "streams/"+workStream+"/consumers/"+workConsumer+"/fetch", map[string]any{"max": 200, "wait_seconds": 0.5}, &got) {
			continue
		}
		var ack, nak []string
		var done []int
		w.mu.Lock()
		for _, m := range got.Messages {
			w.seen[m.Data]++
			bad := m.Data%workPoison == 0 && !cured
			switch chance := random.IntN(100); {
			case bad && chance < 50, !bad && m.Deliveries == 1 && chance < 6:
				nak = append(nak, m.Token)
				w.waste["given back"]++
			case bad, !bad && m.Deliveries == 1 && chance < 10:
				w.waste["forgotten"]++
			default:
				ack, done = append(ack, m.Token), append(done, m.Data)
			}
		}
		w.mu.Unlock()
		var out struct{ Success bool }
		if len(nak) > 0 {
			w.post(ctx, "consumers/nak", map[string]any{"tokens": nak}, &out)
		}
		if len(ack) > 0 && w.post(ctx, "consumers/ack", map[string]any{"tokens": ack}, &out) && out.Success {
			w.mu.Lock()
			for _, n := range done {
				w.acked[n] = true
			}
			w.mu.Unlock()
		}
	}
}

// kill ends the broker as a power cut would end its process, and starts it again.
func (w *work) kill() {
	w.mu.Lock()
	old := w.node
	w.mu.Unlock()
	old.Kill()
	w.begin()
}

// begin starts the broker, and tells whoever looks where it is.
func (w *work) begin() {
	fresh := harness.Start(w.t, w.data, w.settings, harness.Broker)
	w.mu.Lock()
	w.node = fresh
	w.mu.Unlock()
	if w.told == "" {
		return
	}
	err := os.WriteFile(w.told+".new", []byte(w.url()), 0o600)
	if err == nil {
		err = os.Rename(w.told+".new", w.told)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// figures are what the stream ever took, what its consumer has still to do, and the
// dead letters.
func (w *work) figures() (taken, left, letters int) {
	var stream struct {
		Taken int `json:"last_seq"`
	}
	var consumer struct{ Pending, Unacknowledged int }
	var dlq struct{ Total int }
	harness.GetJSON(w.t, w.url()+"streams/"+workStream, &stream)
	harness.GetJSON(w.t, w.url()+"streams/"+workStream+"/consumers/"+workConsumer, &consumer)
	harness.GetJSON(w.t, w.url()+"dlq?limit=1", &dlq)
	return stream.Taken, consumer.Pending + consumer.Unacknowledged, dlq.Total
}

// dead are the messages of the dead letters, sorted.
func (w *work) dead() []int {
	var all []int
	cursor := ""
	for {
		var page struct {
			Letters []struct{ ID int } `json:"dead_letters"`
			Next    string             `json:"next_cursor"`
		}
		harness.GetJSON(w.t, w.url()+"dlq?limit=500&cursor="+cursor, &page)
		for _, l := range page.Letters {
			var letter struct{ Data int }
			harness.GetJSON(w.t, fmt.Sprint(w.url(), "dlq/", l.ID), &letter)
			all = append(all, letter.Data)
		}
		if cursor = page.Next; cursor == "" {
			slices.Sort(all)
			return all
		}
	}
}

// TestBrokerDeliversUnderFire: of messages that are published through kills of the
// broker, some again and again, each is stored once; consumers that give back, forget
// and time out get each at least once; the dead letters are exactly those that
// nobody ever acknowledged; and replayed, they are done like any other.
func TestBrokerDeliversUnderFire(t *testing.T) {
	total, kills, deliver, patience := 10_000, 2, 6, 10*time.Minute
	if harness.Rounds(t) >= 20 {
		// A kill costs what is on its way a delivery.
		total, kills, deliver, patience = 100_000, 20, 12, time.Hour
	}
	random := seeded(t)
	w := &work{t: t, data: t.TempDir(), total: total, seen: make([]int, total), acked: make([]bool, total), waste: map[string]int{}}
	w.begin()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var made map[string]any
	w.post(ctx, "streams", map[string]any{"name": workStream, "subjects": []string{"work.>"}, "max_bytes": 256 << 20}, &made)
	w.post(ctx, "streams/"+workStream+"/consumers", map[string]any{"name": workConsumer, "ack_wait_seconds": 2, "max_deliver": deliver, "max_ack_pending": 5000}, &made)

	begin := time.Now()
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	var consumers, publisher sync.WaitGroup
	for range 4 {
		own := rand.New(rand.NewPCG(random.Uint64(), 1))
		consumers.Go(func() { w.consume(consuming, own, false) })
	}
	own, duplicates := rand.New(rand.NewPCG(random.Uint64(), 2)), 0
	publisher.Go(func() { duplicates = w.publish(ctx, own) })
	for i := range kills { // while both are at it
		want := int((float64(i) + random.Float64()) / float64(kills) * 0.8 * float64(total))
		harness.Await(t, patience/2, "messages under way", func() bool { return w.count(func(n int) bool { return w.seen[n] > 0 }) > want })
		w.kill()
	}
	publisher.Wait()
	published := time.Since(begin)

	poison := (total + workPoison - 1) / workPoison
	harness.Await(t, patience/2, "the end of the work", func() bool {
		_, left, letters := w.figures()
		return left == 0 && letters >= poison
	})
	took := time.Since(begin)
	stop()
	consumers.Wait()
	w.mu.Lock()
	never := 0
	for n := range total {
		if w.seen[n] == 0 {
			never++
		}
	}
	w.mu.Unlock()
	if never > 0 {
		t.Errorf("%d of %d messages were never delivered", never, total)
	}
	var want []int
	for n := 0; n < total; n += workPoison {
		want = append(want, n)
	}
	if got := w.dead(); !slices.Equal(got, want) {
		t.Errorf("dead letters of %v, want %v", got, want)
	}
	if taken, _, _ := w.figures(); taken != total {
		t.Errorf("the stream took %d messages of %d published", taken, total)
	}
	t.Logf("%d messages, %d kills, %d duplicates dropped, %v, published in %v, done in %v", total, kills, duplicates, w.waste, published, took)

	var replayed struct{ Replayed int }
	w.post(ctx, "dlq/replay?limit=500", struct{}{}, &replayed)
	if replayed.Replayed != poison {
		t.Errorf("%d letters were replayed, want %d", replayed.Replayed, poison)
	}
	curing, stop := context.WithCancel(ctx)
	defer stop()
	consumers.Go(func() { w.consume(curing, rand.New(rand.NewPCG(random.Uint64(), 3)), true) })
	harness.Await(t, time.Minute, "the end of the replayed work", func() bool {
		_, left, letters := w.figures()
		return left == 0 && letters == 0
	})
	stop()
	consumers.Wait()
	if done := w.count(func(n int) bool { return n%workPoison == 0 && w.acked[n] }); done != poison {
		t.Errorf("%d of %d replayed messages were acknowledged", done, poison)
	}
}

// count is how many messages are so.
func (w *work) count(so func(n int) bool) (count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.total {
		if so(n) {
			count++
		}
	}
	return count
}
