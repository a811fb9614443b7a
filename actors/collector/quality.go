package collector

import (
	"context"
	"slices"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Quality says how complete one stream is.
type Quality struct {
	Instrument *market.Instrument
	// Coverage is the live time over the time observed, in percent, from From on;
	// -1 before anything was observed. Verified is the records that a sequence or a
	// checksum proves over all, in percent; -1 where there are none.
	Coverage, Verified float64
	// From is when observation began, Unix ns: the stream's start in this process,
	// or a week ago.
	From int64
	// Live says that everything subscribed arrives, and that the book, if there is
	// one, is proven.
	Live      bool
	BookState string // "" without a book
	Resyncs   int64
	Channels  []ChannelQuality
	// Gaps are the newest entries of the ledger, newest first.
	Gaps []market.Gap
	// Buckets are in order of time.
	Buckets []QualityBucket
}

// ChannelQuality is the part of one kind.
type ChannelQuality struct {
	Kind  market.Kind
	Proof string
	// Records were emitted, Verified of them proven.
	Records, Verified    int64
	Gaps, Open, Healed   int64
	Duplicates, Resyncs  int64
	ChecksumsWrong       int64
	FirstSeq, LastSeq    market.OptInt
	LastTime, LastUpdate int64
}

// QualityBucket is a stretch of time.
type QualityBucket struct {
	Start    int64 // Unix ns
	Length   time.Duration
	Coverage float64 // percent; -1 when not observed
	Verified float64 // percent; -1 without records
	Records  int64
	Gaps     int64
}

// Quality tells of one stream. bucket is the resolution, at least 15 minutes and
// rounded down to a multiple of that; 0 is 15 minutes. What is more than a day old is
// known by the hour alone. Errors as [Collector.OrderBook], [ErrNoBook] excepted.
func (c *Collector) Quality(_ context.Context, exchange, marketWord, symbol string, bucket time.Duration) (Quality, error) {
	r, err := c.route(exchange, marketWord, symbol)
	if err != nil {
		return Quality{}, err
	}
	return r.quality(bucket), nil
}

// AllQuality tells of every stream, by exchange, market and symbol, without
// buckets and with the open gaps alone.
func (c *Collector) AllQuality(context.Context) []Quality {
	out := []Quality{}
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			q := r.quality(0)
			q.Buckets = nil
			q.Gaps = slices.DeleteFunc(q.Gaps, func(g market.Gap) bool { return g.Outcome != market.OutcomeOpen })
			out = append(out, q)
		}
	}
	slices.SortFunc(out, func(a, b Quality) int { return a.Instrument.ID().Compare(b.Instrument.ID()) })
	return out
}

func (r *route) quality(width time.Duration) Quality {
	f := r.figures.Load()
	gaps, hours, quarters := r.history.read()
	hours, quarters = splice(hours, quarters)
	slices.Reverse(gaps)
	q := Quality{
		Instrument: r.instrument, Live: f.live, Gaps: gaps, Coverage: -1, Verified: -1,
		Channels: []ChannelQuality{}, Buckets: []QualityBucket{},
	}
	if f.hasBook {
		q.BookState = f.book.State.String()
	}
	for i := range f.channels {
		ch := &f.channels[i]
		q.Resyncs += ch.Resyncs
		q.Channels = append(q.Channels, ChannelQuality{
			Kind: ch.Kind, Proof: ch.Proof.String(), Records: ch.Records, Verified: ch.Verified(),
			Gaps: ch.Gaps, Open: ch.Open, Healed: ch.Healed, Duplicates: ch.Duplicates, Resyncs: ch.Resyncs,
			ChecksumsWrong: ch.ChecksumWrong, FirstSeq: ch.FirstSeq, LastSeq: ch.LastSeq,
			LastTime: ch.LastTime, LastUpdate: ch.LastReceived,
		})
	}
	var sum bucket
	for _, b := range slices.Concat(hours, quarters) {
		if q.From == 0 {
			q.From = b.start
		}
		sum.add(b)
	}
	q.Coverage, q.Verified = percent(sum.live, sum.seen), percent(sum.verified, sum.records)
	q.Buckets = append(merge(hours, width, hourLength), merge(quarters, width, bucketLength)...)
	return q
}

// splice leaves of the hours those before the quarters, and of the quarters those
// after the hours.
func splice(hours, quarters []bucket) (before, after []bucket) {
	if len(hours) == 0 || len(quarters) == 0 || hours[0].start >= quarters[0].start-quarters[0].start%int64(hourLength) {
		return nil, quarters // there is nothing before
	}
	whole := quarters[0].start + int64(hourLength) - 1
	whole -= whole % int64(hourLength) // the first hour of which no quarter is missing
	hours = slices.DeleteFunc(hours, func(b bucket) bool { return b.start >= whole })
	return hours, slices.DeleteFunc(quarters, func(b bucket) bool { return b.start < whole })
}

func (b *bucket) add(o bucket) {
	b.seen += o.seen
	b.live += o.live
	b.records += o.records
	b.verified += o.verified
	b.gaps += o.gaps
}

func percent(part, whole int64) float64 {
	if whole <= 0 {
		return -1
	}
	return 100 * float64(part) / float64(whole)
}

// merge puts buckets of a length together into wider ones.
func merge(buckets []bucket, width, length time.Duration) []QualityBucket {
	width = max(length, width-width%length)
	var sums []bucket
	for _, b := range buckets {
		start := b.start - b.start%int64(width)
		if n := len(sums); n == 0 || sums[n-1].start != start {
			sums = append(sums, bucket{start: start})
		}
		sums[len(sums)-1].add(b)
	}
	out := make([]QualityBucket, len(sums))
	for i, b := range sums {
		out[i] = QualityBucket{
			Start: b.start, Length: width, Coverage: percent(b.live, b.seen), Verified: percent(b.verified, b.records),
			Records: b.records, Gaps: b.gaps,
		}
	}
	return out
}
