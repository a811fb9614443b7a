package collector

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/http/chassis"
)

// socketStream is one client of the WebSocket. The handler's goroutine writes,
// one of its own reads.
type socketStream struct {
	client *live.Client
	follow *follower
	socket *chassis.Socket
	limits live.Config
	cancel context.CancelCauseFunc

	frames, head []byte
}

// peerLeft is the cause of a connection's end when its reading has ended.
type peerLeft struct {
	goodbye
	err error
}

func (p *peerLeft) Error() string { return p.reason }
func (p *peerLeft) Unwrap() error { return p.err }

func (f *service) followSocket(w http.ResponseWriter, r *http.Request) error {
	if err := chassis.Handshake(w, r); err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	filter, given := filterOf(q)
	wide := f.wide(r, q)
	if err := q.Err(); err != nil {
		return err
	}
	var mu sync.Mutex
	var socket *chassis.Socket
	client, err := f.connect(live.WebSocket, func() {
		mu.Lock()
		defer mu.Unlock()
		if socket != nil {
			socket.Hurry(f.Live.Config().CloseGrace)
		}
	})
	if err != nil {
		return err
	}
	follow := f.follow(r, client, wide)
	defer follow.end()
	if given {
		if err := follow.subscribe(live.Asked{Filter: filter}); err != nil {
			return refusedFilter(err)
		}
	}
	limits := f.Live.Config()
	opened, err := chassis.Upgrade(w, r, chassis.SocketConfig{
		MaxMessage: int64(limits.MaxMessageBytes), DeadAfter: limits.DeadAfter, WriteTimeout: limits.WriteTimeout,
	})
	if err != nil {
		return err
	}
	mu.Lock()
	socket = opened
	mu.Unlock()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s := &socketStream{client: client, follow: follow, socket: opened, limits: limits, cancel: cancel}
	s.serve(ctx)
	return nil
}

// serve runs until one side ends it, and closes the connection.
func (s *socketStream) serve(ctx context.Context) {
	var reading sync.WaitGroup
	reading.Go(func() { s.read(ctx) })
	why := s.farewell(ctx, s.write(ctx))
	log := chassis.Logger(ctx)
	if err := s.socket.Close(why.code, why.reason, s.limits.CloseGrace); err != nil {
		log.Debug("a WebSocket could not be told why it ends", zap.Int("code", why.code), zap.Error(err))
	}
	s.client.Close() // whoever answers a request stops waiting for room
	reading.Wait()
	if err := s.socket.Release(); err != nil {
		log.Debug("closing a WebSocket", zap.Error(err))
	}
}

// write writes what the client is given, and pings.
func (s *socketStream) write(ctx context.Context) error {
	ping := time.NewTicker(s.limits.PingEvery)
	defer ping.Stop()
	for {
		select {
		case <-s.client.Ready():
			messages, err := s.client.Take()
			if err != nil {
				return err
			}
			if err := s.writeAll(messages); err != nil {
				return err
			}
		case <-ping.C:
			if err := s.socket.Ping(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// writeAll writes messages, many at a time.
func (s *socketStream) writeAll(messages []live.Message) error {
	s.frames = s.frames[:0]
	from := 0
	for i := range messages {
		s.frames = s.append(s.frames, &messages[i])
		if len(s.frames) < writeChunk && i+1 < len(messages) {
			continue
		}
		if err := s.socket.Write(s.frames); err != nil {
			return err
		}
		s.client.Wrote(messages[from:i+1], len(s.frames))
		from, s.frames = i+1, s.frames[:0]
	}
	if cap(s.frames) > 4*writeChunk { // a book; the next ones are changes
		s.frames = nil
	}
	return nil
}

func (s *socketStream) append(frames []byte, m *live.Message) []byte {
	if m.Type == live.Answer {
		return chassis.AppendFrame(frames, m.Data)
	}
	s.head = m.AppendHead(s.head[:0])
	return chassis.AppendFrame(frames, s.head, m.Data, closing)
}

// farewell is the code and the reason for the end of write.
func (s *socketStream) farewell(ctx context.Context, err error) goodbye {
	var left *peerLeft
	if errors.As(err, &left) || errors.As(context.Cause(ctx), &left) {
		return left.goodbye
	}
	if end := s.client.Ended(); end != nil {
		return goodbye{end.Code, end.Reason}
	}
	if ctx.Err() == nil && chassis.TimedOut(err) {
		s.client.Stuck()
		return goodbye{live.CodeSlow, "slow consumer: a write was not taken in time"}
	}
	return endOf(ctx, err)
}

// read answers the client's requests until nothing more can be read.
func (s *socketStream) read(ctx context.Context) {
	requests := newAllowance(s.limits.MaxRequestsPerSecond)
	for {
		text, err := s.socket.Read()
		switch {
		case errors.Is(err, chassis.ErrNotText):
			err = s.refuse(ctx, nil, &live.Refusal{Code: "not_text", Message: "messages are text: one JSON object each"})
		case err != nil:
			s.cancel(&peerLeft{s.endOfReading(err), err})
			return
		case !requests.take(time.Now()):
			err = s.refuse(ctx, nil, &live.Refusal{Code: "too_many_requests", Message: "the connection asks too much at once; this request was not looked at"})
		default:
			err = s.answer(ctx, text)
		}
		if err != nil { // the client is being ended, and write says so; what it still sends is not looked at
			s.drain()
			return
		}
	}
}

// drain reads on until the peer has answered the closing, or its time is over.
func (s *socketStream) drain() {
	for {
		if _, err := s.socket.Read(); err != nil && !errors.Is(err, chassis.ErrNotText) && !errors.Is(err, chassis.ErrNotUTF8) {
			return
		}
	}
}

// endOfReading says what the end of reading means.
func (s *socketStream) endOfReading(err error) goodbye {
	const tooBig, notUTF8, noStatus, abnormal = 1009, 1007, 1005, 1006
	code, closed := chassis.PeerClosed(err)
	switch {
	case closed && (code == noStatus || code == abnormal):
		return goodbye{live.CodeNormal, ""}
	case closed:
		return goodbye{code, ""}
	case errors.Is(err, chassis.ErrNotUTF8):
		return goodbye{notUTF8, "a message was not valid UTF-8"}
	case chassis.TooLargeMessage(err):
		return goodbye{tooBig, "a message was larger than is taken"}
	case chassis.TimedOut(err):
		s.client.Silent()
		return goodbye{live.CodeGoingAway, "nothing was heard of the client"}
	}
	return goodbye{live.CodeNormal, ""}
}
