package collector

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// part is a connection to another node, which gives its own streams of a subscription as
// server-sent events.
type part struct {
	live.Part
	cancel context.CancelFunc
	body   io.ReadCloser
	lines  *bufio.Reader
	quiet  *time.Timer // ends it when nothing is heard of the node
	within time.Duration
	n      uint64 // messages given
}

// Errors of a part.
var (
	errNotEvents = errors.New("the node did not answer with events")
	errNumber    = errors.New("a message of the node is missing")
)

// open connects to a node and waits for its answer to the subscription; last is where the
// client was, "" begins anew.
func (w *follower) open(ctx context.Context, base string, body []byte, last string) (*part, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &part{cancel: cancel, within: 3 * w.f.Live.Config().Heartbeat}
	p.quiet = time.AfterFunc(openWithin, cancel)
	if err := p.begin(ctx, w.f.Others, base, body, last); err != nil {
		p.close()
		return nil, fmt.Errorf("following %s: %w", base, err)
	}
	return p, nil
}

func (p *part) begin(ctx context.Context, o Others, base string, body []byte, last string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/stream?scope="+facade.ScopeNode, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set(facade.HeaderPassed, o.Name())
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	chassis.Inject(ctx, r.Header.Set)
	res, err := o.RoundTrip(r) //nolint:bodyclose // close does
	if err != nil {
		return err
	}
	p.body, p.lines = res.Body, bufio.NewReaderSize(res.Body, 64<<10)
	if res.StatusCode != http.StatusOK {
		return &facade.AnsweredError{At: base, Status: res.StatusCode}
	}
	e, err := p.next()
	if err != nil {
		return err
	}
	var answer struct {
		Type    string   `json:"type"`
		Streams int      `json:"streams"`
		Waiting []string `json:"waiting"`
		Process string   `json:"process"`
	}
	if err := json.Unmarshal(e.data, &answer); err != nil || answer.Type != "subscribed" {
		return errors.Join(errNotEvents, err)
	}
	p.Streams, p.Waiting, p.Process = answer.Streams, answer.Waiting, answer.Process
	return nil
}

// close may be called again.
func (p *part) close() {
	p.quiet.Stop()
	p.cancel()
	if p.body != nil {
		p.body.Close() // nothing more is read of it
	}
}

// sent is an event of the node.
type sent struct {
	name, id string
	data     []byte // good until the next
}

// maxSent is the largest event, in bytes: a book of an exchange that gives all of it.
const maxSent = 64 << 20

// next waits for an event.
func (p *part) next() (e sent, err error) {
	for {
		line, err := p.line()
		if err != nil {
			return e, err
		}
		p.quiet.Reset(p.within)
		field, value, _ := bytes.Cut(line, []byte(": "))
		switch string(field) {
		case "id":
			e.id = string(value)
		case "event":
			e.name = string(value)
		case "data":
			e.data = append(e.data, value...)
		case "":
			if len(line) == 0 && len(e.data) > 0 {
				return e, nil
			}
		}
	}
}

// line reads one, however long, without its end.
func (p *part) line() ([]byte, error) {
	line, err := p.lines.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	var whole []byte
	for errors.Is(err, bufio.ErrBufferFull) && len(whole) < maxSent {
		whole = append(whole, line...)
		line, err = p.lines.ReadSlice('\n')
	}
	if err != nil {
		return nil, err
	}
	whole = append(whole, line...)
	return whole[:len(whole)-1], nil
}

// hear gives a subscription what the node gives, until that ends, and returns why.
func (p *part) hear(ctx context.Context, to *live.Foreign) live.End {
	for {
		e, err := p.next()
		if err != nil {
			return live.End{Code: live.CodeOverloaded, Reason: err.Error()}
		}
		m := live.Message{Type: live.Record, ID: e.id}
		switch e.name {
		case "":
		case "state":
			m.Type = live.State
		case "end":
			var end live.End
			if err := json.Unmarshal(e.data, &end); err != nil {
				return live.End{Code: live.CodeOverloaded, Reason: err.Error()}
			}
			return end
		case "at", "lost":
			if err := p.told(ctx, e, to); err != nil {
				return live.End{Code: live.CodeOverloaded, Reason: err.Error()}
			}
			continue
		default:
			continue
		}
		if err := p.unwrap(e.data, &m); err != nil {
			return live.End{Code: live.CodeOverloaded, Reason: err.Error()}
		}
		// However long the client takes, it is not the node that is silent.
		p.quiet.Stop()
		if err := to.Give(ctx, m); err != nil {
			return live.End{Code: live.CodeNormal, Reason: err.Error()}
		}
		p.quiet.Reset(p.within)
	}
}

// lostEvent says what a node cannot give of what a client has missed.
type lostEvent struct {
	Asked   string   `json:"last_event_id"`
	Why     string   `json:"message"`
	Streams []string `json:"begun_anew"`
}

// told passes on what the node says of where the client is, and of what it lacks.
func (p *part) told(ctx context.Context, e sent, to *live.Foreign) error {
	if e.name == "at" {
		return to.At(ctx, e.id)
	}
	var lost lostEvent
	if err := json.Unmarshal(e.data, &lost); err != nil {
		return err
	}
	to.Lacks(lost.Asked, lost.Why, lost.Streams)
	return nil
}

// unwrap takes the record or state out of {"type":…,"subscription":…,"n":…,"data":…},
// and counts it.
func (p *part) unwrap(text []byte, m *live.Message) error {
	head, data, ok := bytes.Cut(text, []byte(`,"data":`))
	if !ok || len(data) == 0 {
		return errNotEvents
	}
	m.Data = data[:len(data)-1]
	if n := numberIn(head, `,"n":`); n != p.n+1 {
		return errNumber
	}
	p.n++
	m.Coalesced = int(numberIn(head, `,"coalesced":`)) //nolint:gosec // a count of records
	return nil
}

// numberIn is the number behind a name; 0 for none.
func numberIn(head []byte, name string) uint64 {
	_, rest, _ := bytes.Cut(head, []byte(name))
	digits, _, _ := bytes.Cut(rest, []byte(","))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
