package traces

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/relay"
	"github.com/marketprism/marketprism/actors/supervise"
)

// subject is that of forwarded spans, before the node.
const subject = "service.traces."

// maxLeaving bounds the spans that wait to be sent, and with it what a storm of failures
// can put into the stream: about this many each half second.
const maxLeaving = 500

// Bounds of the words of a span that another process sends, in bytes; longer ones are cut.
const (
	maxWord  = 256
	maxError = 4 << 10
)

// wireSpan is a span on its way.
type wireSpan struct {
	TraceID  string    `json:"trace_id"`
	ID       string    `json:"span_id"`
	Parent   string    `json:"parent_span_id,omitempty"`
	Remote   bool      `json:"remote,omitempty"`
	Kind     Kind      `json:"kind"`
	Node     string    `json:"node"`
	Service  string    `json:"service"`
	Name     string    `json:"name"`
	Start    time.Time `json:"start"`
	Took     int64     `json:"took_ns"`
	Slow     bool      `json:"slow,omitempty"`
	Failed   bool      `json:"failed,omitempty"`
	Error    string    `json:"error,omitempty"`
	Code     int       `json:"code,omitempty"`
	Request  string    `json:"request_id,omitempty"`
	Resource string    `json:"path,omitempty"`
	Endless  bool      `json:"endless,omitempty"`
}

func wireOf(s *Span, slow bool) wireSpan {
	w := wireSpan{
		TraceID: hex.EncodeToString(s.TraceID[:]), ID: hex.EncodeToString(s.ID[:]), Remote: s.Remote, Kind: s.Kind, Node: s.Node, Service: s.Service,
		Name: s.Name, Start: s.Start.UTC(), Took: int64(s.Took), Slow: slow, Failed: s.Failed, Error: s.Error, Code: s.Code,
		Request: s.Request, Resource: s.Resource, Endless: s.Endless,
	}
	if s.Parent != [8]byte{} {
		w.Parent = hex.EncodeToString(s.Parent[:])
	}
	return w
}

// errSpan says that what came is no span.
var errSpan = errors.New("not a span")

// span reads what came, from whoever may publish.
func (w *wireSpan) span() (Span, error) {
	s := Span{
		Remote: w.Remote, Kind: w.Kind, Node: clip(w.Node, maxWord), Service: clip(w.Service, maxWord), Name: clip(w.Name, maxWord), Start: w.Start,
		Took: time.Duration(w.Took), Failed: w.Failed, Error: clip(w.Error, maxError), Code: w.Code, Request: clip(w.Request, maxWord),
		Resource: clip(w.Resource, maxWord), Endless: w.Endless,
	}
	err := errors.Join(unhex(s.TraceID[:], w.TraceID), unhex(s.ID[:], w.ID))
	if w.Parent != "" {
		err = errors.Join(err, unhex(s.Parent[:], w.Parent))
	}
	known := slices.Contains([]Kind{Server, Client, Internal}, s.Kind)
	if err == nil && (!known || s.TraceID == [16]byte{} || s.ID == [8]byte{} || s.Start.IsZero() || s.Took < 0) {
		err = errSpan
	}
	return s, err
}

func unhex(into []byte, text string) error {
	if len(text) != 2*len(into) {
		return fmt.Errorf("%w: %d digits of %d", errSpan, len(text), 2*len(into))
	}
	if _, err := hex.Decode(into, []byte(text)); err != nil {
		return fmt.Errorf("%w: %w", errSpan, err)
	}
	return nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// leaving are the spans that wait to be sent; the oldest give way. The recorder's lock
// guards it.
type leaving struct {
	spans   []wireSpan
	first   uint64 // number of the oldest, from 1
	given   uint64 // number of the last that is in a batch
	arrived uint64 // number of the last whose batch was taken
	waiting []chan struct{}
}

// add keeps a span, and returns how many gave way that are in no batch.
func (l *leaving) add(s wireSpan) (lost uint64) {
	if l.spans = append(l.spans, s); len(l.spans) > maxLeaving {
		if l.first > l.given {
			lost = 1
		}
		l.spans = slices.Delete(l.spans, 0, 1)
		l.first++
	}
	for _, w := range l.waiting {
		select {
		case w <- struct{}{}:
		default: // it knows
		}
	}
	return lost
}

// taken forgets the spans up to a number, and returns how many arrived.
func (l *leaving) taken(upTo uint64) uint64 {
	if upTo <= l.arrived {
		return 0
	}
	n := upTo - l.arrived
	l.arrived = upTo
	for l.first <= upTo {
		l.spans = slices.Delete(l.spans, 0, 1)
		l.first++
	}
	return n
}

// Forwarder is the actor that sends the spans of what is kept here.
func (r *Recorder) Forwarder(l relay.Link) supervise.Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = &leaving{first: 1}
	return l.Sender("traces", "trace_forwarder", subject, (*outward)(r))
}

// Follower is the actor that takes the spans of other processes.
func (r *Recorder) Follower(l relay.Link) supervise.Spec {
	return l.Follower("traces", "trace_follower", subject, r.takeBatch)
}

// outward is a recorder as the source of what is sent.
type outward Recorder

// Subscribe implements [relay.Source].
func (r *outward) Subscribe() (wake <-chan struct{}, cancel func()) {
	w := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving.waiting = append(r.leaving.waiting, w)
	return w, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.leaving.waiting = slices.DeleteFunc(r.leaving.waiting, func(c chan struct{}) bool { return c == w })
	}
}

// Batch implements [relay.Source]: spans as NDJSON. What it is asked to go on behind has
// been taken, and is forgotten.
func (r *outward) Batch(after uint64) ([]byte, uint64) {
	r.mu.Lock()
	r.metrics.spans.WithLabelValues(outcomeSent).Add(float64(r.leaving.taken(after)))
	spans, next := slices.Clone(r.leaving.spans), r.leaving.first-1
	r.leaving.given = next + uint64(len(spans)) // they do not give way unseen meanwhile
	r.mu.Unlock()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range spans {
		if err := enc.Encode(&spans[i]); err != nil {
			r.metrics.spans.WithLabelValues(outcomeLost).Inc() // a time that no JSON can hold
		}
		next++
		if b.Len() >= relay.BatchBytes {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving.given = next
	return b.Bytes(), next
}

// takeBatch takes spans of another process; what is no span is left out, and counted.
func (r *Recorder) takeBatch(text []byte) {
	for line := range bytes.Lines(text) {
		var w wireSpan
		err := json.Unmarshal(line, &w)
		var s Span
		if err == nil {
			s, err = w.span()
		}
		if err != nil {
			r.metrics.spans.WithLabelValues(outcomeRefused).Inc()
			continue
		}
		r.merge(s, w.Slow)
	}
}

// merge puts a span of another process to the trace that it belongs to, which is kept from
// now on.
func (r *Recorder) merge(s Span, slow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.byID[s.TraceID]
	if t == nil {
		if t = r.waiting[s.TraceID]; t != nil {
			delete(r.waiting, s.TraceID)
		} else {
			t = &Trace{ID: s.TraceID}
		}
		defer func() { r.keep(t) }()
	}
	if t.has(s.ID) {
		r.metrics.spans.WithLabelValues(outcomeRepeated).Inc()
		return
	}
	t.add(s, slow)
	r.metrics.spans.WithLabelValues(outcomeReceived).Inc()
}
