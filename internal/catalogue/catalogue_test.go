package catalogue_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/marketprism/marketprism/internal/catalogue"
)

var (
	wellFormed = regexp.MustCompile(`^mp_[a-z]+(_[a-z]+)*$`)
	suffixed   = []catalogue.Unit{catalogue.Seconds, catalogue.Bytes, catalogue.Ratio}
)

const unprefixed = "the name is not mp_ and words in lower case"

// problems are the rules that a metric breaks.
func problems(m catalogue.Metric) []string {
	var out []string
	fail := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !wellFormed.MatchString(string(m.Name)) {
		fail("%s", unprefixed)
	}
	stem, total := strings.CutSuffix(string(m.Name), "_total")
	if total != (m.Type == catalogue.Counter) {
		fail("counters, and only they, end in _total")
	}
	for _, u := range suffixed {
		if strings.HasSuffix(stem, "_"+string(u)) != (m.Unit == u) {
			fail("the name ends with its unit, which is %s", m.Unit)
		}
	}
	if !slices.Contains(append(suffixed, catalogue.Number, catalogue.Flag), m.Unit) {
		fail("there is no unit %q", m.Unit)
	}
	if m.Unit == catalogue.Flag && m.Type != catalogue.Gauge {
		fail("a flag is a gauge")
	}
	if (m.Buckets.Bounds() != nil) != (m.Type == catalogue.Histogram) || !slices.IsSorted(m.Buckets.Bounds()) {
		fail("histograms, and only they, have buckets")
	}
	if !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "|\n") {
		fail("the help is no sentence for a table: %q", m.Help)
	}
	return append(out, labelProblems(m)...)
}

func labelProblems(m catalogue.Metric) []string {
	var out []string
	for i, l := range m.Labels {
		if !slices.ContainsFunc(catalogue.Labels(), func(a catalogue.Label) bool { return a.Name == l }) {
			out = append(out, fmt.Sprintf("the label %q is not allowed", l))
		}
		if slices.Contains(m.Labels[:i], l) {
			out = append(out, fmt.Sprintf("the label %q is there twice", l))
		}
	}
	if m.Type == catalogue.Histogram && slices.Contains(m.Labels, "symbol") {
		out = append(out, "a histogram for each symbol is too much")
	}
	return out
}

func TestMetricsFollowTheRules(t *testing.T) {
	seen := map[catalogue.Name]bool{}
	for _, m := range catalogue.All() {
		promised := slices.Contains(catalogue.Promised(), m.Name)
		for _, p := range problems(m) {
			if promised && (p == unprefixed || m.Unit == catalogue.Percent) {
				continue
			}
			t.Errorf("%s: %s", m.Name, p)
		}
		if seen[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		seen[m.Name] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d metrics", len(seen))
	}
}

// TestRules proves that the rules can say no.
func TestRules(t *testing.T) {
	good := catalogue.Metric{
		Name: "mp_thing_wait_seconds_total", Type: catalogue.Counter, Unit: catalogue.Seconds, Labels: []string{"kind"}, Help: "Waits.",
	}
	if got := problems(good); got != nil {
		t.Fatalf("a good metric: %q", got)
	}
	for name, spoil := range map[string]func(*catalogue.Metric){
		"no prefix":            func(m *catalogue.Metric) { m.Name = "thing_wait_seconds_total" },
		"upper case":           func(m *catalogue.Metric) { m.Name = "mp_thingWait_seconds_total" },
		"counter, no total":    func(m *catalogue.Metric) { m.Name = "mp_thing_wait_seconds" },
		"gauge, but total":     func(m *catalogue.Metric) { m.Type = catalogue.Gauge },
		"unit not in the name": func(m *catalogue.Metric) { m.Name = "mp_thing_wait_total" },
		"unit of another":      func(m *catalogue.Metric) { m.Unit = catalogue.Bytes },
		"unit not declared":    func(m *catalogue.Metric) { m.Unit = catalogue.Number },
		"no base unit":         func(m *catalogue.Metric) { m.Name, m.Unit = "mp_thing_wait_minutes_total", "minutes" },
		"counted flag":         func(m *catalogue.Metric) { m.Name, m.Unit = "mp_thing_up_total", catalogue.Flag },
		"counter with buckets": func(m *catalogue.Metric) { m.Buckets = catalogue.Size },
		"no buckets":           func(m *catalogue.Metric) { m.Name, m.Type = "mp_thing_wait_seconds", catalogue.Histogram },
		"unknown buckets": func(m *catalogue.Metric) {
			m.Name, m.Type, m.Buckets = "mp_thing_wait_seconds", catalogue.Histogram, "odd"
		},
		"no help":               func(m *catalogue.Metric) { m.Help = "" },
		"help breaks the table": func(m *catalogue.Metric) { m.Help = "a | b." },
		"process label":         func(m *catalogue.Metric) { m.Labels = []string{"pid"} },
		"trace label":           func(m *catalogue.Metric) { m.Labels = []string{"kind", "trace_id"} },
		"error label":           func(m *catalogue.Metric) { m.Labels = []string{"error"} },
		"same label twice":      func(m *catalogue.Metric) { m.Labels = []string{"kind", "kind"} },
		"histogram of a symbol": func(m *catalogue.Metric) {
			m.Name, m.Type, m.Buckets, m.Labels = "mp_thing_wait_seconds", catalogue.Histogram, catalogue.Task, []string{"symbol"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			spoil(&m)
			if problems(m) == nil {
				t.Errorf("%+v is fine", m)
			}
		})
	}
}

// TestConstructors makes every metric, gives it a value, and lets promlint judge
// what is gathered.
func TestConstructors(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	for _, m := range catalogue.All() {
		if err := catalogue.Register(reg, made(m)); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	found, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n != len(catalogue.All()) {
		t.Errorf("gathered %d of %d metrics, %v", n, len(catalogue.All()), err)
	}
}

// made is the metric with one value.
func made(m catalogue.Metric) prometheus.Collector {
	values := make([]string, len(m.Labels))
	for i := range values {
		values[i] = "a"
	}
	switch m.Type {
	case catalogue.Counter:
		if len(values) == 0 {
			return catalogue.NewCounter(m.Name)
		}
		v := catalogue.NewCounterVec(m.Name)
		v.WithLabelValues(values...).Inc()
		return v
	case catalogue.Gauge:
		if len(values) == 0 {
			return catalogue.NewGauge(m.Name)
		}
		v := catalogue.NewGaugeVec(m.Name)
		v.WithLabelValues(values...).Set(1)
		return v
	}
	if len(values) == 0 {
		return catalogue.NewHistogram(m.Name)
	}
	v := catalogue.NewHistogramVec(m.Name)
	v.WithLabelValues(values...).Observe(1)
	return v
}

// reader collects one reading.
type reader struct {
	r      catalogue.Reading
	labels []string
}

func (r reader) Describe(ch chan<- *prometheus.Desc) { catalogue.Describe(ch, r.r) }
func (r reader) Collect(ch chan<- prometheus.Metric) { r.r.Send(ch, 7, r.labels...) }

func TestReadings(t *testing.T) {
	cases := []struct {
		name   catalogue.Name
		labels []string
		want   string
	}{
		{catalogue.BrokerUp, nil, `
# HELP mp_broker_up 1 when the broker can be used.
# TYPE mp_broker_up gauge
mp_broker_up 7
`},
		{catalogue.StreamBytes, []string{"binance", "spot"}, `
# HELP mp_stream_bytes_total Bytes of frames received.
# TYPE mp_stream_bytes_total counter
mp_stream_bytes_total{exchange="binance",market="spot"} 7
`},
	}
	for _, tc := range cases {
		t.Run(string(tc.name), func(t *testing.T) {
			c := reader{catalogue.NewReading(tc.name), tc.labels}
			if err := testutil.CollectAndCompare(c, strings.NewReader(tc.want)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRegister(t *testing.T) {
	c := catalogue.NewCounter(catalogue.BrokerRestarts)
	if err := catalogue.Register(nil, c); err != nil {
		t.Errorf("nowhere: %v", err)
	}
	reg := prometheus.NewRegistry()
	if err := catalogue.Register(reg, c); err != nil {
		t.Error(err)
	}
	if err := catalogue.Register(reg, c); err == nil {
		t.Error("registered twice")
	}
}

func TestMistakesPanic(t *testing.T) {
	for name, make := range map[string]func(){
		"unknown":           func() { catalogue.NewCounter("mp_nothing_total") },
		"unknown reading":   func() { catalogue.NewReading("mp_nothing_total") },
		"gauge as counter":  func() { catalogue.NewCounter(catalogue.BrokerUp) },
		"counter as gauge":  func() { catalogue.NewGaugeVec(catalogue.JournalRows) },
		"labels missing":    func() { catalogue.NewCounter(catalogue.JournalRows) },
		"no labels":         func() { catalogue.NewGaugeVec(catalogue.BrokerUp) },
		"histogram reading": func() { catalogue.NewReading(catalogue.ActorHandle) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			make()
		})
	}
}

func TestLookup(t *testing.T) {
	m, ok := catalogue.Lookup(catalogue.JournalRefusals)
	if !ok || m.Type != catalogue.Counter || !slices.Equal(m.Labels, []string{"stream", "outcome"}) {
		t.Errorf("got %+v, %v", m, ok)
	}
	if m, ok := catalogue.Lookup("mp_nothing_total"); ok {
		t.Errorf("found %+v", m)
	}
}
