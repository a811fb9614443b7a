package series_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/marketprism/marketprism/actors/monitoring/series"
)

func open(t testing.TB, edit func(*series.Config)) *series.Store {
	t.Helper()
	c := series.DefaultConfig()
	if edit != nil {
		edit(&c)
	}
	s, err := series.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns the samples of the series that match, as "labels t=v …".
func read(t testing.TB, s *series.Store, from, to int64, matchers ...*series.Matcher) []string {
	t.Helper()
	q, err := s.Querier(from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var out []string
	set := q.Select(context.Background(), true, nil, matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		line := set.At().Labels().String()
		it = set.At().Iterator(it)
		for it.Next() != chunkenc.ValNone {
			at, v := it.At()
			if at < from || at > to {
				continue
			}
			text := strconv.FormatFloat(v, 'g', -1, 64)
			if series.IsStale(v) {
				text = "stale"
			}
			line += fmt.Sprintf(" %d=%s", at, text)
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
		out = append(out, line)
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	return out
}

func matcher(kind labels.MatchType, name, value string) *series.Matcher {
	return labels.MustNewMatcher(kind, name, value)
}

func TestAppend(t *testing.T) {
	s := open(t, nil)
	l := series.FromStrings("__name__", "x", "a", "1")
	for _, step := range []struct {
		name string
		at   int64
		v    float64
		want error
	}{
		{"first", 1000, 1, nil},
		{"later", 2000, 2, nil},
		{"earlier", 1500, 3, series.ErrOutOfOrder},
		{"the same", 2000, 2, nil},
		{"another at the same time", 2000, 5, series.ErrDuplicate},
		{"infinite", 3000, math.Inf(1), nil},
		{"stale", 4000, series.Stale(), nil},
	} {
		if err := s.Record(l, step.at, step.v); !errors.Is(err, step.want) || (step.want == nil && err != nil) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
	want := `{__name__="x", a="1"} 1000=1 2000=2 3000=+Inf 4000=stale`
	if got := read(t, s, 0, 10_000, matcher(labels.MatchEqual, "__name__", "x")); len(got) != 1 || got[0] != want {
		t.Errorf("kept %q, want %q", got, want)
	}
	if got := s.Stats(); got.Series != 1 || got.Samples != 4 || got.Bytes == 0 {
		t.Errorf("figures %+v", got)
	}
}

// TestChunks goes over the end of a chunk, and reads parts.
func TestChunks(t *testing.T) {
	s := open(t, nil)
	l := series.FromStrings("__name__", "x")
	const n = 1000
	for i := range n {
		if err := s.Record(l, int64(i)*15_000, float64(i*i)); err != nil {
			t.Fatal(err)
		}
	}
	m := matcher(labels.MatchEqual, "__name__", "x")
	for _, span := range [][2]int{{0, n - 1}, {119, 120}, {120, 240}, {500, 500}, {999, 2000}} {
		want := `{__name__="x"}`
		for i := span[0]; i <= min(span[1], n-1); i++ {
			want += fmt.Sprintf(" %d=%s", i*15_000, strconv.FormatFloat(float64(i*i), 'g', -1, 64))
		}
		got := read(t, s, int64(span[0])*15_000, int64(span[1])*15_000, m)
		if len(got) != 1 || got[0] != want {
			t.Errorf("%v: %q, want %q", span, got, want)
		}
	}
	if got := read(t, s, n*15_000, n*16_000, m); len(got) != 0 {
		t.Errorf("behind the end: %q", got)
	}
}

func TestSelect(t *testing.T) {
	s := open(t, nil)
	for _, l := range []series.Labels{
		series.FromStrings("__name__", "a", "job", "x"), series.FromStrings("__name__", "a", "job", "y"),
		series.FromStrings("__name__", "b", "job", "x"), series.FromStrings("__name__", "b"),
	} {
		if err := s.Record(l, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	a := matcher(labels.MatchEqual, "__name__", "a")
	for _, tt := range []struct {
		name     string
		matchers []*series.Matcher
		want     int
	}{
		{"a name", []*series.Matcher{a}, 2},
		{"a name and a label", []*series.Matcher{a, matcher(labels.MatchEqual, "job", "y")}, 1},
		{"any of two", []*series.Matcher{matcher(labels.MatchRegexp, "job", "x|y")}, 3},
		{"a pattern", []*series.Matcher{matcher(labels.MatchRegexp, "__name__", ".+")}, 4},
		{"without the label", []*series.Matcher{matcher(labels.MatchEqual, "job", "")}, 1},
		{"not that value", []*series.Matcher{matcher(labels.MatchNotEqual, "job", "x")}, 2},
		{"not that pattern", []*series.Matcher{matcher(labels.MatchNotRegexp, "job", "x|y")}, 1},
		{"nothing", []*series.Matcher{matcher(labels.MatchEqual, "__name__", "c")}, 0},
		{"everything", nil, 4},
	} {
		if got := read(t, s, 0, 10, tt.matchers...); len(got) != tt.want {
			t.Errorf("%s: %q, want %d", tt.name, got, tt.want)
		}
	}
	q, _ := s.Querier(0, 10)
	if names, _, err := q.LabelNames(t.Context(), nil, a); err != nil || !slices.Equal(names, []string{"__name__", "job"}) {
		t.Errorf("names %q, %v", names, err)
	}
	if values, _, err := q.LabelValues(t.Context(), "job", nil); err != nil || !slices.Equal(values, []string{"x", "y"}) {
		t.Errorf("values %q, %v", values, err)
	}
}

func TestRetention(t *testing.T) {
	s := open(t, func(c *series.Config) { c.Retention = time.Hour })
	old, young := series.FromStrings("__name__", "old"), series.FromStrings("__name__", "young")
	begin := time.Unix(1_700_000_000, 0)
	for i := range 240 { // an hour, two chunks
		at := begin.Add(time.Duration(i) * 15 * time.Second).UnixMilli()
		if err := errors.Join(s.Record(old, at, 1), s.Record(young, at, 1)); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := s.Series(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Record(young, begin.Add(2*time.Hour).UnixMilli(), 2); err != nil {
		t.Fatal(err)
	}
	s.Maintain(begin.Add(90*time.Minute + time.Second))
	if got := s.Stats(); got.Series != 2 || got.Samples != 241 {
		t.Errorf("after half an hour more: %+v; want the first chunk of each gone", got)
	}
	s.Maintain(begin.Add(150 * time.Minute))
	if got := s.Stats(); got.Series != 1 || got.Samples != 1 {
		t.Errorf("after retention: %+v; want the old series gone", got)
	}
	if err := s.Append(ref, begin.Add(3*time.Hour).UnixMilli(), 1); !errors.Is(err, series.ErrCollected) {
		t.Errorf("appending to a collected series: %v", err)
	}
	if err := s.Record(old, begin.Add(3*time.Hour).UnixMilli(), 1); err != nil {
		t.Errorf("a collected series comes back: %v", err)
	}
	if got := read(t, s, 0, math.MaxInt64, matcher(labels.MatchEqual, "__name__", "old")); len(got) != 1 {
		t.Errorf("the series that came back: %q", got)
	}
}

func TestLimits(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	c := series.DefaultConfig()
	c.MaxSeries, c.MaxSamples, c.Idle = 10, 1000, time.Minute
	s, err := series.New(c, reg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	name := func(i int) series.Labels { return series.FromStrings("__name__", "x", "i", strconv.Itoa(i)) }
	for i := range 10 {
		if err := s.Record(name(i), now.UnixMilli(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Record(name(10), now.UnixMilli(), 1); !errors.Is(err, series.ErrSeriesLimit) {
		t.Errorf("an eleventh series: %v", err)
	}
	now = now.Add(2 * time.Minute)
	if err := s.Record(name(0), now.UnixMilli(), 1); err != nil {
		t.Fatal(err)
	}
	s.Maintain(now) // nine are idle
	if got := s.Stats().Series; got != 1 {
		t.Errorf("%d series when idle ones made room, want 1", got)
	}
	if err := s.Record(name(10), now.UnixMilli(), 1); err != nil {
		t.Errorf("there is room: %v", err)
	}
	var refused int
	for i := range 2000 {
		if err := s.Record(name(0), now.Add(time.Duration(i+1)*time.Second).UnixMilli(), 1); errors.Is(err, series.ErrSampleLimit) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("no sample was refused")
	}
	s.Maintain(now.Add(2000 * time.Second))
	if got := s.Stats().Samples; got > 1000 {
		t.Errorf("%d samples are kept of at most 1000", got)
	}
	if n := testutil.ToFloat64(gathered{reg, "mp_series_samples"}); n != float64(s.Stats().Samples) {
		t.Errorf("the metric says %v samples", n)
	}
}

// gathered shows one gauge of a registry as a collector.
type gathered struct {
	from prometheus.Gatherer
	name string
}

func (gathered) Describe(chan<- *prometheus.Desc) {}

func (g gathered) Collect(ch chan<- prometheus.Metric) {
	families, err := g.from.Gather()
	if err != nil {
		return
	}
	for _, f := range families {
		if f.GetName() == g.name {
			ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(g.name, "", nil, nil), prometheus.GaugeValue, f.GetMetric()[0].GetGauge().GetValue())
		}
	}
}

// TestTogether lets readers, writers and the upkeep meet under the race detector.
func TestTogether(t *testing.T) {
	s := open(t, func(c *series.Config) { c.Retention = time.Minute; c.Idle = time.Second })
	begin := time.Unix(1_700_000_000, 0)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 2000 {
				l := series.FromStrings("__name__", "x", "w", strconv.Itoa(w), "i", strconv.Itoa(i/200))
				if err := s.Record(l, begin.Add(time.Duration(i)*time.Second).UnixMilli(), float64(i)); err != nil {
					t.Error(err)
					return
				}
				if i%100 == 0 && w == 0 {
					s.Maintain(begin.Add(time.Duration(i) * time.Second))
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				read(t, s, 0, math.MaxInt64, matcher(labels.MatchEqual, "__name__", "x"))
			}
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
}

// TestMemory: an hour of 5,059 series at five seconds takes about 30 MB of heap.
func TestMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures the heap: not in short mode, nor under the race detector")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := open(t, nil)
	fill(t, s, 5059, 720)
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := float64(after.HeapAlloc-before.HeapAlloc) / 1e6
	st := s.Stats()
	t.Logf("%d series, %d samples: %.1f MB of heap, %.2f bytes a sample compressed", st.Series, st.Samples, heap, float64(st.Bytes)/float64(st.Samples))
	if heap > 45 {
		t.Errorf("%.1f MB of heap, want at most 45", heap)
	}
	runtime.KeepAlive(s)
}

// fill appends counters that grow, gauges that wander and such that stay.
func fill(t testing.TB, s *series.Store, n, samples int) {
	t.Helper()
	refs := make([]series.Ref, n)
	for i := range refs {
		var err error
		refs[i], err = s.Series(series.FromStrings("__name__", "metric_"+strconv.Itoa(i%97), "instance", "127.0.0.1:8084", "job", "marketprism", "i", strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(1)
	for k := range samples {
		at := int64(1_700_000_000_000) + int64(k)*5000
		for i, r := range refs {
			seed = seed*6364136223846793005 + 1442695040888963407
			v := float64(i)
			switch i % 4 {
			case 0:
				v = float64(k * (i%50 + 1))
			case 1:
				v = float64(k)*3 + float64(seed>>60)
			}
			if err := s.Append(r, at, v); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, nil)
	r, err := s.Series(series.FromStrings("__name__", "x"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%100_000 == 0 {
			s.Maintain(time.UnixMilli(int64(i) * 5000))
		}
		if err := s.Append(r, int64(i)*5000, float64(i)); err != nil {
			b.Fatal(err)
		}
	}
}
