package market

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func selectedTrade() *Trade {
	t := &Trade{ID: NumID(17), Price: MustDecimal("61837.630"), Amount: MustDecimal("0.5"), Side: Buy}
	t.Instrument = &Instrument{Exchange: "binance", Market: Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}
	t.ExchangeTime, t.ReceiveTime, t.Seq = 1_723_118_400_000_000_001, 1_723_118_400_000_000_002, Int(4)
	t.Flags = FlagBackfilled
	return t
}

func TestSelection(t *testing.T) {
	for names, want := range map[string][3]string{
		"price":                   {`{"price":"61837.630"}`, "price", "61837.630"},
		"side,price,trade_id":     {`{"id":"17","price":"61837.630","side":"buy"}`, "id,price,side", "17,61837.630,buy"},
		"kind":                    {`{"kind":"trade"}`, "kind", "trade"},
		"symbol,kind":             {`{"kind":"trade","symbol":"BTC-USDT"}`, "kind,symbol", "trade,BTC-USDT"},
		"exchange,native_symbol":  {`{"exchange":"binance","native_symbol":"BTCUSDT"}`, "exchange,native_symbol", "binance,BTCUSDT"},
		"market,seq,flags,origin": {`{"market":"spot","seq":4,"flags":["backfilled"]}`, "market,seq,origin,flags", "spot,4,collected,backfilled"},
		"quote_amount":            {`{}`, "quote_amount", `""`},
		"":                        {`{}`, "", `""`},
	} {
		s, err := Select(KindTrade, strings.FieldsFunc(names, func(r rune) bool { return r == ',' })...)
		if err != nil {
			t.Errorf("%s: %v", names, err)
			continue
		}
		j := JSON{Only: s}
		for range 2 { // the second time from what is kept
			if got := string(j.Append([]byte("x"), selectedTrade())); got != "x"+want[0] {
				t.Errorf("%s: %s, want %s", names, got, want[0])
			}
		}
		c := NewCSV(KindTrade, s)
		if head, row := string(c.Header()), string(c.Append(nil, selectedTrade())); names != "" && (head != want[1] || row != want[2]) {
			t.Errorf("%s as CSV: %s / %s, want %s / %s", names, head, row, want[1], want[2])
		}
		if got := strings.Join(s.Names(), ","); got != want[1] {
			t.Errorf("%s: names %s, want %s", names, got, want[1])
		}
	}
	var unknown *FieldError
	if _, err := Select(KindTrade, "price", "depth"); !errors.As(err, &unknown) || unknown.Name != "depth" || !strings.Contains(err.Error(), "quote_amount") {
		t.Errorf("an unknown field: %v", err)
	}
	if s, err := Select(KindTrade, "market", "id", "exchange"); err != nil || !slices.Equal(s.Columns(), []string{"exchange", "trade_id"}) {
		t.Errorf("columns: %v, %v", s.Columns(), err)
	}
}

// TestSelectionIsAPart: of every kind, any selection has the selected members of the
// whole form, byte for byte, and CSV the cells of its columns.
func TestSelectionIsAPart(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, k := range Kinds() {
		record := k.New()
		record.Head().Instrument = &Instrument{Exchange: "a,b", Market: Option, Symbol: "x\"y", Native: "z"}
		record.Head().ExchangeTime, record.Head().Seq, record.Head().Origin, record.Head().Flags = 5, Int(-3), External, 7
		var whole map[string]json.RawMessage
		if err := json.Unmarshal(new(JSON).Append(nil, record), &whole); err != nil {
			t.Fatal(err)
		}
		heads, cells := csvOf(t, NewCSV(k, nil), record)
		for range 20 {
			var names []string
			for _, n := range FieldNames(k) {
				if r.IntN(3) == 0 {
					names = append(names, n)
				}
			}
			s, err := Select(k, names...)
			if err != nil || !slices.Equal(s.Names(), append([]string{}, names...)) {
				t.Fatalf("%v %v: %v, %v", k, names, s.Names(), err)
			}
			var some map[string]json.RawMessage
			j := JSON{Only: s}
			if err := json.Unmarshal(j.Append(nil, record), &some); err != nil {
				t.Fatalf("%v %v: %v", k, names, err)
			}
			for _, n := range names {
				if string(some[n]) != string(whole[n]) {
					t.Errorf("%v: %s is %s, want %s", k, n, some[n], whole[n])
				}
				delete(some, n)
			}
			if len(some) > 0 {
				t.Errorf("%v %v: further %v", k, names, some)
			}
			if len(names) == 0 {
				continue
			}
			partHeads, partCells := csvOf(t, NewCSV(k, s), record)
			for i, n := range partHeads {
				if at := slices.Index(heads, n); at < 0 || cells[at] != partCells[i] {
					t.Errorf("%v as CSV: %s is %q", k, n, partCells[i])
				}
			}
			if !slices.Equal(partHeads, names) {
				t.Errorf("%v as CSV: columns %v, want %v", k, partHeads, names)
			}
		}
	}
}

func csvOf(t *testing.T, c *CSV, r Record) (heads, cells []string) {
	t.Helper()
	text := append(append(c.Header(), '\n'), c.Append(nil, r)...)
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%s: %v", text, err)
	}
	return rows[0], rows[1]
}
