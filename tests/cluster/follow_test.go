package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// follower follows the trades of all streams at one node, whichever node has them.
type follower struct {
	c      *nodes
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	heard map[string][]int64 // numbers of trades by stream
	ended string             // the event that the node ended it with
	last  string             // id of the last event that had one
	lost  []string           // events that say so
}

func (c *nodes) follow(i int) *follower { return c.resume(i, nil) }

// resume follows at another node from where a follower was, which has ended.
func (c *nodes) resume(i int, was *follower) *follower {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	f := &follower{c: c, cancel: cancel, done: make(chan struct{}), heard: map[string][]int64{}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.all[i].URL(harness.Collector, "/api/v1/stream?kinds=trade"), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if was != nil {
		r.Header.Set("Last-Event-ID", was.last)
		f.heard, f.last = was.heard, was.last
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("following answered %d", res.StatusCode)
	}
	go func() {
		defer close(f.done)
		defer res.Body.Close()
		f.hear(bufio.NewReader(res.Body))
	}()
	c.t.Cleanup(f.stop)
	return f
}

func (f *follower) stop() {
	f.cancel()
	<-f.done
}

func (f *follower) hear(lines *bufio.Reader) {
	event, id := "", ""
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return // the test, or the node, ends it
		}
		field, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(": "))
		switch string(field) {
		case "id":
			id = string(value)
		case "event":
			event = string(value)
		case "data":
			f.take(event, id, value)
			event, id = "", ""
		}
	}
}

func (f *follower) take(event, id string, text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch event {
	case "end":
		f.ended = string(text)
	case "lost":
		f.lost = append(f.lost, string(text))
	}
	if id != "" {
		f.last = id
	}
	if event != "" {
		return
	}
	var m struct {
		Data struct {
			record
			Exchange string `json:"exchange"`
			Market   string `json:"market"`
			Symbol   string `json:"symbol"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		f.c.t.Errorf("%v in %.200s", err, text)
		return
	}
	s := m.Data.Exchange + "/" + m.Data.Market + "/" + m.Data.Symbol
	f.heard[s] = append(f.heard[s], f.c.number(&m.Data.record))
}

// counts are how many trades were heard of each stream.
func (f *follower) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := map[string]int{}
	for s, all := range f.heard {
		n[s] = len(all)
	}
	return n
}

// begun waits until some trades of each stream were heard since earlier counts.
func (f *follower) begun(what string, since map[string]int) {
	f.c.t.Helper()
	f.c.awaitMoving(what, func() bool {
		now := f.counts()
		return !slices.ContainsFunc(f.c.streams, func(s string) bool { return now[s] <= since[s]+1 })
	})
}

// whole checks that each trade from the first to the last was heard, once.
func (f *follower) whole(what string) {
	f.c.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != "" {
		f.c.t.Errorf("%s: the node ended the follower: %s", what, f.ended)
	}
	total := 0
	for s, all := range f.heard {
		all = slices.Sorted(slices.Values(all))
		for i := 1; i < len(all); i++ {
			if all[i] != all[i-1]+1 {
				f.c.t.Errorf("%s: of %s trade %d was heard next to %d", what, s, all[i], all[i-1])
			}
		}
		total += len(all)
	}
	f.c.t.Logf("%s: %d trades of %d streams were heard at one node, each once", what, total, len(f.heard))
}

// anywhereWithin bounds the wait for what a node has to give of all nodes' streams.
const anywhereWithin = 30 * time.Second

// awaitMoving waits for a condition.
func (c *nodes) awaitMoving(what string, ok func() bool) {
	c.t.Helper()
	if !harness.Eventually(c.t, anywhereWithin, ok) {
		c.t.Fatalf("waited in vain for %s", what)
	}
}

// anywhere checks that each of some nodes gives the book of every stream.
func (c *nodes) anywhere(which ...int) {
	c.t.Helper()
	for _, i := range which {
		for _, s := range c.streams {
			exchange, market, symbol := split(s)
			var last *harness.Answer
			c.awaitMoving("the book of "+s, func() bool {
				a, err := harness.Get(c.t.Context(), c.all[i].URL(harness.Collector, "/api/v1/orderbook/"+exchange+"/"+symbol+"?market="+market))
				last = a
				return err == nil && a.Status == http.StatusOK
			})
			if owner := last.Header.Get("X-MarketPrism-Node"); owner != "" && owner == c.name(i) {
				c.t.Errorf("%s passed a request on to itself", owner)
			}
		}
	}
}
