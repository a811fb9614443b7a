package normalize_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/cli/normalize"
	"github.com/marketprism/marketprism/internal/market"
)

func fileOf(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

// quote is a best bid and ask at a sequence number.
type quote struct {
	seq int64
	market.Quote
}

func (q quote) String() string {
	return fmt.Sprintf("%s x %s / %s x %s", q.BidPrice, q.BidAmount, q.AskPrice, q.AskAmount)
}

func (q quote) same(o quote) bool {
	return q.BidPrice.Cmp(o.BidPrice) == 0 && q.BidAmount.Cmp(o.BidAmount) == 0 &&
		q.AskPrice.Cmp(o.AskPrice) == 0 && q.AskAmount.Cmp(o.AskAmount) == 0
}

// oracle is what an exchange says of its own best prices, by sequence number.
type oracle []quote

// at is the newest quote that is not newer than seq.
func (o oracle) at(seq int64) (quote, bool) {
	i := sort.Search(len(o), func(i int) bool { return o[i].seq > seq })
	if i == 0 {
		return quote{}, false
	}
	return o[i-1], true
}

type run struct {
	oracle oracle
	tops   []quote
	trades []int64
	report *normalize.Report
	out    bytes.Buffer
}

func normalise(t *testing.T, open func() (io.ReadCloser, error), o normalize.Options) *run {
	t.Helper()
	r := &run{}
	var j market.JSON
	var line []byte
	emit := func(rec market.Record) error {
		switch rec := rec.(type) {
		case *market.BookTicker:
			r.oracle = append(r.oracle, quote{rec.Seq.V, rec.Quote})
		case *market.BookTop:
			r.tops = append(r.tops, quote{rec.Seq.V, rec.Quote})
		case *market.Trade:
			id, _ := rec.ID.Num()
			r.trades = append(r.trades, id)
		}
		if len(o.Kinds) == 0 { // the others look at records, not at text
			line = append(j.Append(line[:0], rec), '\n')
			r.out.Write(line)
		}
		return nil
	}
	var err error
	r.report, err = normalize.Run(context.Background(), all.Exchanges(), open, emit, o)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(r.oracle, func(a, b quote) int {
		switch {
		case a.seq < b.seq:
			return -1
		case a.seq > b.seq:
			return 1
		}
		return 0
	})
	return r
}

var everything = []market.Kind{market.KindTrade, market.KindBookDelta, market.KindBookTicker, market.KindBookTop, market.KindGap}

// TestBookEqualsTheExchangesOwnQuotes is the main proof: after every depth event
// past the snapshot, the rebuilt best bid and ask are what the exchange itself
// said on another channel.
func TestBookEqualsTheExchangesOwnQuotes(t *testing.T) {
	for _, name := range []string{"binance-usdm/btcusdt_20240808", "binance-spot/btcusdt_20240808"} {
		t.Run(name, func(t *testing.T) {
			r := normalise(t, fileOf(connectorstest.Path(t, name)), normalize.Options{Kinds: everything})
			compared := 0
			for _, top := range r.tops {
				want, ok := r.oracle.at(top.seq)
				if !ok {
					continue // before the first quote of the file
				}
				compared++
				if !top.same(want) {
					t.Fatalf("at %d the book says %s, the exchange %s", top.seq, top, want)
				}
			}
			if len(r.tops) < 3000 || compared < len(r.tops)-5 {
				t.Errorf("%d of %d tops compared", compared, len(r.tops))
			}
			for i := 1; i < len(r.trades); i++ {
				if r.trades[i] != r.trades[i-1]+1 {
					t.Fatalf("trade %d follows %d", r.trades[i], r.trades[i-1])
				}
			}
			for _, s := range r.report.Streams {
				if s.GapCount+s.Duplicates+s.OutOfOrder+s.Crossed != 0 {
					t.Errorf("findings in a capture that has none: %+v", s)
				}
			}
			if r.report.UnknownFrames != 0 || r.report.ParseErrorCount != 0 {
				t.Errorf("%d unknown frames, %d errors", r.report.UnknownFrames, r.report.ParseErrorCount)
			}
		})
	}
}

func TestSameBytesSameRecords(t *testing.T) {
	path := connectorstest.Path(t, "binance-spot/btcusdt_20240808")
	a := normalise(t, fileOf(path), normalize.Options{})
	b := normalise(t, fileOf(path), normalize.Options{})
	if !bytes.Equal(a.out.Bytes(), b.out.Bytes()) {
		t.Error("two runs gave different output")
	}
}

// fault is what was done to a frame of the capture.
type fault struct {
	kind string
	rec  connectors.CaptureRecord
}

// disturb makes a capture with frames dropped, duplicated, swapped with the next
// and cut short, and says which.
func disturb(t *testing.T, path string, r *rand.Rand) (file []byte, faults []fault) {
	t.Helper()
	records := connectorstest.Traffic(t, path)
	var out bytes.Buffer
	w := connectors.NewCaptureWriter(&out)
	write := func(rec connectors.CaptureRecord) {
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(records); i++ {
		rec := records[i]
		swap := i+1 < len(records) && records[i+1].Dir == connectors.CaptureIn
		switch n := r.IntN(400); {
		case i < 1000 || i > len(records)-1000 || rec.Dir != connectors.CaptureIn || n > 3:
			write(rec)
		case n == 0:
			faults = append(faults, fault{"drop", rec})
		case n == 1:
			write(rec)
			write(rec)
			faults = append(faults, fault{"duplicate", rec})
		case n == 2 && swap:
			write(records[i+1])
			write(rec)
			i++
			faults = append(faults, fault{"swap", rec})
		case n == 3:
			short := rec
			short.Body = rec.Body[:1+r.IntN(len(rec.Body)-1)]
			write(short)
			faults = append(faults, fault{"truncate", rec})
		default:
			write(rec)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), faults
}

// TestFaultsAreFound sends the capture through faults. Every frame of a sequenced
// channel that did not arrive whole is in a gap with the right bounds, duplicates
// vanish, and no top that was emitted differs from the exchange's own quote.
func TestFaultsAreFound(t *testing.T) {
	for i, name := range []string{"binance-usdm/btcusdt_20240808", "binance-spot/btcusdt_20240808"} {
		t.Run(name, func(t *testing.T) {
			path := connectorstest.Path(t, name)
			truth := normalise(t, fileOf(path), normalize.Options{Kinds: everything})
			file, faults := disturb(t, path, rand.New(rand.NewPCG(uint64(i), 5)))
			r := normalise(t, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil },
				normalize.Options{Kinds: everything})
			for _, top := range r.tops {
				if want, ok := truth.oracle.at(top.seq); ok && !top.same(want) {
					t.Fatalf("a live book at %d says %s, the exchange %s", top.seq, top, want)
				}
			}
			gaps := map[string][]normalize.GapReport{}
			cut := 0
			for _, s := range r.report.Streams {
				gaps[s.Channel] = s.Gaps
			}
			lost := map[int64]bool{}
			for _, f := range faults {
				cut += count(f.kind == "truncate")
				if f.kind != "drop" && f.kind != "truncate" {
					continue
				}
				channel, from, to := sequence(t, f.rec.Body)
				if channel == "" {
					continue
				}
				if channel == "trade" {
					lost[from] = true
				}
				if !inGap(gaps[channel], from, to) {
					t.Errorf("%s of %s %d..%d is in no gap", f.kind, channel, from, to)
				}
			}
			if int(r.report.ParseErrorCount) != cut {
				t.Errorf("%d frames could not be parsed, %d were cut short", r.report.ParseErrorCount, cut)
			}
			if got, want := exactGaps(gaps["trade"]), int64(len(lost)); got != want {
				t.Errorf("the gaps hold %d trades, %d were lost", got, want)
			}
			if got, want := len(r.trades), len(truth.trades)-len(lost); got != want {
				t.Errorf("%d trades, want %d", got, want)
			}
			if len(faults) < 100 {
				t.Errorf("only %d faults", len(faults))
			}
		})
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sequence reads the sequence numbers of a frame by plain text search, so that
// the test does not believe the decoder.
func sequence(t *testing.T, body []byte) (channel string, from, to int64) {
	t.Helper()
	s := string(body)
	number := func(key string) int64 {
		_, rest, ok := strings.Cut(s, key)
		if !ok {
			t.Fatalf("no %s in %s", key, s)
		}
		var n int64
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch {
	case strings.Contains(s, `"e":"trade"`):
		id := number(`"t":`)
		return "trade", id, id
	case strings.Contains(s, `"e":"depthUpdate"`):
		return "book_delta", number(`"U":`), number(`"u":`)
	}
	return "", 0, 0
}

func inGap(gaps []normalize.GapReport, from, to int64) bool {
	return slices.ContainsFunc(gaps, func(g normalize.GapReport) bool {
		return g.AfterSeq != nil && g.BeforeSeq != nil && *g.AfterSeq < from && *g.BeforeSeq > to
	})
}

func exactGaps(gaps []normalize.GapReport) int64 {
	n := int64(0)
	for _, g := range gaps {
		n += *g.BeforeSeq - *g.AfterSeq - 1
	}
	return n
}

func TestWhereACaptureIsFrom(t *testing.T) {
	frame := connectors.CaptureRecord{Time: 1, Conn: 1, Dir: connectors.CaptureIn, Body: []byte(`{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}`)}
	open := connectors.CaptureRecord{Time: 1, Conn: 1, Dir: connectors.CaptureOpen, URL: "wss://stream.binance.com:9443/ws/btcusdt@bookTicker"}
	for _, tc := range []struct {
		name    string
		records []connectors.CaptureRecord
		options normalize.Options
		want    string
		err     bool
	}{
		{"by its connection", []connectors.CaptureRecord{open, frame}, normalize.Options{}, `"exchange":"binance","market":"spot"`, false},
		{"by flags", []connectors.CaptureRecord{frame}, normalize.Options{Exchange: "binance", Market: "spot"}, `"market":"spot"`, false},
		{"not at all", []connectors.CaptureRecord{frame}, normalize.Options{}, "", true},
		{"an unknown exchange", []connectors.CaptureRecord{frame}, normalize.Options{Exchange: "nowhere", Market: "spot"}, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var file, out bytes.Buffer
			w := connectors.NewCaptureWriter(&file)
			for i := range tc.records {
				if err := w.Write(&tc.records[i]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var j market.JSON
			_, err := normalize.Run(context.Background(), all.Exchanges(),
				func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil },
				func(r market.Record) error { out.Write(j.Append(nil, r)); return nil }, tc.options)
			if (err != nil) != tc.err || !strings.Contains(out.String(), tc.want) {
				t.Errorf("got %s, %v", out.String(), err)
			}
		})
	}
}
