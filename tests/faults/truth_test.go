package faults

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// levels is how much of a book is compared: less than any snapshot has.
const levels = 20

// deal is a trade; digits as the exchange writes them, without trailing zeros.
type deal struct{ id, price, amount, side string }

// ladder is the best of a book, without trailing zeros.
type ladder struct{ bids, asks [][2]string }

// record is what is read of a record in the one JSON form.
type record struct {
	Kind     string          `json:"kind"`
	Exchange string          `json:"exchange"`
	Market   string          `json:"market"`
	Symbol   string          `json:"symbol"`
	ID       json.RawMessage `json:"id"`
	Seq      *int64          `json:"seq"`
	Time     int64           `json:"exchange_time_ns"`
	Prev     *int64          `json:"prev_seq"`
	Price    string          `json:"price"`
	Amount   string          `json:"amount"`
	Side     string          `json:"side"`
	Snapshot bool            `json:"is_snapshot"`
	Bids     [][2]string     `json:"bids"`
	Asks     [][2]string     `json:"asks"`
	Flags    []string        `json:"flags"`
}

func parse(t *testing.T, line string) record {
	t.Helper()
	var r record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%v in %.200s", err, line)
	}
	return r
}

// deal is a trade, and its number in the exchange's own sequence: seq where a trade
// has one, else its id.
func (r *record) deal(t *testing.T) (int64, deal) {
	t.Helper()
	id := strings.Trim(string(r.ID), `"`)
	id = id[strings.LastIndexByte(id, '-')+1:] // Deribit writes the currency before it
	d := deal{id, plain(r.Price), plain(r.Amount), r.Side}
	if r.Seq != nil {
		return *r.Seq, d
	}
	n, err := strconv.ParseInt(d.id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n, d
}

// number is that of a book change: its sequence number, or, where the exchange sends
// none, the millisecond that it is of.
func (r *record) number() int64 {
	if r.Seq != nil {
		return *r.Seq
	}
	return r.Time / 1e6
}

// plain takes trailing zeros off.
func plain(digits string) string {
	if !strings.Contains(digits, ".") {
		return digits
	}
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

// simulated is the truth of a simulated instrument.
type simulated struct {
	sim                      *harness.Simulator
	exchange, market, symbol string
	// legacy: its books have checksums in place of numbers.
	legacy bool
}

// page is how many trades are asked for at once.
const page = 10_000

func (s *simulated) trades(t *testing.T, from, to int64) map[int64]deal {
	t.Helper()
	found := map[int64]deal{}
	for ; from <= to; from += page {
		var answer struct {
			Trades []json.RawMessage `json:"trades"`
		}
		s.ask(t, &answer, "trades", "from_id", strconv.FormatInt(from, 10), "to_id", strconv.FormatInt(min(to, from+page-1), 10))
		for _, line := range answer.Trades {
			r := parse(t, string(line))
			n, d := r.deal(t)
			found[n] = d
		}
	}
	return found
}

func (s *simulated) books(t *testing.T, numbers []int64) map[int64]ladder {
	t.Helper()
	found, by := map[int64]ladder{}, "seq"
	if s.legacy {
		by = "time_ms"
	}
	for _, n := range numbers {
		var answer struct {
			Bids [][2]string `json:"bids"`
			Asks [][2]string `json:"asks"`
		}
		s.ask(t, &answer, "book", by, strconv.FormatInt(n, 10))
		found[n] = ladder{plainTop(answer.Bids), plainTop(answer.Asks)}
	}
	return found
}

func (s *simulated) ask(t *testing.T, into any, what string, params ...string) {
	t.Helper()
	s.sim.Ask(t, into, what, append(params, "exchange", s.exchange, "market", s.market, "symbol", s.symbol)...)
}

func plainTop(side [][2]string) [][2]string {
	list := make([][2]string, 0, levels)
	for _, l := range side[:min(len(side), levels)] {
		list = append(list, [2]string{plain(l[0]), plain(l[1])})
	}
	return list
}

// plainBook rebuilds a book in a way of its own.
type plainBook struct{ bids, asks []rung }

// rung is a level; sides are kept sorted, best first.
type rung struct {
	at            float64
	price, amount string
}

func newPlainBook() *plainBook { return &plainBook{} }

func (b *plainBook) apply(t *testing.T, r *record) {
	t.Helper()
	if r.Snapshot {
		b.bids, b.asks = nil, nil
	}
	b.bids = put(t, b.bids, r.Bids, -1)
	b.asks = put(t, b.asks, r.Asks, +1)
}

func put(t *testing.T, side []rung, changes [][2]string, direction float64) []rung {
	t.Helper()
	for _, c := range changes {
		price, err := strconv.ParseFloat(c[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		amount, err := strconv.ParseFloat(c[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		i, found := slices.BinarySearchFunc(side, price, func(r rung, p float64) int {
			switch d := direction * (r.at - p); {
			case d < 0:
				return -1
			case d > 0:
				return 1
			}
			return 0
		})
		switch {
		case amount == 0 && found:
			side = slices.Delete(side, i, i+1)
		case amount == 0:
		case found:
			side[i].amount = plain(c[1])
		default:
			side = slices.Insert(side, i, rung{price, plain(c[0]), plain(c[1])})
		}
	}
	return side
}

func (b *plainBook) ladder() ladder { return ladder{top(b.bids), top(b.asks)} }

func top(side []rung) [][2]string {
	list := make([][2]string, 0, levels)
	for _, r := range side[:min(len(side), levels)] {
		list = append(list, [2]string{r.price, r.amount})
	}
	return list
}

// same compares as many levels as both show.
func (l ladder) same(o ladder) bool { return sameSide(l.bids, o.bids) && sameSide(l.asks, o.asks) }

func sameSide(a, b [][2]string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}
