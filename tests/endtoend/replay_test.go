package endtoend

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/tests/harness"
)

// TestReplayInto is the main job on real input: a captured exchange through real
// sockets, the live collector, the journal and the store, read back over HTTP by
// another process.
func TestReplayInto(t *testing.T) {
	for _, tc := range []struct{ capture, market string }{
		{"binance-usdm/btcusdt_20240808", "perpetual"},
		{"binance-spot/btcusdt_20240808", "spot"},
	} {
		t.Run(tc.market, func(t *testing.T) {
			capture, data := harness.Capture(t, tc.capture), t.TempDir()
			normalized := byKind(t, harness.Must(t, time.Minute, "normalize", capture).Out)
			if len(normalized["trade"]) < 5000 || len(normalized["book_delta"]) < 3000 {
				t.Fatalf("normalize printed %d trades and %d book changes: not this capture", len(normalized["trade"]), len(normalized["book_delta"]))
			}
			harness.Must(t, 2*time.Minute, "replay", capture, "--into", data, "--speed", "max")

			n := harness.Start(t, data, nil)
			for _, kind := range market.Kinds() {
				if kind.Table() == "" {
					continue
				}
				stored := n.MustQuery(kind.String(), "binance", "BTC-USDT", "market", tc.market)
				sameRecords(t, kind.String(), lines(stored), normalized[kind.String()])
			}
			tradesInOrder(t, n, tc.market, normalized["trade"])
			bookIsTheExchanges(t, n, tc.market)
			n.Stop()
		})
	}
}

// ownFields are the fields in which a live record differs from a normalised one.
var ownFields = regexp.MustCompile(`,"(?:receive_time_ns|conn|epoch)":\d+`)

func byKind(t *testing.T, text string) map[string][]string {
	t.Helper()
	records := map[string][]string{}
	for line := range strings.Lines(text) {
		kind, _, ok := strings.Cut(strings.TrimPrefix(line, `{"kind":"`), `"`)
		if !ok {
			t.Fatalf("a line without a kind: %.200s", line)
		}
		records[kind] = append(records[kind], strings.TrimSuffix(line, "\n"))
	}
	return records
}

func lines(records []harness.Record) []string {
	all := make([]string, len(records))
	for i := range records {
		all[i] = records[i].Line
	}
	return all
}

// sameRecords compares two sets of records, whatever their order.
func sameRecords(t *testing.T, kind string, got, want []string) {
	t.Helper()
	got, want = stripped(got), stripped(want)
	if len(got) != len(want) {
		t.Errorf("%s: %d records stored, normalize prints %d", kind, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: record %d of %d in order\n got %s\nwant %s", kind, i, len(want), got[i], want[i])
			return
		}
	}
}

// stripped are records without their own fields, sorted.
func stripped(records []string) []string {
	all := make([]string, len(records))
	for i, line := range records {
		all[i] = ownFields.ReplaceAllString(line, "")
	}
	slices.Sort(all)
	return all
}

// tradesInOrder pages through the trades as a client would: each once, in the
// order of their ids, without a hole.
func tradesInOrder(t *testing.T, n *harness.Node, marketWord string, normalized []string) {
	t.Helper()
	var want []int64
	for _, line := range normalized {
		want = append(want, idOf(t, []byte(line)))
	}
	slices.Sort(want)
	var got []int64
	for cursor, pages := "", 0; ; pages++ {
		v := url.Values{"market": {marketWord}, "limit": {"1000"}}
		if cursor != "" {
			v.Set("cursor", cursor)
		}
		var page struct {
			Data  []json.RawMessage `json:"data"`
			Count int               `json:"count"`
			Next  string            `json:"next_cursor"`
		}
		harness.GetJSON(t, n.URL(harness.Storage, "/api/v1/storage/query/trade/binance/BTCUSDT?"+v.Encode()), &page)
		if page.Count != len(page.Data) || pages > len(want)/1000+1 {
			t.Fatalf("page %d says %d trades and has %d", pages, page.Count, len(page.Data))
		}
		for _, row := range page.Data {
			got = append(got, idOf(t, row))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d trades in pages, want %d, each once and in order", len(got), len(want))
	}
	if last := want[len(want)-1]; last-want[0]+1 != int64(len(want)) {
		t.Errorf("ids %d to %d are %d trades: a hole in the capture", want[0], last, len(want))
	}
}

func idOf(t *testing.T, record []byte) int64 {
	t.Helper()
	var r struct {
		ID json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(record, &r); err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseInt(strings.Trim(string(r.ID), `"`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// bookIsTheExchanges rebuilds the book from the stored changes, in a way of its
// own, and compares its best levels, after every change, with what the exchange
// itself quoted last.
func bookIsTheExchanges(t *testing.T, n *harness.Node, marketWord string) {
	t.Helper()
	quotes := quotesOf(t, n.MustQuery("book_ticker", "binance", "BTC-USDT", "market", marketWord))
	rebuilt := plainBook{bids: side{}, asks: side{}}
	compared := 0
	for i, record := range n.MustQuery("book_delta", "binance", "BTC-USDT", "market", marketWord) {
		var change change
		if err := json.Unmarshal([]byte(record.Line), &change); err != nil {
			t.Fatal(err)
		}
		if change.Snapshot != (i == 0) {
			t.Fatalf("change %d: is_snapshot %v; one snapshot is the beginning", i, change.Snapshot)
		}
		rebuilt.apply(t, &change)
		at, _ := slices.BinarySearchFunc(quotes, change.Seq+1, func(q quote, seq int64) int { return int(q.Seq - seq) })
		if at == 0 || change.Snapshot {
			continue // the exchange had quoted nothing yet
		}
		compared++
		bid, bidAmount := rebuilt.best(rebuilt.bids, false)
		ask, askAmount := rebuilt.best(rebuilt.asks, true)
		if got := (quote{change.Seq, bid, bidAmount, ask, askAmount}); !got.same(quotes[at-1]) {
			t.Fatalf("after change %d the best levels are %+v, the exchange quoted %+v", change.Seq, got, quotes[at-1])
		}
	}
	if compared < 3000 {
		t.Errorf("%d changes compared: too few to say anything", compared)
	}
}

type quote struct {
	Seq       int64  `json:"seq"`
	Bid       string `json:"bid_price"`
	BidAmount string `json:"bid_amount"`
	Ask       string `json:"ask_price"`
	AskAmount string `json:"ask_amount"`
}

func (q quote) same(o quote) bool { o.Seq = q.Seq; return q == o }

func quotesOf(t *testing.T, records []harness.Record) []quote {
	t.Helper()
	all := make([]quote, len(records))
	for i := range records {
		if err := json.Unmarshal([]byte(records[i].Line), &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(all, func(a, b quote) int { return int(a.Seq - b.Seq) })
	return all
}

type change struct {
	Seq      int64       `json:"seq"`
	Snapshot bool        `json:"is_snapshot"`
	Bids     [][2]string `json:"bids"`
	Asks     [][2]string `json:"asks"`
}

// side holds amounts by price, both as the exchange wrote them.
type side map[string]string

type plainBook struct {
	bids, asks side
	// The best prices, while known.
	bid, ask string
}

func (b *plainBook) apply(t *testing.T, c *change) {
	t.Helper()
	b.bid = put(t, b.bids, c.Bids, b.bid, false)
	b.ask = put(t, b.asks, c.Asks, b.ask, true)
}

// put sets levels and returns the best price, "" when it has to be looked for.
func put(t *testing.T, s side, levels [][2]string, best string, lower bool) string {
	t.Helper()
	for _, l := range levels {
		amount, err := strconv.ParseFloat(l[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if amount == 0 {
			delete(s, l[0])
			if l[0] == best {
				best = ""
			}
			continue
		}
		s[l[0]] = l[1]
		if best != "" && better(l[0], best, lower) {
			best = l[0]
		}
	}
	return best
}

func better(a, b string, lower bool) bool {
	x, _ := strconv.ParseFloat(a, 64) // prices were compared as text with the quotes
	y, _ := strconv.ParseFloat(b, 64)
	return x < y == lower && x != y
}

func (b *plainBook) best(s side, lower bool) (price, amount string) {
	known := &b.bid
	if lower {
		known = &b.ask
	}
	if *known == "" {
		for p := range s {
			if *known == "" || better(p, *known, lower) {
				*known = p
			}
		}
	}
	return *known, s[*known]
}
