package replay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// heldConn is a connection whose writes can be gathered: at the highest speed one
// system call then carries many frames.
type heldConn struct {
	net.Conn
	timeout time.Duration // how long the other side may take no bytes
	leaving atomic.Bool

	mu    sync.Mutex
	ours  bool // it is a WebSocket: the deadlines are ours
	held  bool
	queue []byte
}

const gather = 32 << 10

// goodbye is how long the last write may take.
const goodbye = time.Second

// leave cuts short whatever write there is.
func (c *heldConn) leave() {
	c.leaving.Store(true)
	_ = c.Conn.SetWriteDeadline(time.Now().Add(goodbye)) // fails on a closed connection only
}

// Write implements [net.Conn].
func (c *heldConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		if c.ours {
			return c.send(p)
		}
		return c.Conn.Write(p)
	}
	c.queue = append(c.queue, p...)
	if len(c.queue) >= gather {
		return len(p), c.drain()
	}
	return len(p), nil
}

// SetDeadline and SetWriteDeadline are the HTTP server's until the connection is
// a WebSocket.
func (c *heldConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ours {
		return c.Conn.SetReadDeadline(t)
	}
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (c *heldConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ours {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *heldConn) send(p []byte) (int, error) {
	timeout := c.timeout
	if c.leaving.Load() {
		timeout = goodbye
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *heldConn) drain() error {
	if len(c.queue) == 0 {
		return nil
	}
	_, err := c.send(c.queue)
	c.queue = c.queue[:0]
	return err
}

func (c *heldConn) own() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ours = true
}

// hold gathers what is written from now on.
func (c *heldConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// release sends what was gathered, and gathers no more.
func (c *heldConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.drain()
}

// listener makes every connection a heldConn.
type listener struct {
	net.Listener
	timeout time.Duration
}

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &heldConn{Conn: c, timeout: l.timeout}, nil
}
