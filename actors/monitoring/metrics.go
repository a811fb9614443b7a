package monitoring

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// metrics are read from what the handle keeps, whenever they are collected.
type metrics struct {
	handle *Handle
	checks *prometheus.CounterVec

	status, response, uptime                    catalogue.Reading
	cpu, memory, available                      catalogue.Reading
	disk, diskFree                              catalogue.Reading
	received, sent                              catalogue.Reading
	openFiles, clockOffset, clockError, clockOK catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:      h,
		checks:      catalogue.NewCounterVec(catalogue.MonitoringChecks),
		status:      catalogue.NewReading(catalogue.ServiceStatus),
		response:    catalogue.NewReading(catalogue.ServiceResponse),
		uptime:      catalogue.NewReading(catalogue.ServiceUptime),
		cpu:         catalogue.NewReading(catalogue.SystemCPU),
		memory:      catalogue.NewReading(catalogue.SystemMemory),
		available:   catalogue.NewReading(catalogue.HostMemoryAvailable),
		disk:        catalogue.NewReading(catalogue.SystemDisk),
		diskFree:    catalogue.NewReading(catalogue.HostDiskFree),
		received:    catalogue.NewReading(catalogue.HostReceived),
		sent:        catalogue.NewReading(catalogue.HostSent),
		openFiles:   catalogue.NewReading(catalogue.HostOpenFiles),
		clockOffset: catalogue.NewReading(catalogue.HostClockOffset),
		clockError:  catalogue.NewReading(catalogue.HostClockError),
		clockOK:     catalogue.NewReading(catalogue.HostClockSynchronized),
	}
	for _, service := range h.options.Services {
		for _, s := range []Status{Healthy, Unhealthy, Unreachable} {
			m.checks.WithLabelValues(service, string(s))
		}
	}
	return m, catalogue.Register(reg, m.checks, m)
}

// checked counts one check of a service.
func (m *metrics) checked(service string, s Status) {
	m.checks.WithLabelValues(service, string(s)).Inc()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.status, m.response, m.uptime, m.cpu, m.memory, m.available, m.disk, m.diskFree,
		m.received, m.sent, m.openFiles, m.clockOffset, m.clockError, m.clockOK)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.handle.Standings() {
		if s.Status == Unknown {
			continue // nothing is known, which is not nothing
		}
		m.status.Send(ch, flag(s.Status == Healthy), s.Service)
		m.response.Send(ch, s.Took.Seconds(), s.Service)
		m.uptime.Send(ch, s.Statistic.Uptime()/100, s.Service)
	}
	s := m.handle.sample.Load()
	if s == nil {
		return
	}
	m.cpu.Send(ch, s.CPU.UsagePercent)
	m.memory.Send(ch, s.Memory.UsagePercent)
	m.available.Send(ch, float64(s.Memory.AvailableBytes))
	for _, d := range s.Disks {
		m.disk.Send(ch, d.UsagePercent, d.Mountpoint)
		m.diskFree.Send(ch, float64(d.FreeBytes), d.Mountpoint)
	}
	var received, sent uint64
	for _, i := range s.Network {
		received, sent = received+i.ReceivedBytes, sent+i.SentBytes
	}
	m.received.Send(ch, float64(received))
	m.sent.Send(ch, float64(sent))
	if s.Process.MaxOpenFiles > 0 {
		m.openFiles.Send(ch, float64(s.Process.OpenFiles)/float64(s.Process.MaxOpenFiles))
	}
	if c := s.Clock; c.Synchronized != nil {
		m.clockOK.Send(ch, flag(*c.Synchronized))
		if c.OffsetSeconds != nil && c.ErrorSeconds != nil {
			m.clockOffset.Send(ch, *c.OffsetSeconds)
			m.clockError.Send(ch, *c.ErrorSeconds)
		}
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
