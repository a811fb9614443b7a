package faults

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// levels is how much of a book is compared: less than any snapshot has.
const levels = 20

// truth is what really happened on an instrument of an exchange.
type truth interface {
	// trades are those between two numbers, both included, by number.
	trades(t *testing.T, from, to int64) map[int64]deal
	// books are the best levels at each of the numbers.
	books(t *testing.T, numbers []int64) map[int64]ladder
}

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
	d := deal{strings.Trim(string(r.ID), `"`), plain(r.Price), plain(r.Amount), r.Side}
	if r.Seq != nil {
		return *r.Seq, d
	}
	n, err := strconv.ParseInt(d.id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n, d
}

// plain takes trailing zeros off.
func plain(digits string) string {
	if !strings.Contains(digits, ".") {
		return digits
	}
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

// recorded is the truth of a capture.
type recorded struct {
	deals   map[int64]deal
	changes []record
}

func newRecorded(t *testing.T, capture string) *recorded {
	t.Helper()
	c := &recorded{deals: map[int64]deal{}}
	for line := range strings.Lines(harness.Must(t, time.Minute, "normalize", capture, "--kinds", "trade,book_delta").Out) {
		switch r := parse(t, line); r.Kind {
		case "trade":
			n, d := r.deal(t)
			c.deals[n] = d
		case "book_delta":
			c.changes = append(c.changes, r)
		}
	}
	return c
}

func (c *recorded) trades(_ *testing.T, from, to int64) map[int64]deal {
	found := map[int64]deal{}
	for n, d := range c.deals {
		if n >= from && n <= to {
			found[n] = d
		}
	}
	return found
}

func (c *recorded) books(t *testing.T, numbers []int64) map[int64]ladder {
	t.Helper()
	found := map[int64]ladder{}
	b := newPlainBook()
	for i := range c.changes {
		b.apply(t, &c.changes[i])
		if n := *c.changes[i].Seq; slices.Contains(numbers, n) {
			found[n] = b.ladder()
		}
	}
	return found
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
