package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// metrics of the scheduler.
type metrics struct {
	handle         *Handle
	fires, runs    *prometheus.CounterVec
	lateness       prometheus.Histogram
	recordLateness prometheus.Histogram
	runSeconds     prometheus.Histogram
	append         prometheus.Histogram
	appendFailures prometheus.Counter

	leader, tasks, active catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:         h,
		fires:          catalogue.NewCounterVec(catalogue.SchedulerFires),
		runs:           catalogue.NewCounterVec(catalogue.SchedulerRuns),
		lateness:       catalogue.NewHistogram(catalogue.SchedulerLateness),
		recordLateness: catalogue.NewHistogram(catalogue.SchedulerRecordLateness),
		runSeconds:     catalogue.NewHistogram(catalogue.SchedulerRunSeconds),
		append:         catalogue.NewHistogram(catalogue.SchedulerAppend),
		appendFailures: catalogue.NewCounter(catalogue.SchedulerAppendFailures),
		leader:         catalogue.NewReading(catalogue.SchedulerLeader),
		tasks:          catalogue.NewReading(catalogue.SchedulerTasks),
		active:         catalogue.NewReading(catalogue.SchedulerActive),
	}
	for _, outcome := range []string{"run", ledger.SkipOverlap, ledger.SkipMissed, ledger.SkipQueue} {
		m.fires.WithLabelValues(outcome)
	}
	for _, outcome := range ledger.Outcomes() {
		m.runs.WithLabelValues(outcome)
	}
	return m, catalogue.Register(reg, m.fires, m.runs, m.lateness, m.recordLateness, m.runSeconds, m.append, m.appendFailures, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.leader, m.tasks, m.active)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	up := 0.0
	if term, _ := m.handle.standing(); term > 0 {
		up = 1
	}
	m.leader.Send(ch, up)
	s := m.handle.Status()
	m.active.Send(ch, float64(s.Active))
	for _, each := range []struct {
		outcome string
		n       int
	}{
		{Pending, s.Pending}, {Running, s.Running}, {Completed, s.Completed}, {Failed, s.Failed}, {Cancelled, s.Cancelled}, {Paused, s.Paused},
	} {
		m.tasks.Send(ch, float64(each.n), each.outcome)
	}
}

// fired counts what was recorded, and measures how long after its due time it was.
func (m *metrics) fired(now time.Time, fires []ledger.Fire) {
	for _, f := range fires {
		outcome := f.Skip
		if outcome == "" {
			outcome = "run"
		}
		m.fires.WithLabelValues(outcome).Add(float64(f.Times()))
		if t := m.handle.find(f.Task); t != nil && f.Cause == ledger.CauseSchedule && f.Skip != ledger.SkipMissed {
			m.recordLateness.Observe(max(now.Sub(f.Time().Add(t.delay())).Seconds(), 0))
		}
	}
}

// begun measures how long after its due time a run got its slot.
func (m *metrics) begun(now time.Time, t *Task, f ledger.Fire) {
	if f.Cause == ledger.CauseSchedule {
		m.lateness.Observe(max(now.Sub(f.Time().Add(t.delay())).Seconds(), 0))
	}
}

func (m *metrics) ended(r ledger.Result, err error) {
	if err == nil {
		m.runs.WithLabelValues(r.Outcome).Inc()
		m.runSeconds.Observe(float64(r.Took) / 1e6)
	}
}
