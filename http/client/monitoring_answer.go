package client

import (
	"encoding/json"
	"time"
)

// Health is how a service is.
type Health struct {
	Degraded     bool             `json:"degraded"`          // healthy, but it warns, or not all instances are well
	Details      json.RawMessage  `json:"details,omitempty"` // the health report of the service, or of its first instance that gave one
	Error        string           `json:"error,omitempty"`   // why it is not well
	Instances    []InstanceHealth `json:"instances"`
	ResponseTime float64          `json:"response_time"` // in seconds
	Since        time.Time        `json:"since"`         // when the status was last another
	Status       string           `json:"status"`        // unknown only before the first check: healthy, unhealthy, unreachable, unknown
}

// InstanceHealth is how one instance of a service is.
type InstanceHealth struct {
	Degraded      bool      `json:"degraded"`
	Error         string    `json:"error,omitempty"`
	LastCheckTime time.Time `json:"last_check_time"`
	ResponseTime  float64   `json:"response_time"`
	Status        string    `json:"status"` // healthy, unhealthy, unreachable
	URL           string    `json:"url"`
	Version       string    `json:"version,omitempty"`
}

// Overview is everything at a glance.
type Overview struct {
	Alerts          AlertCounts     `json:"alerts"`
	MonitoringStats MonitoringStats `json:"monitoring_stats"`
	Services        ServiceCounts   `json:"services"`
	SystemResources Resources       `json:"system_resources"`
	Timestamp       time.Time       `json:"timestamp"`
	UptimeSeconds   float64         `json:"uptime_seconds"` // of the monitoring-service
}

// AlertCounts is how many alerts fire.
type AlertCounts struct {
	Active   int64 `json:"active"`
	Critical int64 `json:"critical"`
	Warning  int64 `json:"warning"`
}

// ServiceCounts is how many services are well.
type ServiceCounts struct {
	Degraded         int64   `json:"degraded"`
	HealthPercentage float64 `json:"health_percentage"` // 0 to 100
	Healthy          int64   `json:"healthy"`           // degraded ones included
	Total            int64   `json:"total"`
	Unhealthy        int64   `json:"unhealthy"` // unreachable ones included
}

// MonitoringStats is what the monitoring-service did.
type MonitoringStats struct {
	Actors                 int64      `json:"actors"`
	ActorsWaitingToRestart int64      `json:"actors_waiting_to_restart"`
	DeadLettersTotal       int64      `json:"dead_letters_total"`
	FailedChecks           int64      `json:"failed_checks"`             // those that found a service unhealthy or unreachable
	LastCheckTime          *time.Time `json:"last_check_time,omitempty"` // null before the first
	ReportsKept            int64      `json:"reports_kept"`
	Rounds                 int64      `json:"rounds"`       // of checks of every service
	TotalChecks            int64      `json:"total_checks"` // of services, since the start
}

// Resources is how the machine is.
type Resources struct {
	Clock                         *Clock  `json:"clock,omitempty"` // null before the first reading
	CPUUsagePercent               float64 `json:"cpu_usage_percent"`
	DiskFreeGb                    float64 `json:"disk_free_gb"`
	DiskUsagePercent              float64 `json:"disk_usage_percent"` // of the file system that holds the data
	MaxOpenFiles                  int64   `json:"max_open_files"`     // 0 when it is not known
	MemoryAvailableGb             float64 `json:"memory_available_gb"`
	MemoryUsagePercent            float64 `json:"memory_usage_percent"`
	NetworkReceivedBytesPerSecond float64 `json:"network_received_bytes_per_second"`
	NetworkSentBytesPerSecond     float64 `json:"network_sent_bytes_per_second"`
	OpenFiles                     int64   `json:"open_files"` // of this process
}

// Clock is how right the machine's clock is.
type Clock struct {
	Exchanges       []ExchangeClock `json:"exchanges,omitempty"`         // how far the clocks of exchanges are ahead of ours, as the collector measures it
	MaxErrorSeconds *float64        `json:"max_error_seconds,omitempty"` // the kernel's bound of the error; null when it does not say
	OffsetSeconds   *float64        `json:"offset_seconds,omitempty"`    // the kernel's estimate of how far the clock still is to be moved; null when it does not say
	Synchronized    *bool           `json:"synchronized,omitempty"`      // whether the kernel's clock is disciplined; null when the kernel does not say
}

// ExchangeClock is how far an exchange's clock is ahead.
type ExchangeClock struct {
	Exchange      string  `json:"exchange,omitempty"`
	Market        string  `json:"market,omitempty"`
	OffsetSeconds float64 `json:"offset_seconds"`
}

// Setting is a setting that is in force.
type Setting struct {
	Default      *string   `json:"default,omitempty"` // what it is when nothing gives it; null where the program has nothing there
	NeedsRestart bool      `json:"needs_restart"`     // whether a change of it waits for the next start
	Origin       string    `json:"origin"`            // where it was given: file:line:column, a variable, a flag
	Path         string    `json:"path"`
	Since        time.Time `json:"since"`             // when this value was read: at the start, or when the configuration was read again
	Source       string    `json:"source"`            // default, file, dotenv, environment, flag, runtime
	Value        string    `json:"value"`             // as it would stand in a file; a secret is hidden
	Waiting      *string   `json:"waiting,omitempty"` // what it will be after a restart; null when that is no other
}

// Reload is the last time that the configuration was read again.
type Reload struct {
	Error        string    `json:"error"`         // why nothing, or not everything, was taken up; empty when nothing is wrong
	NeedsRestart []string  `json:"needs_restart"` // settings that were changed and wait for a restart
	Taken        []string  `json:"taken"`         // settings that were taken up
	Time         time.Time `json:"time"`
	Why          string    `json:"why"` // SIGHUP, or file changed
}

// LogLine is one line of the log.
type LogLine struct {
	Actor     string         `json:"actor,omitempty"` // its id in the tree
	Exchange  string         `json:"exchange,omitempty"`
	Fields    map[string]any `json:"fields"` // everything else that the line says
	Level     string         `json:"level"`  // debug, info, warn, error, dpanic, panic, fatal
	Logger    string         `json:"logger,omitempty"`
	Message   string         `json:"message"`
	Node      string         `json:"node"`
	RequestID string         `json:"request_id,omitempty"`
	Seq       int64          `json:"seq"`     // in this ring, from 1
	Service   string         `json:"service"` // empty for what belongs to the process as a whole
	SpanID    string         `json:"span_id,omitempty"`
	Symbol    string         `json:"symbol,omitempty"`
	Time      time.Time      `json:"time"`
	TraceID   string         `json:"trace_id,omitempty"`
}

// AuditEntry is who did what to the running system.
type AuditEntry struct {
	Action    string    `json:"action,omitempty"`
	Address   string    `json:"address,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Node      string    `json:"node,omitempty"`
	Outcome   string    `json:"outcome,omitempty"`
	Principal string    `json:"principal,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Role      string    `json:"role,omitempty"`
	Sequence  int64     `json:"sequence"`
	Target    string    `json:"target,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	TraceID   string    `json:"trace_id,omitempty"`
}

// Trace is a trace that was slow, or failed.
type Trace struct {
	DurationSeconds float64   `json:"duration_seconds"` // of the longest span that is kept
	Error           string    `json:"error,omitempty"`
	Failed          bool      `json:"failed"`
	Name            string    `json:"name"`    // of the first span: method and route
	Service         string    `json:"service"` // of the first span
	Services        []string  `json:"services"`
	Slow            bool      `json:"slow"`
	Spans           int64     `json:"spans"`
	StartTime       time.Time `json:"start_time"`
	TraceID         string    `json:"trace_id"`
}

// TraceSpan is one part of a trace.
type TraceSpan struct {
	Code            int64     `json:"code"`
	DurationSeconds float64   `json:"duration_seconds"`
	Error           string    `json:"error,omitempty"`
	Failed          bool      `json:"failed"`
	Kind            string    `json:"kind"` // server, client, internal
	Name            string    `json:"name"`
	Node            string    `json:"node"` // of the process that answered
	ParentSpanID    string    `json:"parent_span_id,omitempty"`
	Path            string    `json:"path,omitempty"`
	RequestID       string    `json:"request_id,omitempty"`
	Service         string    `json:"service"`
	SpanID          string    `json:"span_id"`
	StartTime       time.Time `json:"start_time"`
}

// Report is a report that is kept.
type Report struct {
	ActiveAlerts      int64         `json:"active_alerts"`
	GeneratedAt       time.Time     `json:"generated_at"`
	Links             ReportLinks   `json:"links"`
	ReportID          string        `json:"report_id"`
	Services          ServiceCounts `json:"services"`
	UnhealthyServices []string      `json:"unhealthy_services"`
}

// ReportLinks is where a report is.
type ReportLinks struct {
	HTML string `json:"html"`
	JSON string `json:"json"`
}
