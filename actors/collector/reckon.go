package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

const (
	// MaxCoverage is the longest time that one question covers.
	MaxCoverage = 31 * 24 * time.Hour
	// ledgerLimit bounds the entries that one question reads, the newest.
	ledgerLimit = 20_000
	// coveragesAtOnce bounds the streams that a question about all asks for at a time.
	coveragesAtOnce = 8
)

// Coverage says how complete one stream is in the store, over any restart: reckoned
// from the gap ledger and the records themselves.
//
// A stream is covered while no channel of it has a gap that is open or marked: of a
// healed one every record is there. What is not yet known to be missing (a stream
// that still asks storage what was stored before its start) has no length.
type Coverage struct {
	Instrument *market.Instrument
	// From and To are the time asked about, Unix ns, half-open. Since is when the
	// first record of the stream was received, 0 when none is stored: before it
	// nothing was to be covered, nor is after now.
	From, To, Since int64
	// Percent is the time covered over the time to be covered; -1 for none.
	Percent float64
	// Verified is the records that a sequence or a checksum proves over all that are
	// stored, in percent; -1 where none are stored, or they were not counted.
	Verified         float64
	Records          int64
	ObservedNS, Live int64
	Days, Buckets    []CoverageBucket
	// Gaps are the entries of the ledger that touch the time, newest first; Truncated
	// says that older ones were left out, and count as covered.
	Gaps      []market.Gap
	Truncated bool
}

// CoverageBucket is a stretch of it: of the clock, or a UTC day.
type CoverageBucket struct {
	Start, End int64 // Unix ns
	// Observed is the time to be covered, Live the time covered; ns.
	Observed, Live    int64
	Records, Verified int64
	Gaps              int64 // that begin in it
}

// ErrNoStore: there is no store to ask.
var ErrNoStore = errors.New("no store to ask")

// Coverage reckons one stream, from from to to (at most MaxCoverage), in buckets of
// a multiple of 15 minutes. count counts the records too, which reads them all.
// Errors as [Collector.Quality], [ErrNoStore], [InvalidError], those of the store.
func (c *Collector) Coverage(ctx context.Context, exchange, marketWord, symbol string, from, to time.Time, width time.Duration, count bool) (Coverage, error) {
	r, err := c.route(exchange, marketWord, symbol)
	if err != nil {
		return Coverage{}, err
	}
	return r.coverage(ctx, from, to, width, count)
}

// AllCoverage reckons every stream, by exchange, market and symbol, without buckets,
// counts and healed gaps. Errors as [Collector.Coverage].
func (c *Collector) AllCoverage(ctx context.Context, from, to time.Time) ([]Coverage, error) {
	var all []*route
	for _, v := range c.venues {
		all = append(all, v.allRoutes()...)
	}
	slices.SortFunc(all, func(a, b *route) int { return a.instrument.ID().Compare(b.instrument.ID()) })
	out, errs := make([]Coverage, len(all)), make([]error, len(all))
	places := make(chan struct{}, coveragesAtOnce)
	var running sync.WaitGroup
	for i, r := range all {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if errs[i] = ctx.Err(); errs[i] != nil {
				return
			}
			out[i], errs[i] = r.coverage(ctx, from, to, 0, false)
			out[i].Buckets = nil
			out[i].Gaps = slices.DeleteFunc(out[i].Gaps, func(g market.Gap) bool { return g.Outcome == market.OutcomeHealed })
		})
	}
	running.Wait()
	return out, errors.Join(errs...)
}

func (r *route) coverage(ctx context.Context, from, to time.Time, width time.Duration, count bool) (Coverage, error) {
	o := r.venue.opts
	switch {
	case o.Reader == nil:
		return Coverage{}, ErrNoStore
	case !from.Before(to) || to.Sub(from) > MaxCoverage:
		return Coverage{}, &InvalidError{Field: "from", Value: from.String()}
	}
	c := Coverage{Instrument: r.instrument, From: from.UnixNano(), To: to.UnixNano(), Percent: -1, Verified: -1, Gaps: []market.Gap{}}
	var err error
	if c.Since, err = r.firstReceived(ctx); err != nil {
		return c, err
	}
	now := r.venue.now()
	lost, err := r.uncovered(ctx, &c, now)
	if err != nil {
		return c, err
	}
	quarters := slots(c.From, c.To, int64(bucketLength))
	if c.Since != 0 {
		for i := range quarters {
			q := &quarters[i]
			begin, end := max(q.Start, c.From, c.Since), min(q.End, c.To, now)
			if q.Observed = max(0, end-begin); q.Observed > 0 {
				q.Live = q.Observed - overlap(lost, begin, end)
			}
		}
	}
	for i := range c.Gaps {
		if q := slotOf(quarters, c.Gaps[i].FromTime); q != nil {
			q.Gaps++
		}
	}
	if count && c.Since != 0 {
		if err := r.count(ctx, quarters, c.From, min(c.To, now)); err != nil {
			return c, err
		}
	}
	c.sum(quarters, width)
	return c, nil
}

// sum puts the quarters of an hour together.
func (c *Coverage) sum(quarters []CoverageBucket, width time.Duration) {
	var all CoverageBucket
	for i := range quarters {
		all.add(&quarters[i])
	}
	c.ObservedNS, c.Live, c.Records = all.Observed, all.Live, all.Records
	c.Percent, c.Verified = percent(all.Live, all.Observed), percent(all.Verified, all.Records)
	c.Days = wider(quarters, int64(24*time.Hour))
	c.Buckets = wider(quarters, int64(max(bucketLength, width-width%bucketLength)))
}

func (b *CoverageBucket) add(o *CoverageBucket) {
	b.Observed += o.Observed
	b.Live += o.Live
	b.Records += o.Records
	b.Verified += o.Verified
	b.Gaps += o.Gaps
}

func wider(quarters []CoverageBucket, width int64) (out []CoverageBucket) {
	for i := range quarters {
		start := quarters[i].Start - quarters[i].Start%width
		if n := len(out); n == 0 || out[n-1].Start != start {
			out = append(out, CoverageBucket{Start: start, End: start + width})
		}
		out[len(out)-1].add(&quarters[i])
	}
	return out
}

// slots are the stretches of the clock that touch a time.
func slots(from, to, width int64) (out []CoverageBucket) {
	for start := from - from%width; start < to; start += width {
		out = append(out, CoverageBucket{Start: start, End: start + width})
	}
	return out
}

func slotOf(slots []CoverageBucket, t int64) *CoverageBucket {
	if len(slots) == 0 || t < slots[0].Start {
		return nil
	}
	i := (t - slots[0].Start) / (slots[0].End - slots[0].Start)
	if i >= int64(len(slots)) {
		return nil
	}
	return &slots[i]
}

// stretch is a time, Unix ns, half-open.
type stretch struct{ from, to int64 }

// uncovered reads the ledger: the entries that touch c's time, and the time that they
// leave uncovered, ascending, without overlaps.
func (r *route) uncovered(ctx context.Context, c *Coverage, now int64) (all []stretch, err error) {
	id := r.instrument.ID()
	rows, err := r.venue.opts.Reader.Query(ctx, persistence.Query{
		Kind: market.KindGap, Stream: &id, To: c.To, Newest: true, Limit: ledgerLimit, Origin: persistence.OriginCollected,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of %v: %w", id, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	read := 0
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		read += n
		for g := range market.Rows[market.Gap](&b) {
			end := g.ToTime
			if end == 0 {
				end = now
			}
			if end < c.From {
				continue
			}
			own := *g
			own.Instrument = r.instrument
			c.Gaps = append(c.Gaps, own)
			if g.Outcome != market.OutcomeHealed && end > g.FromTime {
				all = append(all, stretch{g.FromTime, end})
			}
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			c.Truncated = read >= ledgerLimit
			return joined(all), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the ledger of %v: %w", id, err)
		}
	}
}

// joined puts overlapping stretches together, ascending.
func joined(all []stretch) (out []stretch) {
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// overlap is how much of a time the stretches take, which do not overlap each other.
func overlap(all []stretch, from, to int64) (n int64) {
	for _, s := range all {
		n += max(0, min(s.to, to)-max(s.from, from))
	}
	return n
}

// firstReceived is when the first record of the stream that was not fetched later was
// received, Unix ns; 0 when there is none. Once known it is not asked for again.
func (r *route) firstReceived(ctx context.Context) (int64, error) {
	if t := r.history.begun.Load(); t != 0 {
		return t, nil
	}
	first := int64(0)
	var later []market.Kind // that begin with what was fetched later
	for _, k := range r.storedKinds().list() {
		t, backfilled, err := r.firstOf(ctx, k, 1)
		if err != nil {
			return 0, err
		}
		if backfilled {
			later = append(later, k)
		} else if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	// What begins with its past is read through to its present where nothing else
	// tells when that began.
	for _, k := range later {
		if first != 0 {
			break
		}
		var err error
		if first, _, err = r.firstOf(ctx, k, 0); err != nil {
			return 0, err
		}
	}
	r.history.begun.Store(first)
	return first, nil
}

// firstOf is when the first record of a kind was received that was not fetched later,
// of the first limit ones, 0 for none; backfilled says that there are others.
func (r *route) firstOf(ctx context.Context, k market.Kind, limit int) (first int64, backfilled bool, err error) {
	id := r.instrument.ID()
	rows, err := r.venue.opts.Reader.Query(ctx, persistence.Query{
		Kind: k, Stream: &id, Limit: limit, Origin: persistence.OriginCollected,
		Columns: []string{market.FieldReceiveTime.Column, market.FieldFlags.Column},
	})
	if err != nil {
		return 0, false, fmt.Errorf("looking for the first %s of %v: %w", k, id, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		for rec := range b.All() {
			if !rec.Head().Flags.Has(market.FlagBackfilled) {
				return rec.Head().ReceiveTime, backfilled, nil
			}
			backfilled = true
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return 0, backfilled, nil
		}
		if err != nil {
			return 0, false, fmt.Errorf("looking for the first %s of %v: %w", k, id, err)
		}
	}
}

// storedKinds are what is subscribed and stored as the exchange sent it.
func (r *route) storedKinds() (s kindSet) {
	for _, k := range (kindSet(r.want.Load()) &^ derived).list() {
		if k.Table() != "" {
			s |= kindsOf(k)
		}
	}
	return s
}

// counter counts at the store, where that is another process.
type counter interface {
	Count(ctx context.Context, kind market.Kind, stream market.StreamID, from, to int64, width time.Duration) ([]persistence.Tally, error)
}

// count counts the records of every channel.
func (r *route) count(ctx context.Context, quarters []CoverageBucket, from, to int64) error {
	reader, id := r.venue.opts.Reader, r.instrument.ID()
	if to <= from {
		return nil
	}
	for _, k := range r.storedKinds().list() {
		var found []persistence.Tally
		var err error
		if far, ok := reader.(counter); ok {
			found, err = far.Count(ctx, k, id, from, to, bucketLength)
		} else {
			found, err = persistence.Count(ctx, reader.Query, k, id, from, to, bucketLength)
		}
		if err != nil {
			return fmt.Errorf("counting the %s records of %v: %w", k, id, err)
		}
		for _, t := range found {
			if q := slotOf(quarters, t.Start); q != nil {
				q.Records += t.Records
				q.Verified += t.Verified
			}
		}
	}
	return nil
}
