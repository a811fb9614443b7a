package chassis

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
)

// Header names of request identity. NATS headers are case-sensitive, so both
// transports use exactly these spellings.
const (
	HeaderRequestID   = "X-Request-Id"
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"
)

// Trace is one hop of a W3C trace (https://www.w3.org/TR/trace-context/,
// version 00). The zero Trace is none.
type Trace struct {
	TraceID  [16]byte // the same on every hop
	SpanID   [8]byte  // this hop
	ParentID [8]byte  // the hop that called; zero at the start of a trace
	Flags    byte     // bit 0: sampled
	State    string   // tracestate as received, passed on untouched
}

// NewTrace starts a trace.
func NewTrace() Trace {
	var t Trace
	put64(t.TraceID[:8], nonZero())
	put64(t.TraceID[8:], nonZero())
	put64(t.SpanID[:], nonZero())
	t.Flags = 1
	return t
}

// Child returns the next hop of the same trace.
func (t Trace) Child() Trace {
	t.ParentID = t.SpanID
	put64(t.SpanID[:], nonZero())
	return t
}

// IsZero reports whether t is no trace.
func (t Trace) IsZero() bool { return t.TraceID == [16]byte{} }

// TraceHex returns the trace id as 32 lower-case hex digits.
func (t Trace) TraceHex() string { return hex.EncodeToString(t.TraceID[:]) }

// SpanHex returns the span id as 16 lower-case hex digits.
func (t Trace) SpanHex() string { return hex.EncodeToString(t.SpanID[:]) }

// Traceparent returns the header value that names t as the caller.
func (t Trace) Traceparent() string {
	var b [55]byte
	b[0], b[1], b[2], b[35], b[52] = '0', '0', '-', '-', '-'
	hex.Encode(b[3:35], t.TraceID[:])
	hex.Encode(b[36:52], t.SpanID[:])
	hex.Encode(b[53:55], []byte{t.Flags})
	return string(b[:])
}

// ParseTraceparent reads a traceparent header. The Trace it returns is the
// caller's hop: its SpanID is the caller's. Versions above 00 are read by their
// first four fields, as the recommendation asks; ff is refused.
func ParseTraceparent(s string) (Trace, bool) {
	var t Trace
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Trace{}, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], s[:2]) || version[0] == 0xff {
		return Trace{}, false
	}
	if version[0] == 0 && len(s) != 55 || len(s) > 55 && s[55] != '-' {
		return Trace{}, false
	}
	if !lowerHex(t.TraceID[:], s[3:35]) || !lowerHex(t.SpanID[:], s[36:52]) || !lowerHex(flags[:], s[53:55]) {
		return Trace{}, false
	}
	if t.TraceID == [16]byte{} || t.SpanID == [8]byte{} {
		return Trace{}, false
	}
	t.Flags = flags[0] & 1
	return t, true
}

// maxTracestate is the length from which a tracestate is dropped; the
// recommendation asks to carry at least 512 bytes.
const maxTracestate = 1024

// Extract reads the trace that the headers behind get name, and returns this
// hop of it; without one (or a malformed one) it starts a trace. get is the Get
// method of an http.Header or a nats.Header.
func Extract(get func(key string) string) Trace {
	caller, ok := ParseTraceparent(get(HeaderTraceparent))
	if !ok {
		return NewTrace()
	}
	if state := get(HeaderTracestate); len(state) <= maxTracestate && printable(state) {
		caller.State = state
	}
	return caller.Child()
}

// Inject writes the request id and trace of ctx, if any, through set: the Set
// method of an http.Header or a nats.Header.
func Inject(ctx context.Context, set func(key, value string)) {
	if id := RequestID(ctx); id != "" {
		set(HeaderRequestID, id)
	}
	t := TraceFrom(ctx)
	if t.IsZero() {
		return
	}
	set(HeaderTraceparent, t.Traceparent())
	if t.State != "" {
		set(HeaderTracestate, t.State)
	}
}

type identityKey struct{}

type identity struct {
	id    string
	trace Trace
}

// TraceFrom returns the trace that ctx belongs to, or the zero Trace.
func TraceFrom(ctx context.Context) Trace {
	if v, ok := ctx.Value(identityKey{}).(*identity); ok {
		return v.trace
	}
	return Trace{}
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if v, ok := ctx.Value(identityKey{}).(*identity); ok {
		return v.id
	}
	return ""
}

// NewRequestID returns a fresh id of 32 hex digits.
func NewRequestID() string {
	var b [16]byte
	put64(b[:8], rand.Uint64())
	put64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}

// maxRequestID is the longest request id that is taken over from a client.
const maxRequestID = 128

// validRequestID accepts 1 to 128 letters, digits and . _ : - only, so that an
// id can stand in a log line, a header and a URL as it is.
func validRequestID(s string) bool {
	if s == "" || len(s) > maxRequestID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

func lowerHex(dst []byte, s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func nonZero() uint64 {
	for {
		if v := rand.Uint64(); v != 0 {
			return v
		}
	}
}

func put64(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}
