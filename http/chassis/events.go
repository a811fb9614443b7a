package chassis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Events writes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
// One goroutine uses it, on a Live route.
type Events struct {
	w       http.ResponseWriter
	r       *http.Request
	conn    *http.ResponseController
	timeout time.Duration
	now     func() time.Time
	buf     bytes.Buffer
	packed  *gzip.Writer // nil: sent as it is
}

// NewEvents begins the answer, so that the client knows it is connected.
func NewEvents(w http.ResponseWriter, r *http.Request) (*Events, error) {
	e := newEvents(w, r)
	w.WriteHeader(http.StatusOK)
	return e, e.send()
}

// NewPackedEvents is NewEvents for events that are long, and clients that are few: they are
// compressed where the client can read that, each flushed as it is written. End ends it.
func NewPackedEvents(w http.ResponseWriter, r *http.Request) (*Events, error) {
	e := newEvents(w, r)
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			return nil, fmt.Errorf("compressing events: %w", err)
		}
		w.Header().Set("Content-Encoding", "gzip")
		e.packed = packed
	}
	w.WriteHeader(http.StatusOK)
	return e, e.send()
}

// acceptsGzip reads an Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		return !ok || strings.Trim(q, "0.") != ""
	}
	return false
}

// End ends what is compressed. The client may be gone: that is no error any more.
func (e *Events) End() {
	if e.packed != nil {
		_ = e.packed.Close()
	}
}

func newEvents(w http.ResponseWriter, r *http.Request) *Events {
	e := &Events{w: w, r: r, conn: http.NewResponseController(w), timeout: DefaultConfig().WriteTimeout, now: time.Now}
	if c := callFrom(r.Context()); c != nil {
		e.timeout, e.now = c.server.config.WriteTimeout, c.server.now
	}
	h := w.Header()
	h.Set("Content-Type", MediaEvents)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // proxies pass it on as it comes
	return e
}

// Send writes one event whose data is v as JSON. id and name may be "".
func (e *Events) Send(id, name string, v any) error {
	data, err := json.Marshal(complete(v))
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	return e.SendRaw(id, name, data)
}

// SendRaw writes one event whose data is text, of one or more lines.
func (e *Events) SendRaw(id, name string, data []byte) error {
	e.Put(id, name, data)
	return e.send()
}

// Put adds one event to what Flush writes. Its data are the parts, one after the
// other: text, of one or more lines.
func (e *Events) Put(id, name string, parts ...[]byte) {
	if id != "" {
		e.line("id: ", id)
	}
	if name != "" {
		e.line("event: ", name)
	}
	e.buf.WriteString("data: ")
	for _, data := range parts {
		for {
			line, rest, more := bytes.Cut(data, newline)
			e.buf.Write(line)
			if !more {
				break
			}
			e.buf.WriteString("\ndata: ")
			data = rest
		}
	}
	e.buf.WriteString("\n\n")
}

var newline = []byte("\n")

// Buffered is how many bytes Flush would write.
func (e *Events) Buffered() int { return e.buf.Len() }

// Flush writes what Put has added.
func (e *Events) Flush() error { return e.send() }

// Last writes one more event after the request's context has ended.
func (e *Events) Last(name string, data []byte) error {
	e.buf.Reset()
	e.Put("", name, data)
	return e.out()
}

// Retry tells the client how long to wait before it connects again.
func (e *Events) Retry(wait time.Duration) error {
	fmt.Fprintf(&e.buf, "retry: %d\n\n", wait.Milliseconds())
	return e.send()
}

// Beat writes a comment, which keeps the connection open.
func (e *Events) Beat() error {
	e.buf.WriteString(": beat\n\n")
	return e.send()
}

func (e *Events) line(field, value string) {
	e.buf.WriteString(field)
	e.buf.WriteString(oneLine.Replace(value))
	e.buf.WriteByte('\n')
}

var oneLine = strings.NewReplacer("\n", " ", "\r", " ", "\x00", "")

func (e *Events) send() error {
	if err := e.r.Context().Err(); err != nil {
		return err
	}
	return e.out()
}

func (e *Events) out() error {
	if err := e.conn.SetWriteDeadline(e.now().Add(e.timeout)); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	if err := e.write(); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	e.buf.Reset()
	if err := e.conn.Flush(); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}

func (e *Events) write() error {
	if e.packed == nil {
		_, err := e.w.Write(e.buf.Bytes())
		return err
	}
	if _, err := e.packed.Write(e.buf.Bytes()); err != nil {
		return err
	}
	return e.packed.Flush()
}
