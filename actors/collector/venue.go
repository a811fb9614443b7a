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
	name     string // "binance-spot", the branch's
	exchange string
	market   market.Market
	enabled  bool
	cfg      connectors.MarketConfig
	kinds    kindSet // as configured
	table    *connectors.Venue
	client   *connectors.Client

	listing atomic.Pointer[listing]
	routes  atomic.Pointer[routeMap]
	conns   atomic.Int64      // connections made within the epoch
	pacer   *connectors.Pacer // of connection attempts
	closed  atomic.Bool       // no socket is to be opened any more

	mu       sync.Mutex
	sessions []*socket

	// gone counts for sessions that are no more.
	gone     struct{ lost, bytes, malformed atomic.Uint64 }
	unrouted atomic.Uint64 // frames of instruments without a stream
	failures atomic.Uint64 // REST calls given up
	retries  atomic.Uint64 // REST calls tried again
	unknown  atomic.Pointer[[]string]

	streamed kindSet // kinds that sessions deliver
	sharing  bool    // topics may serve several instruments
	parts    sync.Pool
	entries  sync.Pool
}

type routeMap map[*market.Instrument]*route

// listing is an instrument table and where it comes from.
type listing struct {
	table *market.Instruments
	// builtin: the exchange could not be asked, and this is the table that came
	// with the program.
	builtin bool
	at      time.Time
}

func newVenue(o *Options, x Exchange, m market.Market, cfg connectors.MarketConfig) (*venue, error) {
	v := &venue{
		opts: o, name: x.Name() + "-" + m.String(), exchange: x.Name(), market: m,
		enabled: x.Config.Enabled && cfg.Enabled, cfg: cfg,
	}
	v.routes.Store(&routeMap{})
	v.parts.New = func() any { return new(part) }
	v.entries.New = func() any { return newEntry() }
	kinds, err := cfg.Kinds()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	v.kinds = kindsOf(kinds...)
	if !v.enabled {
		return v, nil
	}
	if v.table, err = x.Venue(m, cfg); err != nil {
		return nil, err
	}
	v.client = connectors.NewClient(connectors.ClientOptions{Venue: v.table, Now: o.Now})
	for i := range v.table.Channels {
		if v.table.Channels[i].Poll == 0 {
			v.streamed |= v.kindsOfChannel(i)
		}
	}
	_, v.sharing = v.table.Wire.(connectors.Sharing)
	v.pacer = connectors.NewPacer(v.table.Limits.Connects)
	return v, nil
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
func (v *venue) route(i *market.Instrument) *route { return (*v.routes.Load())[i] }

// allRoutes lists the streams by symbol.
func (v *venue) allRoutes() []*route {
	return slices.SortedFunc(maps.Values(*v.routes.Load()), func(a, b *route) int {
		return strings.Compare(a.instrument.Symbol, b.instrument.Symbol)
	})
}

// join and leave change the routes; the subscriptions actor alone calls them.
func (v *venue) join(r *route) {
	next := maps.Clone(*v.routes.Load())
	next[r.instrument] = r
	v.routes.Store(&next)
}

func (v *venue) leave(r *route) {
	next := maps.Clone(*v.routes.Load())
	delete(next, r.instrument)
	v.routes.Store(&next)
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
	if i < 0 || i >= len(v.table.Channels) {
		return 0
	}
	return kindsOf(v.table.Channels[i].Kinds...)
}

// supported are the kinds that the market can give.
func (v *venue) supported() (s kindSet) {
	if v.table == nil {
		return v.kinds
	}
	for i := range v.table.Channels {
		if !v.table.Channels[i].Optional {
			s |= v.kindsOfChannel(i)
		}
	}
	return s
}
