package stream_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/book"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// overlap is the plainest chain: a change covers FirstSeq..Seq.
type overlap struct{}

func (overlap) Splice(last int64, d *market.BookDelta) market.Continuity {
	switch {
	case d.Seq.V <= last:
		return market.Old
	case d.FirstSeq.V > last+1:
		return market.Hole
	}
	return market.Next
}

func (o overlap) Follow(last int64, d *market.BookDelta) market.Continuity { return o.Splice(last, d) }

var instrument = &market.Instrument{Exchange: "test", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

func config() stream.Config {
	return stream.Config{
		Instrument: instrument, Rules: overlap{}, Backfills: true,
		Proofs: map[market.Kind]stream.Proof{
			market.KindTrade: stream.Contiguous, market.KindBookDelta: stream.Chained, market.KindBookTicker: stream.Rising,
		},
	}
}

func trade(id int64) *market.Trade {
	return &market.Trade{
		Header: market.Header{Instrument: instrument, ExchangeTime: id * 10, ReceiveTime: id*10 + 1, Seq: market.Int(id)},
		ID:     market.NumID(id), Price: market.MustDecimal("1"), Amount: market.MustDecimal("1"),
	}
}

// delta covers from..to and sets the bid at price 100-from%10.
func delta(from, to int64) *market.BookDelta {
	return &market.BookDelta{
		Header: market.Header{
			Instrument: instrument, ExchangeTime: to * 10, ReceiveTime: to*10 + 1, Seq: market.Int(to), PrevSeq: market.Int(from - 1),
		},
		FirstSeq: market.Int(from),
		Bids:     []market.Level{{Price: market.NewDecimal(100-from%10, 0), Amount: market.NewDecimal(to, 0)}},
	}
}

func snapshot(seq int64) *market.BookDelta {
	d := delta(seq, seq)
	d.PrevSeq, d.FirstSeq, d.ExchangeTime = market.OptInt{}, market.OptInt{}, 0
	d.Asks = []market.Level{{Price: market.NewDecimal(200, 0), Amount: market.NewDecimal(1, 0)}}
	return d
}

// line is a short form of what a step emitted.
func line(o *stream.Output) string {
	var parts []string
	for _, r := range o.Records {
		switch r := r.(type) {
		case *market.Trade:
			s := "t" + r.ID.String()
			if r.Flags.Has(market.FlagBackfilled) {
				s += "b"
			}
			parts = append(parts, s)
		case *market.BookDelta:
			s := fmt.Sprintf("d%d", r.Seq.V)
			if r.IsSnapshot {
				s = fmt.Sprintf("s%d@%d", r.Seq.V, r.TS)
			}
			parts = append(parts, s)
		case *market.Gap:
			s := fmt.Sprintf("gap(%s %d..%d %s %s", r.Channel, r.FromSeq.V, r.ToSeq.V, r.Cause, r.Outcome)
			if r.HealedRecords.OK {
				s += fmt.Sprintf(" %d", r.HealedRecords.V)
			}
			parts = append(parts, s+")")
		default:
			parts = append(parts, r.Kind().String())
		}
	}
	for _, q := range o.Requests {
		s := q.Kind.String()
		if q.Kind == stream.RequestTrades {
			s += fmt.Sprintf("(%d..%d)", q.From, q.To)
		}
		parts = append(parts, "?"+s)
	}
	o.Reset()
	return strings.Join(parts, " ")
}

type step struct {
	do   func(*stream.Stream, *stream.Output)
	want string
}

func in(r market.Record) func(*stream.Stream, *stream.Output) {
	return func(s *stream.Stream, o *stream.Output) { s.Step(r, o) }
}

func rest(d *market.BookDelta) func(*stream.Stream, *stream.Output) {
	return func(s *stream.Stream, o *stream.Output) { s.Snapshot(d, o) }
}

func down(kinds ...market.Kind) func(*stream.Stream, *stream.Output) {
	return func(s *stream.Stream, o *stream.Output) { s.Interrupted(market.CauseDisconnect, 5000, o, kinds...) }
}

func fetched(from, to int64, done bool, ids ...int64) func(*stream.Stream, *stream.Output) {
	return func(s *stream.Stream, o *stream.Output) {
		var b market.Batch
		for _, id := range ids {
			b.Copy(trade(id))
		}
		s.Backfilled(stream.Request{Kind: stream.RequestTrades, From: from, To: to}, &b, done, 9999, o)
	}
}

func TestSteps(t *testing.T) {
	refuse := func(cause string, rs ...market.Record) func(*stream.Stream, *stream.Output) {
		return func(s *stream.Stream, _ *stream.Output) { s.Refused(cause, rs, 7000) }
	}
	accept := func(s *stream.Stream, o *stream.Output) { s.Accepting(8000, o) }
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"trades in order", []step{{in(trade(1)), "t1"}, {in(trade(2)), "t2"}}},
		{"a duplicate trade vanishes", []step{{in(trade(1)), "t1"}, {in(trade(1)), ""}, {in(trade(2)), "t2"}, {in(trade(1)), ""}}},
		{"missed trades are fetched", []step{
			{in(trade(1)), "t1"},
			{in(trade(5)), "gap(trade 2..4 sequence open) t5 ?trades(2..4)"},
			{fetched(2, 4, true, 2, 3, 4, 5), "t2b t3b gap(trade 2..4 sequence healed 3) t4b"},
		}},
		{"what cannot be fetched is marked with its bounds", []step{
			{in(trade(1)), "t1"},
			{in(trade(9)), "gap(trade 2..8 sequence open) t9 ?trades(2..8)"},
			{fetched(2, 8, false, 4), "t4b"},
			{fetched(2, 8, true, 5), "t5b gap(trade 2..3 sequence marked 2) gap(trade 6..8 sequence marked)"},
		}},
		{"swapped trades", []step{
			{in(trade(1)), "t1"},
			{in(trade(3)), "gap(trade 2..2 sequence open) t3 ?trades(2..2)"},
			{in(trade(2)), "gap(trade 2..2 sequence healed 1) t2"},
		}},
		{"a reconnection that missed nothing", []step{
			{in(trade(1)), "t1"}, {down(), "gap(trade 2..0 disconnect open)"},
			{in(trade(2)), "gap(trade 2..0 disconnect healed 0) t2"},
		}},
		{"a reconnection that missed trades", []step{
			{in(trade(1)), "t1"}, {down(), "gap(trade 2..0 disconnect open)"}, {down(), ""},
			{in(trade(4)), "gap(trade 2..3 disconnect open) t4 ?trades(2..3)"},
		}},
		{"splice by REST", []step{
			{in(delta(1, 3)), "?snapshot"}, {in(delta(4, 6)), ""}, {in(delta(7, 8)), ""},
			{rest(snapshot(5)), "s5@60 d6 d8"}, {in(delta(9, 9)), "d9"},
		}},
		{"a snapshot older than what was kept is asked for again", []step{
			{in(delta(10, 12)), "?snapshot"}, {rest(snapshot(5)), "?snapshot"}, {rest(snapshot(12)), ""}, {in(delta(13, 13)), "s12@130 d13"},
		}},
		{"a hole resynchronises", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"},
			{in(delta(5, 6)), "gap(book_delta 3..4 sequence open) ?snapshot"}, {in(delta(7, 7)), ""},
			{in(delta(9, 9)), "gap(book_delta 8..8 sequence open)"},
			{rest(snapshot(6)), "gap(book_delta 3..4 sequence marked 0) s6@70 d7 ?snapshot"},
			{rest(snapshot(10)), ""}, {in(delta(11, 11)), "gap(book_delta 8..8 sequence marked 0) s10@110 d11"},
		}},
		{"swapped changes heal without a snapshot", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"},
			{in(delta(4, 4)), "gap(book_delta 3..3 sequence open) ?snapshot"},
			{in(delta(3, 3)), "gap(book_delta 3..3 sequence healed 0) d3 d4"}, {in(delta(5, 5)), "d5"},
		}},
		{"a late change inside what is pending", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"},
			{in(delta(5, 5)), "gap(book_delta 3..4 sequence open) ?snapshot"},
			{in(delta(7, 7)), "gap(book_delta 6..6 sequence open)"}, {in(delta(6, 6)), ""}, {in(delta(6, 6)), ""},
			{rest(snapshot(4)), "gap(book_delta 3..4 sequence marked 0) s4@50 d5 gap(book_delta 6..6 sequence healed 0) d6 d7"},
		}},
		{"a refresh with a snapshot older than the book changes nothing", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"},
			{func(s *stream.Stream, o *stream.Output) { s.RefreshBook(o) }, "?snapshot"},
			{rest(snapshot(1)), ""}, {in(delta(3, 3)), "d3"},
			{func(s *stream.Stream, o *stream.Output) { s.RefreshBook(o) }, "?snapshot"},
			{in(delta(4, 4)), "d4"}, {rest(snapshot(2)), ""}, {in(delta(5, 5)), "d5"},
		}},
		{"a refresh splices beside the live book", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"},
			{func(s *stream.Stream, o *stream.Output) { s.RefreshBook(o) }, "?snapshot"},
			{in(delta(3, 3)), "d3"}, {in(delta(4, 4)), "d4"},
			{rest(snapshot(3)), "s3@40"}, {in(delta(5, 5)), "d5"},
			{in(delta(7, 7)), "gap(book_delta 6..6 sequence open) ?snapshot"},
		}},
		{"a crossed book is forgotten", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"},
			{func(s *stream.Stream, o *stream.Output) {
				d := delta(3, 3)
				d.Bids[0].Price = market.NewDecimal(200, 0)
				s.Step(d, o)
			}, "d3 gap(book_delta 3..3 crossed open) ?snapshot"},
			{in(delta(4, 4)), ""},
			{rest(snapshot(3)), "gap(book_delta 3..3 crossed marked 0) s3@40 d4"},
		}},
		{"a reconnection whose chain goes on needs no snapshot", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"}, {down(), "gap(book_delta 3..0 disconnect open)"},
			{in(delta(3, 4)), "gap(book_delta 3..0 disconnect healed 0) d4"},
		}},
		{"a reconnection with a hole", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"}, {down(), "gap(book_delta 3..0 disconnect open)"},
			{in(delta(6, 6)), "gap(book_delta 3..5 disconnect open) ?snapshot"},
			{rest(snapshot(6)), ""}, {in(delta(7, 7)), "gap(book_delta 3..5 disconnect marked 0) s6@70 d7"},
		}},
		{"a reconnection whose snapshot comes before any change", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"}, {down(), "gap(book_delta 3..0 disconnect open)"},
			{rest(snapshot(5)), ""}, {in(delta(6, 6)), "gap(book_delta 3..5 disconnect marked) s5@60 d6"},
		}},
		{"restart resumes after the last stored trade", []step{
			{func(s *stream.Stream, o *stream.Output) {
				s.Resume(market.KindTrade, market.Int(7), 70, market.CauseRestart, 100, o)
			}, "gap(trade 8..0 restart open)"},
			{in(trade(10)), "gap(trade 8..9 restart open) t10 ?trades(8..9)"},
			{fetched(8, 9, true), "gap(trade 8..9 restart marked 0)"},
		}},
		{"the journal refuses and accepts again", []step{
			{rest(snapshot(1)), ""}, {in(delta(2, 2)), "s1@20 d2"}, {in(trade(1)), "t1"},
			{refuse(market.CauseJournalFull, trade(2), delta(3, 3), &market.Gap{Channel: "trade", Cause: "x", Outcome: "open", FromSeq: market.Int(40)}), ""},
			{refuse(market.CauseJournalFull, trade(3), &market.Gap{Channel: "trade", Cause: "x", Outcome: "healed", FromSeq: market.Int(40)}), ""},
			{accept, "gap(trade 40..0 x healed) gap(trade 2..3 journal_full open) s2@20 gap(book_delta 3..3 journal_full marked) ?trades(2..3)"},
			{accept, ""},
		}},
		{"refusals are known in any order", []step{
			{in(trade(1)), "t1"}, {in(trade(2)), "t2"}, {in(trade(3)), "t3"},
			{refuse(market.CauseJournalFull, trade(3)), ""}, {refuse(market.CauseJournalFull, trade(2)), ""},
			{accept, "gap(trade 2..3 journal_full open) ?trades(2..3)"},
		}},
		{"what has no sequence is flagged", []step{
			{in(&market.Ticker{Header: market.Header{Instrument: instrument, ReceiveTime: 4}}), "ticker"},
			{down(), "gap(ticker 0..0 disconnect open)"},
			{in(&market.Ticker{Header: market.Header{Instrument: instrument, ReceiveTime: 9}}), "gap(ticker 0..0 disconnect marked) ticker"},
		}},
		{"the end marks what is open", []step{
			{in(trade(1)), "t1"}, {in(trade(4)), "gap(trade 2..3 sequence open) t4 ?trades(2..3)"},
			{func(s *stream.Stream, o *stream.Output) { s.Finish(99, o) }, "gap(trade 2..3 sequence marked 0)"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stream.New(config())
			var o stream.Output
			for i, st := range tc.steps {
				st.do(s, &o)
				if got := line(&o); got != st.want {
					t.Fatalf("step %d:\n got %s\nwant %s", i, got, st.want)
				}
			}
		})
	}
}

// TestFaultsNeverServeAWrongBook sends a true chain through drops, duplicates and
// swaps, and compares every book that is called live with the truth at its
// sequence number.
func TestFaultsNeverServeAWrongBook(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		frames, truth := chain(r, 2000)
		sent, dropped := disturb(r, frames)
		s := stream.New(config())
		var o stream.Output
		var ledger []market.Gap
		live := 0
		due := -1
		for i, d := range sent {
			c := *d
			s.Step(&c, &o)
			if i == due {
				// The answer to a request is the truth of a little while ago.
				due = -1
				s.Snapshot(truth.snapshot(max(1, d.Seq.V-int64(r.IntN(20)))), &o)
			}
			for _, rec := range o.Records {
				if g, ok := rec.(*market.Gap); ok {
					ledger = append(ledger, *g)
				}
			}
			if len(o.Requests) > 0 {
				due = i + 1 + r.IntN(5)
			}
			o.Reset()
			got, status := s.Book()
			if status.State != stream.Live {
				continue
			}
			live++
			if g, w := top(got), truth.top(status.Seq); g != w {
				t.Fatalf("seed %d: live book at %d is %s, want %s", seed, status.Seq, g, w)
			}
		}
		if live < len(sent)/2 {
			t.Errorf("seed %d: live after only %d of %d changes", seed, live, len(sent))
		}
		for _, d := range dropped {
			if !covered(ledger, d) {
				t.Errorf("seed %d: dropped change %d..%d is in no gap of %d", seed, d.FirstSeq.V, d.Seq.V, len(ledger))
			}
		}
	}
}

func covered(ledger []market.Gap, d *market.BookDelta) bool {
	return slices.ContainsFunc(ledger, func(g market.Gap) bool {
		return g.FromSeq.V <= d.FirstSeq.V && g.ToSeq.V >= d.Seq.V
	})
}

type truths struct{ books map[int64]*book.Book }

func top(b *book.Book) string {
	return fmt.Sprint(b.AppendBids(nil, 5), b.AppendAsks(nil, 5))
}

func (t truths) top(seq int64) string { return top(t.books[seq]) }

// snapshot is the book at or before seq.
func (t truths) snapshot(seq int64) *market.BookDelta {
	for t.books[seq] == nil {
		seq--
	}
	b := t.books[seq]
	return &market.BookDelta{
		Header: market.Header{Instrument: instrument, ReceiveTime: 1, Seq: market.Int(seq)},
		Bids:   b.AppendBids(nil, -1), Asks: b.AppendAsks(nil, -1),
	}
}

func chain(r *rand.Rand, n int) ([]*market.BookDelta, truths) {
	t := truths{books: map[int64]*book.Book{}}
	var frames []*market.BookDelta
	var b book.Book
	b.Replace(levels(r, 90, 5), levels(r, 110, 5), book.Whole)
	seq := int64(1)
	keep := func() {
		var c book.Book
		c.Replace(b.AppendBids(nil, -1), b.AppendAsks(nil, -1), book.Whole)
		t.books[seq] = &c
	}
	keep()
	for range n {
		from := seq + 1
		seq += 1 + r.Int64N(4)
		d := delta(from, seq)
		d.Bids, d.Asks = levels(r, 90, r.IntN(3)), levels(r, 110, 1+r.IntN(2))
		b.Apply(d.Bids, d.Asks)
		keep()
		frames = append(frames, d)
	}
	return frames, t
}

func levels(r *rand.Rand, middle int64, n int) []market.Level {
	var out []market.Level
	for range n {
		out = append(out, market.Level{Price: market.NewDecimal(middle-9+r.Int64N(19), 0), Amount: market.NewDecimal(r.Int64N(4), 0)})
	}
	return out
}

// disturb drops, repeats and swaps frames past the first ten and before the last.
func disturb(r *rand.Rand, frames []*market.BookDelta) (sent, dropped []*market.BookDelta) {
	sent = append(sent, frames[:10]...)
	for i := 10; i < len(frames)-1; i++ {
		switch r.IntN(100) {
		case 0:
			dropped = append(dropped, frames[i])
		case 1:
			sent = append(sent, frames[i], frames[i])
		case 2:
			sent = append(sent, frames[i], frames[i-1-r.IntN(5)])
		case 3:
			if i+2 < len(frames) {
				sent = append(sent, frames[i+1], frames[i])
				i++
			}
		default:
			sent = append(sent, frames[i])
		}
	}
	return append(sent, frames[len(frames)-1]), dropped
}

func TestPendingIsBounded(t *testing.T) {
	cfg := config()
	cfg.MaxPending = 10
	s := stream.New(cfg)
	var o stream.Output
	for i := range int64(100) {
		s.Step(delta(i+1, i+1), &o)
	}
	o.Reset()
	if got := s.Stats()[0].Dropped; got != 90 {
		t.Errorf("%d changes dropped, want 90", got)
	}
	s.Snapshot(snapshot(95), &o)
	if got, want := line(&o), "s95@960 d96 d97 d98 d99 d100"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSnapshotsByEventTime(t *testing.T) {
	cfg := config()
	cfg.BookDepth, cfg.BookInterval = 5, 100
	s := stream.New(cfg)
	var o stream.Output
	s.Snapshot(snapshot(1), &o)
	var got []string
	for i := int64(2); i <= 35; i++ {
		s.Step(delta(i, i), &o)
		for _, r := range o.Records {
			if b, ok := r.(*market.BookSnapshot); ok {
				got = append(got, fmt.Sprintf("%d:%d", b.TS, b.Seq.V))
			}
		}
		o.Reset()
	}
	if want := []string{"100:9", "200:19", "300:29"}; !slices.Equal(got, want) {
		t.Errorf("snapshots %v, want %v", got, want)
	}
}

func TestAllocStep(t *testing.T) {
	s := stream.New(config())
	var o stream.Output
	s.Snapshot(snapshot(1), &o)
	id := int64(1)
	d := delta(2, 2)
	tr := trade(1)
	run := func() {
		o.Reset()
		id++
		d.Seq, d.PrevSeq, d.FirstSeq = market.Int(id), market.Int(id-1), market.Int(id)
		tr.ID = market.NumID(id)
		s.Step(d, &o)
		s.Step(tr, &o)
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations a step, want 0", n)
	}
}
