package logs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func newRing(t testing.TB, lines int, bytes int64) (*Ring, *zap.Logger) {
	t.Helper()
	r := NewRing(Config{Lines: lines, Bytes: bytes})
	return r, zap.New(r.Core(zapcore.DebugLevel, "node-a", func(id string) string { return "of " + id }))
}

func messages(lines []Entry) string {
	var all []string
	for _, e := range lines {
		all = append(all, e.Message)
	}
	return strings.Join(all, " ")
}

// TestCore: what a line says becomes labels and fields, With or not.
func TestCore(t *testing.T) {
	r, log := newRing(t, 10, 1<<20)
	log.With(zap.String("service", "svc"), zap.Int("n", 1)).Named("part").Warn("first",
		zap.String("trace_id", "abc"), zap.Duration("took", 1500*time.Millisecond), zap.Error(errors.New("no")))
	log.With(zap.String("actor", "root/x")).Info("second", zap.Int("actor_count", 2))
	log.Debug("third", zap.Int("service", 7))
	got := r.Last(&Filter{Level: zapcore.DebugLevel}, 10)
	if len(got) != 3 {
		t.Fatalf("%d lines", len(got))
	}
	e := got[0]
	if e.Seq != 1 || e.Level != "warn" || e.Service != "svc" || e.Node != "node-a" || e.Logger != "part" || e.TraceID != "abc" || e.Message != "first" {
		t.Errorf("first: %+v", e)
	}
	if want := `{"n":1,"took":1.5,"error":"no"}`; string(e.Fields) != want {
		t.Errorf("fields %s, want %s", e.Fields, want)
	}
	if e := got[1]; e.Actor != "root/x" || e.Service != "of root/x" || string(e.Fields) != `{"actor_count":2}` {
		t.Errorf("second: %+v", e)
	}
	if e := got[2]; e.Service != "" || string(e.Fields) != `{"service":7}` {
		t.Errorf("third: %+v", e)
	}
	log.Info(strings.Repeat("ä", maxMessage), zap.String("long", strings.Repeat("x", maxFields)))
	last := r.Last(&Filter{}, 1)[0]
	if len(last.Message) > maxMessage+4 || !strings.Contains(string(last.Fields), "too long") {
		t.Errorf("a giant line has %d and %d bytes", len(last.Message), len(last.Fields))
	}
}

func TestFilter(t *testing.T) {
	r, log := newRing(t, 1000, 1<<20)
	log.Debug("a", zap.String("service", "one"), zap.String("actor", "root/a/b"))
	log.Info("b", zap.String("service", "two"), zap.String("trace_id", "t"), zap.String("exchange", "okx"))
	log.Error("c Gap", zap.String("service", "one"), zap.String("request_id", "r"), zap.String("symbol", "BTC-USDT"))
	log.Info("d", zap.String("why", "a GAP too"), zap.String("actor", "root/ab"))
	times := r.Last(&Filter{Level: zapcore.DebugLevel}, 10)
	for name, tc := range map[string]struct {
		f    Filter
		want string
	}{
		"all":          {Filter{Level: zapcore.DebugLevel}, "a b c Gap d"},
		"info":         {Filter{}, "b c Gap d"},
		"error":        {Filter{Level: zapcore.ErrorLevel}, "c Gap"},
		"service":      {Filter{Level: zapcore.DebugLevel, Service: "one"}, "a c Gap"},
		"actor":        {Filter{Level: zapcore.DebugLevel, Actor: "root/a"}, "a"},
		"one actor":    {Filter{Level: zapcore.DebugLevel, Actor: "root/a/b"}, "a"},
		"trace":        {Filter{TraceID: "t"}, "b"},
		"request":      {Filter{RequestID: "r"}, "c Gap"},
		"exchange":     {Filter{Exchange: "okx"}, "b"},
		"symbol":       {Filter{Symbol: "BTC-USDT"}, "c Gap"},
		"text":         {Filter{Text: "gap"}, "c Gap d"},
		"another node": {Filter{Node: "node-b"}, ""},
		"before":       {Filter{Before: 3}, "b"},
		"from":         {Filter{From: times[2].Time}, "c Gap d"},
		"to":           {Filter{To: times[2].Time}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := messages(r.Last(&tc.f, 10)); got != tc.want {
				t.Errorf("the last: %q, want %q", got, tc.want)
			}
			if tc.f.Before > 0 {
				return
			}
			found, next, missed := r.After(0, &tc.f, 10)
			if got := messages(found); got != tc.want || next != 4 || missed != 0 {
				t.Errorf("after: %q, next %d, missed %d; want %q", got, next, missed, tc.want)
			}
		})
	}
}

// TestBounds: the ring forgets the oldest, by lines and by bytes, and says what a
// reader has missed.
func TestBounds(t *testing.T) {
	r, log := newRing(t, 500, 1<<20)
	for i := range 1200 {
		log.Info(fmt.Sprint(i))
	}
	if first, last := r.Bounds(); first != 701 || last != 1200 {
		t.Errorf("kept %d to %d", first, last)
	}
	var all []Entry
	next, lost := uint64(600), uint64(0)
	for {
		found, after, missed := r.After(next, &Filter{}, 150)
		if lost += missed; len(found) == 0 {
			break
		}
		all, next = append(all, found...), after
	}
	if len(all) != 500 || lost != 100 || all[0].Message != "700" || all[499].Message != "1199" {
		t.Errorf("read %d, missed %d", len(all), lost)
	}
	if got := messages(r.Last(&Filter{Before: 1000}, 3)); got != "996 997 998" {
		t.Errorf("a page further back: %s", got)
	}
	if got := r.Last(&Filter{}, 1000); len(got) != 500 || got[0].Seq != 701 {
		t.Errorf("all: %d from %d", len(got), got[0].Seq)
	}

	small, log := newRing(t, 1000, 64<<10)
	for range 100 {
		log.Info(strings.Repeat("x", 3000))
	}
	if n := len(small.Last(&Filter{}, 1000)); n < 15 || n > 21 || small.bytes > small.limit {
		t.Errorf("%d lines of 3 kB in 64 kB", n)
	}
}

// TestFollowed: lines of another process are as they were there, with numbers of their
// own here; what is no line does no harm.
func TestFollowed(t *testing.T) {
	there, log := newRing(t, 2, 1<<20)
	for range 3 {
		log.Info("forgotten before it was sent")
	}
	log.Error("bad", zap.String("service", "svc"), zap.Int("n", 1))
	log.Debug("small")
	lines, _, _ := there.After(0, &Filter{Level: zapcore.DebugLevel}, 10)
	text, next := there.Batch(0)
	if more, end := there.Batch(next); next != 5 || len(more) != 0 || end != 5 {
		t.Fatalf("a batch up to line %d, and %q up to %d behind it", next, more, end)
	}
	here, own := newRing(t, 100, 1<<20)
	own.Info("own")
	here.takeBatch(append([]byte("nonsense\n{}\n{\"level\":\"loud\"}\n"), text...))
	got := here.Last(&Filter{Level: zapcore.DebugLevel}, 10)
	if messages(got) != "own bad small" || got[1].Seq != 2 || got[1].level != zapcore.ErrorLevel || got[1].Service != "svc" ||
		string(got[1].Fields) != `{"missed_before":3,"fields":{"n":1}}` || !got[1].Time.Equal(lines[0].Time) {
		t.Errorf("got %+v", got)
	}
}

func TestSubscribe(t *testing.T) {
	r, log := newRing(t, 10, 1<<20)
	wake, cancel := r.Subscribe()
	log.Info("a")
	log.Info("b")
	<-wake
	select {
	case <-wake:
		t.Error("woken twice for what was there at the first")
	default:
	}
	cancel()
	cancel()
	log.Info("c")
	select {
	case <-wake:
		t.Error("woken after it left")
	default:
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{{Lines: 1, Bytes: 1 << 20}, {Lines: 1000, Bytes: 1}} {
		if c.Validate() == nil {
			t.Errorf("%+v is fine", c)
		}
	}
}

// BenchmarkLine is what the ring adds to a log line, in the form of the access log.
func BenchmarkLine(b *testing.B) {
	_, log := newRing(b, 20_000, 32<<20)
	log = log.With(zap.String("service", "data-storage-service"))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("http request", zap.String("request_id", "645aa3db90634d7933ab4161615664d4"), zap.String("trace_id", "0eaa8a5065e9d29ea5b642ded396a3af"),
			zap.String("span_id", "ed90004ea6ec3249"), zap.String("method", "GET"), zap.String("route", "/api/v1/system"),
			zap.Int("code", 200), zap.Float64("dur_ms", 0.239), zap.Int64("bytes", 1924))
	}
}
