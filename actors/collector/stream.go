package collector

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
	"github.com/marketprism/marketprism/persistence"
)

// phase is where a stream actor is in its life; doc.go draws how they follow
// each other.
type phase uint8

const (
	resuming phase = iota
	stepping
	draining
)

// Messages of a stream actor, beside deliveries and the questions of façades.
type (
	// interruption: nothing more comes of these kinds for now.
	interruption struct {
		kinds kindSet
		cause string
		time  int64 // Unix ns
	}
	// arrival: a live session delivers these kinds from now on.
	arrival struct{ kinds kindSet }
	// overflow: the mailbox refused deliveries; route.lost says of which kinds.
	overflow struct{}
	// widened: these kinds are wanted too, and nothing of them has come yet.
	widened struct{ kinds kindSet }
	// polled: records fetched by REST.
	polled struct {
		batch  *market.Batch
		memory int64 // bytes
	}
	// beat comes once a second, retryJournal while the journal refuses.
	beat         struct{}
	retryJournal struct{}
)

const (
	beatEvery         = time.Second
	retryJournalEvery = 250 * time.Millisecond
)

// streamActor drives the step function of one instrument.
type streamActor struct {
	route *route
	venue *venue
	opts  *Options

	c       *supervise.Context
	born    uint64 // incarnation
	phase   phase
	config  stream.Config
	stream  *stream.Stream
	desk    *desk   // while a message is handled
	proven  kindSet // kinds whose losses sequences show
	timings []latencies
	recall  supervise.InFlight
	unknown ignorance
	held    *held // nil: nothing
	// awaited are kinds of which storage has not yet said what it has: their records
	// are held. unasked are those it was not yet asked for, known what it has said.
	awaited, unasked kindSet
	known            remembered

	json     market.JSON
	subjects [market.NumKinds]string // as they are needed

	recorder persistence.Recorder
	open     *entry
	cause    string // why the journal refused last
	retrying bool

	errands  errands
	takeover takeover
	due      []any

	before []stream.ChannelStats // of earlier incarnations
	seen   tally                 // at the last beat
}

func newStreamActor(r *route, timings []latencies) *streamActor {
	v := r.venue
	s := &streamActor{route: r, venue: v, opts: v.opts, timings: timings}
	c := v.opts.Config
	s.config = feed.StreamConfig(v.table(), r.instrument, feed.Options{
		Epoch: r.epoch, Depth: v.made.Load().cfg.Depth, Refresh: true,
		BookDepth: c.BookDepth, BookInterval: c.BookInterval, Tops: c.BookTops, MaxUnasked: maxUnasked,
	})
	for k, p := range s.config.Proofs {
		if p == stream.Contiguous || p == stream.Chained {
			s.proven |= kindsOf(k)
		}
	}
	s.stream = stream.New(s.config)
	return s
}

// Receive handles one message, and whatever waits on the lane.
func (s *streamActor) Receive(c *supervise.Context) {
	well := false
	defer func() {
		if !well {
			s.route.crashed.Store(true)
		}
	}()
	s.sit()
	switch m := c.Message().(type) {
	case *connectors.Delivery:
		s.deliver(m)
	case *part:
		s.deliverPart(m)
	case *actor.Started:
		s.start(c)
	case *actor.Stopping:
		s.stop()
	case wake:
		s.route.poked.Store(false)
	default:
		s.handle(m)
	}
	s.settle()
	s.rise()
	well = true
}

// handle takes the rarer messages, from the mailbox or from the lane.
func (s *streamActor) handle(message any) {
	switch m := message.(type) {
	case *polled:
		s.handled(m.memory)
		s.take(m.batch, nil)
	case interruption, arrival, overflow:
		s.happened(m)
	case widened:
		s.widen(m.kinds)
	case *journalRefusal:
		s.journalRefused(m)
	case bookAsked:
		s.bookAsked(m)
	case *fetched:
		s.fetched(m)
	case renewDue:
		s.errands.renewNow(s)
	case restBack:
		s.errands.resend(s)
	case handedOver:
		s.takeover.end(s, m)
	case remembered:
		s.resume(m)
	case lessons:
		s.learned(m)
	case beat:
		s.beat()
	case retryJournal:
		s.retrying = false
		s.retryJournal()
	case bookQuestion:
		s.c.Respond(s.book(m.depth))
	case bookRefresh:
		s.refresh()
	case refetch:
		s.c.Respond(refetched{gaps: s.errands.resend(s)})
	}
}

func (s *streamActor) start(c *supervise.Context) {
	s.c, s.born = c, s.route.begin(c)
	s.before = s.route.figures.Load().channels
	s.seen = tallyOf(s.before)
	s.unknown.since = s.venue.now()
	s.recorder = s.opts.Recorder(s.route.instrument.ID())
	c.Every(beatEvery, beat{})
	s.awaited = kindSet(s.route.want.Load()) &^ derived
	s.unasked = s.awaited
	if s.takeover.start(s) {
		s.remember()
	}
	s.figure()
}

// settle handles what is due on the lane.
func (s *streamActor) settle() {
	for {
		s.due = s.route.lane.take(s.route.handled.Load(), s.due[:0])
		if len(s.due) == 0 {
			break
		}
		for i, m := range s.due {
			s.due[i] = nil
			s.handle(m)
		}
	}
	if s.route.live.Asked() {
		s.route.live.Stepped(s)
	}
	s.flushHungry()
}

// deliver takes one frame's records.
func (s *streamActor) deliver(d *connectors.Delivery) {
	s.arrived(d, d.Memory)
	s.take(&d.Batch, nil)
	s.timePublished(d)
	d.Release()
}

// deliverPart takes this stream's records of a frame.
func (s *streamActor) deliverPart(p *part) {
	s.arrived(p.of.delivery, p.memory)
	s.take(&p.of.delivery.Batch, p.instrument)
	s.timePublished(p.of.delivery)
	p.of.release()
	*p = part{}
	s.venue.parts.Put(p)
}

// handled counts what was taken out of the mailbox, memory bytes of it.
func (s *streamActor) handled(memory int64) {
	s.route.handled.Add(1)
	s.route.room.signal()
	s.route.opened(memory)
}

func (s *streamActor) arrived(d *connectors.Delivery, memory int64) {
	s.handled(memory)
	n := &s.route.counts
	n.deliveries.Add(1)
	n.last.Store(d.Time)
	if at := d.Note.Channel; at >= 0 && at < len(s.timings) && d.Batch.Len() > 0 {
		if t := d.Batch.At(0).Head().ExchangeTime; t != 0 {
			s.timings[at].exchangeToReceive.Observe(float64(d.Time-t) / 1e9)
		}
	}
}

func (s *streamActor) timePublished(d *connectors.Delivery) {
	if at := d.Note.Channel; at >= 0 && at < len(s.timings) && s.phase != resuming {
		s.timings[at].receiveToPublish.Observe(float64(s.venue.now()-d.Time) / 1e9)
	}
}

// take steps records, all or those of one instrument, or holds them.
func (s *streamActor) take(b *market.Batch, only *market.Instrument) {
	for i := range b.Len() {
		r := b.At(i)
		switch {
		case only != nil && r.Head().Instrument != only:
		case s.phase == resuming || s.awaited.has(r.Kind()):
			s.hold(r)
		default:
			s.stream.Step(r, &s.desk.out)
		}
	}
	s.emit()
}

// apply tells the step function what happened to its channels.
func (s *streamActor) apply(message any) {
	switch m := message.(type) {
	case *fetched:
		s.fetchedBook(m)
		return
	case interruption:
		if m.cause == market.CauseMalformed {
			m.kinds &^= s.proven // a sequence shows what it held, if it was theirs
		}
		if m.kinds != 0 {
			s.stream.Interrupted(m.cause, m.time, &s.desk.out, m.kinds.list()...)
		}
	case overflow:
		// A sequence shows by itself what is missing, and exactly.
		if lost := kindSet(s.route.lost.Swap(0)) &^ s.proven; lost != 0 {
			s.stream.Interrupted(market.CauseNoCredit, s.venue.now(), &s.desk.out, lost.list()...)
		}
	case arrival:
		// An exchange that sends the book first has done so when it acknowledged.
		if m.kinds.has(market.KindBookDelta) && !s.config.SnapshotsInBand {
			s.stream.Subscribed(&s.desk.out)
		}
	}
	s.emit()
}

// emit passes on what the step function produced.
func (s *streamActor) emit() {
	if n := len(s.desk.out.Records); n > 0 {
		s.route.counts.records.Add(uint64(n))
		for _, r := range s.desk.out.Records {
			s.publish(r)
			switch r := r.(type) {
			case *market.Trade:
				s.route.history.trade(r)
			case *market.Gap:
				s.route.history.gap(r)
				s.noteBoundless(r)
			}
		}
		s.record(s.desk.out.Records)
	}
	s.route.live.Stepped(s)
	for _, q := range s.desk.out.Requests {
		s.errands.ask(s, q)
	}
	s.desk.out.Reset()
}

// publish puts a record on the live plane, at most once and kept nowhere, and
// hands it to those who follow the stream.
func (s *streamActor) publish(r market.Record) {
	followed := s.route.live.Wants(r.Kind())
	if s.opts.Publisher == nil && !followed {
		return
	}
	text := s.json.Append(s.desk.text[:0], r)
	s.desk.text = text
	if followed {
		s.route.live.Publish(r, text)
	}
	if s.opts.Publisher == nil {
		return
	}
	if err := s.opts.Publisher.Publish(s.subject(r.Kind()), text); err != nil {
		s.route.counts.publishErrors.Add(1)
		return
	}
	s.route.counts.published.Add(1)
}

// subject is where records of a kind go on the live plane.
func (s *streamActor) subject(k market.Kind) string {
	if s.subjects[k] == "" {
		i := s.route.instrument
		s.subjects[k] = "md.v1." + k.String() + "." + market.SubjectToken(i.Exchange) + "." +
			market.SubjectToken(i.Market.String()) + "." + market.SubjectToken(i.Symbol)
	}
	return s.subjects[k]
}

func (s *streamActor) book(depth int) any {
	if !s.hasBook() {
		return ErrNoBook
	}
	b, st := s.stream.Book()
	o := OrderBook{
		Instrument: s.route.instrument, State: st.State.String(), Sequence: st.Seq, Time: st.Time, Received: st.Received, Age: -1,
		Bids: b.AppendBids(nil, depth), Asks: b.AppendAsks(nil, depth),
	}
	o.BidLevels, o.AskLevels = b.Len()
	o.ProvenBids, o.ProvenAsks = b.Proven()
	if st.Received != 0 {
		o.Age = max(0, float64(s.venue.now()-st.Received)/1e9)
	}
	return o
}

func (s *streamActor) refresh() {
	if !s.hasBook() {
		s.c.Respond(ErrNoBook)
		return
	}
	if s.phase == stepping {
		s.stream.RefreshBook(&s.desk.out)
		s.emit()
	}
	s.c.Respond(refreshed{})
}

func (s *streamActor) hasBook() bool {
	return s.config.Rules != nil && kindSet(s.route.want.Load())&bookKinds != 0
}

// bookKinds need a book.
var bookKinds = kindsOf(market.KindBookDelta, market.KindBookSnapshot, market.KindBookTop)

// Drain implements supervise.Drainer: the mailbox is empty, and nothing more will
// come.
func (s *streamActor) Drain(*supervise.Context) {
	s.sit()
	wasStepping := s.phase == stepping
	s.phase = draining
	if wasStepping && s.route.final.Load() {
		s.stream.Finish(s.venue.now(), &s.desk.out)
		s.emit()
	}
	s.route.hungry.Store(true)
	s.flushHungry()
	s.rise()
}

func (s *streamActor) stop() {
	s.figure()
	if left := s.route.flight.count(); left > 0 && s.phase == draining {
		s.c.Log().Warn("stopped before the journal had acknowledged everything", zap.Int("entries", left))
	}
}
