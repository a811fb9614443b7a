package collector

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// quality says how complete one stream is.
type quality struct {
	Exchange  string     `json:"exchange" required:"true"`
	Market    string     `json:"market" required:"true"`
	Symbol    string     `json:"symbol" required:"true"`
	Coverage  *float64   `json:"coverage_percent" required:"true" doc:"live time over time observed; null before anything was observed"`
	Verified  *float64   `json:"verified_percent" required:"true" doc:"records proven by a sequence or a checksum, over all; null without records"`
	From      *time.Time `json:"from" required:"true" doc:"when observation began"`
	Live      bool       `json:"live" required:"true" doc:"everything subscribed arrives, and the book is proven"`
	BookState string     `json:"book_state,omitempty" enum:"live,stale,syncing" doc:"live: proven right; stale: it was right, and lacks something since; syncing: it is still to come; absent without a book"`
	Resyncs   int64      `json:"resyncs" required:"true" doc:"times that the book was fetched anew, since the start"`
	Channels  []channel  `json:"channels" required:"true" doc:"none where they are summed up"`
	Sum       *summed    `json:"sum,omitempty" doc:"of all channels, where channels=false asks for that alone"`
	Gaps      []gap      `json:"gaps" required:"true" doc:"newest first; in a list of streams the open ones alone"`
	Buckets   []bucket   `json:"buckets,omitempty" doc:"in order of time"`
	Node      string     `json:"node,omitempty" doc:"that collects it, where there are several"`
	Source    string     `json:"source" enum:"ledger,memory" required:"true" doc:"ledger: coverage, verified, gaps, buckets and days are reckoned from what is stored, over any restart; memory: from what this process has seen"`
	Reason    string     `json:"source_reason,omitempty" doc:"why it is memory"`
	To        *time.Time `json:"to,omitempty" doc:"end of the time asked about"`
	Observed  float64    `json:"observed_seconds,omitempty" doc:"of that time, what was to be covered: from the stream's first record, until now"`
	Covered   float64    `json:"live_seconds,omitempty" doc:"of that, without a gap that is open or marked"`
	Records   int64      `json:"records,omitempty" doc:"stored in that time"`
	Days      []bucket   `json:"days,omitempty" doc:"UTC days, in order of time"`
	Truncated bool       `json:"gaps_truncated,omitempty" doc:"older gaps were left out"`
}

// summed is what all channels of a stream have together.
type summed struct {
	Records      int64      `json:"records" required:"true" doc:"since the start"`
	Gaps         int64      `json:"gaps" required:"true" doc:"opened"`
	Open         int64      `json:"open_gaps" required:"true" doc:"neither healed nor given up yet"`
	LastReceived *time.Time `json:"last_received" required:"true" doc:"of the newest record"`
}

// sum puts the sum of its channels in their place, and of its gaps, unless they are
// wanted.
func (q *quality) sum(gaps bool) {
	all := &summed{}
	for i := range q.Channels {
		c := &q.Channels[i]
		all.Records, all.Gaps, all.Open = all.Records+c.Records, all.Gaps+c.Gaps, all.Open+c.Open
		if c.LastReceived != nil && (all.LastReceived == nil || c.LastReceived.After(*all.LastReceived)) {
			all.LastReceived = c.LastReceived
		}
	}
	q.Sum, q.Channels = all, nil
	if !gaps {
		q.Gaps = nil
	}
}

type channel struct {
	Kind           string     `json:"kind" required:"true" doc:"of its records"`
	Proof          string     `json:"proof" required:"true" doc:"what proves the records: a sequence, a checksum, or nothing"`
	Records        int64      `json:"records" required:"true" doc:"since the start"`
	Verified       int64      `json:"verified_records" required:"true" doc:"of these, those that a sequence or a checksum proves"`
	Gaps           int64      `json:"gaps" required:"true" doc:"opened"`
	Open           int64      `json:"open_gaps" required:"true" doc:"neither healed nor given up yet"`
	Healed         int64      `json:"healed_gaps" required:"true" doc:"records recovered, by asking the exchange or by late arrival"`
	Duplicates     int64      `json:"duplicates" required:"true" doc:"records that came again, and were left out"`
	Resyncs        int64      `json:"resyncs" required:"true" doc:"times that the book was fetched anew"`
	ChecksumsWrong int64      `json:"checksums_wrong" required:"true" doc:"checksums of the exchange that the book did not match"`
	FirstSeq       *int64     `json:"first_seq" required:"true" doc:"the exchange's sequence number of the first record; null where there is none"`
	LastSeq        *int64     `json:"last_seq" required:"true" doc:"the exchange's sequence number of the newest record; null where there is none"`
	LastTime       *time.Time `json:"last_time" required:"true" doc:"by the exchange's clock"`
	LastReceived   *time.Time `json:"last_received" required:"true" doc:"when the newest record was received; null before the first"`
}

type gap struct {
	Channel  string     `json:"channel" required:"true" doc:"the kind of the channel that missed something"`
	FromSeq  *int64     `json:"from_seq" required:"true" doc:"first missing"`
	ToSeq    *int64     `json:"to_seq" required:"true" doc:"last missing"`
	FromTime *time.Time `json:"from_time" required:"true" doc:"of the last record before"`
	ToTime   *time.Time `json:"to_time" required:"true" doc:"of the first record after; null while it is open"`
	Cause    string     `json:"cause" required:"true" doc:"sequence, checksum, crossed, disconnect, silence, restart, takeover, panic, no_credit, journal_full, disk_full, too_large, malformed, gave_up or journal_foreign"`
	Outcome  string     `json:"outcome" enum:"open,healed,marked" required:"true" doc:"open: being fetched; healed: every record is there; marked: what is missing stays missing"`
	Healed   int64      `json:"healed_records" required:"true" doc:"records that were fetched for it"`
}

type bucket struct {
	Start    time.Time `json:"start" required:"true"`
	Seconds  float64   `json:"seconds" required:"true" doc:"its length"`
	Coverage *float64  `json:"coverage_percent" required:"true" doc:"live time over time observed; null when nothing was observed"`
	Verified *float64  `json:"verified_percent" required:"true" doc:"records proven by a sequence or a checksum, over all; null without records"`
	Records  int64     `json:"records" required:"true"`
	Gaps     int64     `json:"gaps" required:"true" doc:"that began in it"`
}

// qualityList is the answer of quality.
type qualityList struct {
	Streams   []quality `json:"streams" required:"true" doc:"by exchange, market and symbol"`
	Count     int       `json:"count" required:"true" doc:"of this answer"`
	Missing   []string  `json:"missing_nodes,omitempty" doc:"nodes that did not say what they collect"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) qualityRoutes() []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "quality", ID: "qualities", Tag: tagQuality, Summary: "How complete every stream is",
			Description: "With `day`, or `from` and `to`: coverage and gaps of that time, reckoned of each stream from the gap ledger in the store, over any restart (`source: ledger`; `verified_percent` is null, since records are not counted for a list). " +
				"Without: what this process has seen since its start, at most a week (`source: memory`), which asks the store nothing and is cheap to poll. One stream alone is always reckoned from the ledger.",
			Params: []chassis.Param{paramDay, paramFrom, paramTo, paramScope,
				{Name: "q", Doc: "Only streams that have each of these words in exchange, market or symbol, whatever its case.", Example: "okx btc"},
				{Name: "limit", Type: 0, Default: 0, Min: 0, Max: maxListed, Doc: "At most so many; 0 is all."},
				{Name: "channels", Type: false, Default: true, Doc: "false sums up each stream's channels and, unless a time is asked about, its gaps: a fifth of the answer, where there are thousands of streams."}},
			Responses: []chassis.Response{{Body: qualityList{}}}, Handler: f.qualities},
		{Method: http.MethodGet, Path: base + "quality/{exchange}/{symbol}", ID: "quality", Tag: tagQuality, Summary: "How complete one stream is",
			Description: "Coverage is the time without a gap that is open or marked, over the time from the stream's first record on; verified is counted from the stored records. " +
				"Without a range: yesterday and today, UTC.",
			Params: instrumentParams(chassis.Param{Name: "bucket", Default: "15m", Example: "1h", Doc: "Resolution: 15m or a multiple, at most 168h."},
				paramDay, paramFrom, paramTo, chassis.Param{Name: "count", Type: false, Default: true, Doc: "Whether stored records are counted, which reads them all."}),
			Responses: []chassis.Response{{Body: quality{}}}, Handler: f.quality},
	}
}

// Parameters of a time.
var (
	paramDay  = chassis.Param{Name: "day", Example: "2024-08-08", Doc: "One UTC day."}
	paramFrom = chassis.Param{Name: "from", Type: time.Time{}, Doc: "Beginning, inclusive."}
	paramTo   = chassis.Param{Name: "to", Type: time.Time{}, Doc: "End, exclusive; now without it. At most 31 days after from."}
)

// span reads ?day=, or ?from= and ?to=; asked says whether there is one.
func (f *service) span(q *chassis.Query) (from, to time.Time, asked bool) {
	from, to = q.Range("from", "to")
	asked = !from.IsZero() || !to.IsZero() || q.Has("day")
	today := f.Now().UTC().Truncate(24 * time.Hour)
	switch {
	case q.Has("day") && (!from.IsZero() || !to.IsZero()):
		q.Refuse("day", "goes without from and to")
	case q.Has("day"):
		day, err := time.Parse(time.DateOnly, q.Text("day", ""))
		if err != nil {
			q.Refuse("day", "must be a date: 2024-08-08")
		}
		return day, day.Add(24 * time.Hour), asked
	}
	if to.IsZero() {
		to = f.Now().UTC()
	}
	if from.IsZero() {
		from = today.Add(-24 * time.Hour)
	}
	if !from.Before(to) || to.Sub(from) > branch.MaxCoverage {
		q.Refuse("from", "must be before to, by at most %v", branch.MaxCoverage)
	}
	return from, to, asked
}

func (f *service) qualities(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	from, to, asked := f.span(q)
	wide, each := f.wide(r, q), q.Bool("channels", true)
	words, limit := strings.Fields(strings.ToLower(q.Text("q", ""))), q.Int("limit", 0, 0, maxListed)
	if err := q.Err(); err != nil {
		return err
	}
	all := named(f.Branch.AllQuality(r.Context()), words)
	out := qualityList{Streams: make([]quality, len(all)), Count: len(all), Timestamp: f.Now()}
	at := map[market.StreamID]*quality{}
	for i := range all {
		out.Streams[i] = qualityOf(&all[i])
		at[all[i].Instrument.ID()] = &out.Streams[i]
	}
	if asked {
		found, err := f.Branch.AllCoverage(r.Context(), from, to)
		if err != nil {
			return unreckoned(err)
		}
		for i := range found {
			if one := at[found[i].Instrument.ID()]; one != nil {
				one.reckoned(&found[i])
			}
		}
	}
	if !each {
		for i := range out.Streams {
			out.Streams[i].sum(asked)
		}
	}
	if wide {
		f.joinOthers(r, &out, r.URL.Query())
	}
	if limit > 0 && limit < len(out.Streams) {
		out.Streams, out.Count = out.Streams[:limit], limit
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// maxListed is the most that a limit of a list can be.
const maxListed = 10_000

// named are the streams that have every word, in lower case, in their names.
func named(all []branch.Quality, words []string) []branch.Quality {
	if len(words) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(q branch.Quality) bool {
		name := strings.ToLower(q.Instrument.Exchange + " " + q.Instrument.Market.String() + " " + q.Instrument.Symbol)
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(name, w) })
	})
}

// joinOthers adds what the other nodes collect. A stream that is being handed over has
// two: the one that has it live counts, or this.
func (f *service) joinOthers(r *http.Request, list *qualityList, q url.Values) {
	at := map[[3]string]int{}
	for i := range list.Streams {
		s := &list.Streams[i]
		s.Node = f.Others.Name()
		at[s.key()] = i
	}
	answers, silent := gather[qualityList](f, r, base+"quality", q)
	for node, part := range answers {
		for _, s := range part.Streams {
			s.Node = node
			i, had := at[s.key()]
			switch {
			case !had:
				at[s.key()] = len(list.Streams)
				list.Streams = append(list.Streams, s)
			case s.Live && !list.Streams[i].Live:
				list.Streams[i] = s
			}
		}
	}
	slices.SortFunc(list.Streams, func(a, b quality) int { return slices.Compare(a.name(), b.name()) })
	list.Count, list.Missing = len(list.Streams), silent
}

func (q *quality) key() [3]string { return [3]string{q.Exchange, q.Market, q.Symbol} }

func (q *quality) name() []string { return []string{q.Exchange, q.Market, q.Symbol} }

// unreckoned is the answer when the store does not give what was asked for.
func unreckoned(err error) error {
	var invalid *branch.InvalidError
	if errors.As(err, &invalid) {
		return err
	}
	return chassis.Unavailable(5*time.Second, "the store does not answer: %s", err.Error()).WithCode("store_away").WithCause(err)
}

func (f *service) quality(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	t, err := targetOf(r, q)
	if err != nil {
		return err
	}
	width, err := time.ParseDuration(q.Text("bucket", "15m"))
	if err != nil || width < 15*time.Minute || width > 7*24*time.Hour {
		q.Refuse("bucket", "must be a duration of 15m to 168h")
	}
	from, to, asked := f.span(q)
	count := q.Bool("count", true)
	if err := q.Err(); err != nil {
		return err
	}
	found, err := f.Branch.Quality(r.Context(), t.exchange, t.word, t.Symbol, width)
	if err != nil {
		return err
	}
	out := qualityOf(&found)
	stored, err := f.Branch.Coverage(r.Context(), t.exchange, t.word, t.Symbol, from, to, width, count)
	switch {
	case err == nil:
		out.reckoned(&stored)
	case asked:
		return unreckoned(err)
	default:
		out.Reason = err.Error()
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// reckoned puts what is stored in the place of what this process has seen.
func (q *quality) reckoned(c *branch.Coverage) {
	q.Source, q.Reason = "ledger", ""
	q.Coverage, q.Verified, q.Records = percent(c.Percent), percent(c.Verified), c.Records
	q.From, q.To = timeOf(max(c.From, c.Since)), timeOf(c.To)
	q.Observed, q.Covered, q.Truncated = float64(c.ObservedNS)/1e9, float64(c.Live)/1e9, c.Truncated
	q.Gaps, q.Days, q.Buckets = gapsOf(c.Gaps), stretches(c.Days), stretches(c.Buckets)
}

func stretches(all []branch.CoverageBucket) (out []bucket) {
	for _, b := range all {
		one := bucket{Start: time.Unix(0, b.Start).UTC(), Seconds: float64(b.End-b.Start) / 1e9, Records: b.Records, Gaps: b.Gaps}
		if b.Observed > 0 {
			one.Coverage = percent(100 * float64(b.Live) / float64(b.Observed))
		}
		if b.Records > 0 {
			one.Verified = percent(100 * float64(b.Verified) / float64(b.Records))
		}
		out = append(out, one)
	}
	return out
}

func qualityOf(q *branch.Quality) quality {
	i := q.Instrument
	out := quality{
		Exchange: i.Exchange, Market: i.Market.String(), Symbol: i.Symbol, Coverage: percent(q.Coverage), Verified: percent(q.Verified),
		From: timeOf(q.From), Live: q.Live, BookState: q.BookState, Resyncs: q.Resyncs, Source: "memory",
	}
	for _, c := range q.Channels {
		out.Channels = append(out.Channels, channel{
			Kind: c.Kind.String(), Proof: c.Proof, Records: c.Records, Verified: c.Verified, Gaps: c.Gaps, Open: c.Open, Healed: c.Healed,
			Duplicates: c.Duplicates, Resyncs: c.Resyncs, ChecksumsWrong: c.ChecksumsWrong, FirstSeq: optional(c.FirstSeq), LastSeq: optional(c.LastSeq),
			LastTime: timeOf(c.LastTime), LastReceived: timeOf(c.LastUpdate),
		})
	}
	out.Gaps = gapsOf(q.Gaps)
	for _, b := range q.Buckets {
		out.Buckets = append(out.Buckets, bucket{
			Start: time.Unix(0, b.Start).UTC(), Seconds: b.Length.Seconds(), Coverage: percent(b.Coverage), Verified: percent(b.Verified),
			Records: b.Records, Gaps: b.Gaps,
		})
	}
	return out
}

func gapsOf(all []market.Gap) (out []gap) {
	for i := range all {
		g := &all[i]
		out = append(out, gap{
			Channel: g.Channel, FromSeq: optional(g.FromSeq), ToSeq: optional(g.ToSeq), FromTime: timeOf(g.FromTime), ToTime: timeOf(g.ToTime),
			Cause: g.Cause, Outcome: g.Outcome, Healed: g.HealedRecords.V,
		})
	}
	return out
}

// percent is a share cut to three digits after the point, never rounded up; nil
// for what was not observed.
func percent(p float64) *float64 {
	if p < 0 {
		return nil
	}
	cut := math.Floor(p*1000+1e-6) / 1000 // 99.9 is not a float: its thousandfold may lie just below
	if p < 100 {
		cut = min(cut, 99.999)
	}
	return &cut
}

func optional(n market.OptInt) *int64 {
	if !n.OK {
		return nil
	}
	return &n.V
}
