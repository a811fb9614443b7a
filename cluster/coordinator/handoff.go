package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// What nodes ask each other, as JSON on the broker, at most once. A later version may
// add fields; what a node does not know it leaves alone.
type (
	// letGo asks every node to give streams up.
	letGo struct {
		From     string   `json:"from"`
		Revision uint64   `json:"revision"` // of the plan that gives them to From
		Streams  []string `json:"streams"`
	}
	// gone answers once the journal has all that the node recorded of them.
	gone struct {
		Node     string   `json:"node"`
		Seamless []string `json:"seamless,omitempty"` // were recorded here without a hole until now
		Refused  []string `json:"refused,omitempty"`  // are this node's by a plan that is not older
		Error    string   `json:"error,omitempty"`    // it is not known whether they have ended
	}
)

const (
	// atOnce is how many streams one question is about.
	atOnce = 256
	// together is how many questions are under way, of each node.
	together = 4
	// gather is how long a question waits for more streams.
	gather = 20 * time.Millisecond
	// refusedFor is the pause before a stream is asked for again under the same plan.
	refusedFor = 5 * time.Second
	// askAgain is the pause before a question is repeated to those that have not answered.
	askAgain = time.Second
	// claimEvery is how often a node says what it records.
	claimEvery = 5 * time.Second
	// claimedAtOnce is how many streams it says so of in one message.
	claimedAtOnce = 4096
	// overlap is for how long a node goes on with what it is asked for: both receive
	// meanwhile, so that what one has when it ends the other has too, however late
	// either is.
	overlap = 500 * time.Millisecond
)

func (c *Coordinator) subject() string { return "cluster." + c.o.Cluster + ".letgo" }

// handOff asks for the streams that wait, until ctx ends.
func (c *Coordinator) handOff(ctx context.Context, log *zap.Logger) {
	nc, ok := c.connect(ctx, log)
	if !ok {
		return
	}
	defer nc.Close()
	var work sync.WaitGroup
	defer work.Wait()
	a := asking{c: c, nc: nc, log: log, slots: make(chan struct{}, together), under: map[string]bool{}, later: map[string]refusal{}}
	look, claims := time.NewTicker(time.Second), time.NewTicker(claimEvery)
	defer look.Stop()
	defer claims.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-claims.C:
			if err := c.claim(nc); err != nil {
				log.Debug("what this node records was not told to the others", zap.Error(err))
			}
			continue
		case <-c.ready:
			if !wait(ctx, gather) {
				return
			}
		case <-look.C:
		}
		ids, revision := a.due()
		for some := range slices.Chunk(ids, atOnce) {
			select {
			case a.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			a.begin(some)
			work.Go(func() {
				defer func() { <-a.slots }()
				a.ask(ctx, some, revision)
			})
		}
	}
}

// connect connects to the broker, however long that takes; false when ctx has ended.
func (c *Coordinator) connect(ctx context.Context, log *zap.Logger) (*nats.Conn, bool) {
	for tried := false; ; tried = true {
		nc, err := c.o.Connect(ctx)
		if err == nil {
			return nc, true
		}
		if !tried && ctx.Err() == nil {
			log.Warn("the broker cannot be reached: no stream moves", zap.Error(err))
		}
		if !wait(ctx, again) {
			return nil, false
		}
	}
}

// asking are the questions under way.
type asking struct {
	c     *Coordinator
	nc    *nats.Conn
	log   *zap.Logger
	slots chan struct{}

	mu    sync.Mutex
	under map[string]bool
	later map[string]refusal
}

type refusal struct {
	revision uint64
	at       time.Time
}

// due are the streams to ask for, and the revision of the plan that gives them to this
// node: what waits by an earlier one may be another's by now, and whoever is asked for it
// by the later one would let go of what is its own.
func (a *asking) due() (ids []string, revision uint64) {
	share := a.c.state().share
	waiting := a.c.o.Collector.Waiting()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range waiting {
		if _, mine := share.Streams[id]; !mine && share.Revision > 0 {
			continue
		}
		no, refused := a.later[id]
		if !a.under[id] && (!refused || no.revision != share.Revision || time.Since(no.at) > refusedFor) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, share.Revision
}

func (a *asking) begin(ids []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		a.under[id] = true
	}
}

// ask asks all nodes for some streams, and lets those begin that nobody refuses.
func (a *asking) ask(ctx context.Context, ids []string, revision uint64) {
	begin := time.Now()
	seamless, refused, err := a.c.askAll(ctx, a.nc, letGo{From: a.c.o.Node, Revision: revision, Streams: ids}, a.log)
	a.mu.Lock()
	for _, id := range ids {
		delete(a.under, id)
		delete(a.later, id)
	}
	for _, id := range refused {
		a.later[id] = refusal{revision, time.Now()}
	}
	a.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("streams have to wait: no node could be asked", zap.Int("streams", len(ids)), zap.Error(err))
		}
		return
	}
	free := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(refused, id) })
	// One node may have let go of what another refuses, and two of the same.
	slices.Sort(seamless)
	seamless = slices.Compact(slices.DeleteFunc(seamless, func(id string) bool { return !slices.Contains(free, id) }))
	a.c.o.Collector.Begin(free, seamless)
	a.c.metrics.asked(time.Since(begin), len(free), len(seamless), len(refused))
	a.log.Info("streams begin", zap.Int("streams", len(free)), zap.Int("seamless", len(seamless)), zap.Int("refused", len(refused)),
		zap.Float64("dur_ms", float64(time.Since(begin))/1e6))
}

// askAll asks, and waits until every other node that lives has answered, or the time is
// over.
func (c *Coordinator) askAll(ctx context.Context, nc *nats.Conn, question letGo, log *zap.Logger) (seamless, refused []string, err error) {
	if others, m := c.others(c.o.Alive); m.Known && len(others) == 0 || question.Revision == 0 {
		return nil, nil, nil // nobody is there; or nobody says who has what
	}
	text, err := json.Marshal(question)
	if err != nil {
		return nil, nil, fmt.Errorf("writing a question: %w", err)
	}
	inbox := nc.NewInbox()
	answers := make(chan *nats.Msg, 64)
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the other nodes: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // a connection that is closed has none
	if err := nc.PublishRequest(c.subject(), inbox, text); err != nil {
		return nil, nil, fmt.Errorf("asking the other nodes: %w", err)
	}
	limit := time.NewTimer(c.o.Config.LetGo)
	defer limit.Stop()
	// A node that has just begun may have listened too late.
	repeat := time.NewTicker(askAgain)
	defer repeat.Stop()
	heard := map[string]bool{}
	for {
		others, m := c.others(c.o.Alive)
		missing := slices.DeleteFunc(others, func(name string) bool { return heard[name] })
		if m.Known && len(missing) == 0 {
			return seamless, refused, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-m.Changed:
		case <-repeat.C:
			if err := nc.PublishRequest(c.subject(), inbox, text); err != nil {
				return nil, nil, fmt.Errorf("asking the other nodes again: %w", err)
			}
		case <-limit.C:
			log.Warn("nodes do not answer: their streams are taken", zap.Strings("nodes", missing), zap.Int("streams", len(question.Streams)))
			return seamless, refused, nil
		case msg := <-answers:
			var a gone
			if err := json.Unmarshal(msg.Data, &a); err != nil || a.Node == "" || heard[a.Node] {
				continue // also: nobody listens
			}
			if a.Error != "" { // of an earlier version; this one is silent, and asked again
				log.Warn("a node could not let go", zap.String("node", a.Node), zap.String("why", a.Error))
				continue
			}
			heard[a.Node] = true
			seamless, refused = append(seamless, a.Seamless...), append(refused, a.Refused...)
		}
	}
}

// answer answers what other nodes ask, until ctx ends; begun is told when they can. Its
// error says that they cannot.
func (c *Coordinator) answer(ctx context.Context, log *zap.Logger, begun func() error) error {
	nc, ok := c.connect(ctx, log)
	if !ok {
		return nil
	}
	defer nc.Close()
	incoming := make(chan *nats.Msg, 1024)
	sub, err := nc.ChanSubscribe(c.subject(), incoming)
	if err != nil {
		return fmt.Errorf("listening for what other nodes ask: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // a connection that is closed has none
	// The server knows of the subscription once it has answered.
	if err := errors.Join(nc.FlushWithContext(ctx), begun()); err != nil {
		log.Warn("it is not certain that other nodes can ask this one", zap.Error(err))
	}
	var work sync.WaitGroup
	defer work.Wait()
	slots := make(chan struct{}, 4*together)
	asked := questions{keep: 2 * c.o.Config.LetGo, all: map[string]*question{}}
	for {
		var msg *nats.Msg
		select {
		case <-ctx.Done():
			return nil
		case msg = <-incoming:
		}
		var q letGo
		if err := json.Unmarshal(msg.Data, &q); err != nil {
			log.Warn("a question that is none", zap.Error(err))
			continue
		}
		if q.From == c.o.Node {
			continue
		}
		if answer, first := asked.begin(msg.Reply, time.Now()); !first {
			if answer == nil {
				continue // it is being answered
			}
			if err := msg.Respond(answer); err != nil { // the one before may be lost
				log.Warn("an answer was not sent again", zap.String("to", q.From), zap.Error(err))
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		work.Go(func() {
			defer func() { <-slots }()
			answer, err := c.release(ctx, q)
			asked.end(msg.Reply, answer, err)
			if err == nil {
				err = msg.Respond(answer)
			}
			if err != nil {
				log.Warn("an answer was not sent", zap.String("to", q.From), zap.Error(err))
			}
		})
	}
}

// questions are those that were asked of this node, by where the answer goes: one that
// is repeated is the same, unless it could not be answered.
type questions struct {
	keep time.Duration // at least for how long one may be repeated

	mu  sync.Mutex
	all map[string]*question
}

type question struct {
	at     time.Time
	answer []byte // nil while it is looked for
}

// begin reports whether a question is heard for the first time, and else its answer, if
// there is one.
func (q *questions) begin(reply string, now time.Time) (answer []byte, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if one := q.all[reply]; one != nil {
		return one.answer, false
	}
	maps.DeleteFunc(q.all, func(_ string, one *question) bool { return now.Sub(one.at) > q.keep })
	q.all[reply] = &question{at: now}
	return nil, true
}

func (q *questions) end(reply string, answer []byte, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if one := q.all[reply]; one != nil && err == nil {
		one.answer = answer
		return
	}
	delete(q.all, reply)
}

// release lets go, and returns the answer. With an error it is not known whether all has
// ended, and whoever asks is to ask again.
func (c *Coordinator) release(ctx context.Context, q letGo) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, c.o.Config.LetGo)
	defer cancel()
	if c.recordsAny(q.Streams) && !wait(within, overlap) {
		return nil, within.Err()
	}
	a := gone{Node: c.o.Node}
	var err error
	if a.Seamless, a.Refused, err = c.o.Collector.Yield(within, q.Streams, q.Revision); err != nil {
		return nil, fmt.Errorf("giving streams up: %w", err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("writing an answer: %w", err)
	}
	return text, nil
}

// recordsAny reports whether this node records any of some streams.
func (c *Coordinator) recordsAny(ids []string) bool {
	asked := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		asked[id] = struct{}{}
	}
	return slices.ContainsFunc(c.o.Collector.Recording(), func(id string) bool {
		_, is := asked[id]
		return is
	})
}
