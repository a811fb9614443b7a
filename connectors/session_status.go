package connectors

import (
	"sync/atomic"
	"time"
)

// status is what a session shows of its state.
type status struct {
	state State
	since time.Time
	conn  int64
}

// counters count since the session was made.
type counters struct {
	connects, failed, lost, replaced           atomic.Uint64
	frames, bytes, records, malformed, refused atomic.Uint64
	sent, pongs, unacknowledged, silences      atomic.Uint64
	last                                       atomic.Int64
	notes                                      [NumReasons]atomic.Uint64
	remedies                                   [NumRemedies]atomic.Uint64
}

// SessionStats is a session at an instant; the counts are since it was made.
type SessionStats struct {
	State State
	// Since is when the state began.
	Since time.Time
	// Conn is the newest connection.
	Conn int64
	// Connects are connections made, Failed attempts that came to nothing, Lost
	// connections that ended unasked, Replaced those that a planned successor
	// made needless.
	Connects, Failed, Lost, Replaced uint64
	// Frames and Bytes were received; Records came out of them.
	Frames, Bytes, Records uint64
	// Notes counts the frames without records by reason; Records counts the rest.
	Notes [NumReasons]uint64
	// Malformed frames could not be decoded. Refused are frames whose records the
	// sink did not take.
	Malformed, Refused uint64
	// Sent are frames that we sent, Pongs those that answer a ping.
	Sent, Pongs uint64
	// Unacknowledged are demands that were not answered in time, Silences channels
	// that fell silent.
	Unacknowledged, Silences uint64
	// Remedies counts what was done about silences, by subscription.
	Remedies [NumRemedies]uint64
	// LastFrame is when the last frame came; zero for never.
	LastFrame time.Time
}

// Stats is the session at this instant.
func (s *Session) Stats() SessionStats {
	s.mu.Lock()
	st := SessionStats{State: s.status.state, Since: s.status.since, Conn: s.status.conn}
	s.mu.Unlock()
	c := &s.count
	st.Connects, st.Failed, st.Lost, st.Replaced = c.connects.Load(), c.failed.Load(), c.lost.Load(), c.replaced.Load()
	st.Frames, st.Bytes, st.Records = c.frames.Load(), c.bytes.Load(), c.records.Load()
	st.Malformed, st.Refused = c.malformed.Load(), c.refused.Load()
	st.Sent, st.Pongs = c.sent.Load(), c.pongs.Load()
	st.Unacknowledged, st.Silences = c.unacknowledged.Load(), c.silences.Load()
	for i := range c.notes {
		st.Notes[i] = c.notes[i].Load()
	}
	for i := range c.remedies {
		st.Remedies[i] = c.remedies[i].Load()
	}
	if last := c.last.Load(); last != 0 {
		st.LastFrame = time.Unix(0, last)
	}
	return st
}

// State is the session's state at this instant.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.state
}

// enter changes the state and reports it.
func (s *Session) enter(state State, cause error, wait time.Duration) {
	s.mu.Lock()
	s.status.state, s.status.since = state, s.o.Now()
	conn := s.status.conn
	s.mu.Unlock()
	s.report(Event{Kind: StateChanged, State: state, Conn: conn, Cause: cause, Wait: wait})
}

// report tells the sink, from the goroutine in Run.
func (s *Session) report(e Event) {
	e.Time = s.o.Now()
	s.mu.Lock()
	if e.Kind == Connected {
		s.status.conn = e.Conn
	}
	if e.Kind != StateChanged {
		e.State = s.status.state
	}
	s.mu.Unlock()
	s.o.Sink.Report(e)
}

func (s *Session) tap(r *CaptureRecord) {
	if s.o.Tap != nil {
		s.o.Tap(r)
	}
}
