package storage

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// metrics of the branch. Those of the engine and of the journal are theirs.
type metrics struct {
	handle *Handle

	messages, records, waits *prometheus.CounterVec
	publishFailures          *prometheus.CounterVec
	delay                    *prometheus.HistogramVec
	requests, writes         *prometheus.HistogramVec
	operations               *prometheus.CounterVec
	operationSeconds         *prometheus.HistogramVec
	archived                 *prometheus.CounterVec
	forgotten, deleted       prometheus.Counter
	joined, swept            prometheus.Counter
	copies                   *prometheus.CounterVec
	copied, copiedBytes      prometheus.Counter

	appliedSeq, publishedSeq, positionSeq, registeredSeq catalogue.Reading
	behind, faults, standby, leases, incomplete, age     catalogue.Reading
	lag, coldUp, coldFiles, coldBytes, coldRows          catalogue.Reading
	coldDamaged                                          catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:           h,
		messages:         catalogue.NewCounterVec(catalogue.ReaderMessages),
		records:          catalogue.NewCounterVec(catalogue.ReaderRecords),
		waits:            catalogue.NewCounterVec(catalogue.ReaderBacklogWait),
		publishFailures:  catalogue.NewCounterVec(catalogue.ReaderPublishFailures),
		delay:            catalogue.NewHistogramVec(catalogue.StreamPublishToStore),
		requests:         catalogue.NewHistogramVec(catalogue.StorageRequest),
		operations:       catalogue.NewCounterVec(catalogue.StorageOperations),
		operationSeconds: catalogue.NewHistogramVec(catalogue.StorageOperationSeconds),
		archived:         catalogue.NewCounterVec(catalogue.StorageArchivedRows),
		forgotten:        catalogue.NewCounter(catalogue.StorageForgottenRows),
		deleted:          catalogue.NewCounter(catalogue.ColdDeletedRows),
		lag:              catalogue.NewReading(catalogue.StorageArchiveLag),
		coldUp:           catalogue.NewReading(catalogue.ColdUp),
		coldFiles:        catalogue.NewReading(catalogue.ColdFiles),
		coldBytes:        catalogue.NewReading(catalogue.ColdBytes),
		coldRows:         catalogue.NewReading(catalogue.ColdRows),
		coldDamaged:      catalogue.NewReading(catalogue.ColdDamaged),
		joined:           catalogue.NewCounter(catalogue.ColdJoined),
		swept:            catalogue.NewCounter(catalogue.ColdSwept),
		writes:           catalogue.NewHistogramVec(catalogue.WriterWrite),
		publishedSeq:     catalogue.NewReading(catalogue.ReaderPublished),
		behind:           catalogue.NewReading(catalogue.ReaderBehind),
		appliedSeq:       catalogue.NewReading(catalogue.ReaderApplied),
		positionSeq:      catalogue.NewReading(catalogue.ReaderDurable),
		registeredSeq:    catalogue.NewReading(catalogue.ReaderRegistered),
		faults:           catalogue.NewReading(catalogue.ReaderFaulted),
		standby:          catalogue.NewReading(catalogue.ReaderStandby),
		leases:           catalogue.NewReading(catalogue.StorageLeases),
		incomplete:       catalogue.NewReading(catalogue.StorageIncomplete),
		age:              catalogue.NewReading(catalogue.StorageAge),
		copies:           catalogue.NewCounterVec(catalogue.StorageCopies),
		copied:           catalogue.NewCounter(catalogue.StorageCopiedFiles),
		copiedBytes:      catalogue.NewCounter(catalogue.StorageCopiedBytes),
	}
	if err := catalogue.Register(reg, m.messages, m.records, m.waits, m.publishFailures, m.delay, m.requests, m.writes, m.operations, m.operationSeconds, m.archived, m.forgotten, m.deleted, m.joined, m.swept, m.copies, m.copied, m.copiedBytes, m); err != nil {
		return nil, err
	}
	for _, job := range []Job{JobArchive, JobCleanup, JobRetention, JobUpkeep} { // from 0 on, so that a first failure is a rise
		m.operationSeconds.WithLabelValues(string(job))
		for _, state := range []string{OperationSucceeded, OperationFailed, OperationInterrupted} {
			m.operations.WithLabelValues(string(job), state)
		}
	}
	for shard := range h.options.Shards {
		m.waits.WithLabelValues(journal.StreamName(shard))
		m.publishFailures.WithLabelValues(journal.StreamName(shard))
		for _, outcome := range []string{"ok", "error"} {
			m.copies.WithLabelValues(journal.StreamName(shard), outcome)
		}
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.appliedSeq, m.publishedSeq, m.behind, m.positionSeq, m.registeredSeq, m.faults, m.standby, m.leases, m.incomplete, m.age, m.lag, m.coldUp, m.coldFiles, m.coldBytes, m.coldRows, m.coldDamaged)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, p := range m.handle.shards {
		s, name := m.handle.shardStatus(p), journal.StreamName(p.shard)
		m.appliedSeq.Send(ch, float64(s.Applied), name)
		m.publishedSeq.Send(ch, float64(s.PublishedTo), name)
		m.behind.Send(ch, s.Behind, name)
		m.positionSeq.Send(ch, float64(s.Position), name)
		m.registeredSeq.Send(ch, float64(s.Registered), name)
		m.faults.Send(ch, flag(s.Fault != ""), name)
		m.standby.Send(ch, flag(s.State == "standby"), name)
		m.incomplete.Send(ch, flag(p.lacking() != nil), name)
		if s.Age != nil {
			m.age.Send(ch, *s.Age, name)
		}
	}
	m.leases.Send(ch, float64(len(m.handle.leases)))
	if m.handle.options.Tiers == nil {
		return
	}
	m.lag.Send(ch, m.handle.Lag().Seconds())
	st := m.handle.ColdStats()
	m.coldUp.Send(ch, flag(st.Problem == ""))
	m.coldDamaged.Send(ch, float64(len(st.Damaged)))
	for _, t := range st.Tables {
		m.coldFiles.Send(ch, float64(t.Parts), t.Table)
		m.coldBytes.Send(ch, float64(t.Bytes), t.Table)
		m.coldRows.Send(ch, float64(t.Rows), t.Table)
	}
}

// flag is 1 for what is true.
func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// copyEnded counts an attempt to copy a shard's parts from another node.
func (m *metrics) copyEnded(shard int, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.copies.WithLabelValues(journal.StreamName(shard), outcome).Inc()
}

// operation counts one that is over.
func (m *metrics) operation(o Operation) {
	m.operations.WithLabelValues(string(o.Job), o.State).Inc()
	m.operationSeconds.WithLabelValues(string(o.Job)).Observe(o.Finished.Sub(o.Started).Seconds())
	for table, rows := range o.ByTable {
		m.archived.WithLabelValues(table).Add(float64(rows))
	}
}

func (m *metrics) applied(shard int, next *parcel) {
	name := journal.StreamName(shard)
	m.messages.WithLabelValues(name).Inc()
	m.records.WithLabelValues(name).Add(float64(next.batch.Len()))
	if !next.stored.IsZero() {
		m.delay.WithLabelValues(name).Observe(time.Since(next.stored).Seconds())
	}
}

// wrote counts an attempt to write a table.
func (m *metrics) wrote(table string, w wrote) {
	m.writes.WithLabelValues(table, requestOutcome(w.err)).Observe(w.took.Seconds())
}

func (m *metrics) waited(shard int, d time.Duration) {
	m.waits.WithLabelValues(journal.StreamName(shard)).Add(d.Seconds())
}

func (m *metrics) request(message string, err error, began time.Time) {
	m.requests.WithLabelValues(message, requestOutcome(err)).Observe(time.Since(began).Seconds())
}

// requestOutcome is the label value of an error.
func requestOutcome(err error) string {
	var unavailable *UnavailableError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.As(err, &unavailable):
		return "unavailable"
	case errors.Is(err, ErrInvalidWrite), errors.Is(err, persistence.ErrQuery), errors.Is(err, persistence.ErrCursor), errors.Is(err, persistence.ErrTooLarge):
		return "refused"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "late"
	}
	return "error"
}
