package collector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Messages of the subscriptions actor, beside change and restBack.
type (
	// tableChanged: there is another instrument table.
	tableChanged struct{}
	// loadDue: the overlay is to be loaded.
	loadDue struct{}

	// settings is a new configuration; setup is nil unless the market is being
	// enabled, limits unless those of one that is have changed. The answer, once it is
	// taken, is settingsTaken.
	settings struct {
		wish   *wish
		setup  *setup
		limits *connectors.Limits
	}
	settingsTaken struct{}

	// What comes home from the store.
	loaded struct {
		overlay Overlay
		err     error
	}
	saved struct {
		command command
		overlay Overlay
		err     error
	}
)

// command is a change and who waits for its answer.
type command struct {
	change change
	from   *actor.PID
}

// maxCommands wait for the one before.
const maxCommands = 256

// subscriptions makes the streams and sessions of one market those that the
// configuration and the overlay ask for. One round of changes is under way at a
// time: streams first, so that no frame comes without one; sessions, once all
// streams are there; at last what is no longer wanted.
type subscriptions struct {
	venue   *venue
	metrics *metrics
	timings []latencies
	c       *supervise.Context
	store   supervise.InFlight

	overlay  Overlay
	loaded   bool
	reload   bool // it has changed elsewhere while the store was busy
	answered bool // the store has answered, or failed once
	tries    int
	commands []command
	// answering are commands whose change the round under way brings about.
	answering []command
	yields
	dirty bool

	starting map[string]bool   // streams and sessions being started, by name
	leaving  map[string]*route // streams being stopped
	left     []*route          // streams that have stopped, and are still in the routes
	closing  map[string]*socket
	placed   bool // sessions of this round have been dealt with
	sessions int  // highest number given

	todo  []any // AddChild and RemoveChild for the branch, not sent yet
	asked int   // sent, and not answered

	settings []settings
	made     *setup // that the timings are for
}

func newSubscriptions(v *venue, m *metrics) *subscriptions {
	return &subscriptions{
		venue: v, metrics: m, starting: map[string]bool{}, yields: yields{of: map[*market.Instrument]uint64{}},
		leaving: map[string]*route{}, closing: map[string]*socket{},
	}
}

// Receive handles one message.
func (s *subscriptions) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.start(c)
	case loadDue:
		s.load()
	case shareChanged:
		s.dirty = true
	case yield:
		s.yield(m)
	case loaded:
		s.takeLoaded(m)
	case tableChanged:
		s.dirty = true
	case change:
		s.command(m)
	case settings:
		s.settings = append(s.settings, m)
		c.Respond(settingsTaken{})
	case saved:
		s.takeSaved(m)
	case supervise.ChildReply:
		s.childDone(m)
	case restBack:
		s.tellPolls()
	}
	s.work()
}

// start begins with what there is: a restarted actor finds the streams and
// sessions of the one before in the venue.
func (s *subscriptions) start(c *supervise.Context) {
	s.c = c
	s.venue.closed.Store(false)
	for _, k := range s.venue.sockets() {
		s.sessions = max(s.sessions, k.number)
	}
	s.load()
	s.watch(c)
}

// watch hears of changes that other nodes make of the overlay.
func (s *subscriptions) watch(c *supervise.Context) {
	v := s.venue
	if v.opts.Store == nil {
		return
	}
	self, log := c.Self(), c.Log()
	c.Go(func(ctx context.Context) {
		for {
			err := v.opts.Store.Watch(ctx, v.exchange, v.market, func() {
				if err := v.opts.System.Tell(self, loadDue{}); err != nil {
					log.Debug("a change of the run-time subscriptions waits for the next one", zap.Error(err))
				}
			})
			if ctx.Err() != nil {
				return
			}
			log.Warn("changes of the run-time subscriptions are not heard of", zap.Error(err))
			select {
			case <-ctx.Done():
				return
			case <-time.After(v.opts.Config.RetryLast):
			}
		}
	})
}

func (s *subscriptions) load() {
	v := s.venue
	if v.opts.Store == nil {
		s.takeLoaded(loaded{})
		return
	}
	if !s.store.Start(s.c, func(ctx context.Context) any {
		o, err := v.opts.Store.Load(ctx, v.exchange, v.market)
		return loaded{o, err}
	}) {
		s.reload = true
	}
}

// takeLoaded begins with the configuration alone when the overlay cannot be had,
// and goes on asking for it.
func (s *subscriptions) takeLoaded(m loaded) {
	if m.err == nil {
		s.dirty = s.dirty || !s.loaded || m.overlay.Revision != s.overlay.Revision
		s.take(m.overlay)
		s.loaded, s.answered, s.tries = true, true, 0
		return
	}
	s.dirty, s.answered = s.dirty || !s.answered, true
	c := s.venue.opts.Config
	wait := supervise.Backoff{Base: c.RetryFirst, Cap: c.RetryLast, Jitter: .2}.Delay(s.tries, s.venue.opts.jitter())
	s.tries++
	s.c.Log().Error("the run-time subscriptions cannot be loaded: collecting what is configured", zap.Duration("wait", wait), zap.Error(m.err))
	s.c.After(wait, loadDue{})
}

// take makes an overlay the one in force.
func (s *subscriptions) take(o Overlay) {
	s.overlay = o
	s.venue.overlay.Store(&o)
}

// command queues a change of the overlay.
func (s *subscriptions) command(m change) {
	switch {
	case !s.loaded || s.venue.instruments() == nil || !s.venue.enabled():
		s.c.Respond(ErrNotStarted)
	case len(s.commands) >= maxCommands:
		s.c.Respond(supervise.ErrMailboxFull)
	default:
		s.commands = append(s.commands, command{m, s.c.Sender()})
	}
}

// work begins the next thing when the one before is done.
func (s *subscriptions) work() {
	if s.reload && !s.store.Busy() {
		s.reload = false
		s.load()
	}
	if !s.idle() {
		return
	}
	if !s.placed {
		s.placed = true
		s.place()
		if !s.idle() {
			return
		}
	}
	if len(s.left) > 0 {
		s.venue.leave(s.left)
		s.left = nil
	}
	s.answerAll()
	if s.dirty && s.mayBegin() {
		s.dirty = false
		s.begin()
		s.work()
		return
	}
	if len(s.settings) > 0 {
		s.configure(pop(&s.settings))
		s.work()
		return
	}
	if len(s.commands) > 0 && !s.store.Busy() {
		s.save(pop(&s.commands))
	}
}

func (s *subscriptions) idle() bool {
	return len(s.starting)+len(s.leaving)+len(s.closing) == 0
}

// mayBegin reports whether what is wanted can be found out. A market that is not
// enabled wants nothing.
func (s *subscriptions) mayBegin() bool {
	return s.answered && (s.venue.instruments() != nil || !s.venue.enabled())
}

// configure takes another configuration up. What a market is collected with is
// replaced while nothing is collected.
func (s *subscriptions) configure(m settings) {
	v := s.venue
	had := v.wish.Load()
	if m.setup != nil {
		v.install(m.setup)
	}
	if m.limits != nil {
		made := v.made.Load()
		made.client.SetLimit(m.limits.Weight)
		made.pacer.SetRate(m.limits.Connects)
	}
	v.wish.Store(m.wish)
	s.dirty = true
	if m.setup != nil || m.wish.top > 0 && had.top != m.wish.top {
		if err := s.c.System().Tell(v.child(restName), listDue{}); err != nil {
			s.c.Log().Debug("the rest actor is not there; it fetches the table when it is back", zap.Error(err))
		}
	}
}

// save stores the overlay with a change before anything is done about it.
func (s *subscriptions) save(cmd command) {
	next := s.overlay
	for _, c := range cmd.change.changes {
		next = next.with(c)
	}
	v := s.venue
	if v.opts.Store == nil {
		s.takeSaved(saved{command: cmd, overlay: next})
		s.work()
		return
	}
	s.store.Start(s.c, func(ctx context.Context) any {
		var err error
		next.Revision, err = v.opts.Store.Save(ctx, v.exchange, v.market, next)
		return saved{cmd, next, err}
	})
}

func (s *subscriptions) takeSaved(m saved) {
	if errors.Is(m.err, ErrChanged) { // once more, on what there is now
		s.commands = slices.Insert(s.commands, 0, m.command)
		s.load()
		return
	}
	if m.err != nil {
		s.reply(m.command, fmt.Errorf("storing the subscription: %w", m.err))
		return
	}
	s.take(m.overlay)
	s.dirty = true
	s.answering = append(s.answering, m.command)
}

// answerAll answers those whose change the round that ended has brought about.
func (s *subscriptions) answerAll() {
	if s.dirty {
		return // the round is still to come
	}
	for _, cmd := range s.answering {
		s.reply(cmd, s.summary(cmd.change))
	}
	s.answering = nil
	s.answerYields()
}

func (s *subscriptions) summary(c change) Subscribed {
	out := Subscribed{}
	for _, one := range c.changes {
		found, err := matching(s.venue.instruments(), one.Symbol)
		if err != nil {
			continue // checked by the handle; the table has changed since
		}
		for _, i := range found {
			out.Symbols = append(out.Symbols, i.Symbol)
		}
		out.DataTypes = one.DataTypes
	}
	for _, k := range s.venue.sockets() {
		out.Active += len(k.subscriptions())
	}
	return out
}

func (s *subscriptions) reply(cmd command, answer any) {
	if cmd.from == nil {
		return
	}
	if err := s.c.System().Tell(cmd.from, answer); err != nil {
		s.c.Log().Debug("nobody waits for the answer any more", zap.Error(err))
	}
}

// begin starts a round: the streams that are missing.
func (s *subscriptions) begin() {
	v := s.venue
	if made := v.made.Load(); made != s.made {
		s.made, s.timings = made, s.metrics.latencies(v)
	}
	w := v.wish.Load()
	want, unknown := map[*market.Instrument]desire{}, []string(nil)
	if w.enabled {
		want, unknown = wanted(v.instruments(), w, v.chooseTop(w.top), s.overlay)
	}
	v.unknown.Store(&unknown)
	want = s.own(want)
	if len(unknown) > 0 {
		s.c.Log().Warn("symbols that the exchange does not list are left out", zap.Strings("symbols", unknown))
	}
	for _, r := range v.allRoutes() {
		had := kindSet(r.want.Load())
		r.set(want[r.instrument])
		// Before anything of them can come: the sessions hear of it later.
		if added := want[r.instrument].kinds &^ had &^ derived; added != 0 && !r.final.Load() {
			r.tell(widened{added})
		}
	}
	s.placed = false
	var fresh []*route
	for _, i := range slices.SortedFunc(maps.Keys(want), bySymbol) {
		if v.route(i) == nil {
			r := newRoute(v, i)
			r.set(want[i])
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 {
		return
	}
	v.join(fresh) // from now on the next incarnation of ours knows of them
	for _, r := range fresh {
		name := streamName(r.instrument)
		s.starting[name] = true
		s.ask(supervise.AddChild{Spec: s.streamSpec(name, r)})
	}
}

func bySymbol(a, b *market.Instrument) int { return strings.Compare(a.Symbol, b.Symbol) }

// streamName is the symbol as a name in the tree.
func streamName(i *market.Instrument) string {
	return strings.NewReplacer("/", "%2F", "$", "%24").Replace(i.Symbol)
}

func (s *subscriptions) streamSpec(name string, r *route) supervise.Spec {
	c, timings := s.venue.opts.Config, s.timings
	return supervise.Spec{
		Name: name, Kind: "stream", Exchange: s.venue.exchange,
		New:             func() supervise.Actor { return newStreamActor(r, timings) },
		ShutdownTimeout: c.ShutdownTimeout,
		Mailbox:         supervise.Mailbox{Capacity: c.StreamMailbox},
	}
}

// maxAsked bounds the branch's changes under way: its mailbox has room for these
// and for what its children tell it meanwhile.
const maxAsked = 128

// ask has the branch change a child, when its turn comes.
func (s *subscriptions) ask(change any) {
	s.todo = append(s.todo, change)
	s.askNext()
}

func (s *subscriptions) askNext() {
	for s.asked < maxAsked && len(s.todo) > 0 {
		s.asked++
		s.c.Request(s.c.Parent(), pop(&s.todo))
	}
}

// childDone takes the branch's answer.
func (s *subscriptions) childDone(m supervise.ChildReply) {
	s.asked--
	s.askNext()
	if m.Err != nil && !errors.Is(m.Err, supervise.ErrChildExists) && !errors.Is(m.Err, supervise.ErrNoChild) {
		s.c.Log().Error("a child was not started or stopped as asked", zap.String("child", m.Name), zap.Error(m.Err))
	}
	delete(s.starting, m.Name)
	if r, ok := s.leaving[m.Name]; ok {
		delete(s.leaving, m.Name)
		s.left = append(s.left, r)
		r.live.Close()
		r.giveBack(true)
	}
	if k, ok := s.closing[m.Name]; ok {
		delete(s.closing, m.Name)
		s.venue.gone.take(k)
		s.venue.dropSocket(k)
	}
}

// place deals with the sessions, now that every stream is there.
func (s *subscriptions) place() {
	v, table := s.venue, s.venue.table()
	want := map[connectors.Subscription]bool{}
	for _, r := range v.allRoutes() {
		for _, ch := range table.ChannelsFor(kindSet(r.want.Load()).list()) {
			sub := connectors.Subscription{Channel: ch, Instrument: r.instrument}
			if table.Channels[ch].Poll == 0 {
				want[sub] = true
			}
		}
	}
	for _, k := range v.sockets() {
		s.trim(k, want)
	}
	s.add(want)
	s.tellPolls()
	for _, r := range v.allRoutes() {
		if r.want.Load() != 0 {
			continue
		}
		r.final.Store(!s.yielded(r.instrument)) // what is open is the next owner's
		name := streamName(r.instrument)
		s.leaving[name] = r
		s.ask(supervise.RemoveChild{Name: name})
	}
}

// trim takes from a session what is not wanted, and from want what it has.
func (s *subscriptions) trim(k *socket, want map[connectors.Subscription]bool) {
	var drop []connectors.Subscription
	have := k.subscriptions()
	for _, sub := range have {
		if want[sub] {
			delete(want, sub)
		} else {
			drop = append(drop, sub)
		}
	}
	switch {
	case len(drop) == 0:
	case len(drop) == len(have):
		k.clear()
		s.closing[k.name] = k
		s.ask(supervise.RemoveChild{Name: k.name})
	default:
		k.unsubscribe(drop)
	}
}

// add spreads what no session has over the sessions with room, then over new ones.
func (s *subscriptions) add(want map[connectors.Subscription]bool) {
	if len(want) == 0 {
		return
	}
	v := s.venue
	subs := slices.SortedFunc(maps.Keys(want), func(a, b connectors.Subscription) int {
		if c := bySymbol(a.Instrument, b.Instrument); c != 0 {
			return c
		}
		return a.Channel - b.Channel
	})
	there := v.sockets() // what one plan has put on two connections does not fit on one
	for _, conn := range v.table().Wire.Plan(subs) {
		if k := s.roomFor(conn, there); k != nil {
			k.subscribe(conn.Subs)
			continue
		}
		s.sessions++
		k := newSocket(v, s.sessions, conn)
		v.addSocket(k)
		s.starting[k.name] = true
		s.ask(supervise.AddChild{Spec: k.spec()})
	}
}

// roomFor finds a session, of those given, that may take all of a connection's
// subscriptions.
func (s *subscriptions) roomFor(conn connectors.Connection, among []*socket) *socket {
	for _, k := range among {
		if s.closing[k.name] == nil && k.fits(conn) {
			return k
		}
	}
	return nil
}

// tellPolls gives the rest actor the polled channels that are wanted.
func (s *subscriptions) tellPolls() {
	v, table := s.venue, s.venue.table()
	var polls []connectors.Subscription
	for _, r := range v.allRoutes() {
		for _, ch := range table.ChannelsFor(kindSet(r.want.Load()).list()) {
			if table.Channels[ch].Poll > 0 {
				polls = append(polls, connectors.Subscription{Channel: ch, Instrument: r.instrument})
			}
		}
	}
	if err := s.c.System().Tell(v.child(restName), pollPlan{polls}); err != nil {
		s.c.Log().Debug("the rest actor is not there; it asks when it is back", zap.Error(err))
	}
}
