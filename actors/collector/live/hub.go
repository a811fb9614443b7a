package live

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/market"
)

// Codes by which connections are ended: the close codes of the WebSocket protocol
// (RFC 6455, 7.4.1), and one of ours.
const (
	CodeNormal     = 1000
	CodeGoingAway  = 1001
	CodeInternal   = 1011
	CodeOverloaded = 1013
	// CodeSlow: the client does not take records that must not be left out as fast
	// as they come.
	CodeSlow = 4008
)

// Options of a [Hub].
type Options struct {
	Config    Config
	Directory Directory
	// Registerer exports the metrics; nil keeps them to ourselves.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Hub is where streams and clients meet. Its methods are safe for concurrent use.
type Hub struct {
	config    Config
	directory Directory
	metrics   *metrics
	now       func() time.Time
	queue     *queue
	name      string // of this process, in the ids of events

	mu      sync.Mutex
	sources map[*Source]bool
	subs    map[*Subscription]bool
	clients map[*Client]bool

	// The relay's.
	n       uint64
	ring    ring
	running bool
}

// New makes a hub; nothing is passed on until it runs.
func New(o Options) (*Hub, error) {
	if o.Directory == nil {
		return nil, fmt.Errorf("live: Directory is needed")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Hub{
		config: o.Config, directory: o.Directory, now: o.Now, queue: newQueue(o.Config.RelayRecords),
		name:    strconv.FormatInt(o.Now().UnixNano(), 36),
		sources: map[*Source]bool{}, subs: map[*Subscription]bool{}, clients: map[*Client]bool{},
		ring: ring{limit: o.Config.ReplayEvents, room: o.Config.ReplayBytes},
	}
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	return h, nil
}

// Config is what the hub was made with.
func (h *Hub) Config() Config { return h.config }

// Open adds a stream. wake makes its actor call [Source.Stepped] soon; it must not
// block. A nil hub opens nothing.
func (h *Hub) Open(i *market.Instrument, wake func()) *Source {
	if h == nil {
		return nil
	}
	s := &Source{hub: h, instrument: i, wake: wake, folded: [2]string{market.FoldSymbol(i.Symbol), market.FoldSymbol(i.Native)}}
	var joins []*join
	h.mu.Lock()
	h.sources[s] = true
	for sub := range h.subs {
		if sub.match.takes(s) {
			joins = append(joins, sub.join(s))
		}
	}
	h.mu.Unlock()
	for _, j := range joins {
		j.sub.client.want(j)
	}
	return s
}

func (h *Hub) forget(s *Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sources, s)
}

// Consumer is a kind of client.
type Consumer string

// The consumers.
const (
	WebSocket Consumer = "websocket"
	// Events are server-sent events: what they follow can be replayed.
	Events Consumer = "sse"
)

// Connect adds a client. ended is called once, from any goroutine, when the hub
// ends it; it must not block. The error is a [*Refusal] when there are too many.
func (h *Hub) Connect(consumer Consumer, ended func()) (*Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= h.config.MaxClients {
		h.metrics.refusedClients.Inc()
		return nil, refuse("too_many_clients", "", "there are %d connections, and no more are taken", len(h.clients))
	}
	c := &Client{
		hub: h, consumer: consumer, onEnd: ended, subs: map[string]*Subscription{},
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1), counts: h.metrics.of(consumer),
	}
	h.clients[c] = true
	return c, nil
}

// Stats are the figures of this moment, and counts since the start.
type Stats struct {
	Clients         map[string]int `json:"clients" doc:"connected now, by way: websocket or sse"`
	Subscriptions   int            `json:"subscriptions" doc:"there are now"`
	Messages        uint64         `json:"messages" doc:"written to clients, since the start"`
	Bytes           uint64         `json:"bytes" doc:"written to clients, since the start"`
	Coalesced       uint64         `json:"coalesced" doc:"records that were put into others for clients that were behind, since the start"`
	Dropped         uint64         `json:"dropped" doc:"records lost on the way to the clients' queues, since the start"`
	SlowDisconnects uint64         `json:"slow_disconnects" doc:"clients that were ended for being too slow, since the start"`
}

// Stats reads the figures.
func (h *Hub) Stats() Stats {
	s := Stats{Clients: map[string]int{string(WebSocket): 0, string(Events): 0}}
	if h == nil {
		return s
	}
	h.mu.Lock()
	for c := range h.clients {
		s.Clients[string(c.consumer)]++
	}
	s.Subscriptions = len(h.subs)
	h.mu.Unlock()
	for _, c := range []*consumerCounts{&h.metrics.websocket, &h.metrics.events} {
		s.Messages += c.messages.Load()
		s.Bytes += c.bytes.Load()
	}
	s.Coalesced, s.SlowDisconnects, s.Dropped = h.metrics.coalesced.Load(), h.metrics.slow.Load(), h.queue.losses()
	return s
}

// Run is the relay: it hands what streams publish to those who follow them, until
// ctx ends. One at a time.
func (h *Hub) Run(ctx context.Context) {
	if h.running { // the one before did not come to its end
		h.recover()
	}
	h.running = true
	var events, spare []*event
	for {
		var lost []*Source
		var err error
		if events, lost, err = h.queue.take(ctx, spare); err != nil {
			break
		}
		for i, e := range events {
			h.relay(e)
			events[i] = nil
		}
		for _, s := range lost {
			h.mend(s)
		}
		spare = events[:0]
	}
	h.running = false
}

// recover ends every client: nobody knows what they have been given.
func (h *Hub) recover() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.sources {
		if s.roster == nil {
			continue
		}
		for k := range s.keeps {
			s.keeps[k].since = h.n
		}
	}
	for c := range h.clients {
		c.end(CodeInternal, "the server has lost its place", outcomeFailed)
	}
}
