package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Server serves captures. Its methods are safe for concurrent use.
type Server struct {
	o      Options
	survey *survey
	ctx    context.Context
	cancel context.CancelFunc

	endpoints []Endpoint
	servers   []*http.Server
	tasks     sync.WaitGroup // the time line and the listeners
	handlers  sync.WaitGroup // added to while closing is false
	done      chan struct{}
	begin     chan struct{}
	beginOnce sync.Once
	closeOnce sync.Once
	kick      chan struct{} // something happened that the time line may wait for

	// resting: the time line waits for the clock or for somebody, not for a socket.
	resting atomic.Bool

	mu            sync.Mutex
	closing, over bool
	err           error
	sockets       map[*socket]bool
	position      int64 // records passed
	now           int64 // recorded time
	subscriptions int
	calls         int64
	unasked       bool // nobody calls: the time line waits for no call
	report        Report
	composed      map[string]int
	missed        map[string]int
}

// Start reads the captures once, then serves them until Close. ctx bounds the
// reading only. The error is a *connectors.CaptureError for a file that is no
// capture, and matches [ErrVenue] when one does not say where it is from.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	v, err := look(ctx, &o)
	if err != nil {
		return nil, err
	}
	if v.begin == math.MaxInt64 {
		v.begin = 0
	}
	s := &Server{
		o: o, survey: v, done: make(chan struct{}), begin: make(chan struct{}), kick: make(chan struct{}, 1),
		sockets: map[*socket]bool{}, composed: map[string]int{}, missed: map[string]int{},
		report: Report{Truncated: v.truncated},
	}
	// The server outlives the call that started it; Close ends it.
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.listen(); err != nil {
		s.cancel()
		return nil, err
	}
	s.tasks.Go(func() {
		err := s.play()
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		close(s.done)
	})
	return s, nil
}

// listen opens a port for each host and begins to serve.
func (s *Server) listen() error {
	host, port, err := net.SplitHostPort(s.o.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("listen: port %q: %w", port, err)
	}
	var listeners []net.Listener
	var sites []*site
	for _, at := range s.survey.sites {
		if !at.used {
			continue
		}
		n := first
		if first != 0 {
			n += len(sites)
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n)))
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // nothing was accepted
			}
			return fmt.Errorf("listen: %w", err)
		}
		listeners, sites = append(listeners, l), append(sites, at)
		s.endpoints = append(s.endpoints, at.endpoints(l.Addr().String())...)
	}
	for i, l := range listeners {
		h := &http.Server{Handler: s.handler(sites[i]), ReadHeaderTimeout: 10 * time.Second}
		s.servers = append(s.servers, h)
		s.tasks.Go(func() {
			// Serve ends when Close does; a listener that fails ends the replay.
			if err := h.Serve(listener{l, s.o.WriteTimeout}); !errors.Is(err, http.ErrServerClosed) {
				s.cancel()
			}
		})
	}
	return nil
}

func (s *Server) handler(at *site) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			http.Error(w, "closing", http.StatusServiceUnavailable)
			return
		}
		s.handlers.Add(1)
		s.mu.Unlock()
		defer s.handlers.Done()
		if websocket.IsWebSocketUpgrade(r) {
			s.accept(w, r, at)
			return
		}
		s.call(w, r, at)
	})
}

// Endpoints are the markets served, each with the settings that lead to it.
func (s *Server) Endpoints() []Endpoint { return slices.Clone(s.endpoints) }

// Begin starts the time line without waiting for more subscriptions.
func (s *Server) Begin() { s.beginOnce.Do(func() { close(s.begin) }) }

// Done is closed when every frame has been handed to the sockets, or when the
// time line could not go on: Err says so.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the time line ended before the captures did; nil while it moves.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Report is what was served so far.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Truncated = slices.Clone(r.Truncated)
	r.Composed, r.Unanswered = listed(s.composed), listed(s.missed)
	for _, at := range s.survey.sites {
		for _, t := range at.topics {
			if t.recorded && !t.asked {
				r.Silent = append(r.Silent, t.name)
			}
		}
	}
	slices.Sort(r.Silent)
	return r
}

// Progress tells how far the time line has come.
func (s *Server) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Progress{Frames: s.report.Frames, Of: time.Duration(max(0, s.survey.end-s.survey.begin))}
	if s.report.Frames > 0 {
		p.At = min(p.Of, time.Duration(max(0, s.now-s.survey.begin)))
	}
	if s.over {
		p.At = p.Of
	}
	return p
}

func listed(counts map[string]int) []Call {
	var list []Call
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, Call{Key: key, Times: counts[key]})
	}
	return list
}

// Close ends the time line, closes every connection and returns when all of it
// has ended. It may be called again.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.cancel()
		s.mu.Lock()
		s.closing = true
		open := slices.Collect(maps.Keys(s.sockets))
		s.mu.Unlock()
		for _, c := range open {
			c.goAway()
		}
		for _, h := range s.servers {
			_ = h.Close() // of listeners; nobody can come any more
		}
	})
	s.handlers.Wait()
	s.tasks.Wait()
}

// goAway says goodbye as servers do, and does not wait for the answer.
func (c *socket) goAway() {
	c.conn.leave()
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the replay is over")
	_ = c.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(goodbye)) // a client that is gone needs no goodbye
	_ = c.ws.Close()
}

// poke wakes the time line; the lock may be held or not.
func (s *Server) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
