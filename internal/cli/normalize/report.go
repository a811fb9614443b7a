package normalize

import (
	"slices"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// maxListed bounds the lists of a report; the counts go on.
const maxListed = 1000

// Report is what was found in a capture.
type Report struct {
	Capture        string         `json:"capture"`
	Frames         int64          `json:"frames"`
	Bytes          int64          `json:"bytes"`
	ElapsedSeconds float64        `json:"elapsed_seconds"`
	Records        int64          `json:"records"`
	Streams        []StreamReport `json:"streams"`
	// UnknownFrames counts frames of channels or instruments that are not known.
	UnknownFrames int64 `json:"unknown_frames"`
	// Silent counts the frames that gave no record, by reason.
	Silent map[string]int64 `json:"frames_without_records"`
	// Responses counts REST records by what they are; "unknown" for others.
	Responses   map[string]int64 `json:"responses"`
	ParseErrors []ParseError     `json:"parse_errors"`
	// ParseErrorCount counts also those that the list has no room for.
	ParseErrorCount int64 `json:"parse_error_count"`
}

// StreamReport is one channel of one instrument.
type StreamReport struct {
	Exchange       string      `json:"exchange"`
	Market         string      `json:"market"`
	Symbol         string      `json:"symbol"`
	Channel        string      `json:"channel"`
	Proof          string      `json:"proof"`
	Frames         int64       `json:"frames"`
	Records        int64       `json:"records"`
	FirstSeq       *int64      `json:"first_seq"`
	LastSeq        *int64      `json:"last_seq"`
	GapCount       int64       `json:"gap_count"`
	Gaps           []GapReport `json:"gaps"`
	Duplicates     int64       `json:"duplicates"`
	OutOfOrder     int64       `json:"out_of_order"`
	Dropped        int64       `json:"dropped"`
	Resyncs        int64       `json:"resyncs"`
	ChecksumOK     int64       `json:"checksum_ok"`
	ChecksumFailed int64       `json:"checksum_failed"`
	Crossed        int64       `json:"crossed"`
	SuspectRecords int64       `json:"suspect_records"`
}

// GapReport is one hole: everything between the two sequence numbers is missing.
type GapReport struct {
	AfterSeq  *int64 `json:"after_seq"`
	BeforeSeq *int64 `json:"before_seq"`
	AtNS      int64  `json:"at_ns"`
	Cause     string `json:"cause"`
}

// ParseError is a record of the capture that could not be understood.
type ParseError struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// tally counts what the report needs and the streams do not know.
type tally struct {
	report Report
	frames map[frameKey]int64
	// gaps holds the last word on each hole.
	gaps  map[gapKey]market.Gap
	order []gapKey
}

type frameKey struct {
	id   market.StreamID
	kind market.Kind
}

type gapKey struct {
	id      market.StreamID
	channel string
	from    market.OptInt
	time    int64
}

func newTally(capture string) *tally {
	return &tally{
		report: Report{
			Capture: capture, Silent: map[string]int64{}, Responses: map[string]int64{},
			Streams: []StreamReport{}, ParseErrors: []ParseError{},
		},
		frames: map[frameKey]int64{}, gaps: map[gapKey]market.Gap{},
	}
}

// received counts a frame once for each stream and kind in it.
func (t *tally) received(b *market.Batch) {
	var seen [4]frameKey
	n := 0
	for i := range b.Len() {
		r := b.At(i)
		k := frameKey{r.Head().Instrument.ID(), r.Kind()}
		if slices.Contains(seen[:n], k) {
			continue
		}
		if n < len(seen) {
			seen[n] = k
			n++
		}
		t.frames[k]++
	}
}

func (t *tally) silent(note connectors.Note) {
	t.report.Silent[note.Reason.String()]++
	if note.Reason == connectors.UnknownChannel || note.Reason == connectors.UnknownSymbol {
		t.report.UnknownFrames++
	}
}

func (t *tally) failed(line int, err error) {
	t.report.ParseErrorCount++
	if len(t.report.ParseErrors) < maxListed {
		t.report.ParseErrors = append(t.report.ParseErrors, ParseError{Line: line, Error: err.Error()})
	}
}

func (t *tally) gap(g *market.Gap) {
	k := gapKey{g.Instrument.ID(), g.Channel, g.FromSeq, g.FromTime}
	if _, known := t.gaps[k]; !known {
		t.order = append(t.order, k)
	}
	t.gaps[k] = *g
}

// finish turns the counts of the streams into the report.
func (t *tally) finish(feeds []*feed.Feed) *Report {
	for _, f := range feeds {
		for _, s := range f.Streams() {
			for _, c := range s.Stats() {
				t.report.Streams = append(t.report.Streams, t.stream(s.Instrument().ID(), c))
			}
		}
	}
	return &t.report
}

func (t *tally) stream(id market.StreamID, c stream.ChannelStats) StreamReport {
	r := StreamReport{
		Exchange: id.Exchange, Market: id.Market.String(), Symbol: id.Symbol, Channel: c.Kind.String(), Proof: c.Proof.String(),
		Frames: t.frames[frameKey{id, c.Kind}], Records: c.Records, FirstSeq: pointer(c.FirstSeq), LastSeq: pointer(c.LastSeq),
		Gaps: []GapReport{}, Duplicates: c.Duplicates, OutOfOrder: c.OutOfOrder, Dropped: c.Dropped, Resyncs: c.Resyncs,
		ChecksumOK: c.ChecksumOK, ChecksumFailed: c.ChecksumWrong, Crossed: c.Crossed, SuspectRecords: c.Suspect,
	}
	for _, k := range t.order {
		g := t.gaps[k]
		// What came late is out of order, and nothing is missing.
		if k.id != id || k.channel != r.Channel || g.Outcome == market.OutcomeHealed {
			continue
		}
		r.GapCount++
		if len(r.Gaps) < maxListed {
			r.Gaps = append(r.Gaps, gapReport(&g))
		}
	}
	return r
}

func gapReport(g *market.Gap) GapReport {
	r := GapReport{AtNS: g.ToTime, Cause: g.Cause}
	if g.FromSeq.OK {
		after := g.FromSeq.V - 1
		r.AfterSeq = &after
	}
	if g.ToSeq.OK {
		before := g.ToSeq.V + 1
		r.BeforeSeq = &before
	}
	return r
}

func pointer(n market.OptInt) *int64 {
	if !n.OK {
		return nil
	}
	return &n.V
}
