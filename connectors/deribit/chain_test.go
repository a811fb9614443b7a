package deribit_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// bookFrame is a book's frame, read without our decoder.
type bookFrame struct {
	Params struct {
		Channel string `json:"channel"`
		Data    struct {
			Type   string          `json:"type"`
			Name   string          `json:"instrument_name"`
			Change int64           `json:"change_id"`
			Prev   *int64          `json:"prev_change_id"`
			Time   int64           `json:"timestamp"`
			Bid    *market.Decimal `json:"best_bid_price"`
			Ask    *market.Decimal `json:"best_ask_price"`
		} `json:"data"`
	} `json:"params"`
}

func readFrame(body []byte) (f bookFrame) {
	// Answers have no such shape: theirs stays empty.
	_ = json.Unmarshal(body, &f)
	return f
}

// recording is a capture of options and the feed that it runs through.
type recording struct {
	frames []connectors.CaptureRecord
	feed   *feed.Feed
	table  *market.Instruments
	out    stream.Output
	gaps   map[string][]market.Gap // the last word on each, by symbol
}

func record(t *testing.T) *recording {
	t.Helper()
	v := subject.Venue(t, market.Option)
	r := &recording{gaps: map[string][]market.Gap{}}
	var list []*market.Instrument
	for _, rec := range connectorstest.Traffic(t, connectorstest.Path(t, "deribit/part1")) {
		switch {
		case rec.Dir == connectors.CaptureIn:
			r.frames = append(r.frames, rec)
		case rec.Dir == connectors.CaptureHTTP:
			part, err := v.REST.Instruments(rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, part...)
		}
	}
	r.table = market.NewInstruments(list)
	r.feed = feed.New(v, r.table, feed.Options{})
	return r
}

// take runs one frame through the feed.
func (r *recording) take(t *testing.T, rec connectors.CaptureRecord) {
	t.Helper()
	r.out.Reset()
	if _, _, err := r.feed.Frame(rec.Body, connectors.Receipt{Time: rec.Time, Conn: rec.Conn}, &r.out); err != nil {
		t.Fatalf("line %d: %v", rec.Line, err)
	}
	for _, one := range r.out.Records {
		if g, ok := one.(*market.Gap); ok && g.Channel == market.KindBookDelta.String() && g.Outcome == market.OutcomeOpen {
			symbol := g.Instrument.Native
			r.gaps[symbol] = append(r.gaps[symbol], *g)
		}
	}
}

func (r *recording) stream(t *testing.T, native string) *stream.Stream {
	t.Helper()
	i, ok := r.table.Native([]byte(native))
	if !ok {
		t.Fatalf("no instrument %s", native)
	}
	return r.feed.Stream(i)
}

// TestChainsAreWhole: in the recording every change names the one before it, the
// streams find the same, and after each change the book's best prices are those of
// the exchange's own ticker of that moment.
func TestChainsAreWhole(t *testing.T) {
	r := record(t)
	last, tickers, changes, compared := map[string]int64{}, map[string]bookFrame{}, 0, 0
	for _, rec := range r.frames {
		r.take(t, rec)
		f := readFrame(rec.Body)
		d := f.Params.Data
		switch {
		case strings.HasPrefix(f.Params.Channel, "book."):
			if before, known := last[d.Name]; d.Type == "change" {
				if changes++; !known || d.Prev == nil || *d.Prev != before {
					t.Errorf("line %d: %s: a change follows %v, the last was %d", rec.Line, d.Name, d.Prev, before)
				}
			}
			last[d.Name] = d.Change
			if _, status := r.stream(t, d.Name).Book(); status.State != stream.Live || status.Seq != d.Change {
				t.Errorf("line %d: %s: the book is %s at %d, the change is %d", rec.Line, d.Name, status.State, status.Seq, d.Change)
			}
		case strings.HasPrefix(f.Params.Channel, "ticker."):
			tickers[d.Name] = f
		}
		if f.Params.Channel != "" && r.agrees(t, rec.Line, d.Name, tickers[d.Name]) {
			compared++
		}
	}
	for _, s := range r.feed.Streams() {
		for _, st := range s.Stats() {
			if st.Kind == market.KindBookDelta && (st.Proof != stream.Chained || st.Gaps+st.Open+st.Duplicates+st.OutOfOrder+st.Crossed+st.Suspect+st.Dropped != 0) {
				t.Errorf("%s: %+v", s.Instrument().Symbol, st)
			}
		}
	}
	if len(last) < 10 || changes < 20 || compared < 10 {
		t.Errorf("only %d books, %d changes and %d tickers were checked", len(last), changes, compared)
	}
	t.Logf("%d books, %d changes, %d tickers compared", len(last), changes, compared)
}

// agrees compares an instrument's book with a ticker of the same moment; false
// when there is none. The one comes before the other, either way.
func (r *recording) agrees(t *testing.T, line int, native string, ticker bookFrame) bool {
	t.Helper()
	d := ticker.Params.Data
	b, status := r.stream(t, native).Book()
	if status.State != stream.Live || status.Time != d.Time*1e6 {
		return false
	}
	bid, hasBid := b.BestBid()
	ask, hasAsk := b.BestAsk()
	if hasBid == d.Bid.IsZero() || hasBid && bid.Price.Cmp(*d.Bid) != 0 || hasAsk == d.Ask.IsZero() || hasAsk && ask.Price.Cmp(*d.Ask) != 0 {
		t.Errorf("line %d: %s: the book says %v / %v, the ticker %v / %v", line, native, bid, ask, d.Bid, d.Ask)
	}
	return true
}

// TestMissingChangesAreFound leaves out one change after the other, where another
// follows: each time there is one gap, with the right bounds, and the book is live
// no more.
func TestMissingChangesAreFound(t *testing.T) {
	tried := 0
	frames := record(t).frames
	for n, rec := range frames {
		missing := readFrame(rec.Body).Params
		if !strings.HasPrefix(missing.Channel, "book.") || missing.Data.Type != "change" {
			continue
		}
		follows := false
		for _, later := range frames[n+1:] {
			follows = follows || readFrame(later.Body).Params.Channel == missing.Channel
		}
		if !follows {
			continue
		}
		tried++
		r := record(t)
		for i, rec := range r.frames {
			if i != n {
				r.take(t, rec)
			}
		}
		gaps := r.gaps[missing.Data.Name]
		if len(r.gaps) != 1 || len(gaps) == 0 || gaps[0].FromSeq.V != *missing.Data.Prev+1 || gaps[0].ToSeq.V != missing.Data.Change {
			t.Errorf("without line %d, %d..%d: gaps %+v", rec.Line, *missing.Data.Prev+1, missing.Data.Change, r.gaps)
		}
		if _, status := r.stream(t, missing.Data.Name).Book(); status.State == stream.Live {
			t.Errorf("without line %d: the book is live", rec.Line)
		}
	}
	if tried < 10 {
		t.Errorf("only %d changes were left out", tried)
	}
}
