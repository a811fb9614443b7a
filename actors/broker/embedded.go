package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// readyPoll is how often a starting server is asked whether it is ready; it has
// no other way to say so.
const readyPoll = 5 * time.Millisecond

// surroundings are what a server needs beside its configuration.
type surroundings struct {
	certs  *certificates // of the port for clients; nil: no TLS
	routes []string      // host:port of all servers of a cluster
	joint  *certificates // between these; nil: no TLS
}

// startServer starts an embedded server and waits until it takes connections and
// JetStream has recovered its streams, or ctx ends. The caller shuts it down.
func startServer(ctx context.Context, c Config, around surroundings, log *zap.Logger) (*server.Server, error) {
	if err := os.MkdirAll(c.StoreDir, 0o750); err != nil {
		return nil, fmt.Errorf("making the broker's directory: %w", err)
	}
	g := newGate(c)
	o := c.serverOptions(g, around.certs)
	open := openAccounts
	if c.Clustered() {
		open = clusteredAccounts
		if err := c.joinOptions(o, around.routes, around.joint); err != nil {
			return nil, err
		}
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("making the NATS server: %w", err)
	}
	both, err := open(srv)
	if err != nil {
		return nil, err
	}
	g.admitTo(both)
	bridge := &logBridge{log: log.Named("nats"), fatal: make(chan error, 1)}
	srv.SetLoggerV2(bridge, false, false, false)
	started := make(chan struct{})
	go func() { // ends with Start, which returns once JetStream has recovered
		defer close(started)
		srv.Start()
	}()
	err = awaitReady(ctx, srv, started, bridge.fatal)
	if err == nil && !c.Clustered() { // else the server has, before it joined
		err = both.recover()
	}
	if err != nil {
		srv.Shutdown()
		<-started
		srv.WaitForShutdown()
		return nil, err
	}
	return srv, nil
}

func awaitReady(ctx context.Context, srv *server.Server, started <-chan struct{}, fatal <-chan error) error {
	select {
	case <-started:
	case <-ctx.Done():
		return fmt.Errorf("starting the NATS server: %w", ctx.Err())
	}
	for !srv.ReadyForConnections(readyPoll) {
		select {
		case err := <-fatal:
			return fmt.Errorf("starting the NATS server: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("starting the NATS server: %w", ctx.Err())
		default:
		}
	}
	select {
	case err := <-fatal: // JetStream did not start; the rest of the server did
		return fmt.Errorf("starting the NATS server: %w", err)
	default:
	}
	if !srv.JetStreamEnabled() {
		return errors.New("starting the NATS server: JetStream is not enabled")
	}
	return nil
}

func (c Config) serverOptions(g *gate, certs *certificates) *server.Options {
	o := &server.Options{
		ServerName:                 c.ServerName,
		Host:                       c.Host,
		Port:                       c.Port,
		DontListen:                 c.Port == 0,
		NoSigs:                     true,
		MaxPayload:                 int32(c.MaxPayload),
		MaxPending:                 c.MaxPending,
		JetStream:                  true,
		JetStreamMaxMemory:         c.MaxMemory,
		JetStreamMaxStore:          c.MaxFileStore,
		StoreDir:                   c.StoreDir,
		SyncAlways:                 true, // an acknowledgement means that the message is on disk
		DisableJetStreamBanner:     true,
		CustomClientAuthentication: g,
	}
	if c.Anonymous { // the gate decides; the server tells clients only if it knows a user for them
		o.Users, o.NoAuthUser = []*server.User{{Username: clientUser}}, clientUser
	}
	if c.Port == -1 {
		o.Port = server.RANDOM_PORT
	}
	if certs != nil {
		o.TLSConfig, o.TLS, o.TLSTimeout = certs.tls(), true, tlsTimeout.Seconds()
	}
	return o
}

// tlsTimeout bounds the handshake of a connection to the embedded server.
const tlsTimeout = 5 * time.Second

// stopServer ends a server and waits for it.
func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// probeServer looks at a running server. The error is final; unwell names the
// streams that cannot be written or were not recovered.
func probeServer(srv *server.Server) (ill []string, err error) {
	if !srv.Running() {
		return nil, errors.New("the NATS server has stopped")
	}
	if !srv.JetStreamEnabled() {
		return nil, errSwitchedOff
	}
	return unwell(srv), nil
}

// unwell names the streams that cannot be written, were not recovered, or are behind.
func unwell(srv *server.Server) (streams []string) {
	for _, e := range srv.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if e.Type == server.HealthzErrorStream {
			streams = append(streams, e.Stream)
		}
	}
	return streams
}

// freeBytes is what an unprivileged process may still write below dir.
func freeBytes(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// logBridge writes the server's log lines with zap. A fatal line does not end the
// process: the actor learns of it and decides.
type logBridge struct {
	log   *zap.Logger
	fatal chan error // takes one
}

// untrueOfRoutes begins what nats-server says of routes whose certificates it does not
// verify itself: they are verified, by [certificates.mutual].
const untrueOfRoutes = "TLS certificate chain and hostname of solicited routes will not be verified"

// Noticef is a debug message here: what operators need to know of the server, the
// broker actor says itself.
func (l *logBridge) Noticef(format string, v ...any) { l.write(zap.DebugLevel, format, v) }
func (l *logBridge) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, untrueOfRoutes) {
		l.write(zap.WarnLevel, format, v)
	}
}
func (l *logBridge) Errorf(format string, v ...any) { l.write(zap.ErrorLevel, format, v) }
func (l *logBridge) Debugf(format string, v ...any) { l.write(zap.DebugLevel, format, v) }
func (l *logBridge) Tracef(format string, v ...any) { l.write(zap.DebugLevel, format, v) }

func (l *logBridge) write(level zapcore.Level, format string, v []any) {
	if entry := l.log.Check(level, "nats-server"); entry != nil {
		entry.Write(zap.String("text", fmt.Sprintf(format, v...)))
	}
}

func (l *logBridge) Fatalf(format string, v ...any) {
	l.write(zap.ErrorLevel, format, v)
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
	}
}
