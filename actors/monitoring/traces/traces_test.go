package traces

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func span(trace byte, id byte, took time.Duration, change func(*Span)) Span {
	s := Span{TraceID: [16]byte{15: trace}, ID: [8]byte{id}, Remote: true, Kind: Server, Service: "svc", Name: "GET /x", Start: begin, Took: took}
	if change != nil {
		change(&s)
	}
	return s
}

func child(parent byte) func(*Span) {
	return func(s *Span) { s.Parent, s.Remote = [8]byte{parent}, false }
}

func recorder(t testing.TB, kept int) *Recorder {
	t.Helper()
	r, err := NewRecorder(Options{Config: Config{Slow: 100 * time.Millisecond, Kept: kept, Share: 1}, Node: "here"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTail: a trace is kept when any of its spans was slow or failed, with all of them.
func TestTail(t *testing.T) {
	for name, tc := range map[string]struct {
		spans  []Span
		kept   bool
		failed bool
		n      int
	}{
		"quick":                {[]Span{span(1, 1, time.Millisecond, nil)}, false, false, 0},
		"slow":                 {[]Span{span(1, 1, time.Second, nil)}, true, false, 1},
		"failed":               {[]Span{span(1, 1, time.Millisecond, func(s *Span) { s.Failed = true })}, true, true, 1},
		"quick with children":  {[]Span{span(1, 2, time.Millisecond, child(1)), span(1, 1, time.Millisecond, nil)}, false, false, 0},
		"a slow child":         {[]Span{span(1, 2, time.Second, child(1)), span(1, 1, time.Millisecond, nil)}, true, false, 2},
		"a quick child, slow":  {[]Span{span(1, 2, time.Millisecond, child(1)), span(1, 1, time.Second, nil)}, true, false, 2},
		"a child that is late": {[]Span{span(1, 1, time.Second, nil), span(1, 2, time.Millisecond, child(1))}, true, false, 2},
		"never ended":          {[]Span{span(1, 2, time.Second, child(1))}, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := recorder(t, 10)
			for _, s := range tc.spans {
				r.Record(s)
			}
			found, ok := r.Find("00000000000000000000000000000001")
			if ok != tc.kept || ok && (len(found.Spans) != tc.n || found.Failed != tc.failed) {
				t.Errorf("kept %v: %+v", ok, found)
			}
			if ok && found.Root().Took != found.Took {
				t.Errorf("the root is %+v", found.Root())
			}
		})
	}
}

// TestBelow: a span that another one of this process waits for is decided with it; a
// stream is not slow.
func TestBelow(t *testing.T) {
	r := recorder(t, 10)
	r.Begin([8]byte{1})
	r.Begin([8]byte{2})
	r.End(span(1, 2, time.Millisecond, func(s *Span) { s.Parent = [8]byte{1} }))
	r.End(span(1, 1, time.Second, func(s *Span) { s.Parent = [8]byte{9} }))
	if all := r.List(Filter{}, 10); len(all) != 1 || len(all[0].Spans) != 2 || all[0].Spans[1].Remote || !all[0].Spans[0].Remote {
		t.Errorf("kept %+v", all)
	}
	r.End(span(2, 3, time.Hour, func(s *Span) { s.Endless = true }))
	if kept, _ := r.Counts(); kept != 1 {
		t.Errorf("kept %d", kept)
	}
	if len(r.open) != 0 {
		t.Errorf("%d are open", len(r.open))
	}
}

// TestBounds: every queue has an end.
func TestBounds(t *testing.T) {
	r := recorder(t, 3)
	for i := range byte(5) {
		r.Record(span(i+1, 1, time.Second, func(s *Span) { s.Start = begin.Add(time.Duration(i) * time.Second); s.Failed = i == 4 }))
	}
	all := r.List(Filter{}, 10)
	if len(all) != 3 || all[0].ID[15] != 5 || all[2].ID[15] != 3 {
		t.Errorf("kept: %+v", all)
	}
	for name, tc := range map[string]struct {
		f    Filter
		want int
	}{
		"failed": {Filter{Failed: true}, 1}, "of nobody": {Filter{Service: "x"}, 0}, "of svc": {Filter{Service: "svc"}, 3},
		"longer": {Filter{Least: 2 * time.Second}, 0}, "since": {Filter{From: begin.Add(3 * time.Second)}, 2},
	} {
		if got := r.List(tc.f, 10); len(got) != tc.want {
			t.Errorf("%s: %d, want %d", name, len(got), tc.want)
		}
	}
	if got := r.List(Filter{}, 2); len(got) != 2 {
		t.Errorf("limit 2: %d", len(got))
	}
	for _, id := range []string{"", "zz", hex.EncodeToString(make([]byte, 15)), hex.EncodeToString(make([]byte, 16))} {
		if _, ok := r.Find(id); ok {
			t.Errorf("%q was found", id)
		}
	}
	many := recorder(t, 10)
	for i := range maxSpans + 5 {
		many.Record(span(1, 2, time.Second, func(s *Span) { child(1)(s); s.ID[1], s.ID[2] = byte(i), byte(i>>8) }))
	}
	many.Record(span(1, 1, time.Second, nil))
	if found, _ := many.Find("00000000000000000000000000000001"); len(found.Spans) != maxSpans || found.Missing != 6 {
		t.Errorf("%d spans, %d missing", len(found.Spans), found.Missing)
	}
	full := recorder(t, 10)
	for i := range maxWaiting + 3 {
		full.Record(Span{TraceID: [16]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, Start: begin, Took: time.Second})
	}
	if kept, forgotten := full.Counts(); kept != 0 || forgotten != 3 {
		t.Errorf("kept %d, forgotten %d", kept, forgotten)
	}
	full.Record(Span{TraceID: [16]byte{15: 1}, Start: begin.Add(time.Hour)}) // makes room, and decides about those that waited
	if kept, _ := full.Counts(); kept != 10 || len(full.waiting) != 1 {
		t.Errorf("after an hour: kept %d, waiting %d", kept, len(full.waiting))
	}
}

// TestExport: a collector gets the spans as OTLP, in protobuf over HTTP.
func TestExport(t *testing.T) {
	got := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/base/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		got <- body
	}))
	defer collector.Close()
	c := DefaultConfig()
	c.Endpoint, c.Share = collector.URL+"/base", 0.5
	e, err := NewExporter(t.Context(), c, "node-a", "v1", []string{"svc"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecorder(Options{Config: c, Export: e.Export})
	if err != nil {
		t.Fatal(err)
	}
	r.Record(span(7, 1, time.Millisecond, func(s *Span) { s.Name = "within the share" }))
	r.Record(span(7, 1, time.Millisecond, func(s *Span) { s.Name, s.TraceID[8] = "beyond the share", 255 }))
	r.Record(span(7, 1, time.Millisecond, func(s *Span) { s.Name, s.TraceID[8], s.Failed, s.Error, s.Code = "failed", 255, true, "it broke", 503 }))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
	text := string(<-got)
	for _, want := range []string{"within the share", "failed", "it broke", "service.name", "svc", "node-a", "http.response.status_code"} {
		if !strings.Contains(text, want) {
			t.Errorf("the collector did not get %q", want)
		}
	}
	if strings.Contains(text, "beyond the share") {
		t.Error("the collector got what is beyond the share")
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Share: 2, Endpoint: "collector:4318"}.Validate()
	for _, key := range []string{"slow: ", "kept: ", "otlp_share: ", "otlp_endpoint: "} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%q is not named in %v", key, err)
		}
	}
	if e, err := NewExporter(t.Context(), DefaultConfig(), "", "", nil); e != nil || err != nil {
		t.Errorf("without an endpoint: %v, %v", e, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := recorder(b, 10)
	s := span(1, 1, time.Millisecond, nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Record(s)
	}
}
