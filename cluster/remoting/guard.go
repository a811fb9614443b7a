package remoting

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/marketprism/marketprism/cluster/wire"
	"github.com/marketprism/marketprism/internal/certs"
)

// maxMessage bounds a message both ways, in bytes.
const maxMessage = 64 << 20

// Why a message is refused.
var (
	errMalformed = errors.New("malformed")
	errForbidden = errors.New("forbidden")
)

// guard stands between the port and the library: it looks at every message before the
// library does, which trusts what it reads.
type guard struct {
	pair    *certs.Pair // nil: plain
	log     *zap.Logger
	metrics *metrics
}

// stream is the interceptor of streams; the library has one kind of them.
func (g *guard) stream(server any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer g.catch(&err)
	return next(server, &guarded{ServerStream: s, guard: g, from: where(s.Context())})
}

// unary refuses all calls: those that the library has are not implemented, and panic.
func (g *guard) unary(ctx context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	g.refuse(where(ctx), fmt.Errorf("%w: the call %s", errForbidden, info.FullMethod))
	return nil, status.Error(codes.Unimplemented, "no such call")
}

// catch makes an error of a panic.
func (g *guard) catch(err *error) {
	if p := recover(); p != nil {
		g.metrics.refuse(refusedPanic)
		g.log.Error("a message of another node made the library panic; its connection ends", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		*err = status.Error(codes.Internal, "the message could not be handled")
	}
}

// refuse counts and logs what is refused.
func (g *guard) refuse(from string, err error) {
	reason := refusedMalformed
	switch {
	case errors.Is(err, errForbidden):
		reason = refusedForbidden
	case errors.Is(err, certs.ErrUntrusted), errors.Is(err, errNotMember):
		reason = refusedAuthority
	}
	g.metrics.refuse(reason)
	g.log.Warn("a connection is ended for what came over it", zap.String("from", from), zap.Error(err))
}

// guarded is a stream whose messages are judged as they are read.
type guarded struct {
	grpc.ServerStream
	guard *guard
	from  string
	// address is where the other end says that it is asked; empty before it has.
	address string
}

// RecvMsg implements grpc.ServerStream.
func (s *guarded) RecvMsg(into any) error {
	err := s.ServerStream.RecvMsg(into)
	switch {
	case errors.Is(err, io.EOF), status.Code(err) == codes.Canceled, status.Code(err) == codes.Unavailable, status.Code(err) == codes.DeadlineExceeded:
		return err
	case err != nil: // what cannot be decoded, or is too large
		s.guard.refuse(s.from, fmt.Errorf("%w: %w", errMalformed, err))
		return err
	}
	m, ok := into.(*remote.RemoteMessage)
	if !ok {
		err = fmt.Errorf("%w: a %T", errForbidden, into)
	} else if err = s.trusted(); err == nil {
		err = s.judge(m)
	}
	if err != nil {
		s.guard.refuse(s.from, err)
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

// trusted judges the certificate of an open connection by the authorities of now.
func (s *guarded) trusted() error {
	if s.guard.pair == nil {
		return nil
	}
	p, ok := peer.FromContext(s.Context())
	if !ok {
		return errNotMember
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return errNotMember
	}
	return member(s.guard.pair, &info.State)
}

// judge looks at one message. The library takes connect requests and batches.
func (s *guarded) judge(m *remote.RemoteMessage) error {
	switch t := m.GetMessageType().(type) {
	case *remote.RemoteMessage_ConnectRequest:
		c := t.ConnectRequest.GetServerConnection()
		switch {
		case c == nil || c.GetAddress() == "":
			return fmt.Errorf("%w: a connection of nobody", errMalformed)
		case s.address != "":
			return fmt.Errorf("%w: a second connect request", errForbidden)
		}
		s.address = c.GetAddress()
		return nil
	case *remote.RemoteMessage_MessageBatch:
		if s.address == "" {
			return fmt.Errorf("%w: messages before the connect request", errForbidden)
		}
		return s.judgeBatch(t.MessageBatch)
	}
	return fmt.Errorf("%w: a %T", errForbidden, m.GetMessageType())
}

func (s *guarded) judgeBatch(b *remote.MessageBatch) error {
	for _, t := range b.GetTargets() {
		if !addressable(t.GetId()) {
			return fmt.Errorf("%w: the target %.100q", errForbidden, t.GetId())
		}
	}
	for _, from := range b.GetSenders() {
		if from.GetAddress() != s.address {
			return fmt.Errorf("%w: a sender at %.100q on the connection of %.100q", errForbidden, from.GetAddress(), s.address)
		}
	}
	for i, e := range b.GetEnvelopes() {
		switch {
		case e == nil, !within(e.GetTypeId(), len(b.GetTypeNames())), !within(e.GetTarget(), len(b.GetTargets())),
			e.GetSender() != 0 && !within(e.GetSender()-1, len(b.GetSenders())): // 0 is none
			return fmt.Errorf("%w: envelope %d names what is not in its batch", errMalformed, i)
		case e.GetSerializerId() != remote.DefaultSerializerID:
			return fmt.Errorf("%w: serializer %d", errForbidden, e.GetSerializerId())
		}
		if err := judgeMessage(b.GetTypeNames()[e.GetTypeId()], e.GetMessageData()); err != nil {
			return err
		}
	}
	return nil
}

// judgeMessage lets pass what nodes say to each other, and that an actor is not there.
// All else could stop actors, or is not known here, which the library does not survive.
func judgeMessage(name string, data []byte) error {
	var m proto.Message
	switch name {
	case callName:
		m = &wire.Call{}
	case replyName:
		m = &wire.Reply{}
	case missingName:
		m = &actor.DeadLetterResponse{}
	default:
		return fmt.Errorf("%w: a message %.100q", errForbidden, name)
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: a %s: %w", errMalformed, name, err)
	}
	return nil
}

// Names of the messages that pass.
var (
	callName    = string(proto.MessageName(&wire.Call{}))
	replyName   = string(proto.MessageName(&wire.Reply{}))
	missingName = string(proto.MessageName(&actor.DeadLetterResponse{}))
)

// addressable are the actors that peers may name, and the askers that wait for answers.
func addressable(id string) bool {
	return id == nodeID || id == activatorID || strings.HasPrefix(id, streamsID+"/") || strings.HasPrefix(id, askPrefix+"$")
}

func within(i int32, n int) bool { return i >= 0 && int(i) < n }

func where(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
