package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const storageBase = "/api/v1/storage/"

// copies asks for what another node would copy, and who the journal is kept for.
func copies(c *client) {
	c.t.Helper()
	readers := c.get(storageBase + "journal/readers")
	has(c.t, "readers", readers, "status:s", "data:a", "timestamp:t")
	for _, r := range list(readers, "data") {
		has(c.t, "a reader", r.(object), "reader:s", "shard:n", "position:n", "full_copy:b", "moved:t", "own:b", "behind:n", "holds_back:b")
	}
	answer := c.get(storageBase + "copy")
	has(c.t, "an offer", answer, "status:s", "data:o", "timestamp:t")
	offer := sub(answer, "data")
	has(c.t, "an offer", offer, "reader:s", "positions:a", "files:a", "archived:a", "damaged:a")
	files := list(offer, "files")
	if len(files) == 0 {
		c.t.Fatalf("nothing is offered: %v", offer)
	}
	file := files[0].(object)
	has(c.t, "a file", file, "tier:s", "table:s", "name:s", "bytes:n>0", "checksum:s", "journal_id:s", "shard:n", "first_seq:n", "last_seq:n>0")
	a := c.try("GET", storageBase+"copy/file?tier="+fmt.Sprint(file["tier"])+"&name="+url.QueryEscape(fmt.Sprint(file["name"])), "", "")
	if a == nil || a.Status != 200 || !bytes.HasPrefix(a.Body, []byte("PAR1")) || a.Header.Get("X-File-Bytes") == "" {
		c.t.Errorf("a file of the store: %+v", a)
	}
}

// storagePaths are those that clients know.
var storagePaths = []string{
	"applied", "candles/{exchange}/{symbol}", "cold/archive", "cold/trades/{exchange}/{symbol}", "copy", "copy/file", "hot/orderbooks", "hot/orderbooks/{exchange}/{symbol}",
	"hot/tickers", "hot/tickers/{exchange}/{symbol}", "hot/trades", "hot/trades/{exchange}/{symbol}", "journal", "journal/adopt", "journal/readers",
	"journal/readers/{reader}", "lifecycle/cleanup",
	"operations", "operations/{id}", "parts", "query/{kind}/{exchange}/{symbol}", "stats", "status", "streams", "tables/{table}/resume",
	"tally/{kind}/{exchange}/{symbol}",
}

// TestStorage: the data-storage-service answers as documented, field by field, before
// and after what it holds has been archived, and after a kill.
func TestStorage(t *testing.T) {
	data := t.TempDir()
	n := harness.Start(t, data, nil, harness.Broker, harness.Storage)
	c := &client{t: t, base: n.URL(harness.Storage, "")}
	var err error
	if c.doc, err = describe(c.try("GET", "/openapi.json", "", "").Body); err != nil {
		t.Fatal(err)
	}
	have := openPaths(t, c.base)
	for _, p := range storagePaths {
		if !slices.Contains(have, storageBase+p) {
			t.Errorf("%s is not described", p)
		}
	}
	posted(c)
	for name, check := range map[string]func(*client){"hot": hotRows, "query": queries, "candles": candles, "refusals": refusals, "figures": figures} {
		t.Run(name, func(t *testing.T) {
			own := *c
			own.t = t
			check(&own)
		})
	}
	journal := sub(c.get(storageBase+"journal"), "data")
	has(t, "journal", journal, "journal_id:s", "shards:a", "highest_epoch:n")
	has(t, "applied", c.get(fmt.Sprintf("%sapplied?position=0:1&journal=%v", storageBase, journal["journal_id"])), "status:s", "journal_id:s", "shard:n", "applied:n>0", "reached:b")
	id := lifecycle(c)
	copies(c)
	n.Kill()
	n = harness.Start(t, data, nil, harness.Broker, harness.Storage)
	c.base = n.URL(harness.Storage, "")
	o := sub(c.get(storageBase+"operations/"+id), "data")
	if has(t, "an operation of before the kill", o, operationFields...); o["state"] != "succeeded" || o["rows"] != float64(3*rowsPosted) {
		t.Errorf("an operation of before the kill: %v", o)
	}
	queries(c)
}

// rowsPosted is how many trades there are, one a second.
const rowsPosted = 300

var firstPosted = time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)

func posted(c *client) {
	c.t.Helper()
	var trades, tickers, books strings.Builder
	for i := range rowsPosted {
		at := firstPosted.Add(time.Duration(i) * time.Second).Format(time.RFC3339)
		fmt.Fprintf(&trades, `{"timestamp":%q,"symbol":"BTCUSDT","exchange":"contract","price":%d.50,"amount":"0.25","side":"buy","trade_id":"%d"}`+"\n", at, 100+i, i)
		fmt.Fprintf(&tickers, `{"timestamp":%q,"symbol":"BTCUSDT","exchange":"contract","last_price":%d,"volume_24h":1,"price_change_24h":-1,"high_24h":2,"low_24h":1}`+"\n", at, 1+i)
		fmt.Fprintf(&books, `{"timestamp":%q,"symbol":"BTCUSDT","exchange":"contract","bids":[["1.5",%d]],"asks":[[2,"3"]]}`+"\n", at, 1+i)
	}
	for path, body := range map[string]string{"hot/trades": trades.String(), "hot/tickers": tickers.String(), "hot/orderbooks": books.String()} {
		a := c.try("POST", storageBase+path, "application/x-ndjson", body)
		var o object
		if a == nil || a.Status != 200 || json.Unmarshal(a.Body, &o) != nil {
			c.t.Fatalf("POST %s: %+v", path, a)
		}
		has(c.t, path, o, "status:s", "message:s", "timestamp:t", "stored:n>0", "visible:b")
		if o["stored"] != float64(rowsPosted) || o["visible"] != true {
			c.t.Errorf("POST %s: %v", path, o)
		}
	}
}

func hotRows(c *client) {
	o := c.get(storageBase + "hot/trades/contract/BTC-USDT?limit=7")
	has(c.t, "hot/trades", o, "status:s", "data:a", "count:n>0", "timestamp:t", "next_cursor:s")
	if len(list(o, "data")) != 7 || o["count"] != 7.0 {
		c.t.Errorf("hot/trades: %v", o["count"])
	}
	row, _ := list(o, "data")[0].(object)
	has(c.t, "a trade", row, "timestamp:t", "symbol:s", "exchange:s", "price:n", "amount:n", "side:s", "trade_id:s")
	if row["trade_id"] != fmt.Sprint(rowsPosted-1) || row["symbol"] != "BTC-USDT" {
		c.t.Errorf("the newest trade: %v", row)
	}
	has(c.t, "a ticker", sub(c.get(storageBase+"hot/tickers/contract/btc_usdt"), "data"),
		"timestamp:t", "symbol:s", "exchange:s", "last_price:n", "volume_24h:n", "price_change_24h:n", "high_24h:n", "low_24h:n")
	has(c.t, "an order book", sub(c.get(storageBase+"hot/orderbooks/contract/BTCUSDT"), "data"), "timestamp:t", "symbol:s", "exchange:s", "bids:a", "asks:a")
	for _, path := range []string{"hot/tickers", "hot/orderbooks"} {
		if o := c.ask(404, "GET", storageBase+path+"/contract/NOBODY", ""); o["status"] != "not_found" || !isA(o["message"], "s") {
			c.t.Errorf("%s of nobody: %v", path, o)
		}
	}
	o = c.get(storageBase + "cold/trades/contract/BTCUSDT?start_date=2026-01-15&end_date=2026-01-15&limit=3")
	has(c.t, "cold/trades", o, "status:s", "data:a", "count:n", "query_params:o", "timestamp:t")
	has(c.t, "query_params", sub(o, "query_params"), "exchange:s", "symbol:s", "start_date:t?", "end_date:t?", "limit:n", "tier:s")
}

// queries asks for the same rows in every format.
func queries(c *client) {
	path := storageBase + "query/trade/contract/BTCUSDT?from=2026-01-15T10:00:00Z&to=2026-01-16"
	o := c.get(path)
	has(c.t, "query", o, "status:s", "kind:s", "table:s", "exchange:s", "market:s", "symbol:s", "data:a", "count:n", "timestamp:t")
	if o["count"] != float64(rowsPosted) || len(list(o, "data")) != rowsPosted {
		c.t.Errorf("query: %v rows", o["count"])
	}
	row, _ := list(o, "data")[0].(object)
	has(c.t, "a record", row, "kind:s", "exchange:s", "market:s", "symbol:s", "native_symbol:s", "exchange_time_ns:n", "receive_time_ns:n", "origin:s", "id:s", "price:s", "amount:s", "side:s")
	for format, media := range map[string]string{"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"} {
		a := c.try("GET", path+"&format="+format, "", "")
		if a == nil || a.Status != 200 || a.Header.Get("Content-Type") != media || a.Trailer.Get("X-Row-Count") != fmt.Sprint(rowsPosted) || a.Header.Get("Server-Timing") == "" {
			c.t.Errorf("query as %s: %+v", format, a)
			continue
		}
		lines := strings.Count(string(a.Body), "\n")
		switch {
		case format == "ndjson" && lines != rowsPosted, format == "csv" && lines != rowsPosted+1,
			format == "parquet" && (!strings.HasPrefix(string(a.Body), "PAR1") || !strings.HasSuffix(string(a.Body), "PAR1")):
			c.t.Errorf("query as %s: %d lines, %d bytes", format, lines, len(a.Body))
		}
	}
	next, seen := "", 0
	for {
		o := c.get(path + "&limit=77&fields=id&cursor=" + url.QueryEscape(next))
		for _, r := range list(o, "data") {
			if r := r.(object); len(r) != 1 || r["id"] != fmt.Sprint(seen) {
				c.t.Fatalf("row %d of pages is %v", seen, r)
			}
			seen++
		}
		if next, _ = o["next_cursor"].(string); next == "" {
			break
		}
	}
	if seen != rowsPosted {
		c.t.Errorf("%d rows in pages", seen)
	}
}

func candles(c *client) {
	for interval, want := range map[string]int{"1s": 300, "7s": 44, "1m": 5, "3m": 2, "90m": 1, "1h": 1, "1d": 1, "1w": 1, "1M": 1, "5M": 1} {
		o := c.get(storageBase + "candles/contract/BTCUSDT?order=asc&interval=" + interval)
		has(c.t, "candles", o, "status:s", "interval:s", "source:s", "data:a", "count:n", "timestamp:t")
		volume := 0.0
		for _, r := range list(o, "data") {
			r := r.(object)
			has(c.t, "a candle", r, "timestamp:t", "symbol:s", "exchange:s", "interval:s", "open:n", "high:n", "low:n", "close:n", "volume:n", "trades:n", "closed:b", "open_time_ns:n", "close_time_ns:n", "origin:s")
			volume += r["volume"].(float64)
		}
		if int(o["count"].(float64)) != want || volume != rowsPosted*0.25 {
			c.t.Errorf("%s: %v candles of %v, want %d of %v", interval, o["count"], volume, want, rowsPosted*0.25)
		}
	}
	c.refused(404, "unknown_symbol", "GET", storageBase+"candles/contract/BTCUSDT?source=exchange", "", "")
	if o := c.get(storageBase + "candles/contract/BTCUSDT?origin=collected"); o["count"] != 0.0 {
		c.t.Errorf("candles of what we collected: %v", o)
	}
}

// refusals: what cannot be is told at once, with the parameter that is to blame.
func refusals(c *client) {
	cursor := url.QueryEscape(c.get(storageBase + "query/trade/contract/BTCUSDT?limit=1")["next_cursor"].(string))
	for path, to := range map[string]string{
		"query/trade/contract/BTCUSDT?from=2026-02-01&to=2026-01-01": "/to",
		"query/trade/contract/BTCUSDT?limit=1000000000":              "/limit",
		"query/trade/contract/BTCUSDT?fields=spoon":                  "/fields",
		"query/trade/contract/BTCUSDT?format=xlsx":                   "/format",
		"query/trade/contract/BTCUSDT?cursor=AAAA":                   "/cursor",
		"query/trade/contract/BTCUSDT?order=desc&cursor=" + cursor:   "/cursor",
		"query/ticker/contract/BTCUSDT?cursor=" + cursor:             "/cursor",
		"hot/trades/contract/BTCUSDT?cursor=" + cursor:               "/cursor",
		"candles/contract/BTCUSDT?interval=1y":                       "/interval",
		"candles/contract/BTCUSDT?cursor=" + cursor:                  "/cursor",
		"tally/trade/contract/BTCUSDT?from=2026-01-01":               "/from",
		"streams?kind=spoon":                                         "/kind",
	} {
		o := c.refused(422, "", "GET", storageBase+path, "", "")
		if errs := list(o, "errors"); len(errs) == 0 || errs[0].(object)["pointer"] != to {
			c.t.Errorf("%s: %v is to blame, want %s", path, errs, to)
		}
	}
	for _, path := range []string{"query/spoon/contract/BTCUSDT", "query/trade/contract/NOBODY", "query/trade/contract/" + strings.Repeat("A", 80), "operations/none"} {
		c.refused(404, "", "GET", storageBase+path, "", "")
	}
	c.refused(400, "", "GET", storageBase+"query/trade/contract/BTC%00", "", "")
}

var operationFields = []string{
	"operation_id:s", "job:s", "state:s", "scheduled:b", "tables:a", "cutoff_time:t", "created:t", "rows:n", "rows_total:n", "files:n", "bytes:n", "by_table:o", "rows_kept:n",
}

// figures: stats, status, tally and streams say what there is.
func figures(c *client) {
	d := sub(c.get(storageBase+"stats"), "data")
	has(c.t, "stats", d, "hot_storage:o", "cold_storage:o", "operations:o", "tables:a", "cold_tables:a", "superseded_rows:n", "quarantined:a")
	has(c.t, "hot_storage", sub(d, "hot_storage"), "trades_count:n>0", "tickers_count:n>0", "orderbooks_count:n>0", "size_mb:n")
	has(c.t, "cold_storage", sub(d, "cold_storage"), "trades_count:n", "tickers_count:n", "orderbooks_count:n", "size_gb:n", "available:b")
	has(c.t, "operations", sub(d, "operations"), "total_reads:n", "total_writes:n>0", "total_archives:n", "total_cleanups:n")
	if hot := sub(d, "hot_storage"); hot["trades_count"] != float64(rowsPosted) || hot["tickers_count"] != float64(rowsPosted) || hot["orderbooks_count"] != float64(rowsPosted) {
		c.t.Errorf("stats: %v", hot)
	}
	d = sub(c.get(storageBase+"status"), "data")
	has(c.t, "status", d, "shards:a", "failures:a", "warnings:a", "leases:n", "max_leases:n>0", "maintained:t", "quarantined:a", "archiving:o", "writable:b", "recorders:a")
	for _, s := range list(d, "shards") {
		s := s.(object)
		has(c.t, "a shard", s, "shard:n", "state:s", "applied:n>0", "position:n", "registered:n", "last:o", "published_to:n", "behind_seconds:n", "writers:a", "published:t", "waiting:b", "journal:o")
		has(c.t, "its journal", sub(s, "journal"), "first:n", "last:n>0", "lag:n", "bytes:n", "max_bytes:n", "readers:a")
		if sub(s, "journal")["lag"] != 0.0 || s["state"] != "reading" {
			c.t.Errorf("a shard that is at rest: %v", s)
		}
	}
	has(c.t, "archiving", sub(d, "archiving"), "cold:o", "automatic:b", "interval_seconds:n>0", "after_seconds:n>0", "lag_seconds:n", "waiting_rows:n", "hot_ttl_seconds:n>0", "hot_limit_bytes:n", "cold_ttl_seconds:n", "operations:a")
	o := c.get(storageBase + "streams?exchange=contract")
	has(c.t, "streams", o, "status:s", "data:a", "count:n", "timestamp:t")
	if row, _ := list(o, "data")[0].(object); len(list(o, "data")) != 1 || row["symbol"] != "BTCUSDT" || fmt.Sprint(row["kinds"]) != "[trade book_snapshot ticker]" {
		c.t.Errorf("streams: %v", list(o, "data"))
	}
	o = c.get(storageBase + "tally/trade/contract/BTCUSDT?from=2026-01-15&to=2026-01-17&bucket=24h")
	has(c.t, "tally", o, "status:s", "kind:s", "exchange:s", "market:s", "symbol:s", "timestamp:t")
	if v, ok := o["data"]; !ok || v != nil && len(list(o, "data")) != 0 {
		c.t.Errorf("a tally counts what we collected alone: %v", o)
	}
}

// lifecycle archives everything and cleans it up; what it did can be asked for. It
// returns the archive's id.
func lifecycle(c *client) string {
	o := c.ask(200, "POST", storageBase+"cold/archive", `{"data_type":"all","cutoff_hours":0}`)
	has(c.t, "archive", o, "status:s", "message:s", "data_type:s", "cutoff_time:t", "archived_count:n>0", "timestamp:t", "operation_id:s", "joined:b", "by_table:o", "files:n>0")
	if o["archived_count"] != float64(3*rowsPosted) {
		c.t.Errorf("archive: %v", o)
	}
	id, _ := o["operation_id"].(string)
	has(c.t, "operations/{id}", sub(c.get(storageBase+"operations/"+id), "data"), operationFields...)
	all := c.get(storageBase + "operations?limit=5")
	has(c.t, "operations", all, "status:s", "data:a", "count:n>0", "timestamp:t")
	found := false
	for _, one := range list(all, "data") {
		found = found || one.(object)["operation_id"] == id
	}
	if !found {
		c.t.Errorf("the archive is not among the operations: %v", all)
	}
	for _, o := range []object{
		c.get(storageBase + "query/trade/contract/BTCUSDT?tier=cold"), c.get(storageBase + "query/trade/contract/BTCUSDT"),
	} {
		if o["count"] != float64(rowsPosted) {
			c.t.Errorf("after the archive: %v rows", o["count"])
		}
	}
	o = c.ask(200, "POST", storageBase+"lifecycle/cleanup", `{"retention_hours":0}`)
	has(c.t, "cleanup", o, "status:s", "message:s", "cutoff_time:t", "cleaned_count:n", "timestamp:t", "operation_id:s", "joined:b", "kept_count:n")
	o = c.get(storageBase + "parts")
	has(c.t, "parts", o, "status:s", "data:a", "count:n>0", "timestamp:t")
	for _, p := range list(o, "data") {
		has(c.t, "a part", p.(object), "table:s", "tier:s", "path:s", "bytes:n>0", "rows:n>0", "min_time_ns:n", "max_time_ns:n", "shard:n", "first_seq:n", "last_seq:n", "created:t", "checksum:s")
	}
	if v := c.try("GET", storageBase+"query/trade/contract/BTCUSDT?limit=1", "", "").Header.Get("Server-Timing"); !strings.Contains(v, "cold;desc=") {
		c.t.Errorf("Server-Timing of archived rows: %s", v)
	}
	a := c.try("POST", storageBase+"cold/archive", "application/json", "{}", "Prefer", "respond-async")
	if a == nil || a.Status != 202 && a.Status != 200 {
		c.t.Errorf("respond-async: %+v", a)
	}
	return id
}

// TestQueryIsLeft: a client that leaves in the middle of a long answer ends the reading,
// and the lease that it had.
func TestQueryIsLeft(t *testing.T) {
	n := harness.Start(t, t.TempDir(), nil, harness.Broker, harness.Storage)
	const rows = 100_000
	for first := 0; first < rows; first += 50_000 {
		var b strings.Builder
		for i := first; i < first+50_000; i++ {
			fmt.Fprintf(&b, `{"timestamp":%d,"symbol":"LONG","exchange":"contract","price":%d,"amount":"0.25","side":"buy","trade_id":"%d"}`+"\n", firstPosted.UnixMilli()+int64(i), 1+i, i)
		}
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, storageBase+"hot/trades"), "application/x-ndjson", []byte(b.String()))
		if err != nil || a.Status != 200 {
			t.Fatalf("%v %+v", err, a)
		}
	}
	url := n.URL(harness.Storage, storageBase+"query/trade/contract/LONG?format=ndjson")
	before := metric(t, n, `mp_storage_rows_read_total{table="trades"}`)
	for range 3 {
		res, err := http.Get(url) //nolint:noctx // it is left by closing the body
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, res.Body, 100_000); err != nil {
			t.Fatal(err)
		}
		res.Body.Close() // with most of it unread
	}
	harness.Await(t, 20*time.Second, "the leases to end", func() bool { return metric(t, n, "mp_storage_leases") == 0 })
	read := metric(t, n, `mp_storage_rows_read_total{table="trades"}`) - before
	if read == 0 || read >= 3*rows*9/10 {
		t.Errorf("%v rows were read for clients that had left, of %d", read, 3*rows)
	}
	t.Logf("%v rows were read of %d", read, 3*rows)
}

// metric is a value of the storage service's metrics; 0 when it is not there.
func metric(t *testing.T, n *harness.Node, name string) (v float64) {
	t.Helper()
	a, err := harness.Get(t.Context(), n.URL(harness.Storage, "/metrics"))
	if err != nil || a.Status != 200 {
		t.Fatalf("%v %+v", err, a)
	}
	for line := range strings.Lines(string(a.Body)) {
		if strings.HasPrefix(line, name) {
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v
}
