package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/certs"
)

// openCertificates reads the node's certificate, and keeps looking for a new one.
func (a *App) openCertificates() error {
	if !a.cfg.Node.TLS.Enabled() {
		if exposed(a.cfg) {
			a.log.Warn("others can reach the services, and read what is sent: give certificates in node.tls, or put a proxy that ends TLS in front",
				zap.String("listen", a.cfg.Node.Listen))
		}
		return nil
	}
	var err error
	a.certs, err = certs.Open(certs.Options{Config: a.cfg.Node.TLS, Name: "node", Log: a.log, Registerer: a.registry})
	if err != nil {
		return fmt.Errorf("node.tls: %w", err)
	}
	if err := a.certs.Covers(a.advertised()); err != nil {
		return fmt.Errorf("node.tls: others reach this node at %s (node.advertise, else node.listen): %w", a.advertised(), err)
	}
	s := a.certs.Standing()
	a.log.Info("certificate", zap.Strings("names", s.Names), zap.Time("expires", s.Expires))
	ctx, cancel := context.WithCancel(context.Background()) // until Stop
	a.watchers.Go(func() { a.certs.Watch(ctx) })
	a.watchers.Go(func() { <-a.ending; cancel() })
	return nil
}

// serverTLS is what connections to the services meet; nil without certificates.
func (a *App) serverTLS() *tls.Config {
	if a.certs == nil {
		return nil
	}
	return a.certs.Server()
}

// certified says whether services answer nodes only, which show a certificate.
func (a *App) certified() bool {
	return a.cfg.Node.TLS.Enabled() && a.cfg.Node.TLS.ClientAuth == certs.ClientRequired
}

// certificateCheck warns of a certificate that ends soon, and of files that cannot be
// used, and fails once it has ended.
func (a *App) certificateCheck(context.Context) chassis.CheckResult {
	s := a.certs.Standing()
	result := chassis.CheckResult{Status: chassis.Pass, Fields: map[string]any{"expires": s.Expires.UTC().Format(time.RFC3339)}}
	switch {
	case s.Ended:
		result.Status, result.Err = chassis.Fail, fmt.Errorf("the certificate of node.tls has ended, nobody trusts it any more: replace the files")
	case s.Fault != nil:
		result.Status, result.Err = chassis.Warn, fmt.Errorf("the files of node.tls cannot be used, what was read before stays in use: %w", s.Fault)
	case s.Ending:
		result.Status, result.Err = chassis.Warn, fmt.Errorf("the certificate of node.tls ends on %s: replace the files", s.Expires.UTC().Format(time.RFC3339))
	}
	return result
}

// scheme is how the services of the cluster are asked.
func scheme(c *config.Config) string {
	if c.Node.TLS.Enabled() {
		return "https"
	}
	return "http"
}

// secured says of instances whether they answer by HTTPS, as all of a cluster do or none.
func secured(c *config.Config, found []cluster.Instance, err error) ([]cluster.Instance, error) {
	all := make([]cluster.Instance, len(found))
	for i, instance := range found {
		instance.TLS = c.Node.TLS.Enabled()
		all[i] = instance
	}
	return all, err
}

// secure makes requests show the node's certificate, and trust the cluster's
// authorities, on TLS connections to what ours says is the program's; nil is all. To
// others they go as before.
func (a *App) secure(t *http.Transport, ours func(ctx context.Context, address string) bool) http.RoundTripper {
	if a.certs == nil {
		return t
	}
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	inside, outside := a.certs.DialBy(dial), certs.DialSystem(dial)
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if ours == nil || ours(ctx, address) {
			return inside(ctx, network, address)
		}
		return outside(ctx, network, address)
	}
	return a.certs.Transport(t)
}

// host is where the services of this process are asked from this host: by a name that is
// in the certificate, also where they listen on every interface.
func (a *App) host() string {
	if a.certs != nil && unspecified(a.cfg.Node.Listen) {
		return a.advertised()
	}
	return reachable(a.cfg.Node.Listen)
}

// ownURL is where a service of this process is asked from this host.
func (a *App) ownURL(service string) string {
	s := a.servers[service]
	_, port, err := net.SplitHostPort(s.Addr())
	if a.certs == nil || err != nil {
		return s.URL()
	}
	return "https://" + net.JoinHostPort(a.host(), port)
}

func unspecified(listen string) bool {
	ip := net.ParseIP(listen)
	return ip != nil && ip.IsUnspecified()
}
