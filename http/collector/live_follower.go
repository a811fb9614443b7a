package collector

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
)

// follower is a client's way to the streams of all nodes: to this one's through the hub,
// and for each subscription one connection to every other node.
type follower struct {
	f      *service
	client *live.Client
	wide   bool // other nodes' too
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu   sync.Mutex
	ends map[string]context.CancelFunc // by subscription
}

const (
	// openWithin bounds the wait for the other nodes at a subscription; one that does not
	// answer joins it later.
	openWithin = 2 * time.Second
	// openAgain is the pause before a node is asked again that did not answer; it grows up
	// to openSeldom.
	openAgain, openSeldom = 250 * time.Millisecond, 5 * time.Second
)

// follow begins a client; end must be called.
func (f *service) follow(r *http.Request, client *live.Client, wide bool) *follower {
	w := &follower{f: f, client: client, wide: wide, ends: map[string]context.CancelFunc{}}
	w.ctx, w.cancel = context.WithCancel(r.Context())
	if wide {
		client.Abroad()
	}
	return w
}

// end ends what other nodes give, and waits for it.
func (w *follower) end() {
	w.cancel()
	w.client.Close() // whoever gives it something stops waiting for room
	w.work.Wait()
}

// subscribe begins a subscription at all nodes. The error is a [*live.Refusal].
func (w *follower) subscribe(a live.Asked) error {
	if !w.wide {
		_, err := w.client.Subscribe(a)
		return err
	}
	if err := w.f.Live.Check(a.Filter); err != nil {
		return err
	}
	body, err := json.Marshal(a.Filter)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w.ctx)
	urls, _ := w.f.Others.Nodes()
	parts := w.openAll(ctx, urls, body, a.LastEventID)
	for _, p := range parts {
		a.Parts = append(a.Parts, p.Part)
	}
	name, err := w.client.Subscribe(a)
	if err != nil {
		cancel()
		for _, p := range parts {
			p.close()
		}
		return err
	}
	w.mu.Lock()
	w.ends[name] = cancel
	w.mu.Unlock()
	if a.LastEventID != "" {
		w.missing(name, a)
	}
	w.work.Go(func() {
		defer cancel()
		w.run(ctx, name, body, parts)
	})
	return nil
}

// missing tells the client of nodes that gave it something, and are not there.
func (w *follower) missing(name string, a live.Asked) {
	there := []string{w.f.Live.Name()}
	for _, p := range a.Parts {
		there = append(there, p.Process)
	}
	for _, process := range live.Processes(a.LastEventID) {
		if !slices.Contains(there, process) {
			w.client.Lacks(name, a.LastEventID, "a node that gave streams is gone: what it had after the id is not known", nil)
			return
		}
	}
}

// openAll connects to all nodes at once; those that do not answer in time are left out.
func (w *follower) openAll(ctx context.Context, urls map[string]string, body []byte, last string) map[string]*part {
	parts := map[string]*part{}
	var mu sync.Mutex
	var opening sync.WaitGroup
	for node, url := range urls {
		opening.Go(func() {
			p, err := w.open(ctx, url, body, last)
			if err != nil {
				return // it is tried again beside the subscription
			}
			mu.Lock()
			defer mu.Unlock()
			parts[node] = p
		})
	}
	opening.Wait()
	return parts
}

// unsubscribe ends a subscription at all nodes. The error is a [*live.Refusal].
func (w *follower) unsubscribe(name string, echo json.RawMessage) error {
	err := w.client.Unsubscribe(name, echo)
	if err == nil {
		w.mu.Lock()
		if cancel := w.ends[name]; cancel != nil {
			cancel()
			delete(w.ends, name)
		}
		w.mu.Unlock()
	}
	return err
}

// run keeps a subscription connected to every other node that there is, until ctx ends.
func (w *follower) run(ctx context.Context, name string, body []byte, parts map[string]*part) {
	var hearing sync.WaitGroup
	defer hearing.Wait()
	over := make(chan string)
	running := map[string]bool{}
	hear := func(node string, p *part) {
		running[node] = true
		hearing.Go(func() {
			w.hear(ctx, name, node, body, p)
			select {
			case over <- node:
			case <-ctx.Done():
			}
		})
	}
	for node, p := range parts {
		hear(node, p)
	}
	for {
		urls, changed := w.f.Others.Nodes()
		for node := range maps.Keys(urls) {
			if !running[node] {
				hear(node, nil)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case node := <-over:
			if w.client.Ended() != nil {
				return
			}
			delete(running, node)
		}
	}
}

// hear gives the subscription what a node gives, until the node is there no more or ctx
// ends. p is the connection, if there is one already.
func (w *follower) hear(ctx context.Context, name, node string, body []byte, p *part) {
	log := chassis.Logger(w.ctx)
	wait := openAgain
	for {
		if p == nil {
			urls, changed := w.f.Others.Nodes()
			url, there := urls[node]
			if !there {
				return
			}
			var err error
			if p, err = w.open(ctx, url, body, ""); err != nil {
				if !pause(ctx, changed, wait) {
					return
				}
				wait = min(2*wait, openSeldom)
				continue
			}
		}
		wait = openAgain
		foreign := w.client.Foreign(name)
		if foreign == nil {
			p.close()
			return
		}
		end := p.hear(ctx, foreign)
		p.close()
		p = nil
		switch {
		case ctx.Err() != nil, w.client.Ended() != nil:
			return
		case end.Code == live.CodeSlow:
			foreign.Slow(end.Reason)
			return
		case end.Code != live.CodeGoingAway: // else its streams were handed over before
			log.Info("a node was lost that a client was given streams by", zap.String("node", node), zap.String("reason", end.Reason))
			foreign.Lost("streams of " + node + " were lost: connect again")
			return
		case foreign.Gone(ctx) != nil:
			return
		}
		_, changed := w.f.Others.Nodes()
		if !pause(ctx, changed, wait) {
			return
		}
	}
}

// pause waits, or until changed; false when ctx has ended.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return false
	}
	return true
}
