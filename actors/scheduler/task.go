package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/marketprism/marketprism/internal/cron"
)

// What a target can be beside the name of a service.
const (
	TargetURL     = "url"     // TargetEndpoint is an absolute address
	TargetSubject = "subject" // TargetEndpoint is a subject of the message broker
	TargetActor   = "actor"   // TargetEndpoint is the name of a message that an actor takes
)

// What a run that is still under way means for the next one.
const (
	OverlapSkip    = "skip"    // the next one is recorded and not run
	OverlapQueue   = "queue"   // the next one waits
	OverlapReplace = "replace" // the one under way is cancelled
	OverlapAllow   = "allow"   // both run
)

// What becomes of times that nobody was there for.
const (
	MisfireSkip = "skip" // they are recorded as missed
	MisfireOnce = "once" // the latest one is made up for
	MisfireAll  = "all"  // each is, up to a limit; the latest ones count
)

// Overlaps are the words for a run that is still under way.
func Overlaps() []string { return []string{OverlapSkip, OverlapQueue, OverlapReplace, OverlapAllow} }

// Misfires are the words for what was missed.
func Misfires() []string { return []string{MisfireSkip, MisfireOnce, MisfireAll} }

// Methods are the HTTP methods of a target.
func Methods() []string { return []string{"POST", "GET", "PUT", "PATCH", "DELETE"} }

// Bounds of a task.
const (
	maxName     = 200
	maxPayload  = 256 << 10
	maxEndpoint = 2048
	maxAttempts = 20
	maxTimeout  = 24 * time.Hour
	maxJitter   = time.Hour
	maxCatchUp  = 1000
	maxQueued   = 100
)

// Task is what is to be run, and when. A published one does not change.
type Task struct {
	ID             string          `json:"task_id"`
	Name           string          `json:"name"`
	Cron           string          `json:"cron_expression"`
	TargetService  string          `json:"target_service"`
	TargetEndpoint string          `json:"target_endpoint"`
	Payload        json.RawMessage `json:"payload"`
	Method         string          `json:"method"`
	// Timezone is an IANA name in which the expression is read.
	Timezone string `json:"timezone"`
	// TimeoutSeconds bounds an attempt, TotalTimeoutSeconds a run; 0 takes the
	// configured ones.
	TimeoutSeconds      float64 `json:"timeout_seconds"`
	TotalTimeoutSeconds float64 `json:"total_timeout_seconds"`
	Retry               Retry   `json:"retry"`
	Overlap             string  `json:"overlap"`
	Misfire             string  `json:"misfire"`
	// MisfireLimit is how many missed times are made up for with misfire all;
	// MisfireWindowSeconds how old they may be, 0 any age.
	MisfireLimit         int     `json:"misfire_limit"`
	MisfireWindowSeconds float64 `json:"misfire_window_seconds"`
	// JitterSeconds delays every run by a part of it that the task's id chooses.
	JitterSeconds float64 `json:"jitter_seconds"`
	// StartAt and EndAt bound the times that count; nil: no bound.
	StartAt *time.Time `json:"start_at,omitempty"`
	EndAt   *time.Time `json:"end_at,omitempty"`

	Paused    bool      `json:"paused"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// Since is from when on the schedule counts: what was due before is not missed.
	Since    time.Time `json:"since"`
	Revision uint64    `json:"-"`

	parsed *cron.Schedule // of a published task; nil when it cannot be read
}

// publish makes t ready to be seen by others; it does not change any more.
func (t *Task) publish() {
	t.parsed = nil
	if s, err := t.schedule(); err == nil {
		t.parsed = s
	}
}

// Retry is what follows a failed attempt.
type Retry struct {
	MaxAttempts       int     `json:"max_attempts" minimum:"1" maximum:"20" doc:"attempts of one run; 1 tries once"`
	BackoffSeconds    float64 `json:"backoff_seconds" minimum:"0" maximum:"3600" doc:"wait before the second attempt; it doubles with each, ± 20 %"`
	MaxBackoffSeconds float64 `json:"max_backoff_seconds" minimum:"0" maximum:"86400" doc:"longest wait"`
}

// FieldError is a judgement about one field of a task.
type FieldError struct {
	Field   string
	Problem string
	// Column is where in the field, from 1; 0 when it is the whole.
	Column int
}

// InvalidError lists what is wrong with a task.
type InvalidError struct{ Fields []FieldError }

// Error names each field.
func (e *InvalidError) Error() string {
	var parts []string
	for _, f := range e.Fields {
		parts = append(parts, f.Field+": "+f.Problem)
	}
	return strings.Join(parts, "; ")
}

// withDefaults fills in what was left out.
func (t Task) withDefaults() Task {
	def := func(s *string, word string) {
		if *s == "" {
			*s = word
		}
	}
	def(&t.Method, "POST")
	def(&t.Timezone, "UTC")
	def(&t.Overlap, OverlapSkip)
	def(&t.Misfire, MisfireSkip)
	t.Method = strings.ToUpper(t.Method)
	if len(t.Payload) == 0 || string(t.Payload) == "null" {
		t.Payload = json.RawMessage("{}")
	}
	if t.Retry.MaxAttempts == 0 {
		t.Retry.MaxAttempts = 1
	}
	if t.Retry.BackoffSeconds == 0 {
		t.Retry.BackoffSeconds = 1
	}
	if t.Retry.MaxBackoffSeconds == 0 {
		t.Retry.MaxBackoffSeconds = max(60, t.Retry.BackoffSeconds)
	}
	if t.MisfireLimit == 0 {
		t.MisfireLimit = 100
	}
	return t
}

// schedule reads the expression.
func (t *Task) schedule() (*cron.Schedule, error) {
	zone, err := cron.Zone(t.Timezone)
	if err != nil {
		return nil, err
	}
	return cron.Parse(t.Cron, cron.Options{Zone: zone, Seed: t.ID})
}

// validate collects everything that is wrong. limits are what the installation
// allows.
func (t *Task) validate(limits *Options, now time.Time) error {
	v := &InvalidError{}
	bad := func(field, format string, args ...any) {
		v.Fields = append(v.Fields, FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if n := utf8.RuneCountInString(t.Name); n == 0 || n > maxName || strings.ContainsFunc(t.Name, unicode.IsControl) || strings.TrimSpace(t.Name) == "" {
		bad("name", "must have 1 to %d characters, and no control characters", maxName)
	}
	t.validateSchedule(v, bad, now)
	t.validateTarget(limits, bad)
	within := func(field string, seconds float64, hi time.Duration) {
		if !(seconds >= 0 && seconds <= hi.Seconds()) {
			bad(field, "must be within 0 and %v seconds", hi.Seconds())
		}
	}
	word := func(field, got string, allowed []string) {
		if !slices.Contains(allowed, got) {
			bad(field, "must be one of %s", strings.Join(allowed, ", "))
		}
	}
	word("method", t.Method, Methods())
	word("overlap", t.Overlap, Overlaps())
	word("misfire", t.Misfire, Misfires())
	within("timeout_seconds", t.TimeoutSeconds, maxTimeout)
	within("total_timeout_seconds", t.TotalTimeoutSeconds, maxTimeout)
	within("jitter_seconds", t.JitterSeconds, maxJitter)
	within("misfire_window_seconds", t.MisfireWindowSeconds, 366*24*time.Hour)
	within("retry/backoff_seconds", t.Retry.BackoffSeconds, time.Hour)
	within("retry/max_backoff_seconds", t.Retry.MaxBackoffSeconds, maxTimeout)
	if t.Retry.MaxAttempts < 1 || t.Retry.MaxAttempts > maxAttempts {
		bad("retry/max_attempts", "must be within 1 and %d", maxAttempts)
	}
	if t.MisfireLimit < 1 || t.MisfireLimit > maxCatchUp {
		bad("misfire_limit", "must be within 1 and %d", maxCatchUp)
	}
	if len(t.Payload) > maxPayload || !json.Valid(t.Payload) {
		bad("payload", "must be JSON of at most %d bytes", maxPayload)
	}
	if t.StartAt != nil && t.EndAt != nil && !t.EndAt.After(*t.StartAt) {
		bad("end_at", "must be after start_at")
	}
	if len(v.Fields) > 0 {
		return v
	}
	return nil
}

func (t *Task) validateSchedule(v *InvalidError, bad func(field, format string, args ...any), now time.Time) {
	if _, err := cron.Zone(t.Timezone); err != nil {
		bad("timezone", "%v", err)
		return
	}
	s, err := t.schedule()
	if err != nil {
		f := FieldError{Field: "cron_expression", Problem: err.Error()}
		var fault *cron.Error
		if errors.As(err, &fault) {
			f.Column = fault.Column
		}
		v.Fields = append(v.Fields, f)
		return
	}
	if s.Next(now).IsZero() && t.Revision == 0 {
		bad("cron_expression", "is never due from now on")
	}
}

func (t *Task) validateTarget(limits *Options, bad func(field, format string, args ...any)) {
	e := t.TargetEndpoint
	if e == "" || len(e) > maxEndpoint || strings.ContainsFunc(e, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }) {
		bad("target_endpoint", "must have 1 to %d characters without spaces", maxEndpoint)
		return
	}
	switch t.TargetService {
	case TargetURL:
		if err := checkURL(e, limits.config().URLs); err != nil {
			bad("target_endpoint", "%v", err)
		}
	case TargetSubject:
		if err := limits.checkSubject(e); err != nil {
			bad("target_endpoint", "%v", err)
		}
	case TargetActor:
		if limits.Messages[e] == nil {
			bad("target_endpoint", "%q is no message that an actor takes; there are %s", e, strings.Join(limits.messageNames(), ", "))
		}
	default:
		if !slices.Contains(limits.Services, t.TargetService) {
			bad("target_service", "%q is neither a service (%s) nor url, subject or actor", clip(t.TargetService), strings.Join(limits.Services, ", "))
		}
		if u, err := url.Parse(e); err != nil || !strings.HasPrefix(e, "/") || strings.HasPrefix(e, "//") || u.Host != "" || u.Fragment != "" || strings.Contains(u.Path, "/../") {
			bad("target_endpoint", "must be a path such as /api/v1/storage/cold/archive")
		}
	}
}

func clip(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// delay is the part of the jitter that is the task's: the same for every run.
func (t *Task) delay() time.Duration {
	width := uint64(t.JitterSeconds * 1000)
	if width == 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.ID)) // a hash never fails to take bytes
	v := h.Sum64()
	v = (v ^ v>>33) * 0xff51afd7ed558ccd
	return time.Duration((v^v>>33)%(width+1)) * time.Millisecond
}

func seconds(s float64, otherwise time.Duration) time.Duration {
	if s <= 0 {
		return otherwise
	}
	return max(time.Duration(s*float64(time.Second)), time.Millisecond)
}
