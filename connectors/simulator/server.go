package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Server is the simulated exchanges. Its methods are safe for concurrent use.
type Server struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc

	hosts     []*host
	servers   []*http.Server
	truth     string // the address of the truth
	tasks     sync.WaitGroup
	closeOnce sync.Once
	failed    chan error
	faults    faultLog
}

// Start serves the exchanges until Close. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.complete()
	s := &Server{o: o, failed: make(chan error, 1)}
	s.faults.log = o.Log
	s.faults.rates.Store(&o.Faults)
	// The server outlives the call that started it; Close ends it.
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, x := range o.Exchanges {
		if err := s.add(x); err != nil {
			s.cancel()
			return nil, err
		}
	}
	if len(s.hosts) == 0 {
		s.cancel()
		return nil, errors.New("no market to simulate")
	}
	if err := s.listen(); err != nil {
		s.cancel()
		return nil, err
	}
	for _, h := range s.hosts {
		s.tasks.Go(h.run)
	}
	return s, nil
}

// add makes the hosts of an exchange.
func (s *Server) add(x connectors.Exchange) error {
	for _, sim := range x.(Simulated).Simulations() {
		if sim.Profile != s.o.Profiles[x.Name()] {
			continue
		}
		h := &host{
			server: s, exchange: x.Name(), sim: sim, venues: map[market.Market]*connectors.Venue{},
			sockets: map[*socket]bool{}, listing: Listing{native: map[string]*stream{}}, limits: limits{off: s.o.NoLimits},
		}
		for _, m := range sim.Markets {
			if wanted, some := s.o.Markets[x.Name()]; some && !slices.Contains(wanted, m) {
				continue
			}
			if err := h.open(x, m); err != nil {
				return err
			}
		}
		if len(h.venues) > 0 {
			s.hosts = append(s.hosts, h)
		}
	}
	return nil
}

// open makes the instruments of a market.
func (h *host) open(x connectors.Exchange, m market.Market) error {
	o := &h.server.o
	cfg, ok := x.DefaultConfig().Markets[m.String()]
	if !ok {
		return fmt.Errorf("%s has no %s market", x.Name(), m)
	}
	v, err := x.Venue(m, cfg)
	if err != nil {
		return err
	}
	h.venues[m] = v
	for _, i := range universe(v, &h.sim, o.Symbols, o.Clock.Now()) {
		shape := ShapeOf(i)
		if h.sim.Shape != nil {
			shape = h.sim.Shape(i)
		}
		own := complete(i, shape)
		st := &stream{host: h, spec: newSpec(own, shape, o.Seed, o.Genesis.UnixNano(), o.Rate, h.sim.Terms.Stride)}
		h.listing.streams = append(h.listing.streams, st)
		h.listing.native[own.Native] = st
	}
	return nil
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
	for i := range len(s.hosts) + 1 { // the last is the truth's
		n := first
		if first != 0 {
			n += i
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n)))
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // nothing was accepted
			}
			return fmt.Errorf("listen: %w", err)
		}
		listeners = append(listeners, l)
	}
	for i, h := range s.hosts {
		h.address = listeners[i].Addr().String()
	}
	s.truth = listeners[len(s.hosts)].Addr().String()
	for i, h := range s.hosts {
		s.serve(listeners[i], h.handler())
	}
	s.serve(listeners[len(s.hosts)], s.office())
	return nil
}

func (s *Server) serve(l net.Listener, handler http.Handler) {
	h := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, h)
	s.tasks.Go(func() {
		// Serve ends when Close does; else the listener has failed.
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			select {
			case s.failed <- err:
			default:
			}
		}
	})
}

// Failed gives the error of a listener that failed.
func (s *Server) Failed() <-chan error { return s.failed }

// TruthURL is where the truth is told and the simulation controlled.
func (s *Server) TruthURL() string { return "http://" + s.truth }

// Endpoints are the markets served, each with the settings that lead to it.
func (s *Server) Endpoints() []Endpoint {
	var list []Endpoint
	for _, h := range s.hosts {
		for _, m := range h.sim.Markets {
			if h.venues[m] == nil {
				continue
			}
			e := Endpoint{
				Exchange: h.exchange, Market: m.String(),
				WSURL: "ws://" + h.address + h.sim.Terms.WSPath, RESTURL: "http://" + h.address + h.sim.Terms.RESTPath,
			}
			for _, i := range h.listing.Instruments(m) {
				e.Symbols = append(e.Symbols, i.Symbol)
			}
			list = append(list, e)
		}
	}
	return list
}

// Close ends every connection and returns when all of it has ended. It may be
// called again.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.cancel()
		for _, h := range s.hosts {
			h.close()
		}
		for _, h := range s.servers {
			_ = h.Close() // of listeners; nobody can come any more
		}
	})
	for _, h := range s.hosts {
		h.handlers.Wait()
	}
	s.tasks.Wait()
}

// close says goodbye to every client.
func (h *host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	for c := range h.sockets {
		if c.silent {
			reset(c.net)
			continue
		}
		c.end(websocket.CloseGoingAway, "the simulation is over")
		c.flush()
		_ = c.net.SetWriteDeadline(time.Now().Add(goodbye)) // whoever does not read needs no goodbye
	}
}
