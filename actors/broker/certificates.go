package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/certs"
)

// certificates are what the embedded server shows and trusts at one of its ports. Each
// handshake meets the files of [TLSConfig] as they are then; connections that are there go
// on. Files that cannot be used change nothing, and are logged.
type certificates struct {
	pair *certs.Pair
	// demand: who connects has to show a certificate.
	demand bool
}

// openCertificates reads the files of the port for clients, whose authorities may be
// others than that of the server.
func openCertificates(c TLSConfig, log *zap.Logger, reg prometheus.Registerer) (*certificates, error) {
	return openPair(c, certs.Options{Name: "broker", Apart: true, Log: log, Registerer: reg})
}

// openJoint reads the files of the port for other servers of the cluster.
func openJoint(c TLSConfig, log *zap.Logger, reg prometheus.Registerer) (*certificates, error) {
	return openPair(c, certs.Options{Name: "broker-cluster", Log: log, Registerer: reg})
}

func openPair(c TLSConfig, o certs.Options) (*certificates, error) {
	o.Config = certs.Config{CertFile: c.CertFile, KeyFile: c.KeyFile, CAFile: c.CAFile, ClientAuth: certs.ClientOptional}
	pair, err := certs.Open(o)
	if err != nil {
		return nil, fmt.Errorf("reading the broker's certificates: %w", err)
	}
	return &certificates{pair: pair, demand: c.CAFile != ""}, nil
}

// now reads the files again if they have changed.
func (o *certificates) now() *certs.Pair {
	_ = o.pair.Reload() // it is logged, and what there was stays
	return o.pair
}

// tls is the configuration of a listener.
func (o *certificates) tls() *tls.Config {
	change := func(c *tls.Config) {
		c.MinVersion, c.NextProtos = tls.VersionTLS12, nil // clients of NATS may be old
		if o.demand {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	c := o.pair.ServerFor(change)
	current := c.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		o.now()
		return current(hello)
	}
	return c
}

// mutual is the configuration of both ends of a route, of which some go to these hosts.
// The server keeps it for as long as it runs, its authorities among it: whoever is asked
// for a route is judged in VerifyConnection, by those of the moment.
func (o *certificates) mutual(hosts []string) *tls.Config {
	c := o.tls()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.now().Certificate(), nil }
	c.InsecureSkipVerify = true //nolint:gosec // VerifyConnection verifies
	c.VerifyConnection = func(s tls.ConnectionState) error { return verify(o.now(), hosts, s) }
	return c
}

// verify judges who was asked for a route, as a client does by itself. Of a route to an
// address, which TLS does not name, the connection does not say which one it is: then the
// certificate has to be good for any of the hosts.
func verify(pair *certs.Pair, hosts []string, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the other server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := s.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: pair.Roots(), Intermediates: between, DNSName: s.ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	named := func(host string) bool { return leaf.VerifyHostname(host) == nil }
	if err == nil && s.ServerName == "" && !slices.ContainsFunc(hosts, named) {
		err = fmt.Errorf("it is good for none of %s", strings.Join(hosts, ", "))
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// expires is when the certificate that is shown ends.
func (o *certificates) expires() time.Time { return o.now().Standing().Expires }
