package traces

import (
	"time"
)

// Kind says which side of a call a span is.
type Kind string

// The kinds.
const (
	Server   Kind = "server"   // answers a request
	Client   Kind = "client"   // sends one
	Internal Kind = "internal" // neither
)

// Span is one piece of work of a trace.
type Span struct {
	TraceID  [16]byte
	ID       [8]byte
	Parent   [8]byte // zero at the start of a trace
	Remote   bool    // the parent is of another process or service, or there is none
	Kind     Kind
	Node     string // that recorded it
	Service  string
	Name     string // of few values: a method and a route's pattern
	Start    time.Time
	Took     time.Duration
	Failed   bool
	Error    string // why; "" when it has not failed
	Code     int    // HTTP status; 0 for none
	Request  string // request id
	Endless  bool   // a stream, which takes as long as its client likes
	Resource string // what exactly was asked for; "" when the name says it
}

// Trace is the spans of one trace that this process has seen, or been sent.
type Trace struct {
	ID      [16]byte
	Start   time.Time
	Took    time.Duration // of its longest span that is kept
	Failed  bool
	Slow    bool
	Spans   []Span // by start
	Missing int    // spans beyond the bound
}

// Root is the span that began first; the trace has at least one.
func (t *Trace) Root() *Span { return &t.Spans[0] }
