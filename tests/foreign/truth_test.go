package foreign

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
)

// truth is what the exchange did, from records in the one JSON form.
type truth struct {
	trades  map[string]trade
	changes []change // in order
}

type change struct {
	Seq      int64       `json:"seq"`
	Snapshot bool        `json:"is_snapshot"`
	Bids     [][2]string `json:"bids"`
	Asks     [][2]string `json:"asks"`
}

func newTruth(t *testing.T, lines []string) *truth {
	t.Helper()
	all := &truth{trades: map[string]trade{}}
	for _, line := range lines {
		var r struct {
			Kind   string          `json:"kind"`
			ID     json.RawMessage `json:"id"`
			Time   int64           `json:"exchange_time_ns"`
			Price  string          `json:"price"`
			Amount string          `json:"amount"`
			Side   string          `json:"side"`
			change
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
		switch r.Kind {
		case "trade":
			id, err := strconv.Unquote(string(r.ID))
			if err != nil {
				id = string(r.ID)
			}
			all.trades[id] = trade{id, r.Time / 1e6, number(t, r.Price), number(t, r.Amount), r.Side}
		case "book_delta":
			all.changes = append(all.changes, r.change)
		}
	}
	return all
}

// number reads digits as the library does.
func number(t *testing.T, digits string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sameTrades wants trades that happened, in order and, unless some may be left out,
// without a hole.
func (tr *truth) sameTrades(t *testing.T, what string, got []trade, least int, some bool) {
	t.Helper()
	if len(got) < least {
		t.Errorf("%s: %d trades, want %d and more", what, len(got), least)
	}
	for i, g := range got {
		if want, ok := tr.trades[g.ID]; !ok || g != want {
			t.Fatalf("%s: trade %d\n got %+v\nwant %+v", what, i, g, want)
		}
		if i == 0 {
			continue
		}
		if before, here := number(t, got[i-1].ID), number(t, g.ID); here != before+1 && (!some || here <= before) {
			t.Fatalf("%s: trade %s follows %s", what, g.ID, got[i-1].ID)
		}
	}
}

// sameBooks rebuilds the book and compares every one of those got with it at their
// number.
func (tr *truth) sameBooks(t *testing.T, what string, got []book, least, levels int) {
	t.Helper()
	if len(got) < least {
		t.Errorf("%s: %d books, want %d and more", what, len(got), least)
	}
	want := map[int64][]book{}
	for _, b := range got {
		want[b.Seq] = append(want[b.Seq], b)
	}
	bids, asks := map[float64]float64{}, map[float64]float64{}
	for _, c := range tr.changes {
		if c.Snapshot {
			clear(bids)
			clear(asks)
		}
		apply(t, bids, c.Bids)
		apply(t, asks, c.Asks)
		for _, b := range want[c.Seq] {
			sameSide(t, what+" bids", b.Seq, b.Bids, best(bids, levels, -1))
			sameSide(t, what+" asks", b.Seq, b.Asks, best(asks, levels, +1))
		}
		delete(want, c.Seq)
	}
	for seq := range want {
		t.Errorf("%s: there was never a book %d", what, seq)
	}
}

func apply(t *testing.T, side map[float64]float64, levels [][2]string) {
	t.Helper()
	for _, l := range levels {
		price, amount := number(t, l[0]), number(t, l[1])
		if amount == 0 {
			delete(side, price)
			continue
		}
		side[price] = amount
	}
}

// best are the first levels of a side; direction is +1 for rising prices.
func best(side map[float64]float64, n, direction int) [][2]float64 {
	prices := slices.SortedFunc(maps.Keys(side), func(a, b float64) int { return direction * cmp.Compare(a, b) })
	list := make([][2]float64, 0, n)
	for _, p := range prices[:min(n, len(prices))] {
		list = append(list, [2]float64{p, side[p]})
	}
	return list
}

func sameSide(t *testing.T, what string, seq int64, got, want [][2]float64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s at %d\n got %v\nwant %v", what, seq, got, want)
	}
}
