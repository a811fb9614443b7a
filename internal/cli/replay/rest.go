package replay

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// call answers a REST call.
func (s *Server) call(w http.ResponseWriter, r *http.Request, at *site) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is recorded", http.StatusMethodNotAllowed)
		return
	}
	body, err := s.answer(r.Context(), at, at.replayer.Call(r.URL))
	switch {
	case errors.Is(err, errNotRecorded):
		http.Error(w, "the capture has no answer to "+r.URL.String(), http.StatusNotFound)
	case err != nil:
		http.Error(w, "the replay is over", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // the client may be gone; there is nobody else to tell
	}
}

var errNotRecorded = errors.New("not recorded")

// answer waits until a call can be answered.
func (s *Server) answer(ctx context.Context, at *site, c connectors.ReplayCall) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.unasked = false
	if list := at.listings[c.Key]; list != nil {
		s.poke()
		s.report.Responses++
		return list, nil
	}
	sh := at.shelves[c.Key]
	if sh == nil {
		s.poke()
		return s.compose(at, c)
	}
	sh.asked++
	s.poke()
	at.held++
	defer func() {
		at.held--
		s.poke()
	}()
	var grace <-chan time.Time
	patient, seen := true, s.position
	for {
		if body, ok, err := s.ready(at, c, sh, patient); ok {
			return body, err
		}
		if grace == nil {
			grace, seen = s.o.Clock.After(s.o.Grace), s.position
		}
		changed := sh.changed
		s.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-grace:
			grace = nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-s.ctx.Done():
			err = s.ctx.Err()
		}
		s.mu.Lock()
		if err != nil {
			return nil, err
		}
		// Whoever wants the answer before subscribing gets it, and so does a client
		// that reads no frames while it waits for the answer.
		still := grace == nil && s.position == seen
		patient = !still || s.resting.Load() && (s.position > 0 || s.subscriptions > 0)
	}
}

// ready gives the answer when its time has come; the lock is held.
func (s *Server) ready(at *site, c connectors.ReplayCall, sh *shelf, patient bool) (body []byte, ok bool, err error) {
	if sh.last == nil {
		switch {
		case s.over:
			return nil, true, s.miss(c)
		case !patient && sh.first != nil:
			s.report.Responses++
			return sh.first, true, nil
		}
		return nil, false, nil
	}
	switch c.Kind {
	case connectors.NeedRecentTrades, connectors.NeedTradesFrom:
		body, err = s.compose(at, c)
		return body, true, err
	case connectors.NeedSnapshot:
		t := at.topics[c.Topic]
		if t != nil && t.joined > sh.lastAt {
			if body, err := s.compose(at, c); err == nil {
				return body, true, nil
			}
		}
		if t == nil || sh.given < max(1, len(t.sockets)) {
			break
		}
		// It was given; who asks again needs the next, or the book as it stands.
		if sh.reached < sh.total && !s.over {
			return nil, false, nil
		}
		if s.o.Recorded {
			break
		}
		if body, err := s.compose(at, c); err == nil {
			return body, true, nil
		}
	}
	sh.given++
	s.report.Responses++
	return sh.last, true, nil
}

// compose makes an answer up; the lock is held.
func (s *Server) compose(at *site, c connectors.ReplayCall) ([]byte, error) {
	now := s.now
	if s.position == 0 {
		now = s.survey.begin
	}
	body, ok := at.replayer.Compose(c, at.state(c, now))
	if !ok {
		return nil, s.miss(c)
	}
	count(s.composed, c.Key)
	return body, nil
}

func (s *Server) miss(c connectors.ReplayCall) error {
	count(s.missed, c.Key)
	return errNotRecorded
}

// maxListed bounds the lists of a report.
const maxListed = 1000

func count(list map[string]int, key string) {
	if _, known := list[key]; known || len(list) < maxListed {
		list[key]++
	}
}
