package logs

import (
	"encoding/json"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// Entry is one line of a log.
type Entry struct {
	Seq     uint64    `json:"seq" required:"true" doc:"in this ring, from 1"`
	Time    time.Time `json:"time" required:"true"`
	Level   string    `json:"level" enum:"debug,info,warn,error,dpanic,panic,fatal" required:"true"`
	Node    string    `json:"node" required:"true" doc:"that wrote it"`
	Service string    `json:"service" required:"true" doc:"empty for what belongs to the process as a whole"`
	Message string    `json:"message" required:"true"`

	Actor     string `json:"actor,omitempty" doc:"its id in the tree"`
	Logger    string `json:"logger,omitempty" doc:"name of the logger; absent where it has none"`
	RequestID string `json:"request_id,omitempty" doc:"of the request that it is about; absent for none"`
	TraceID   string `json:"trace_id,omitempty" doc:"32 hex digits; absent for none"`
	SpanID    string `json:"span_id,omitempty" doc:"16 hex digits; absent for none"`
	Exchange  string `json:"exchange,omitempty" doc:"that it is about; absent for none"`
	Symbol    string `json:"symbol,omitempty" doc:"that it is about; absent for none"`
	// Fields are all others, as an object.
	Fields json.RawMessage `json:"fields" required:"true" doc:"everything else that the line says"`

	level zapcore.Level
}

// size is about what it takes in memory.
func (e *Entry) size() int {
	return 256 + len(e.Message) + len(e.Fields) + len(e.Actor) + len(e.RequestID) + len(e.TraceID)
}

// label is the place of a field that is not among Fields; nil for others.
func (e *Entry) label(key string) *string {
	switch key {
	case "service":
		return &e.Service
	case "actor":
		return &e.Actor
	case "node":
		return &e.Node
	case "request_id":
		return &e.RequestID
	case "trace_id":
		return &e.TraceID
	case "span_id":
		return &e.SpanID
	case "exchange":
		return &e.Exchange
	case "symbol":
		return &e.Symbol
	}
	return nil
}

// Filter says which lines are wanted; a zero field wants all, but for Level.
type Filter struct {
	Service   string
	Node      string
	Level     zapcore.Level // and above; zero is InfoLevel
	Actor     string        // and everything below it
	TraceID   string
	RequestID string
	Exchange  string
	Symbol    string
	From, To  time.Time // from included, to not
	Text      string    // in message or fields; case does not matter
	Before    uint64    // only lines of a lower number; 0 for no bound
}

// Wants reports whether a line is wanted.
func (f *Filter) Wants(e *Entry) bool {
	switch {
	case e.level < f.Level,
		f.Service != "" && e.Service != f.Service,
		f.Node != "" && e.Node != f.Node,
		f.Actor != "" && e.Actor != f.Actor && !strings.HasPrefix(e.Actor, f.Actor+"/"),
		f.TraceID != "" && e.TraceID != f.TraceID,
		f.RequestID != "" && e.RequestID != f.RequestID,
		f.Exchange != "" && e.Exchange != f.Exchange,
		f.Symbol != "" && e.Symbol != f.Symbol,
		!f.From.IsZero() && e.Time.Before(f.From),
		!f.To.IsZero() && !e.Time.Before(f.To),
		f.Before > 0 && e.Seq >= f.Before:
		return false
	}
	return f.Text == "" || contains(e.Message, f.Text) || contains(string(e.Fields), f.Text)
}

// contains ignores the case of letters.
func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
