package collector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	documents "github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Name is the branch's name in the tree; it stands below the root.
const Name = "collector"

// Service is the service's name in every answer.
const Service = "market-data-collector"

// Publisher is the live plane: core NATS. It must not block and must not keep
// data. A *nats.Conn is one.
type Publisher interface {
	Publish(subject string, data []byte) error
}

// Exchange is one exchange with its settings.
type Exchange struct {
	connectors.Exchange
	Config connectors.Config
}

// Options of a [Collector].
type Options struct {
	System    *supervise.System
	Config    Config
	Exchanges []Exchange
	// Epoch is the ownership number of this process; every record carries it, unless a
	// [Share] has another.
	Epoch int64
	// Handoff makes this one of several nodes: it collects what its [Share] gives to it,
	// and nothing before it has one. nil: it collects everything.
	Handoff Handoff
	// Recorder is the way into the journal shard of a stream. It is called when the
	// stream starts.
	Recorder func(market.StreamID) persistence.Recorder

	// Publisher is the live plane; nil publishes nothing.
	Publisher Publisher
	// Live are the limits of those who follow streams; nil lets nobody.
	Live *live.Config
	// Reader answers what is stored of a stream; nil: nothing is known at a start,
	// and no gap is opened for the time before.
	Reader persistence.Reader
	// Applied waits until the store has everything that the journal had when it was
	// called; nil: it has.
	Applied func(context.Context, market.StreamID) error
	// Node is this one's name among several, each of which runs the backfills that it was
	// asked for; "" where it is alone.
	Node string
	// Backfills keeps the operations that fetch the past over the end of the process; nil
	// does not.
	Backfills documents.Store
	// Alive are the nodes that live and collect, by name, in order; known is false before
	// anybody said who there is. What others have left to fetch is taken over. nil: there
	// are none.
	Alive func() (nodes []string, known bool)
	// Store keeps run-time subscriptions; nil keeps them until the process ends.
	Store Store
	// Registerer exports the metrics; nil keeps them to ourselves.
	Registerer prometheus.Registerer
	// Now is the clock of receive times' kind; nil is time.Now.
	Now func() time.Time

	share *atomic.Pointer[Share]
	hub   *live.Hub  // nil: nobody follows
	desks *sync.Pool // of *desk
	// backlog is what waits for all streams.
	backlog *backlog
}

// Collector is the handle of the branch: the spec to start it with, and the
// questions that façades ask. Its methods are safe for concurrent use; those
// with a context wait for an actor's answer no longer than that.
type Collector struct {
	opts    *Options
	venues  []*venue
	metrics *metrics
	started time.Time

	reconfiguring sync.Mutex
}

// New makes a collector; nothing runs until its Spec is started. An exchange
// that is not enabled is known, and has no actors.
func New(o Options) (*Collector, error) {
	if o.System == nil || o.Recorder == nil {
		return nil, errors.New("collector: System and Recorder are needed")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.desks = &sync.Pool{New: func() any { return new(desk) }}
	o.backlog, o.share = newBacklog(o.Config.BacklogBytes), new(atomic.Pointer[Share])
	c := &Collector{opts: &o, started: o.Now()}
	if err := c.makeHub(); err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	for _, x := range o.Exchanges {
		if err := c.addExchange(x); err != nil {
			return nil, fmt.Errorf("collector: %w", err)
		}
	}
	var err error
	if c.metrics, err = newMetrics(c, o.Registerer); err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	return c, nil
}

// jitter draws from [0, 1).
func (o *Options) jitter() float64 { return rand.Float64() }

func (c *Collector) addExchange(x Exchange) error {
	if err := x.Config.Validate(); err != nil {
		return fmt.Errorf("%s: %w", x.Name(), err)
	}
	var errs []error
	for _, m := range market.Markets() {
		cfg, ok := x.Config.Markets[m.String()]
		if !ok {
			continue
		}
		v, err := newVenue(c.opts, x, m, cfg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.venues = append(c.venues, v)
	}
	return errors.Join(errs...)
}

// exchange lists the markets of an exchange.
func (c *Collector) exchange(name string) ([]*venue, error) {
	var found []*venue
	for _, v := range c.venues {
		if v.exchange == name {
			found = append(found, v)
		}
	}
	if found == nil {
		return nil, &UnknownError{What: "exchange", Name: name, Known: c.exchangeNames()}
	}
	return found, nil
}

func (c *Collector) exchangeNames() []string {
	names := []string{}
	for _, x := range c.opts.Exchanges {
		names = append(names, x.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// market finds the market of an exchange that a symbol is meant on: the one
// named, else spot where it is listed there, else the only one.
func (c *Collector) market(exchange, word, symbol string) (*venue, *market.Instrument, error) {
	venues, err := c.exchange(exchange)
	if err != nil {
		return nil, nil, err
	}
	if word != "" {
		return namedMarket(venues, exchange, word, symbol)
	}
	var listed []*venue
	var at []*market.Instrument
	var unknown error = &market.SymbolError{Spelling: symbol}
	ready := false
	for _, v := range venues {
		table := v.instruments()
		if table == nil {
			continue
		}
		ready = true
		i, err := table.Resolve(symbol)
		switch {
		case err == nil && v.market == market.Spot:
			return v, i, nil
		case err == nil:
			listed, at = append(listed, v), append(at, i)
		default:
			var se *market.SymbolError
			if errors.As(err, &se) && len(se.Candidates) > 0 {
				unknown = err
			}
		}
	}
	switch {
	case len(listed) == 1:
		return listed[0], at[0], nil
	case len(listed) > 1:
		e := &MarketError{Symbol: symbol}
		for _, v := range listed {
			e.Markets = append(e.Markets, v.market)
		}
		return nil, nil, e
	case !ready && slices.ContainsFunc(venues, func(v *venue) bool { return v.enabled() }):
		return nil, nil, ErrNotStarted
	}
	return nil, nil, symbolError(unknown)
}

func namedMarket(venues []*venue, exchange, word, symbol string) (*venue, *market.Instrument, error) {
	m, ok := market.ParseMarket(word)
	var known []string
	for _, v := range venues {
		known = append(known, v.market.String())
		if !ok || v.market != m {
			continue
		}
		table := v.instruments()
		if table == nil && v.enabled() {
			return nil, nil, ErrNotStarted
		}
		if table == nil {
			return nil, nil, &UnknownError{What: "symbol", Name: symbol}
		}
		i, err := table.Resolve(symbol)
		return v, i, symbolError(err)
	}
	if !ok {
		return nil, nil, &InvalidError{Field: "market", Value: word, Allowed: known}
	}
	return nil, nil, &UnknownError{What: "market", Name: exchange + " " + word, Known: known}
}

// symbolError makes a spelling that means nothing an [UnknownError]; one that
// means several things stays a [*market.SymbolError].
func symbolError(err error) error {
	var se *market.SymbolError
	if errors.As(err, &se) && len(se.Candidates) == 0 {
		return &UnknownError{What: "symbol", Name: se.Spelling}
	}
	return err
}

// route finds the running stream of a symbol.
func (c *Collector) route(exchange, word, symbol string) (*route, error) {
	v, i, err := c.market(exchange, word, symbol)
	if err != nil {
		return nil, err
	}
	if r := v.route(i); r != nil {
		return r, nil
	}
	return nil, &UnknownError{What: "stream", Name: i.ID().String()}
}
