package cluster

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// detour is a way to a server on which every request takes as long as it is told to.
type detour struct {
	Address string
	delay   atomic.Int64 // nanoseconds
}

func newDetour(t *testing.T, to string) *detour {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &detour{Address: l.Addr().String()}
	var all sync.WaitGroup
	ending := make(chan struct{})
	t.Cleanup(func() {
		close(ending)
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { d.serve(client, to, ending) })
		}
	})
	return d
}

// serve lets one connection through until either side ends it.
func (d *detour) serve(client net.Conn, to string, ending <-chan struct{}) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		_ = client.Close() // as one that nobody listens for
		return
	}
	ended := make(chan struct{}, 2)
	var ways sync.WaitGroup
	ways.Go(func() {
		// Either end may be gone.
		_, _ = io.Copy(client, server)
		ended <- struct{}{}
	})
	ways.Go(func() {
		d.slowly(server, client, ending)
		ended <- struct{}{}
	})
	select {
	case <-ended:
	case <-ending:
	}
	_, _ = client.Close(), server.Close()
	ways.Wait()
}

// slowly copies requests, which are written at once.
func (d *detour) slowly(to io.Writer, from io.Reader, ending <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			timer := time.NewTimer(time.Duration(d.delay.Load()))
			select {
			case <-timer.C:
			case <-ending:
				timer.Stop()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
