package collector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

// eventStream is one client of server-sent events.
type eventStream struct {
	client *live.Client
	events *chassis.Events
	head   []byte
}

// maxLast is the longest id that a client comes back with, in bytes: where it is at each
// of a hundred nodes.
const maxLast = 4096

func (f *service) followEvents(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	last, wide := q.Text("last_event_id", ""), f.wide(r, q)
	filter, err := askedOf(r, q)
	if err = errors.Join(err, q.Err()); err != nil {
		return err
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		last = id[:min(len(id), maxLast)]
	}
	conn := http.NewResponseController(w)
	client, err := f.connect(live.Events, func() {
		// A write that waits for a client that is ended is given up soon; one that is
		// over needs nothing.
		_ = conn.SetWriteDeadline(time.Now().Add(f.Live.Config().CloseGrace))
	})
	if err != nil {
		return err
	}
	if facade.Passed(r) { // another node, for a client of its own
		client.Marked()
	}
	follow := f.follow(r, client, wide)
	defer follow.end()
	if err := follow.subscribe(live.Asked{Filter: filter, LastEventID: last}); err != nil {
		return refusedFilter(err)
	}
	limits := f.Live.Config()
	events, err := chassis.NewEvents(w, r)
	if err != nil {
		return gone(r.Context(), err)
	}
	if err := events.Retry(limits.Retry); err != nil {
		return gone(r.Context(), err)
	}
	s := &eventStream{client: client, events: events}
	return s.run(r.Context(), limits)
}

// gone is nil when the client has left: there is nobody to tell.
func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the client's leaving is how these end
	}
	return err
}

func (s *eventStream) run(ctx context.Context, limits live.Config) error {
	beat := time.NewTicker(limits.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-s.client.Ready():
			if err := s.write(); err != nil {
				return s.end(ctx, err)
			}
		case <-beat.C:
			if err := s.events.Beat(); err != nil {
				return s.end(ctx, err)
			}
		case <-ctx.Done():
			return s.end(ctx, ctx.Err())
		}
	}
}

// write writes what waits.
func (s *eventStream) write() error {
	messages, err := s.client.Take()
	if err != nil {
		return err
	}
	from, bytes := 0, 0
	for i := range messages {
		s.put(&messages[i])
		if s.events.Buffered() < writeChunk && i+1 < len(messages) {
			continue
		}
		bytes = s.events.Buffered()
		if err := s.events.Flush(); err != nil {
			return err
		}
		s.client.Wrote(messages[from:i+1], bytes)
		from = i + 1
	}
	return nil
}

func (s *eventStream) put(m *live.Message) {
	switch m.Type {
	case live.Answer: // {"type":"subscribed",…}, "reset", "lost", "at"
		s.events.Put(m.ID, m.Word(), m.Data)
		return
	case live.State:
		s.head = m.AppendHead(s.head[:0])
		s.events.Put(m.ID, "state", s.head, m.Data, closing)
	case live.Record:
		s.head = m.AppendHead(s.head[:0])
		s.events.Put(m.ID, "", s.head, m.Data, closing)
	}
}

var closing = []byte("}")

// end tells the client why it ends, if it can be told.
func (s *eventStream) end(ctx context.Context, err error) error {
	switch ended := s.client.Ended(); {
	case ended != nil:
		err = ended
	case errors.Is(context.Cause(ctx), chassis.ErrDraining):
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the client has left: there is nobody to tell
	default:
		if chassis.TimedOut(err) {
			s.client.Stuck()
		}
		return err // the answer is cut off
	}
	why := endOf(ctx, err)
	text := market.AppendJSONString(fmt.Appendf(nil, `{"type":"end","code":%d,"reason":`, why.code), why.reason)
	return s.events.Last("end", append(text, '}'))
}
