package chassis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// SocketConfig are the limits of one WebSocket.
type SocketConfig struct {
	// MaxMessage is the largest message that is read, in bytes; a larger one ends
	// the socket with 1009.
	MaxMessage int64
	// DeadAfter is the silence after which the peer is taken for gone; the owner
	// pings more often than that.
	DeadAfter time.Duration
	// WriteTimeout bounds one Write.
	WriteTimeout time.Duration
}

// Socket is a WebSocket (RFC 6455) of a Live route. One goroutine reads, one
// writes and closes.
//
// Frames to the client are put together here rather than by the library: many go
// out in one write, and text that many clients are sent is not copied for each
// more than once. Extensions are not negotiated, so a frame is a header of two to
// ten bytes and its text.
type Socket struct {
	ws      *websocket.Conn
	conn    net.Conn
	config  SocketConfig
	mu      sync.Mutex // of writes
	closing bool
	broken  bool // a frame went out in part
}

// ErrNotText says that a message was binary; the socket goes on.
var ErrNotText = errors.New("the message is not text")

// ErrNotUTF8 says that a message was not UTF-8: the socket is to be closed with
// 1007 (RFC 6455, 8.1).
var ErrNotUTF8 = errors.New("the message is not valid UTF-8")

// Handshake checks what a route looks at before it gives a WebSocket room. The
// error is to be answered: 426 for a plain request, 403 for a web page of another
// origin that is not trusted.
func Handshake(w http.ResponseWriter, r *http.Request) error {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return NewError(http.StatusUpgradeRequired, "upgrade_required", "this is a WebSocket: connect with ws:// or wss://")
	}
	if !ownOrigin(r) {
		return Forbidden("a web page of another origin may not open this; trusted ones are listed in http.trusted_origins").WithCode("cross_origin")
	}
	return nil
}

// Upgrade makes a WebSocket of a request of a Live route that has passed
// [Handshake]. What is wrong with its header is the error, to be answered.
func Upgrade(w http.ResponseWriter, r *http.Request, config SocketConfig) (*Socket, error) {
	var refused error
	up := websocket.Upgrader{
		CheckOrigin:    func(*http.Request) bool { return true }, // Handshake has
		ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10, HandshakeTimeout: config.WriteTimeout,
		Error: func(_ http.ResponseWriter, _ *http.Request, status int, reason error) {
			refused = NewError(status, "bad_handshake", "%s", strings.TrimPrefix(reason.Error(), "websocket: "))
		},
	}
	ws, err := up.Upgrade(w, r, nil)
	switch {
	case refused != nil:
		return nil, refused
	case err != nil: // the connection is gone, and with it whoever could be told
		return nil, fmt.Errorf("upgrading to a WebSocket: %w", err)
	}
	s := &Socket{ws: ws, conn: ws.NetConn(), config: config}
	ws.SetReadLimit(config.MaxMessage)
	ws.SetPongHandler(func(string) error { return s.alive() })
	ws.SetPingHandler(func(data string) error { return errors.Join(s.alive(), s.control(websocket.PongMessage, []byte(data))) })
	ws.SetCloseHandler(func(int, string) error { return nil }) // answered by Close
	return s, s.alive()
}

// ownOrigin reports whether a request is no web page's, one of our own, or of a
// trusted origin.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if c := callFrom(r.Context()); c != nil && slices.Contains(c.server.config.TrustedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

func (s *Socket) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing { // the deadline is that of the closing
		return nil
	}
	return s.ws.SetReadDeadline(time.Now().Add(s.config.DeadAfter))
}

// Read returns the next text message. [ErrNotText] and [ErrNotUTF8] leave the
// socket open; after any other error there is nothing more to be read.
func (s *Socket) Read() ([]byte, error) {
	kind, text, err := s.ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	if err := s.alive(); err != nil {
		return nil, err
	}
	switch {
	case kind != websocket.TextMessage:
		return nil, ErrNotText
	case !utf8.Valid(text):
		return nil, ErrNotUTF8
	}
	return text, nil
}

// PeerClosed reports whether a Read failed because the peer closed the socket, and
// with which code.
func PeerClosed(err error) (code int, ok bool) {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code, true
	}
	return 0, false
}

// TooLargeMessage reports whether a Read failed because of a message above the limit.
func TooLargeMessage(err error) bool { return errors.Is(err, websocket.ErrReadLimit) }

// TimedOut reports whether a Read failed because the peer has not been heard of,
// or a Write because it does not take what it is sent.
func TimedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// AppendFrame appends a text frame whose payload is the parts, one after the other.
func AppendFrame(dst []byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	dst = appendFrameHeader(dst, websocket.TextMessage, n)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// appendFrameHeader appends the header of a whole, unmasked frame (RFC 6455, 5.2).
func appendFrameHeader(dst []byte, opcode byte, n int) []byte {
	const final = 0x80
	dst = append(dst, final|opcode)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// Write sends whole frames.
func (s *Socket) Write(frames []byte) error {
	return s.write(frames, time.Now().Add(s.config.WriteTimeout))
}

func (s *Socket) write(frames []byte, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(until); err != nil {
		return fmt.Errorf("writing to a WebSocket: %w", err)
	}
	if s.broken {
		return errBroken
	}
	if _, err := s.conn.Write(frames); err != nil {
		s.broken = true
		return fmt.Errorf("writing to a WebSocket: %w", err)
	}
	return nil
}

func (s *Socket) control(opcode byte, payload []byte) error {
	return s.Write(append(appendFrameHeader(nil, opcode, len(payload)), payload...))
}

// Ping asks the peer for a sign of life.
func (s *Socket) Ping() error { return s.control(websocket.PingMessage, nil) }

// Hurry gives the write that is under way no longer than d. It may be called from
// any goroutine.
func (s *Socket) Hurry(d time.Duration) {
	// On a connection that is closed there is nothing to be hurried.
	_ = s.conn.SetWriteDeadline(time.Now().Add(d))
}

var errBroken = errors.New("writing to a WebSocket: a frame before went out in part")

// maxReason is the longest reason of a close frame, in bytes.
const maxReason = 123

// Close says why the socket ends, and makes Read end within grace: by the peer's
// answer or by the deadline. [Socket.Release] follows once Read has ended.
func (s *Socket) Close(code int, reason string, grace time.Duration) error {
	until := time.Now().Add(grace)
	frame := websocket.FormatCloseMessage(code, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
	err := s.write(append(appendFrameHeader(nil, websocket.CloseMessage, len(frame)), frame...), until)
	if err != nil {
		until = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	return errors.Join(err, s.ws.SetReadDeadline(until))
}

// Release closes the connection.
func (s *Socket) Release() error { return s.ws.Close() }
