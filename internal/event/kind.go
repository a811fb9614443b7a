package event

import "time"

// typePrefix begins every type.
const typePrefix = "io.marketprism."

// Kind is a sort of event.
type Kind struct {
	// Type is io.marketprism.<what>.<happened>; the topic is system.<service>.<what>.<happened>.
	Type    string
	Summary string
	// Data is the zero value of what it carries.
	Data any
}

// The kinds. Fields are only ever added; another meaning gets another type.
var (
	ServiceStarted  = Kind{typePrefix + "service.started", "A service is ready to be used.", Service{}}
	ServiceStopping = Kind{typePrefix + "service.stopping", "A service begins to stop.", Service{}}
	HealthChanged   = Kind{typePrefix + "health.changed", "The health of a service is another than before.", Health{}}
	ActorFailed     = Kind{typePrefix + "actor.failed", "An actor has failed, and is started again by its supervisor.", Actor{}}
	ActorEscalated  = Kind{typePrefix + "actor.escalated", "A supervisor has given up, and passes the failure on.", Actor{}}
	StreamGap       = Kind{typePrefix + "stream.gap", "A stream of an exchange has a gap, or what became of one is known.", Gap{}}
	ArchiveDone     = Kind{typePrefix + "archive.done", "Rows were moved to the cold store, or could not be.", Archive{}}
	TaskRun         = Kind{typePrefix + "task.run", "A run of a scheduled task is over.", Run{}}
	AlertFired      = Kind{typePrefix + "alert.fired", "An alert fires.", Alert{}}
	AlertResolved   = Kind{typePrefix + "alert.resolved", "An alert fires no longer.", Alert{}}
)

// Kinds are all of them, in the order of the documentation.
func Kinds() []Kind {
	return []Kind{
		ServiceStarted, ServiceStopping, HealthChanged, ActorFailed, ActorEscalated,
		StreamGap, ArchiveDone, TaskRun, AlertFired, AlertResolved,
	}
}

// Service is what ServiceStarted and ServiceStopping carry.
type Service struct {
	Service string `json:"service"`
	Version string `json:"version"`
	URL     string `json:"url" doc:"where it answers"`
}

// Health is what HealthChanged carries.
type Health struct {
	Service string   `json:"service"`
	From    string   `json:"from" doc:"healthy, degraded or unhealthy"`
	To      string   `json:"to" doc:"healthy, degraded or unhealthy"`
	Failing []string `json:"failing" doc:"checks that do not pass"`
}

// Actor is what ActorFailed and ActorEscalated carry.
type Actor struct {
	Actor    string `json:"actor" doc:"path from the root of the tree"`
	Kind     string `json:"kind"`
	Exchange string `json:"exchange,omitempty"`
	Reason   string `json:"reason"`
	Message  string `json:"message,omitempty" doc:"type of the message that it was handling"`
	Left     *int   `json:"restarts_left,omitempty" doc:"of its supervisor's budget"`
}

// Gap is what StreamGap carries.
type Gap struct {
	Exchange string    `json:"exchange"`
	Market   string    `json:"market"`
	Symbol   string    `json:"symbol"`
	Channel  string    `json:"channel"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to,omitzero" doc:"absent while it is open"`
	Cause    string    `json:"cause"`
	Outcome  string    `json:"outcome"`
}

// Archive is what ArchiveDone carries.
type Archive struct {
	Operation string    `json:"operation_id"`
	Scheduled bool      `json:"scheduled" doc:"nobody asked for it"`
	Tables    []string  `json:"tables" doc:"none is all"`
	Cutoff    time.Time `json:"cutoff_time"`
	Rows      int64     `json:"rows"`
	Seconds   float64   `json:"seconds"`
	Error     string    `json:"error,omitempty"`
}

// Run is what TaskRun carries.
type Run struct {
	Task     string    `json:"task_id"`
	Name     string    `json:"name"`
	Fire     string    `json:"fire_id"`
	Nominal  time.Time `json:"scheduled_for"`
	Outcome  string    `json:"outcome"`
	Attempts int       `json:"attempts"`
	Seconds  float64   `json:"seconds"`
	Error    string    `json:"error,omitempty"`
}

// Alert is what AlertFired and AlertResolved carry.
type Alert struct {
	Rule        string            `json:"rule"`
	Severity    string            `json:"severity"`
	Labels      map[string]string `json:"labels"`
	Description string            `json:"description"`
	Value       float64           `json:"value"`
	Since       time.Time         `json:"since"`
}
