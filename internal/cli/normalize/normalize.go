// Package normalize is the pure way from a capture to records: the same decoders
// and the same step function as the live collector, without sockets, clocks or a
// store. The same bytes in give the same records out.
package normalize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// Options say what to read and what to emit.
type Options struct {
	// Name of the capture, for the report.
	Name string
	// Exchange and Market restrict; both empty lets the capture's URLs tell.
	Exchange, Market string
	// Kinds are emitted; empty means every kind but book_top.
	Kinds []market.Kind
	// BookDepth and BookInterval make book_snapshot records; 0 makes none.
	BookDepth    int
	BookInterval time.Duration
}

// ErrVenue says that the capture does not tell where it is from.
var ErrVenue = errors.New("the capture does not say which exchange and market it is from: give --exchange and --market")

// Run reads a capture twice, once to learn where it is from and which
// instruments there are, then to emit its records in frame order. open gives the
// capture from its beginning each time. The report is complete as far as the
// capture could be read, also when an error is returned: a
// *connectors.CaptureError names the line.
func Run(ctx context.Context, all []connectors.Exchange, open func() (io.ReadCloser, error), emit func(market.Record) error, o Options) (*Report, error) {
	n := &normaliser{options: o, emit: emit, tally: newTally(o.Name)}
	for _, k := range o.Kinds {
		n.wanted[k] = true
	}
	var err error
	if n.sites, err = newSites(all, o.Exchange, o.Market); err != nil {
		return n.tally.finish(nil), err
	}
	begin := time.Now()
	if err := n.pass(ctx, open, n.survey); err != nil && !errors.Is(err, connectors.ErrTruncated) {
		return n.tally.finish(nil), err
	}
	if err := n.settle(); err != nil {
		return n.tally.finish(nil), err
	}
	err = n.pass(ctx, open, n.record)
	n.finish()
	n.tally.report.ElapsedSeconds = time.Since(begin).Seconds()
	return n.tally.finish(n.feeds), errors.Join(err, n.emitErr)
}

// Place is where a capture is from.
type Place struct {
	Venue *connectors.Venue
	// Known are the instruments of the capture, else the built-in ones.
	Known *market.Instruments
	// Depth is the number of levels of the venue's snapshots.
	Depth int
}

// Locate finds where a capture is from: the first market of its host that knows
// the symbols of the frames.
func Locate(ctx context.Context, all []connectors.Exchange, open func() (io.ReadCloser, error), o Options) (Place, error) {
	o.Kinds = []market.Kind{}
	n := &normaliser{options: o, emit: func(market.Record) error { return nil }, tally: newTally("")}
	var err error
	if n.sites, err = newSites(all, o.Exchange, o.Market); err != nil {
		return Place{}, err
	}
	err = n.pass(ctx, open, n.survey)
	if err != nil && !errors.Is(err, connectors.ErrTruncated) {
		return Place{}, err
	}
	if err := n.settle(); err != nil {
		return Place{}, err
	}
	at := n.sites.only
	found := Place{Venue: at.venues[0], Known: at.tables[0], Depth: n.sites.depths[at.venues[0]]}
	return found, err
}

type normaliser struct {
	options Options
	sites   *sites
	feeds   []*feed.Feed
	emit    func(market.Record) error
	emitErr error
	wanted  [market.NumKinds]bool
	tally   *tally
	out     stream.Output
	last    int64
	// lists are the parts of the venues' lists of instruments.
	lists map[*connectors.Venue]map[int][]*market.Instrument
}

// table is a venue's instruments: those that the capture lists, else the
// built-in ones.
func (n *normaliser) table(v *connectors.Venue) *market.Instruments {
	parts := n.lists[v]
	if len(parts) == 0 {
		return v.Builtin()
	}
	var all []*market.Instrument
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, parts[part]...)
	}
	return market.NewInstruments(all)
}

func (n *normaliser) pass(ctx context.Context, open func() (io.ReadCloser, error), each func(*connectors.CaptureRecord)) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		return err
	}
	for ctx.Err() == nil && n.emitErr == nil {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		each(rec)
	}
	return ctx.Err()
}

// survey learns from the records that carry a URL.
func (n *normaliser) survey(r *connectors.CaptureRecord) {
	if r.Dir != connectors.CaptureOpen && r.Dir != connectors.CaptureHTTP {
		return
	}
	at, u := n.sites.at(r.URL)
	if at == nil {
		return
	}
	if n.sites.only == nil {
		n.sites.only = at
	}
	if r.Dir == connectors.CaptureOpen {
		n.sites.byConn[r.Conn] = at
		return
	}
	for _, v := range at.venues {
		req, ok := recognise(v, u, market.NewInstruments(nil))
		if !ok || req.Kind != connectors.NeedInstruments {
			continue
		}
		list, err := v.REST.Instruments(r.Body)
		if err != nil {
			n.tally.failed(r.Line, fmt.Errorf("instruments: %w", err))
			continue
		}
		if n.lists == nil {
			n.lists = map[*connectors.Venue]map[int][]*market.Instrument{}
		}
		if n.lists[v] == nil {
			n.lists[v] = map[int][]*market.Instrument{}
		}
		n.lists[v][req.Part] = list // the newest of each part
	}
}

func recognise(v *connectors.Venue, u *url.URL, known *market.Instruments) (connectors.Request, bool) {
	if v.REST == nil {
		return connectors.Request{}, false
	}
	return v.REST.Recognise(u, known)
}

// settle makes a feed for each venue of the capture.
func (n *normaliser) settle() error {
	if n.sites.only == nil {
		return ErrVenue
	}
	seen := map[*site]bool{}
	order := []*site{n.sites.only}
	for _, at := range n.sites.byConn {
		order = append(order, at)
	}
	for _, at := range n.sites.byHost {
		order = append(order, at)
	}
	for _, at := range order {
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, v := range at.venues {
			table := n.table(v)
			f := feed.New(v, table, feed.Options{
				Depth: n.sites.depths[v], BookDepth: n.options.BookDepth, BookInterval: n.options.BookInterval,
				Tops: n.wanted[market.KindBookTop],
			})
			at.feeds, at.tables = append(at.feeds, f), append(at.tables, table)
			n.feeds = append(n.feeds, f)
		}
	}
	return nil
}

// record takes one record of the capture.
func (n *normaliser) record(r *connectors.CaptureRecord) {
	n.last = r.Time
	switch r.Dir {
	case connectors.CaptureIn:
		n.frame(r)
	case connectors.CaptureHTTP:
		n.response(r)
	}
}

func (n *normaliser) frame(r *connectors.CaptureRecord) {
	n.tally.report.Frames++
	n.tally.report.Bytes += int64(len(r.Body))
	at := n.sites.of(r.Conn)
	for i, f := range at.feeds {
		received, note, err := f.Frame(r.Body, connectors.Receipt{Time: r.Time, Conn: r.Conn}, &n.out)
		switch {
		case err != nil:
			n.tally.failed(r.Line, err)
		case received.Len() > 0:
			n.tally.received(received)
		case note.Reason == connectors.UnknownSymbol && i+1 < len(at.feeds):
			continue // another market of the same host may know it
		default:
			n.tally.silent(note)
		}
		n.flush()
		return
	}
}

func (n *normaliser) response(r *connectors.CaptureRecord) {
	at, u := n.sites.at(r.URL)
	if at == nil {
		at = n.sites.only
		var err error
		if u, err = url.Parse(r.URL); err != nil {
			n.tally.failed(r.Line, err)
			return
		}
	}
	for i, f := range at.feeds {
		req, ok := recognise(f.Venue, u, at.tables[i])
		if !ok {
			continue
		}
		n.tally.report.Responses[req.Kind.String()]++
		if req.Kind == connectors.NeedInstruments {
			continue
		}
		received, err := f.Response(req, r.Body, connectors.Receipt{Time: r.Time}, &n.out)
		if err != nil {
			n.tally.failed(r.Line, err)
		} else {
			n.tally.received(received)
		}
		n.flush()
		return
	}
	n.tally.report.Responses["unknown"]++
}

// flush emits what a step gave. Requests have no one to answer them here: what
// the capture holds is all there is.
func (n *normaliser) flush() {
	for _, r := range n.out.Records {
		if g, ok := r.(*market.Gap); ok {
			n.tally.gap(g)
		}
		if n.emitErr != nil || !n.emits(r.Kind()) {
			continue
		}
		n.tally.report.Records++
		n.emitErr = n.emit(r)
	}
	n.out.Reset()
}

func (n *normaliser) emits(k market.Kind) bool { return len(n.options.Kinds) == 0 || n.wanted[k] }

// finish closes the ledger: what is missing now stays missing.
func (n *normaliser) finish() {
	for _, f := range n.feeds {
		for _, s := range f.Streams() {
			s.Finish(n.last, &n.out)
			n.flush()
		}
	}
}
