package collector

import (
	"math"
	"net/http"
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
	BookState string     `json:"book_state,omitempty" enum:"live,stale,syncing"`
	Resyncs   int64      `json:"resyncs" required:"true"`
	Channels  []channel  `json:"channels" required:"true"`
	Gaps      []gap      `json:"gaps" required:"true" doc:"newest first; in a list of streams the open ones alone"`
	Buckets   []bucket   `json:"buckets,omitempty" doc:"in order of time"`
}

type channel struct {
	Kind           string     `json:"kind" required:"true"`
	Proof          string     `json:"proof" required:"true" doc:"what proves the records: a sequence, a checksum, or nothing"`
	Records        int64      `json:"records" required:"true"`
	Verified       int64      `json:"verified_records" required:"true"`
	Gaps           int64      `json:"gaps" required:"true" doc:"opened"`
	Open           int64      `json:"open_gaps" required:"true"`
	Healed         int64      `json:"healed_gaps" required:"true"`
	Duplicates     int64      `json:"duplicates" required:"true"`
	Resyncs        int64      `json:"resyncs" required:"true"`
	ChecksumsWrong int64      `json:"checksums_wrong" required:"true"`
	FirstSeq       *int64     `json:"first_seq" required:"true"`
	LastSeq        *int64     `json:"last_seq" required:"true"`
	LastTime       *time.Time `json:"last_time" required:"true" doc:"by the exchange's clock"`
	LastReceived   *time.Time `json:"last_received" required:"true"`
}

type gap struct {
	Channel  string     `json:"channel" required:"true"`
	FromSeq  *int64     `json:"from_seq" required:"true" doc:"first missing"`
	ToSeq    *int64     `json:"to_seq" required:"true" doc:"last missing"`
	FromTime *time.Time `json:"from_time" required:"true" doc:"of the last record before"`
	ToTime   *time.Time `json:"to_time" required:"true" doc:"of the first record after; null while it is open"`
	Cause    string     `json:"cause" required:"true"`
	Outcome  string     `json:"outcome" enum:"open,healed,marked" required:"true"`
	Healed   int64      `json:"healed_records" required:"true"`
}

type bucket struct {
	Start    time.Time `json:"start" required:"true"`
	Seconds  float64   `json:"seconds" required:"true"`
	Coverage *float64  `json:"coverage_percent" required:"true"`
	Verified *float64  `json:"verified_percent" required:"true"`
	Records  int64     `json:"records" required:"true"`
	Gaps     int64     `json:"gaps" required:"true"`
}

// qualityList is the answer of quality.
type qualityList struct {
	Streams   []quality `json:"streams" required:"true"`
	Count     int       `json:"count" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// backfilled is the answer of backfill.
type backfilled struct {
	Success   bool      `json:"success" required:"true"`
	Gaps      int       `json:"gaps" required:"true" doc:"that are being fetched"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) qualityRoutes() []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "quality", ID: "qualities", Tag: tagQuality, Summary: "How complete every stream is",
			Responses: []chassis.Response{{Body: qualityList{}}}, Handler: f.qualities},
		{Method: http.MethodGet, Path: base + "quality/{exchange}/{symbol}", ID: "quality", Tag: tagQuality, Summary: "How complete one stream is",
			Params:    instrumentParams(chassis.Param{Name: "bucket", Default: "15m", Example: "1h", Doc: "Resolution: 15m or a multiple, at most 168h."}),
			Responses: []chassis.Response{{Body: quality{}}}, Handler: f.quality},
		{Method: http.MethodPost, Path: base + "quality/{exchange}/{symbol}/backfill", ID: "backfill", Tag: tagQuality,
			Summary: "Ask again for every missed trade that is still open", Params: instrumentParams(),
			Responses: []chassis.Response{{Body: backfilled{}}}, Handler: f.backfill},
	}
}

func (f *service) qualities(w http.ResponseWriter, r *http.Request) error {
	all := f.Branch.AllQuality(r.Context())
	out := qualityList{Streams: make([]quality, len(all)), Count: len(all), Timestamp: f.Now()}
	for i := range all {
		out.Streams[i] = qualityOf(&all[i])
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
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
	if err := q.Err(); err != nil {
		return err
	}
	found, err := f.Branch.Quality(r.Context(), t.exchange, t.word, t.Symbol, width)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, qualityOf(&found))
}

func (f *service) backfill(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	t, err := targetOf(r, q)
	if err != nil {
		return err
	}
	if err := q.Err(); err != nil {
		return err
	}
	gaps, err := f.Branch.Backfill(r.Context(), t.exchange, t.word, t.Symbol)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, backfilled{true, gaps, f.Now()})
}

func qualityOf(q *branch.Quality) quality {
	i := q.Instrument
	out := quality{
		Exchange: i.Exchange, Market: i.Market.String(), Symbol: i.Symbol, Coverage: percent(q.Coverage), Verified: percent(q.Verified),
		From: timeOf(q.From), Live: q.Live, BookState: q.BookState, Resyncs: q.Resyncs,
	}
	for _, c := range q.Channels {
		out.Channels = append(out.Channels, channel{
			Kind: c.Kind.String(), Proof: c.Proof, Records: c.Records, Verified: c.Verified, Gaps: c.Gaps, Open: c.Open, Healed: c.Healed,
			Duplicates: c.Duplicates, Resyncs: c.Resyncs, ChecksumsWrong: c.ChecksumsWrong, FirstSeq: optional(c.FirstSeq), LastSeq: optional(c.LastSeq),
			LastTime: timeOf(c.LastTime), LastReceived: timeOf(c.LastUpdate),
		})
	}
	for i := range q.Gaps {
		g := &q.Gaps[i]
		out.Gaps = append(out.Gaps, gap{
			Channel: g.Channel, FromSeq: optional(g.FromSeq), ToSeq: optional(g.ToSeq), FromTime: timeOf(g.FromTime), ToTime: timeOf(g.ToTime),
			Cause: g.Cause, Outcome: g.Outcome, Healed: g.HealedRecords.V,
		})
	}
	for _, b := range q.Buckets {
		out.Buckets = append(out.Buckets, bucket{
			Start: time.Unix(0, b.Start).UTC(), Seconds: b.Length.Seconds(), Coverage: percent(b.Coverage), Verified: percent(b.Verified),
			Records: b.Records, Gaps: b.Gaps,
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
