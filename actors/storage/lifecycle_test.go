package storage

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// movements are tiers that note what they are told, and move when they are let.
type movements struct {
	mu       sync.Mutex
	gate     chan struct{} // when set, an archive waits for it
	began    chan struct{}
	at, most int // archives at once
	archives []persistence.ArchiveOptions
	forgets  []forgotten
	ages     []time.Duration
	remove   func(persistence.Removal) error // nil succeeds
	removed  bool                            // the answer of Removed
	asked    []persistence.Removal           // of it
	oldest   time.Time
	failing  error
	cold     persistence.ColdStats
	parts    []persistence.PartInfo // of the hot store
}

type forgotten struct {
	before time.Time
	all    bool
}

func (m *movements) Archive(ctx context.Context, o persistence.ArchiveOptions) (persistence.ArchiveReport, error) {
	m.mu.Lock()
	m.archives = append(m.archives, o)
	m.at++
	m.most = max(m.most, m.at)
	gate := m.gate
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.at--
		m.mu.Unlock()
	}()
	report := persistence.ArchiveReport{Rows: 5, Files: 1, Bytes: 50, ByTable: map[string]int64{"trades": 5}}
	if o.Progress != nil {
		o.Progress(report)
	}
	if m.began != nil {
		m.began <- struct{}{}
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return report, ctx.Err()
		}
	}
	return report, m.failing
}

func (m *movements) Waiting(context.Context, []market.Kind, time.Time) (int64, error) { return 7, nil }

func (m *movements) Behind() (int64, time.Time) { return 7, m.oldest }

func (m *movements) Sizes(context.Context) (list []persistence.Size, err error) {
	for _, p := range m.parts {
		list = append(list, persistence.Size{Bytes: p.Bytes, Arrived: p.Created})
	}
	return list, nil
}

func (m *movements) Forget(_ context.Context, o persistence.ForgetOptions) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgets = append(m.forgets, forgotten{o.Before, o.All})
	for n := range int64(3) { // one row each
		r := persistence.Removal{Table: "trades", Rows: 1, Places: []string{strconv.FormatInt(n, 10)}}
		if err := o.Take(r, func() error { return m.removing(r) }); err != nil {
			return n, err
		}
	}
	return 3, nil
}

// removing removes, unless it is told to fail.
func (m *movements) removing(r persistence.Removal) error {
	if m.remove == nil {
		return nil
	}
	return m.remove(r)
}

func (m *movements) Removed(_ context.Context, r persistence.Removal) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r)
	return m.removed, nil
}

func (m *movements) Retain(_ context.Context, age time.Duration) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ages = append(m.ages, age)
	return 2, nil
}

func (m *movements) Tend(context.Context) error { return nil }
func (m *movements) Upkeep(context.Context, func(persistence.UpkeepReport)) (persistence.UpkeepReport, error) {
	return persistence.UpkeepReport{}, nil
}
func (m *movements) ColdStats() persistence.ColdStats           { return m.cold }
func (m *movements) ColdParts() ([]persistence.PartInfo, error) { return nil, nil }

// filled is an engine that has files, and does nothing else.
type filled struct {
	persistence.Engine
	parts []persistence.PartInfo
}

func (f filled) Parts() []persistence.PartInfo                    { return f.parts }
func (f filled) Applied(int) uint64                               { return 0 }
func (f filled) Published(int) uint64                             { return 0 }
func (f filled) Maintain(context.Context) error                   { return nil }
func (f filled) Stats(context.Context) (persistence.Stats, error) { return persistence.Stats{}, nil }

func lifecycleOf(t *testing.T, m *movements, p PolicyConfig, parts ...persistence.PartInfo) *Handle {
	t.Helper()
	m.parts = parts
	h, err := New(Options{
		Config: DefaultConfig(), Engine: filled{parts: parts}, Tiers: m, Policy: p, Shards: 1,
		Journal: func(context.Context) (*journal.Journal, error) { return nil, errors.New("none") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// begin starts the lifecycle alone.
func begin(t *testing.T, h *Handle) *supervise.System {
	t.Helper()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	spec := supervise.Spec{Name: "lifecycle", New: func() supervise.Actor { return newLifecycle(h) }, ShutdownTimeout: 10 * time.Second}
	if err := sys.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the lifecycle", func() bool { return h.lifecycleAt.Load() != nil })
	return sys
}

// TestArchivesJoin: one archive runs at a time; who asks for what it includes joins
// it, who asks for more waits, and all go on when the asker leaves.
func TestArchivesJoin(t *testing.T) {
	m := &movements{gate: make(chan struct{}), began: make(chan struct{}, 10)}
	h := lifecycleOf(t, m, PolicyConfig{})
	begin(t, h)
	ask := func(age time.Duration, kinds ...market.Kind) (Operation, bool) {
		t.Helper()
		o, joined, err := h.Archive(t.Context(), kinds, age)
		if err != nil {
			t.Fatal(err)
		}
		return o, joined
	}
	first, joined := ask(2 * time.Hour)
	if joined {
		t.Error("the first joins one")
	}
	<-m.began
	if o, joined := ask(3*time.Hour, market.KindTrade); !joined || o.ID != first.ID {
		t.Errorf("an archive of less: %s, joined %v, want %s", o.ID, joined, first.ID)
	}
	second, joined := ask(time.Hour, market.KindTrade, market.KindTicker)
	if joined || second.ID == first.ID || second.State != OperationQueued {
		t.Errorf("an archive of more: %+v, joined %v", second, joined)
	}
	if o, joined := ask(time.Hour, market.KindTicker); !joined || o.ID != second.ID {
		t.Errorf("an archive that one in the queue includes: %s, joined %v, want %s", o.ID, joined, second.ID)
	}
	leaving, leave := context.WithCancel(t.Context())
	leave()
	if o, err := h.Await(leaving, first.ID); !errors.Is(err, context.Canceled) || o.State != OperationRunning || o.Rows != 5 || o.Total != 7 {
		t.Errorf("who leaves is told %+v, %v", o, err)
	}
	close(m.gate)
	for _, id := range []string{first.ID, second.ID} {
		o, err := h.Await(t.Context(), id)
		if err != nil || o.State != OperationSucceeded || o.Rows != 5 || o.Finished.Before(o.Started) {
			t.Errorf("%+v, %v", o, err)
		}
	}
	if m.most != 1 || len(m.archives) != 2 {
		t.Errorf("%d archives, %d at once", len(m.archives), m.most)
	}
	if _, err := h.Operation("none"); !errors.Is(err, ErrNoOperation) {
		t.Errorf("an unknown operation: %v", err)
	}
}

// TestQueueIsBounded: more operations than may wait are refused.
func TestQueueIsBounded(t *testing.T) {
	m := &movements{gate: make(chan struct{})}
	h := lifecycleOf(t, m, PolicyConfig{})
	begin(t, h)
	defer close(m.gate)
	for i := range maxQueued + 1 { // one runs
		if _, joined, err := h.Archive(t.Context(), nil, time.Duration(100-i)*time.Hour); err != nil || joined {
			t.Fatalf("%d: joined %v, %v", i, joined, err)
		}
	}
	if _, _, err := h.Archive(t.Context(), nil, time.Minute); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
}

// TestStopInterrupts: stopping ends what runs and what waits, and says so.
func TestStopInterrupts(t *testing.T) {
	m := &movements{gate: make(chan struct{}), began: make(chan struct{}, 1)}
	h := lifecycleOf(t, m, PolicyConfig{})
	sys := begin(t, h)
	running, _, err := h.Archive(t.Context(), nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-m.began
	waiting, _, err := h.Cleanup(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{running.ID, waiting.ID} {
		if o, err := h.Await(t.Context(), id); err != nil || o.State != OperationInterrupted {
			t.Errorf("%+v, %v", o, err)
		}
	}
}

// TestFailures: an operation that fails says why.
func TestFailures(t *testing.T) {
	m := &movements{failing: persistence.ErrAway}
	h := lifecycleOf(t, m, PolicyConfig{})
	begin(t, h)
	o, _, err := h.Archive(t.Context(), nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	o, err = h.Await(t.Context(), o.ID)
	if err != nil || o.State != OperationFailed || !errors.Is(o.Err, persistence.ErrAway) || o.Problem == "" {
		t.Errorf("%+v, %v", o, err)
	}
}

func near(got, want time.Time) bool { return got.Sub(want).Abs() < 10*time.Second }

// TestLimits: age and size of the hot store and age of the cold one are kept, and what
// is not archived stays, unless nothing is archived by itself.
func TestLimits(t *testing.T) {
	now := time.Now()
	part := func(age time.Duration) persistence.PartInfo {
		return persistence.PartInfo{Bytes: 1_000_000, Created: now.Add(-age)}
	}
	parts := []persistence.PartInfo{part(time.Hour), part(3 * time.Hour), part(2 * time.Hour)}
	for _, tc := range []struct {
		name     string
		policy   PolicyConfig
		archives []time.Time // before
		forgets  []forgotten
		ages     []time.Duration
		rows     int64
	}{
		{name: "age", policy: PolicyConfig{Hot: HotConfig{TTLHours: 10}, Lifecycle: DefaultPolicyConfig().Lifecycle}, forgets: []forgotten{{now.Add(-10 * time.Hour), false}}, rows: 3},
		{name: "age without archives, an hour later for parts that were merged", policy: PolicyConfig{Hot: HotConfig{TTLHours: 10}, Lifecycle: LifecycleConfig{Interval: time.Hour}},
			forgets: []forgotten{{now.Add(-11 * time.Hour), true}}, rows: 3},
		{name: "size: the oldest of three is enough", policy: PolicyConfig{Hot: HotConfig{TTLHours: 10, MaxSizeMB: 2}, Lifecycle: DefaultPolicyConfig().Lifecycle},
			archives: []time.Time{now.Add(-2 * time.Hour)}, forgets: []forgotten{{now.Add(-2 * time.Hour), false}, {now.Add(-10 * time.Hour), false}}, rows: 6},
		{name: "size that is kept", policy: PolicyConfig{Hot: HotConfig{TTLHours: 10, MaxSizeMB: 3}, Lifecycle: DefaultPolicyConfig().Lifecycle},
			forgets: []forgotten{{now.Add(-10 * time.Hour), false}}, rows: 3},
		{name: "cold age", policy: PolicyConfig{Hot: HotConfig{TTLHours: 10}, Lifecycle: DefaultPolicyConfig().Lifecycle, ColdTTLDays: 30},
			forgets: []forgotten{{now.Add(-10 * time.Hour), false}}, ages: []time.Duration{720 * time.Hour}, rows: 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &movements{}
			h := lifecycleOf(t, m, tc.policy, parts...)
			o, err := h.operations.add(work{job: JobRetention})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if len(m.archives) != len(tc.archives) || len(m.forgets) != len(tc.forgets) || len(m.ages) != len(tc.ages) {
				t.Fatalf("archives %v, forgets %v, ages %v", m.archives, m.forgets, m.ages)
			}
			for i, want := range tc.archives {
				if got := m.archives[i].Before; !near(got, want) {
					t.Errorf("it archives what arrived before %v, want %v", got, want)
				}
			}
			for i, want := range tc.forgets {
				if got := m.forgets[i]; !near(got.before, want.before) || got.all != want.all {
					t.Errorf("it forgets %+v, want %+v", got, want)
				}
			}
			if len(tc.ages) > 0 && m.ages[0] != tc.ages[0] {
				t.Errorf("it retains %v, want %v", m.ages, tc.ages)
			}
			if got := o.get().Rows; got != tc.rows {
				t.Errorf("it counts %d rows, want %d", got, tc.rows)
			}
		})
	}
}

// TestLagIsAnAlarm: rows that are not archived after half of the time that the hot
// store keeps them make the service warn.
func TestLagIsAnAlarm(t *testing.T) {
	for _, tc := range []struct {
		age     time.Duration
		archive bool
		warns   int
	}{{35 * time.Hour, true, 0}, {37 * time.Hour, true, 1}, {37 * time.Hour, false, 0}} {
		p := DefaultPolicyConfig()
		p.Lifecycle.Archive = tc.archive
		h := lifecycleOf(t, &movements{oldest: time.Now().Add(-tc.age)}, p)
		if failures, warnings := h.tiersHealth(); len(failures) != 0 || len(warnings) != tc.warns {
			t.Errorf("%v, archived %v: %v %v", tc.age, tc.archive, failures, warnings)
		}
	}
	away := &movements{cold: persistence.ColdStats{Place: "/x", Problem: "gone"}}
	if failures, warnings := lifecycleOf(t, away, PolicyConfig{}).tiersHealth(); len(failures) != 0 || len(warnings) != 1 {
		t.Errorf("a cold store that is away: %v %v", failures, warnings)
	}
	away.cold.Corrupt = true
	if failures, _ := lifecycleOf(t, away, PolicyConfig{}).tiersHealth(); len(failures) != 1 {
		t.Errorf("a damaged cold store: %v", failures)
	}
}

// TestPolicy: what is waited for on purpose stays below the alarm, however short the
// hot store keeps rows.
func TestPolicy(t *testing.T) {
	for _, hours := range []int{1, 2, 24, 72, 1000} {
		p := DefaultPolicyConfig()
		p.Hot.TTLHours = hours
		if sum := p.archiveAfter() + p.interval(); sum >= p.ttl()/2 {
			t.Errorf("ttl %dh: archived after %v, every %v", hours, p.archiveAfter(), p.interval())
		}
	}
	for _, bad := range []PolicyConfig{{}, {Hot: HotConfig{TTLHours: 1, MaxSizeMB: -1}, Lifecycle: LifecycleConfig{Interval: time.Hour}}, {Hot: HotConfig{TTLHours: 1}}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
