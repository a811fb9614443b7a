package stream_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// linked is a chain by previous numbers that jump, fall, and repeat to keep it
// alive; its checksum is the sum of the best prices.
type linked struct{}

func (linked) Splice(last int64, d *market.BookDelta) market.Continuity {
	switch {
	case d.PrevSeq.V == last:
		return market.Next
	case d.Seq.V == last:
		return market.Old
	}
	return market.Hole
}

func (l linked) Follow(last int64, d *market.BookDelta) market.Continuity { return l.Splice(last, d) }

func (linked) ChecksumDepth() int { return 1 }

func (linked) Checksum(_ *market.Instrument, bids, asks []market.Level) (sum int64) {
	for _, side := range [][]market.Level{bids, asks} {
		for _, l := range side {
			sum += int64(l.Price.Float64())
		}
	}
	return sum
}

func inBandConfig() stream.Config {
	c := config()
	c.Rules, c.SnapshotsInBand = linked{}, true
	return c
}

// link is a change after prev on connection 1, snap a snapshot; their times rise
// with each call of at.
func link(at, prev, seq int64) *market.BookDelta {
	d := delta(seq, seq)
	d.FirstSeq, d.PrevSeq = market.OptInt{}, market.Int(prev)
	d.ExchangeTime, d.ReceiveTime, d.Conn = at*10, at*10+1, 1
	return d
}

func snap(at, seq int64) *market.BookDelta {
	d := link(at, -1, seq)
	d.IsSnapshot = true
	d.Asks = []market.Level{{Price: market.NewDecimal(200, 0), Amount: market.NewDecimal(1, 0)}}
	return d
}

func on(conn int64, d *market.BookDelta) *market.BookDelta {
	d.Conn = conn
	return d
}

func summed(d *market.BookDelta, sum int64) *market.BookDelta {
	d.Checksum = market.Int(sum)
	return d
}

func keepalive(at, seq int64) *market.BookDelta {
	d := link(at, seq, seq)
	d.Bids = nil
	return d
}

func TestInBandSteps(t *testing.T) {
	for name, steps := range map[string][]step{
		"chain with jumps, a fall and a keepalive": {
			{in(snap(1, 500)), "s500@10"},
			{in(link(2, 500, 507)), "d507"},
			{in(keepalive(3, 507)), "d507"},
			{in(link(4, 507, 3)), "d3"}, // numbers begin anew
			{in(link(5, 3, 9)), "d9"},
			{in(link(6, 3, 9)), ""}, // once more
		},
		"a hole until the new snapshot": {
			{in(snap(1, 500)), "s500@10"},
			{in(link(2, 510, 520)), "gap(book_delta 501..510 sequence open) ?resubscribe"},
			{in(link(3, 520, 530)), ""},
			{in(keepalive(4, 530)), ""},
			{in(snap(5, 540)), "gap(book_delta 501..510 sequence marked 0) s540@50"},
			{in(link(6, 540, 550)), "d550"},
		},
		"a hole, and the snapshot has a lower number": {
			{in(snap(1, 500)), "s500@10"},
			{in(link(2, 2, 7)), "gap(book_delta 2..2 sequence open) ?resubscribe"},
			{in(link(3, 7, 8)), ""},
			{in(snap(4, 9)), "gap(book_delta 2..2 sequence marked 0) s9@40"},
			{in(link(5, 9, 11)), "d11"},
		},
		"the missing change comes late": {
			{in(snap(1, 500)), "s500@10"},
			{in(link(2, 510, 520)), "gap(book_delta 501..510 sequence open) ?resubscribe"},
			{in(link(3, 500, 510)), "gap(book_delta 501..510 sequence healed 0) d510 d520"},
			{in(link(4, 520, 530)), "d530"},
			// The new subscription was asked for all the same.
			{in(snap(5, 540)), "gap(book_delta 531..540 sequence marked) s540@50"},
		},
		"a wrong checksum": {
			{in(summed(snap(1, 500), 300)), "s500@10"},
			{in(summed(link(2, 500, 501), 0)), "d501"}, // 0 is none
			{in(summed(link(3, 501, 502), 1)), "d502 gap(book_delta 502..502 checksum open) ?resubscribe"},
			{in(link(4, 502, 503)), ""},
			{in(link(5, 503, 504)), ""},
			{in(snap(6, 504)), "gap(book_delta 502..502 checksum marked 0) s504@60"},
		},
		"a disconnection": {
			{in(snap(1, 500)), "s500@10"},
			{in(link(2, 500, 507)), "d507"},
			{down(), "gap(book_delta 508..0 disconnect open)"},
			{in(on(2, link(3, 520, 530))), "?resubscribe"},
			{in(on(2, snap(4, 600))), "gap(book_delta 508..600 disconnect marked) s600@40"},
			{in(on(2, link(5, 600, 601))), "d601"},
		},
		"silence, and the chain goes on": {
			{in(snap(1, 500)), "s500@10"},
			{down(), "gap(book_delta 501..0 disconnect open)"},
			{in(link(2, 500, 507)), "gap(book_delta 501..0 disconnect healed 0) d507"},
		},
		"a planned replacement": {
			{in(snap(1, 500)), "s500@10"},
			{in(on(2, snap(2, 500))), "s500@20"},
			{in(link(3, 500, 507)), ""}, // the old connection's
			{in(on(2, link(3, 500, 507))), "d507"},
			{in(on(3, snap(4, 600))), "gap(book_delta 508..600 sequence marked) s600@40"},
			{down(), "gap(book_delta 601..0 disconnect open)"}, // the replacement is lost, the old one is not
			{in(on(2, link(5, 507, 601))), "?resubscribe"},
			{in(on(2, snap(6, 602))), "gap(book_delta 601..602 disconnect marked) s602@60"},
			{in(on(2, link(7, 602, 603))), "d603"},
		},
		"before any snapshot": {
			{in(link(1, 7, 8)), "?resubscribe"},
			{in(link(2, 8, 9)), ""},
			{in(snap(3, 20)), "s20@30"},
		},
		"a snapshot by REST is none of the chain": {
			{rest(snap(1, 500)), ""},
			{in(snap(2, 500)), "s500@20"},
		},
		"a snapshot that is asked for": {
			{in(snap(1, 500)), "s500@10"},
			{func(s *stream.Stream, o *stream.Output) { s.RefreshBook(o) }, "?resubscribe"},
			{in(link(2, 500, 501)), "d501"},
			{func(s *stream.Stream, o *stream.Output) { s.RefreshBook(o) }, ""},
			{in(snap(3, 501)), "s501@30"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stream.New(inBandConfig())
			var o stream.Output
			for i, st := range steps {
				st.do(s, &o)
				if got := line(&o); got != st.want {
					t.Errorf("step %d: %q, want %q", i, got, st.want)
				}
			}
		})
	}
}

// TestInBandNeverServesAWrongBook loses, repeats and swaps changes of a chain
// whose numbers fall now and then, and answers requests after a while. Whenever
// the book says it is live it is the exchange's at that number, and it always
// comes back.
func TestInBandNeverServesAWrongBook(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := stream.New(inBandConfig())
		var o stream.Output
		truth, at, seq := map[int64]int64{}, int64(0), int64(1000)
		history := map[string]bool{}
		key := func() string { return fmt.Sprint(seq, truth) }
		snapshotNow := func() *market.BookDelta {
			d := snap(at, seq)
			d.Bids, d.Asks = nil, nil
			for price, amount := range truth {
				d.Bids = append(d.Bids, market.Level{Price: market.NewDecimal(price, 0), Amount: market.NewDecimal(amount, 0)})
			}
			return d
		}
		book := func() string {
			b, st := s.Book()
			have := map[int64]int64{}
			for _, l := range b.AppendBids(nil, -1) {
				have[int64(l.Price.Float64())] = int64(l.Amount.Float64())
			}
			return fmt.Sprint(st.Seq, have)
		}
		wait, live := 0, 0
		var held *market.BookDelta
		send := func(d *market.BookDelta) {
			s.Step(d, &o)
			for _, q := range o.Requests {
				if q.Kind == stream.RequestResubscribe {
					wait = 1 + rng.IntN(5)
				}
			}
			o.Reset()
			if _, st := s.Book(); st.State == stream.Live {
				live++
				if got := book(); !history[got] {
					t.Fatalf("seed %d: a live book that never was: %s", seed, got)
				}
			}
		}
		history[key()] = true
		send(snapshotNow())
		for range 400 {
			at++
			prev := seq
			if seq += 1 + rng.Int64N(9); rng.IntN(50) == 0 {
				seq = rng.Int64N(500)
			}
			price, amount := rng.Int64N(20), rng.Int64N(3)
			d := link(at, prev, seq)
			d.Bids = []market.Level{{Price: market.NewDecimal(price, 0), Amount: market.NewDecimal(amount, 0)}}
			if truth[price] = amount; amount == 0 {
				delete(truth, price)
			}
			history[key()] = true
			switch fate := rng.IntN(40); {
			case wait > 0: // between the end and the new beginning nothing comes, or the last of the old
				if wait--; wait == 0 {
					send(snapshotNow())
				} else if fate > 20 {
					send(d)
				}
			case fate == 0: // lost
			case fate == 1:
				send(d)
				send(d)
			case fate == 2 && held == nil:
				held = d
				continue
			default:
				send(d)
			}
			if held != nil {
				send(held)
				held = nil
			}
		}
		if live < 100 {
			t.Errorf("seed %d: live after %d of 400 changes", seed, live)
		}
	}
}
