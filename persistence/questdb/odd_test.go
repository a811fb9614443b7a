package questdb

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// decimal reads a number that is one.
func decimal(t testing.TB, text string) market.Decimal {
	t.Helper()
	d, err := market.ParseDecimal([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// odd is a trade of which one thing is unusual; ts is in Unix ns.
func odd(t testing.TB, into *market.Batch, symbol, id, price string, ts int64) {
	t.Helper()
	trade := market.Add[market.Trade](into)
	trade.Instrument, trade.Origin, trade.ExchangeTime, trade.ReceiveTime = instrument(symbol), market.External, ts, epoch2024
	trade.ID, trade.Price, trade.Amount = market.TextID(id), decimal(t, price), market.NewDecimal(1, 0)
	market.Stamp(trade)
}

// stored reads a stream back, oldest first: id, price and time of each trade.
func (f *fixture) stored(symbol string) (list []string) {
	f.Helper()
	id := instrument(symbol).ID()
	rows, err := f.engine.Query(f.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id})
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	for {
		var b market.Batch
		_, err := rows.Next(f.Context(), &b)
		for r := range b.All() {
			trade := r.(*market.Trade)
			list = append(list, fmt.Sprintf("%s %s %d %q", trade.ID.String(), trade.Price.String(), trade.TS, trade.Instrument.Native))
		}
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			f.Fatal(err)
		}
	}
}

// TestQuestDBOddRows: what is unusual comes back from the server as it was, digit for
// digit; what it has no form for goes the way of rejects, and nothing else does.
func TestQuestDBOddRows(t *testing.T) {
	at := func(year int) int64 { return time.Date(year, 6, 1, 12, 0, 0, 123_456_789, time.UTC).UnixNano() }
	long := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('A' + i%26)
		}
		return string(b)
	}
	type row struct {
		id, price string
		ts        int64
	}
	for _, tc := range []struct {
		name, symbol string
		rows         []row
		rejected     []string // ids
	}{
		{"decimals of 20 digits and more", "DIGITS", []row{
			{"a", "12345678901234567890", at(2024)}, {"b", "0.00000000000000000001", at(2024) + 1}, {"c", "99999999999999999999.99999999999999999999", at(2024) + 2},
			{"d", "1.10", at(2024) + 3}, {"e", "0.1000000000000000055511151231257827", at(2024) + 4}, {"f", "-12345678901234567890.5", at(2024) + 5},
			{"g", "9007199254740993", at(2024) + 6}, {"h", "0", at(2024) + 7}, {"i", "0.00", at(2024) + 8},
		}, nil},
		{"equal times", "EQUAL", []row{{"a", "1", at(2024)}, {"b", "2", at(2024)}, {"c", "3", at(2024)}}, nil},
		{"equal microseconds", "MICRO", []row{{"a", "1", at(2024)}, {"b", "2", at(2024) + 1}, {"c", "3", at(2024) + 2}}, nil},
		{"the first moments that QuestDB has", "FIRST", []row{{"a", "1", 1}, {"b", "2", 999}, {"c", "3", 1000}, {"d", "4", int64(time.Hour)}}, nil},
		{"times before 1970", "BEFORE", []row{{"a", "1", at(1969)}, {"b", "2", -1}, {"c", "3", at(2024)}}, []string{"a", "b"}},
		{"times far ahead", "AHEAD", []row{{"a", "1", at(2100)}, {"b", "2", at(2200)}, {"c", "3", time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC).UnixNano()}}, nil},
		{"ids", "IDS", []row{
			{`"quoted" \ and = , spaces`, "1", at(2024)}, {"two\nlines\r\nand\ttabs", "2", at(2024) + 1}, {"交易-🚀-ünïcode", "3", at(2024) + 2}, {long(500), "4", at(2024) + 3},
		}, nil},
		{"a slash and a colon", "BTC/USDT:USDT-240628", []row{{"a", "1", at(2024)}}, nil},
		{"quotes", `'"` + "`", []row{{"a", "1", at(2024)}}, nil},
		{"lines", "a\nb\r\nc", []row{{"a", "1", at(2024)}}, nil},
		{"not ASCII", "比特币/🚀/ÅÄÖ", []row{{"a", "1", at(2024)}}, nil},
		{"commas, equals, backslashes", `a\,b=c d\`, []row{{"a", "1", at(2024)}}, nil},
		{"a long name", long(200), []row{{"a", "1", at(2024)}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			var b market.Batch
			var want []string
			refused := map[string]bool{}
			for _, id := range tc.rejected {
				refused[id] = true
			}
			for _, r := range tc.rows {
				odd(t, &b, tc.symbol, r.id, r.price, r.ts)
				if !refused[r.id] {
					want = append(want, fmt.Sprintf("%s %s %d %q", r.id, r.price, r.ts, tc.symbol))
				}
			}
			f.apply(&b)
			f.published()
			got := f.stored(tc.symbol)
			if len(got) != len(want) {
				t.Errorf("%d rows are stored, want %d", len(got), len(want))
			}
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("row %d:\n got %s\nwant %s", i, got[i], want[i])
				}
			}
			if n := len(f.rejected[instrument(tc.symbol).ID().String()]); n != len(tc.rejected) {
				t.Errorf("rejected: %v, want %v", f.rejected, tc.rejected)
			}
		})
	}
}
