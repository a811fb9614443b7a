// Package brokertest runs a broker for the tests of what stands on it.
package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
)

// patience bounds a start and a stop.
const patience = time.Minute

// Server is an embedded server in a tree of its own.
type Server struct {
	*broker.Handle
	System *supervise.System

	t       testing.TB
	stopped bool
}

// New makes a server over a directory of the test's; change may change its settings.
// It runs after [Server.Start].
func New(t testing.TB, change func(c *broker.Config)) *Server {
	t.Helper()
	c := broker.DefaultConfig()
	c.Port, c.StoreDir, c.RestartFreeBytes = 0, t.TempDir(), 0
	if change != nil {
		change(&c)
	}
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Server{Handle: h, t: t}
}

// Start starts it, with what stands behind it in its branch, until the test ends.
func (s *Server) Start(behind ...supervise.Spec) *Server {
	s.t.Helper()
	var err error
	if s.System, err = supervise.NewSystem(s.t.Context(), supervise.Options{}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Stop)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.System.Start(ctx, s.Spec(behind...)); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// Restart ends the server as a failure would, and returns while it starts again.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.System.RestartChild(s.t.Context(), "root/broker", "server"); err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends it; a second call does nothing.
func (s *Server) Stop() {
	if s.stopped {
		return
	}
	s.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.System.Stop(ctx); err != nil {
		s.t.Errorf("stopping the broker: %v", err)
	}
}

// Clients is JetStream in the clients' account, with all rights.
func (s *Server) Clients() jetstream.JetStream {
	s.t.Helper()
	nc, err := s.ConnectClients(s.t.Context(), "test")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}
