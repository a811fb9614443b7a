package remoting

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/certs"
)

// handshakeWithin bounds a handshake, at both ends.
const handshakeWithin = 3 * time.Second

// Why a handshake fails.
var (
	errNotMember = errors.New("the certificate is not a member's")
	errNoHTTP2   = errors.New("what was sent is not HTTP/2")
	errPlain     = errors.New("without certificates nobody beyond loopback is talked to")
)

// handshakes are the library's transport credentials: certificates on both ends, or, on
// loopback, none. Refusals are counted.
type handshakes struct {
	pair    *certs.Pair // nil: plain
	metrics *metrics
	// failed is told why a connection that we made was refused.
	failed func(address string, err error)
}

// Info implements credentials.TransportCredentials.
func (h *handshakes) Info() credentials.ProtocolInfo {
	if h.pair == nil {
		return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (h *handshakes) Clone() credentials.TransportCredentials { c := *h; return &c }

// OverrideServerName implements credentials.TransportCredentials. The name in a
// certificate is always that of the address.
func (h *handshakes) OverrideServerName(string) error {
	return errors.New("the name of a server cannot be overridden")
}

// ServerHandshake implements credentials.TransportCredentials.
func (h *handshakes) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.serve(raw)
	if err != nil {
		if !errors.Is(err, io.EOF) { // else somebody looked whether the port is open
			h.metrics.refuse(reasonOf(err))
		}
		raw.Close() //nolint:errcheck // it is of no use
		return nil, nil, err
	}
	return conn, info, nil
}

func (h *handshakes) serve(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return nil, nil, fmt.Errorf("bounding a handshake: %w", err)
	}
	conn, info := raw, credentials.AuthInfo(plain{})
	if h.pair == nil {
		if host, _, err := net.SplitHostPort(raw.RemoteAddr().String()); err != nil || !cluster.Loopback(host) {
			return nil, nil, errPlain
		}
	} else {
		c := tls.Server(raw, h.pair.ServerFor(func(c *tls.Config) {
			c.ClientAuth, c.NextProtos, c.VerifyConnection = tls.RequireAndVerifyClientCert, []string{"h2"}, h.member
		}))
		if err := c.Handshake(); err != nil {
			return nil, nil, err
		}
		conn, info = c, authenticated(c.ConnectionState())
	}
	conn, err := spoken(conn)
	if err != nil {
		return nil, nil, err
	}
	return conn, info, raw.SetDeadline(time.Time{})
}

// ClientHandshake implements credentials.TransportCredentials.
func (h *handshakes) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	if h.pair == nil {
		if peer, _, err := net.SplitHostPort(raw.RemoteAddr().String()); err != nil || !cluster.Loopback(peer) {
			h.failed(authority, errPlain)
			return nil, nil, errPlain
		}
		return &watched{Conn: raw, failed: func(err error) { h.failed(authority, err) }}, plain{}, nil
	}
	config := h.pair.Client()
	config.ServerName, config.NextProtos, config.VerifyConnection = host, []string{"h2"}, h.member
	c := tls.Client(raw, config)
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close() //nolint:errcheck // it is of no use
		h.failed(authority, err)
		return nil, nil, fmt.Errorf("shaking hands with %s: %w", authority, err)
	}
	return &watched{Conn: c, failed: func(err error) { h.failed(authority, err) }}, authenticated(c.ConnectionState()), nil
}

// watched is a connection that we made, until the other side has said something: with TLS
// 1.3 it refuses our certificate after our handshake has ended.
type watched struct {
	net.Conn
	heard  bool
	failed func(error)
}

// Read implements io.Reader. One goroutine reads.
func (w *watched) Read(into []byte) (int, error) {
	n, err := w.Conn.Read(into)
	if n > 0 {
		w.heard = true
	}
	if err != nil && !w.heard {
		w.failed(err)
	}
	return n, err
}

// member judges the other end of a handshake.
func (h *handshakes) member(state tls.ConnectionState) error { return member(h.pair, &state) }

// member says whether the other end is a node, by the certificates of now.
func member(pair *certs.Pair, state *tls.ConnectionState) error {
	who, shown, err := pair.Peer(state)
	switch {
	case err != nil:
		return err
	case !shown || !who.Member:
		return fmt.Errorf("%w: %s", errNotMember, who.Name)
	}
	return nil
}

func authenticated(state tls.ConnectionState) credentials.AuthInfo {
	return credentials.TLSInfo{State: state, CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
}

// plain is the knowledge of the other end of a connection without certificates.
type plain struct{}

// AuthType implements credentials.AuthInfo.
func (plain) AuthType() string { return "insecure" }

// preface is what an HTTP/2 client sends first: RFC 9113, 3.4.
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// spoken refuses a connection that does not begin with HTTP/2.
func spoken(c net.Conn) (net.Conn, error) {
	first := make([]byte, len(preface))
	if _, err := io.ReadFull(c, first); err != nil {
		return nil, err // nothing, or not all of it
	}
	if !bytes.Equal(first, preface) {
		return nil, errNoHTTP2
	}
	return &replayed{Conn: c, first: first}, nil
}

// replayed is a connection whose first bytes have been read, and are read again.
type replayed struct {
	net.Conn
	first []byte
}

// Read implements io.Reader.
func (r *replayed) Read(into []byte) (int, error) {
	if len(r.first) == 0 {
		return r.Conn.Read(into)
	}
	n := copy(into, r.first)
	r.first = r.first[n:]
	return n, nil
}

// reasonOf puts the failure of a handshake into one of the few words of a metric.
func reasonOf(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return refusedExpired
	case errors.As(err, &invalid), errors.As(err, &unknown), errors.Is(err, certs.ErrUntrusted):
		return refusedAuthority
	case errors.Is(err, errNotMember):
		return refusedName
	case errors.As(err, &record), errors.Is(err, errNoHTTP2), errors.Is(err, io.ErrUnexpectedEOF):
		return refusedMalformed
	case errors.Is(err, errPlain):
		return refusedPlain
	}
	return refusedHandshake
}
