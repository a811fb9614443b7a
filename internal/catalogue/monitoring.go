package catalogue

// Metrics of actors/monitoring: services and the machine. The names without mp_ are a
// promise to those who have scraped them before there was a prefix.
const (
	ServiceStatus   Name = "service_status"
	ServiceResponse Name = "service_response_time_seconds"
	SystemCPU       Name = "system_cpu_usage_percent"
	SystemMemory    Name = "system_memory_usage_percent"
	SystemDisk      Name = "system_disk_usage_percent"

	ServiceUptime         Name = "mp_monitoring_service_uptime_ratio"
	MonitoringChecks      Name = "mp_monitoring_checks_total"
	TracesKept            Name = "mp_traces_kept"
	TracesForgotten       Name = "mp_traces_forgotten_total"
	TraceSpans            Name = "mp_trace_spans_forwarded_total"
	HostMemoryAvailable   Name = "mp_host_memory_available_bytes"
	HostDiskFree          Name = "mp_host_disk_free_bytes"
	HostReceived          Name = "mp_host_network_received_bytes_total"
	HostSent              Name = "mp_host_network_sent_bytes_total"
	HostOpenFiles         Name = "mp_host_open_files_ratio"
	HostClockOffset       Name = "mp_host_clock_offset_seconds"
	HostClockError        Name = "mp_host_clock_max_error_seconds"
	HostClockSynchronized Name = "mp_host_clock_synchronized"
)

// Promised are the names that do not follow the rules, because others rely on them.
func Promised() []Name {
	return []Name{ServiceStatus, ServiceResponse, SystemCPU, SystemMemory, SystemDisk}
}

func watching() Area {
	return Area{
		Title: "Services and the machine",
		About: "How every service is, as the monitoring-service finds it, and the machine that it runs on.",
		Metrics: []Metric{
			gauge(ServiceStatus, Flag, "1 when the service was healthy at the last check, degraded included; 0 when it was unhealthy or unreachable.", serviceName),
			gauge(ServiceResponse, Seconds, "Time that the last check of the service took.", serviceName),
			gauge(ServiceUptime, Ratio, "Share of checks since the start that found the service healthy.", service),
			counter(MonitoringChecks, Number, "Checks of services: healthy, unhealthy or unreachable.", service, outcome),
			gauge(TracesKept, Number, "Traces that are kept because they were slow or failed, those of other processes included."),
			counter(TracesForgotten, Number, "Traces that were not looked at, because too many were under way."),
			counter(TraceSpans, Number, "Spans that go from a process without the monitoring-service to the one with it: sent, lost (too many waited), received, repeated (received before), refused (no span).", outcome),
			gauge(SystemCPU, Percent, "Share of the processors' time that was not idle, from 0 to 100."),
			gauge(SystemMemory, Percent, "Share of the memory that programs cannot get, from 0 to 100."),
			gauge(SystemDisk, Percent, "Share of a file system that is used, from 0 to 100.", mountpoint),
			gauge(HostMemoryAvailable, Bytes, "Memory that programs could get without swapping."),
			gauge(HostDiskFree, Bytes, "Space that a file system has for programs without privileges.", mountpoint),
			counter(HostReceived, Bytes, "Bytes that all network interfaces of the machine have received."),
			counter(HostSent, Bytes, "Bytes that all network interfaces of the machine have sent."),
			gauge(HostOpenFiles, Ratio, "Open files of this process, as a share of its limit."),
			gauge(HostClockOffset, Seconds, "How far the kernel still has to move its clock, as it says; absent while it is not synchronized."),
			gauge(HostClockError, Seconds, "Bound of the clock's error, as the kernel says; absent while it is not synchronized."),
			gauge(HostClockSynchronized, Flag, "1 when the kernel says that its clock is synchronized."),
		},
	}
}
