package storage_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
	"github.com/marketprism/marketprism/persistence/remote"
)

// positioned asks with a position of the journal.
func positioned(t *testing.T, s *chassis.Server, path, position string) (int, http.Header, chassis.Problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/v1/storage/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Journal-Position", position)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, res.Header, chassis.Problem{}
	}
	return res.StatusCode, res.Header, problem(t, answer{status: res.StatusCode, body: body.String()})
}

// TestReadYourWrites: a read waits for what its client has written.
func TestReadYourWrites(t *testing.T) {
	s, _ := serve(t)
	for name, c := range map[string]struct {
		position string
		status   int
		code     string
	}{
		"there":           {"0:7", http.StatusOK, ""},
		"several":         {"0:3, 0:7", http.StatusOK, ""},
		"not yet":         {"0:8", http.StatusServiceUnavailable, "not_applied"},
		"never":           {"0:99", http.StatusServiceUnavailable, "journal_fault"},
		"no such shard":   {"3:1", http.StatusBadRequest, "unknown_shard"},
		"no position":     {"seven", http.StatusBadRequest, "bad_position"},
		"far too many":    {strings.Repeat("0:1,", 64) + "0:1", http.StatusBadRequest, "bad_position"},
		"one of two, not": {"0:1,x", http.StatusBadRequest, "bad_position"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, header, p := positioned(t, s, "query/trade/binance/BTC-USDT?exact=true", c.position)
			if status != c.status || p.Code != c.code {
				t.Errorf("%d %s %s, want %d %s", status, p.Code, p.Detail, c.status, c.code)
			}
			if status == http.StatusServiceUnavailable && header.Get("Retry-After") == "" {
				t.Error("it does not say when to ask again")
			}
		})
	}
}

// TestIncomplete: a node that lacks records says so with every answer that may lack them.
func TestIncomplete(t *testing.T) {
	s, m := serve(t)
	path := "query/trade/binance/BTC-USDT?exact=true"
	if a := get(t, s, path); a.header.Get("X-Incomplete") != "" {
		t.Errorf("complete, and says %q", a.header.Get("X-Incomplete"))
	}
	m.incomplete = errors.New("shard 0: lacks 5 to 9\nas yet")
	if a := get(t, s, path); a.header.Get("X-Incomplete") != "shard 0: lacks 5 to 9 as yet" {
		t.Errorf("says %q", a.header.Get("X-Incomplete"))
	}
}

// TestStale: a node that does not know what the journal has by now says so with every
// answer, in the header and in lists, and says always what it reflects.
func TestStale(t *testing.T) {
	s, m := serve(t)
	paths := []string{
		"query/trade/binance/BTC-USDT?exact=true", "hot/trades/binance/BTC-USDT?limit=1", "cold/trades/binance/BTC-USDT?limit=1",
		"candles/binance/BTC-USDT", "query/trade/binance/BTC-USDT?exact=true&format=ndjson",
	}
	for _, path := range paths {
		a := get(t, s, path)
		if a.status != http.StatusOK || a.header.Get("X-Journal-Position") != "0:7" || len(a.header.Values("X-Stale")) > 0 || strings.Contains(a.body, `"stale"`) {
			t.Errorf("%s: %d, reflects %q, stale %q: %s", path, a.status, a.header.Get("X-Journal-Position"), a.header.Get("X-Stale"), a.body)
		}
	}
	for _, c := range []struct {
		is           branch.Freshness
		header, list string
	}{
		{
			branch.Freshness{Stale: errors.New("shard 0: it hears 1 of the \"3\"\nnodes"), Age: 12345 * time.Millisecond},
			`age=12.3, reason="shard 0: it hears 1 of the '3' nodes"`, `"stale":{"age_seconds":12.345,"reason":"shard 0: it hears 1 of the \"3\" nodes"}`,
		},
		{branch.Freshness{Stale: errors.New("shard 0: not asked")}, `reason="shard 0: not asked"`, `"stale":{"reason":"shard 0: not asked"}`},
	} {
		m.stale = c.is
		for _, path := range paths {
			a := get(t, s, path)
			if a.status != http.StatusOK || a.header.Get("X-Stale") != c.header {
				t.Errorf("%s: %d, stale %q, want %q", path, a.status, a.header.Get("X-Stale"), c.header)
			}
			if !strings.Contains(path, "ndjson") && !strings.Contains(a.body, c.list) {
				t.Errorf("%s: %s, want %s", path, a.body, c.list)
			}
		}
	}
}

// TestCopyOverHTTP: the way between two nodes gives a file as it is, in pieces, from
// where it is wanted.
func TestCopyOverHTTP(t *testing.T) {
	s, m := serve(t)
	reader := remote.New(remote.Options{Find: nil})
	defer reader.Close()
	if _, err := remote.New(remote.Options{Find: find(s.URL())}).Offers(t.Context()); err == nil {
		t.Error("a store without files offers some")
	}
	long := bytes.Repeat([]byte("0123456789abcdef"), 700_000) // three pieces
	m.copies = map[string][]byte{"trades/0-1-2-3.parquet": long}
	offers, err := remote.New(remote.Options{Find: find(s.URL(), "http://127.0.0.1:1")}).Offers(t.Context())
	if err == nil || len(offers) != 1 {
		t.Fatalf("of two, one of which is not there: %v, %v", offers, err)
	}
	o := offers[s.URL()]
	if o.Reader != "embedded-a" || len(o.Files) != 1 || o.Positions[0].Seq != 7 {
		t.Fatalf("%+v", o)
	}
	for _, offset := range []int64{0, 5, 4 << 20, int64(len(long)) - 1, int64(len(long))} {
		var got bytes.Buffer
		if err := reader.Fetch(t.Context(), s.URL(), o.Files[0], offset, &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), long[offset:]) {
			t.Errorf("from %d on: %d bytes, want %d", offset, got.Len(), int64(len(long))-offset)
		}
	}
	delete(m.copies, "trades/0-1-2-3.parquet")
	if err := reader.Fetch(t.Context(), s.URL(), o.Files[0], 0, new(bytes.Buffer)); !errors.Is(err, persistence.ErrNoCopy) {
		t.Errorf("a file that has left: %v", err)
	}
}

// TestReaders: names that nobody uses are retired, and those that are in use are not.
func TestReaders(t *testing.T) {
	s, m := serve(t)
	for _, name := range []string{"embedded", "embedded-a", "embedded-b"} {
		m.readers = append(m.readers, branch.JournalReader{Registered: journal.Registered{Reader: name}, Own: name == "embedded-a"})
	}
	if a := get(t, s, "journal/readers"); a.status != http.StatusOK || strings.Count(a.body, `"reader":`) != 3 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, c := range []struct {
		name   string
		status int
		code   string
	}{
		{"nobody", http.StatusNotFound, "unknown_reader"},
		{"embedded-a", http.StatusConflict, "reader_in_use"},
		{"embedded", http.StatusOK, ""},
		{"embedded-b", http.StatusConflict, "last_copy"},
	} {
		a := call(t, s, http.MethodDelete, "/api/v1/storage/journal/readers/"+c.name, "", "")
		if a.status != c.status || c.code != "" && problem(t, a).Code != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.status, a.body, c.status, c.code)
		}
	}
}

func find(urls ...string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return urls, nil }
}
