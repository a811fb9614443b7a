package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRows: pages are read to the end, one that was cut off again, and each row once.
func TestRows(t *testing.T) {
	var came atomic.Int64
	answer := func(w http.ResponseWriter, next string, ids ...int) {
		for _, id := range ids {
			fmt.Fprintf(w, "{\"kind\":\"trade\",\"id\":\"%d\",\"price\":\"0.10\"}\n", id)
		}
		_ = http.NewResponseController(w).Flush() // or it has no trailer
		w.Header().Set(http.TrailerPrefix+"X-Next-Cursor", next)
		w.Header().Set(http.TrailerPrefix+"X-Row-Count", fmt.Sprint(len(ids)))
	}
	c := served(t, Config{MaxPause: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Get("format") != "ndjson" || !strings.Contains(r.URL.Path, "/query/trade/"):
			w.WriteHeader(http.StatusTeapot)
		case q.Get("cursor") == "":
			answer(w, "c", 1, 2)
		case came.Add(1) == 1:
			fmt.Fprint(w, "{\"id\":\"3\"}\n")
			_ = http.NewResponseController(w).Flush() // as a connection does
			panic(http.ErrAbortHandler)
		case came.Load() == 2:
			fmt.Fprint(w, "{\"id\":\"3\"}\n{\"id\":") // whole as an answer, and without its trailer
		default:
			answer(w, "", 3)
		}
	})
	rows, err := Collect(Rows[Trade](t.Context(), c, Query{Exchange: "binance", Symbol: "BTC-USDT"}))
	if err != nil || len(rows) != 3 || rows[2].ID != "3" || rows[0].Price != "0.10" || came.Load() != 3 {
		t.Errorf("%+v, %v after %d", rows, err, came.Load())
	}
	rows, err = Collect(Rows[Trade](t.Context(), c, Query{Exchange: "binance", Symbol: "BTC-USDT", Limit: 2}))
	if err != nil || len(rows) != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
}

// TestReflects: a question says what its answer has to reflect, and an answer what it does.
func TestReflects(t *testing.T) {
	c := served(t, Config{Attempts: 1}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Journal-Position", r.Header.Get("X-Journal-Position")+",2:9")
		w.Header().Set("X-Stale", `reason="cut off"`)
		w.Header().Set(http.TrailerPrefix+"X-Row-Count", "0")
	})
	a, err := c.Storage.Query(t.Context(), Query{Kind: "trade", Exchange: "a", Symbol: "b", Reflects: []string{"0:7", "1:8"}}, FormatLines)
	if err != nil {
		t.Fatal(err)
	}
	if a.Reflects() != "0:7,1:8,2:9" || a.Stale() != `reason="cut off"` {
		t.Errorf("it reflects %q, stale: %q", a.Reflects(), a.Stale())
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestCutOff: what is not complete is never taken for it.
func TestCutOff(t *testing.T) {
	missing := served(t, Config{Attempts: 1}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "{\"id\":\"1\"}\n")
		_ = http.NewResponseController(w).Flush() // or it has no trailer
		w.Header().Set(http.TrailerPrefix+"X-Row-Count", "1")
		w.Header().Set(http.TrailerPrefix+"X-Files-Missing", "2")
	})
	rows, err := Collect(Rows[Trade](t.Context(), missing, Query{Exchange: "a", Symbol: "b"}))
	if !errors.Is(err, ErrFilesMissing) || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	cut := served(t, Config{Attempts: 1}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "{\"id\":\"1\"}\n")
		_ = http.NewResponseController(w).Flush() // as a connection does
		panic(http.ErrAbortHandler)
	})
	if rows, err := Collect(Rows[Trade](t.Context(), cut, Query{Exchange: "a", Symbol: "b"})); !errors.Is(err, ErrCutOff) || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
	a, err := cut.Storage.Query(t.Context(), Query{Kind: "trade", Exchange: "a", Symbol: "b"}, FormatCSV)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(a); !errors.Is(err, ErrCutOff) {
		t.Errorf("as it comes: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	other := served(t, Config{Attempts: 1}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "{\"id\":5}\n")
		_ = http.NewResponseController(w).Flush() // or it has no trailer
		w.Header().Set(http.TrailerPrefix+"X-Row-Count", "1")
	})
	if _, err := Collect(Rows[Trade](t.Context(), other, Query{Exchange: "a", Symbol: "b"})); err == nil || !strings.Contains(err.Error(), "trade") {
		t.Errorf("another form: %v", err)
	}
	if _, err := ParseRecord[Trade]([]byte(`{"kind":"gap"}`)); err == nil {
		t.Error("a gap is taken for a trade")
	}
}
