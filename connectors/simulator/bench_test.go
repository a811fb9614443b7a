package simulator_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors/simulator"
)

// stillClock stands still: the benchmark moves the market.
type stillClock struct{ at time.Time }

func (c stillClock) Now() time.Time                     { return c.at }
func (stillClock) After(time.Duration) <-chan time.Time { return nil }

// BenchmarkEmit is the whole way from the market to a client's socket: trades,
// quotes and book changes of ten instruments over one connection.
func BenchmarkEmit(b *testing.B) {
	at := simulator.Genesis.Add(300 * 24 * time.Hour)
	s, e := simulate(b, simulator.Options{Seed: 1, Symbols: 10, Rate: 1000, Clock: stillClock{at}})
	var streams []string
	for _, symbol := range e.Symbols {
		native := strings.ToLower(strings.ReplaceAll(symbol, "-", ""))
		streams = append(streams, native+"@trade", native+"@bookTicker", native+"@depth@100ms")
	}
	c := dial(b, e, streams...)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, c.conn.NetConn()) // ends with the connection
	}()
	now := at.UnixNano()
	for s.Frames() == 0 { // until it has entered
		now += int64(10 * time.Millisecond)
		s.Pulse(now)
	}
	before := s.Frames()
	for b.Loop() {
		now += int64(10 * time.Millisecond)
		s.Pulse(now)
		for s.Queued() > 1<<20 {
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(s.Frames()-before)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(s.Frames()-before), "ns/frame")
	s.Close()
	<-read
}
