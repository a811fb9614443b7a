package replay

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// site is one host of an exchange: the markets that share it, and everything
// that the captures hold of it. The server's lock guards all that moves.
type site struct {
	venues   []*connectors.Venue
	depths   []int // the levels of each venue's snapshots
	tables   []*market.Instruments
	feeds    []*feed.Feed
	replayer connectors.Replayer

	used bool
	// listings are the recorded lists of instruments by the call's key, listed what
	// they hold of each venue.
	listings map[string][]byte
	listed   [][]*market.Instrument

	seen    map[*market.Instrument]bool
	kinds   []map[market.Kind]bool // of each venue
	topics  map[string]*topic
	shelves map[string]*shelf
	trades  map[*market.Instrument][]market.Trade
	held    int // calls that wait for their place
}

// topic is one channel of one instrument.
type topic struct {
	name     string
	example  []byte // a frame of it; only until the survey is over
	recorded bool   // the captures hold frames of it
	asked    bool
	sockets  []*socket // copied when changed
	// joined is the position at which it was subscribed last.
	joined int64
}

// shelf is the recorded responses to one call.
type shelf struct {
	call           connectors.ReplayCall
	total, reached int
	first, last    []byte
	lastAt         int64 // the position of last
	given          int   // how often last was given since the last subscription
	asked          int
	changed        chan struct{} // closed when another is reached
}

// newSites lists the hosts of the exchanges that can be served.
func newSites(o *Options) ([]*site, error) {
	var list []*site
	for _, x := range o.Exchanges {
		r, ok := x.(connectors.Replayable)
		if !ok || o.Exchange != "" && x.Name() != o.Exchange {
			continue
		}
		cfg := x.DefaultConfig()
		for _, m := range market.Markets() {
			mc, has := cfg.Markets[m.String()]
			if !has || o.Market != "" && o.Market != m.String() {
				continue
			}
			v, err := x.Venue(m, mc)
			if err != nil {
				return nil, err
			}
			rep, err := r.Replayer(m)
			if err != nil {
				return nil, err
			}
			list = addVenue(list, v, mc.Depth, rep)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no exchange %q with a market %q can be served", o.Exchange, o.Market)
	}
	return list, nil
}

func addVenue(list []*site, v *connectors.Venue, depth int, r connectors.Replayer) []*site {
	i := slices.IndexFunc(list, func(s *site) bool {
		return slices.ContainsFunc(v.Hosts, s.serves)
	})
	if i < 0 {
		i = len(list)
		list = append(list, &site{
			replayer: r, seen: map[*market.Instrument]bool{}, topics: map[string]*topic{}, shelves: map[string]*shelf{},
			listings: map[string][]byte{}, trades: map[*market.Instrument][]market.Trade{},
		})
	}
	s := list[i]
	s.venues, s.depths = append(s.venues, v), append(s.depths, depth)
	s.listed = append(s.listed, nil)
	s.tables, s.kinds = append(s.tables, nil), append(s.kinds, map[market.Kind]bool{})
	return list
}

func (s *site) serves(host string) bool {
	return slices.ContainsFunc(s.venues, func(v *connectors.Venue) bool { return slices.Contains(v.Hosts, host) })
}

func (s *site) topic(name string) *topic {
	t := s.topics[name]
	if t == nil {
		t = &topic{name: name, joined: -1}
		s.topics[name] = t
	}
	return t
}

func (s *site) shelf(c connectors.ReplayCall) *shelf {
	sh := s.shelves[c.Key]
	if sh == nil {
		sh = &shelf{call: c, changed: make(chan struct{})}
		s.shelves[c.Key] = sh
	}
	return sh
}

// settle is called when the survey is over.
func (s *site) settle() {
	for i, v := range s.venues {
		// A list of none, as of a market that the host had not yet, is no list.
		if s.tables[i] = market.NewInstruments(s.listed[i]); len(s.listed[i]) == 0 {
			s.tables[i] = v.Builtin()
		}
		s.feeds = append(s.feeds, feed.New(v, s.tables[i], feed.Options{Depth: s.depths[i]}))
	}
	for _, t := range s.topics {
		s.examine(t)
	}
}

// examine finds out which instrument and kinds a topic is of.
func (s *site) examine(t *topic) {
	var batch market.Batch
	for i, v := range s.venues {
		// What is not understood is served all the same.
		if _, err := v.NewDecoder(s.tables[i]).Decode(t.example, connectors.Receipt{}, &batch); err != nil || batch.Len() == 0 {
			batch.Reset()
			continue
		}
		for r := range batch.All() {
			s.seen[r.Head().Instrument] = true
			s.kinds[i][r.Kind()] = true
		}
		break
	}
	t.example = nil
}

// instruments are those of all markets. When the captures show which ones they
// hold, only those are open for trading.
func (s *site) instruments() []*market.Instrument {
	var list []*market.Instrument
	for _, t := range s.tables {
		for _, i := range t.All() {
			own := *i
			own.Trading = i.Trading && (len(s.seen) == 0 || s.seen[i])
			list = append(list, &own)
		}
	}
	return list
}

// endpoints are the markets that the captures hold something of; all of the host
// when it cannot be told.
func (s *site) endpoints(listen string) []Endpoint {
	var list, all []Endpoint
	for i, v := range s.venues {
		e := Endpoint{Exchange: v.Exchange, Market: v.Market.String(), WSURL: "ws://" + listen, RESTURL: "http://" + listen}
		for inst := range s.seen {
			if inst.Market == v.Market {
				e.Symbols = append(e.Symbols, inst.Symbol)
			}
		}
		for _, k := range market.Kinds() {
			if s.kinds[i][k] {
				e.DataTypes = append(e.DataTypes, k.String())
			}
		}
		slices.Sort(e.Symbols)
		all = append(all, e)
		if len(e.Symbols) > 0 {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return all
	}
	return list
}

// learn keeps what calls may be composed from.
func (s *site) learn(rec *connectors.CaptureRecord, out *stream.Output) {
	for i, f := range s.feeds {
		// A frame that cannot be decoded is sent as it is, and teaches nothing.
		received, note, err := f.Frame(rec.Body, connectors.Receipt{Time: rec.Time, Conn: rec.Conn}, out)
		if err == nil && note.Reason == connectors.UnknownSymbol && i+1 < len(s.feeds) {
			continue
		}
		if err == nil {
			s.keepTrades(received)
		}
		break
	}
	out.Reset()
}

// learnResponse does the same with a response.
func (s *site) learnResponse(rec *connectors.CaptureRecord, u *url.URL, out *stream.Output) {
	for i, f := range s.feeds {
		req, ok := f.Venue.REST.Recognise(u, s.tables[i])
		if !ok || req.Kind == connectors.NeedInstruments {
			continue
		}
		if received, err := f.Response(req, rec.Body, connectors.Receipt{Time: rec.Time}, out); err == nil {
			s.keepTrades(received)
		}
		break
	}
	out.Reset()
}

// maxTrades is the number of trades of an instrument that are kept.
const maxTrades = 100_000

func (s *site) keepTrades(b *market.Batch) {
	if b.Count(market.KindTrade) == 0 {
		return
	}
	for t := range market.Rows[market.Trade](b) {
		if t.Flags&market.FlagAggregate != 0 {
			continue
		}
		list := s.trades[t.Instrument]
		at, known := slices.BinarySearchFunc(list, t, func(a market.Trade, b *market.Trade) int { return a.ID.Cmp(b.ID) })
		if known {
			continue
		}
		if list = slices.Insert(list, at, *t); len(list) > maxTrades {
			list = slices.Delete(list, 0, len(list)-maxTrades*9/10)
		}
		s.trades[t.Instrument] = list
	}
}

// snapshotLevels is how many levels a composed snapshot has at most.
const snapshotLevels = 5000

// state is what a call may be composed from.
func (s *site) state(c connectors.ReplayCall, now int64) *connectors.ReplayState {
	st := &connectors.ReplayState{Time: now}
	if c.Kind == connectors.NeedInstruments {
		st.Instruments = s.instruments()
		return st
	}
	for i, table := range s.tables {
		inst, ok := table.Native([]byte(c.Symbol))
		if !ok {
			continue
		}
		st.Instruments, st.Trades = []*market.Instrument{inst}, s.trades[inst]
		if c.Kind == connectors.NeedSnapshot {
			st.Book = bookOf(s.feeds[i].Stream(inst), cmp.Or(c.Limit, snapshotLevels))
		}
	}
	return st
}

// bookOf is the book of a stream where it is right.
func bookOf(s *stream.Stream, n int) *connectors.ReplayBook {
	b, status := s.Book()
	if status.State != stream.Live || status.Time == 0 {
		return nil
	}
	return &connectors.ReplayBook{Seq: status.Seq, Time: status.Time, Bids: b.AppendBids(nil, n), Asks: b.AppendAsks(nil, n)}
}
