package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Options of a [Pair].
type Options struct {
	Config Config
	// Name tells this pair from others of the process, in the log and in metrics.
	Name       string
	Log        *zap.Logger           // nil discards
	Registerer prometheus.Registerer // nil exports nothing; several pairs may share one
	Now        func() time.Time      // nil is time.Now
	// Apart: ca_file has signed those who connect, and need not have signed the
	// certificate that they are shown.
	Apart bool
}

// Pair is a certificate with its key, and the authorities that are trusted, as the
// files have them now. It is safe for concurrent use.
type Pair struct {
	config  Config
	apart   bool
	name    string
	log     *zap.Logger
	now     func() time.Time
	metrics *metrics
	current atomic.Pointer[generation]

	mu    sync.Mutex // of reading
	seen  texts      // that were judged last, good or not
	fault error      // of those
}

// generation is one state of the files, and what is made of it.
type generation struct {
	*material
	server *tls.Config
	// peers remembers which certificates of others were found good, by SHA-256.
	peers sync.Map
}

// Open reads the files. Its errors are [*Error], several joined.
func Open(o Options) (*Pair, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if !o.Config.Enabled() {
		return nil, errors.New("no certificate is configured")
	}
	p := &Pair{config: o.Config, apart: o.Apart, name: o.Name, log: o.Log, now: o.Now}
	if p.log == nil {
		p.log = zap.NewNop()
	}
	if p.now == nil {
		p.now = time.Now
	}
	var err error
	if p.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, err
	}
	t, err := p.config.read()
	if err != nil {
		return nil, err
	}
	m, err := p.config.parse(t, p.apart, p.now())
	if err != nil {
		return nil, err
	}
	p.take(m)
	return p, nil
}

// take puts what was read into use.
func (p *Pair) take(m *material) {
	p.seen, p.fault = m.texts, nil
	g := &generation{material: m}
	g.server = p.serverOf(m)
	p.current.Store(g)
	p.metrics.took(p.name, m)
}

func (p *Pair) serverOf(m *material) *tls.Config {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{m.certificate},
		NextProtos:   []string{"h2", "http/1.1"},
		Time:         p.now,
		// A session that is taken up again would be judged by the authorities of its
		// beginning.
		SessionTicketsDisabled: true,
	}
	if m.roots != nil && p.config.ClientAuth != ClientNone {
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, m.roots
	}
	return c
}

// Server is the configuration of a listener, for as long as it listens: every
// connection meets the files as they are then. It offers HTTP/2 and HTTP/1.1; a clone
// with other NextProtos, or with ClientAuth at RequireAndVerifyClientCert, needs
// [Pair.ServerFor]. Client certificates are verified if they are shown: whether one is
// needed is for who answers the request to say ([Pair.Peer]).
func (p *Pair) Server() *tls.Config {
	return p.ServerFor(nil)
}

// ServerFor is [Pair.Server] with something changed in every configuration that
// connections meet, for other protocols than HTTP.
func (p *Pair) ServerFor(change func(*tls.Config)) *tls.Config {
	of := func(g *generation) *tls.Config {
		if change == nil {
			return g.server
		}
		c := g.server.Clone()
		change(c)
		return c
	}
	c := of(p.current.Load()).Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return of(p.current.Load()), nil }
	return c
}

// Client is the configuration of a connection that is made now: it trusts the
// authorities of now, and shows the certificate of the moment at which it is asked for
// one. Whoever makes connections for a long time takes it anew for each, or uses
// [Pair.Dial].
func (p *Pair) Client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: p.Roots(), Time: p.now,
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c := p.Certificate()
			if asked.SupportsCertificate(c) == nil {
				return c, nil
			}
			return new(tls.Certificate), nil // theirs is another authority: they may do without
		},
	}
}

// Certificate is the certificate in use, with its key; it is not to be changed.
func (p *Pair) Certificate() *tls.Certificate { return &p.current.Load().certificate }

// Roots are the authorities in use; nil are those of the system. They are not to be
// changed.
func (p *Pair) Roots() *x509.CertPool { return p.current.Load().roots }

// Dial connects and shakes hands, with the files as they are now: for
// http.Transport.DialTLSContext and its like. The other side has to show a certificate
// for the host of address. A handshake that fails is a [*net.OpError] of "dial", as a
// connection that fails: nothing was sent yet.
func (p *Pair) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return p.DialBy(new(net.Dialer).DialContext)(ctx, network, address)
}

// Dialer connects to an address.
type Dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// DialBy is [Pair.Dial] on connections that dial makes.
func (p *Pair) DialBy(dial Dialer) Dialer {
	return shaking(dial, p.Client)
}

// shaking connects by dial and shakes hands for HTTP/1.1, by a configuration that is made
// for each connection.
func shaking(dial Dialer, configure func() *tls.Config) Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("connecting to %q: %w", address, err)
		}
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := configure()
		config.ServerName, config.NextProtos = host, []string{"http/1.1"}
		c := tls.Client(raw, config)
		if err := c.HandshakeContext(ctx); err != nil {
			raw.Close() //nolint:errcheck // it is of no use
			return nil, &net.OpError{Op: "dial", Net: network, Addr: raw.RemoteAddr(), Err: err}
		}
		return c, nil
	}
}

// DialSystem connects by dial and shakes hands with whoever is not one of ours: by the
// authorities of the system, and without a certificate.
func DialSystem(dial Dialer) Dialer {
	return shaking(dial, func() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} })
}

// Covers says whether the certificate is good for a host: nil, or why not.
func (p *Pair) Covers(host string) error {
	return p.current.Load().certificate.Leaf.VerifyHostname(host)
}

// Reload reads the files again. What cannot be used changes nothing, and is the error.
func (p *Pair) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := p.config.read()
	switch {
	case err == nil && p.fault == nil && t.same(p.seen):
		return nil
	case err == nil:
		err = p.judge(t)
	}
	p.note(err)
	return err
}

func (p *Pair) judge(t texts) error {
	m, err := p.config.parse(t, p.apart, p.now())
	if err != nil {
		return err
	}
	if t.same(p.current.Load().texts) {
		p.seen, p.fault = t, nil // back to those in use
		return nil
	}
	p.take(m)
	p.metrics.reloaded(p.name, nil)
	p.log.Info("certificates were read again", zap.String("certificates", p.name), zap.Time("expires", m.expires()),
		zap.Int("authorities", len(m.authorities)), zap.String("serial", m.certificate.Leaf.SerialNumber.Text(16)))
	return nil
}

// note remembers what is wrong, and says it once.
func (p *Pair) note(err error) {
	if err != nil && (p.fault == nil || p.fault.Error() != err.Error()) {
		p.metrics.reloaded(p.name, err)
		p.log.Error("certificate files cannot be used; what was read before stays in use", zap.String("certificates", p.name), zap.Error(err))
	}
	p.fault = err
}

// WatchEvery is how often the files are looked at.
const WatchEvery = 5 * time.Second

// Watch reads the files again when they have changed, until ctx ends.
func (p *Pair) Watch(ctx context.Context) {
	t := time.NewTicker(WatchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			_ = p.Reload() // it is logged, and in Standing
		}
	}
}

// Standing is how a [Pair] is.
type Standing struct {
	// Expires is when the certificate ends; AuthorityExpires when the first of the
	// authorities does, zero without any.
	Expires, AuthorityExpires time.Time
	// Names are the hosts and URIs in the certificate.
	Names []string
	// Fault is what is wrong with files that were changed and could not be used; nil
	// while those in the files are in use.
	Fault error
	// Ended says that the certificate has ended, Ending that it ends soon: within 14
	// days, or a tenth of its life if that is less.
	Ended, Ending bool
}

// Standing says how the certificate is.
func (p *Pair) Standing() Standing {
	m, now := p.current.Load().material, p.now()
	leaf := m.certificate.Leaf
	s := Standing{Expires: leaf.NotAfter, AuthorityExpires: m.authorityExpires(), Names: names(leaf)}
	s.Ended = now.After(leaf.NotAfter)
	s.Ending = leaf.NotAfter.Sub(now) < min(14*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/10)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Fault = p.fault
	return s
}

func names(c *x509.Certificate) []string {
	var all []string
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	all = append(all, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}
