package collector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// venue is one market of one exchange: what its actors share. It holds no
// decisions, only where things are: the instrument table, the routes to the
// stream actors, the sessions.
type venue struct {
	opts     *Options
	of       connectors.Exchange
	name     string // "binance-spot", the branch's
	exchange string
	market   market.Market

	// settings are those in force; the handle's lock guards them.
	settings marketSettings

	wish    atomic.Pointer[wish]
	made    atomic.Pointer[setup] // nil before the market was enabled first
	listing atomic.Pointer[listing]
	ranking atomic.Pointer[[]string] // native symbols, the most traded first; nil before it is known
	top     atomic.Pointer[[]*market.Instrument]
	routes  atomic.Pointer[routes]
	conns   atomic.Int64 // connections made within the epoch
	sharers sharers
	closed  atomic.Bool // no socket is to be opened any more

	mu       sync.Mutex
	sessions []*socket

	gone     gone
	unrouted atomic.Uint64 // frames of instruments without a stream
	failures atomic.Uint64 // REST calls given up
	retries  atomic.Uint64 // REST calls tried again
	unknown  atomic.Pointer[[]string]
	overlay  atomic.Pointer[Overlay] // nil before it is loaded
	// demand is what is wanted, by whatever node; nil before it is known.
	demand atomic.Pointer[map[*market.Instrument]desire]

	backfills  backfills
	precedence precedence // of live calls over those of backfills

	parts   sync.Pool
	entries sync.Pool
}

// gone counts for sessions that are no more.
type gone struct {
	mu   sync.Mutex
	lost uint64
	traffic
}

func (g *gone) take(s *socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost += s.disconnects.Load()
	g.add(s.traffic())
}

func (g *gone) read() (lost uint64, t traffic) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost, g.traffic
}

// wish is what is to be collected, by configuration: all that may change while
// streams and sessions stay.
type wish struct {
	enabled bool
	symbols []string
	kinds   kindSet
	top     int
}

// setup is what a market is collected with. It is replaced as a whole, and only
// while there is neither a stream nor a session.
type setup struct {
	cfg      connectors.MarketConfig
	table    *connectors.Venue
	client   *connectors.Client
	pacer    *connectors.Pacer // of connection attempts
	channels []kindSet         // kinds of each channel
	streamed kindSet           // kinds that sessions deliver
	sharing  bool              // topics may serve several instruments
}

// routes are the streams.
type routes struct {
	of map[*market.Instrument]*route
	// sorted is by symbol.
	sorted []*route
}

// listing is an instrument table and where it comes from.
type listing struct {
	table *market.Instruments
	// builtin: the exchange could not be asked, and this is the table that came
	// with the program.
	builtin bool
	at      time.Time
}

func newVenue(o *Options, x Exchange, m market.Market, cfg connectors.MarketConfig) (*venue, error) {
	v := &venue{opts: o, of: x.Exchange, name: x.Name() + "-" + m.String(), exchange: x.Name(), market: m}
	v.settings = marketSettings{x.Config.Enabled, cfg}
	v.routes.Store(&routes{})
	v.parts.New = func() any { return new(part) }
	v.entries.New = func() any { return newEntry() }
	w, err := v.wishOf(v.settings.enabled(), cfg)
	if err != nil {
		return nil, err
	}
	v.wish.Store(w)
	if w.enabled {
		made, err := v.make(cfg)
		if err != nil {
			return nil, err
		}
		v.install(made)
	}
	return v, nil
}

func (v *venue) wishOf(enabled bool, cfg connectors.MarketConfig) (*wish, error) {
	kinds, err := cfg.Kinds()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	return &wish{enabled: enabled, symbols: cfg.Symbols, kinds: kindsOf(kinds...), top: cfg.Top}, nil
}

// make makes what a market is collected with.
func (v *venue) make(cfg connectors.MarketConfig) (*setup, error) {
	table, err := v.of.Venue(v.market, cfg)
	if err != nil {
		return nil, err
	}
	s := &setup{cfg: cfg, table: table, pacer: connectors.NewPacer(table.Limits.Connects)}
	s.client = connectors.NewClient(connectors.ClientOptions{Venue: table, Now: v.opts.Now})
	for i := range table.Channels {
		kinds := kindsOf(table.Channels[i].Kinds...)
		s.channels = append(s.channels, kinds)
		if table.Channels[i].Poll == 0 {
			s.streamed |= kinds
		}
	}
	_, s.sharing = table.Wire.(connectors.Sharing)
	return s, nil
}

func (v *venue) enabled() bool { return v.wish.Load().enabled }

// table is what the market can do; nil before it was enabled first.
func (v *venue) table() *connectors.Venue {
	if s := v.made.Load(); s != nil {
		return s.table
	}
	return nil
}

// child finds an actor of the market's branch by name.
func (v *venue) child(name string) *actor.PID {
	pid, _ := v.opts.System.Lookup(strings.Join([]string{supervise.RootID, Name, v.name, name}, "/"))
	return pid
}

func (v *venue) now() int64 { return v.opts.Now().UnixNano() }

// instruments is the present table; nil before there is one.
func (v *venue) instruments() *market.Instruments {
	if l := v.listing.Load(); l != nil {
		return l.table
	}
	return nil
}

// adopt makes a fetched list the table. An instrument that is known already keeps
// its pointer, because records and routes point at it.
func (v *venue) adopt(list []*market.Instrument, builtin bool) {
	if old := v.instruments(); old != nil {
		known := make(map[string]*market.Instrument, len(old.All()))
		for _, i := range old.All() {
			known[i.Native] = i
		}
		list = slices.Clone(list)
		for n, i := range list {
			if have := known[i.Native]; have != nil && (*have == *i || v.route(have) != nil) {
				list[n] = have
			}
			delete(known, i.Native)
		}
		// What is collected stays known even when the exchange lists it no more.
		for _, i := range known {
			if v.route(i) != nil {
				list = append(list, i)
			}
		}
	}
	v.listing.Store(&listing{table: market.NewInstruments(list), builtin: builtin, at: v.opts.Now()})
}

// route is the stream of an instrument; nil when there is none.
func (v *venue) route(i *market.Instrument) *route { return v.routes.Load().of[i] }

// allRoutes lists the streams by symbol; the slice is shared.
func (v *venue) allRoutes() []*route { return v.routes.Load().sorted }

// join and leave change the routes, many at once because each makes them anew;
// the subscriptions actor alone calls them.
func (v *venue) join(add []*route) {
	next := maps.Clone(v.routes.Load().of)
	if next == nil {
		next = make(map[*market.Instrument]*route, len(add))
	}
	for _, r := range add {
		next[r.instrument] = r
	}
	v.setRoutes(next)
}

func (v *venue) leave(gone []*route) {
	next := maps.Clone(v.routes.Load().of)
	for _, r := range gone {
		delete(next, r.instrument)
	}
	v.setRoutes(next)
}

func (v *venue) setRoutes(of map[*market.Instrument]*route) {
	sorted := slices.SortedFunc(maps.Values(of), func(a, b *route) int { return bySymbol(a.instrument, b.instrument) })
	v.routes.Store(&routes{of: of, sorted: sorted})
}

// sockets are the sessions there are.
func (v *venue) sockets() []*socket {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.sessions)
}

func (v *venue) addSocket(s *socket) {
	v.mu.Lock()
	v.sessions = append(v.sessions, s)
	v.mu.Unlock()
}

func (v *venue) dropSocket(s *socket) {
	v.mu.Lock()
	v.sessions = slices.DeleteFunc(v.sessions, func(o *socket) bool { return o == s })
	v.mu.Unlock()
}

// kindsOfChannel is what channel i gives.
func (v *venue) kindsOfChannel(i int) kindSet {
	s := v.made.Load()
	if s == nil || i < 0 || i >= len(s.channels) {
		return 0
	}
	return s.channels[i]
}

// supported are the kinds that the market can give.
func (v *venue) supported() (s kindSet) {
	table := v.table()
	if table == nil {
		return v.wish.Load().kinds
	}
	for i := range table.Channels {
		if !table.Channels[i].Optional {
			s |= v.kindsOfChannel(i)
		}
	}
	return s
}
