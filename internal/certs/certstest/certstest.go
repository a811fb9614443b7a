// Package certstest makes certificates for tests, the wrong ones included.
package certstest

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/certs"
)

// Authority is an authority of a test.
type Authority struct {
	t testing.TB
	*certs.Authority
}

// New makes an authority.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a, err := certs.NewAuthority(name, 24*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{t, a}
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	a.t.Helper()
	p, err := a.Authority.PEM()
	if err != nil {
		a.t.Fatal(err)
	}
	return p.Certificate
}

// Node is the certificate of a node on loopback, for a day.
func (a *Authority) Node(name string) certs.Issued {
	return a.Issue(certs.NodeRequest(name, []string{"127.0.0.1", "::1", "localhost"}, 24*time.Hour, time.Now()))
}

// Issue makes a certificate.
func (a *Authority) Issue(r certs.Request) certs.Issued {
	a.t.Helper()
	i, err := a.Authority.Issue(r)
	if err != nil {
		a.t.Fatal(err)
	}
	return i
}

// Files writes a certificate, its key and authorities into a directory, and says where
// they are; members are those of the default.
func Files(t testing.TB, dir string, i certs.Issued, authorities ...[]byte) certs.Config {
	t.Helper()
	c := certs.DefaultConfig()
	c.CertFile, c.KeyFile, c.CAFile = filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.crt")
	var ca []byte
	for _, a := range authorities {
		ca = append(ca, a...)
	}
	for path, text := range map[string][]byte{c.CertFile: i.Certificate, c.KeyFile: i.Key, c.CAFile: ca} {
		Replace(t, path, text)
	}
	return c
}

// Replace puts a file in the place of another at once, readable by its owner only.
func Replace(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Client is the configuration of a client that trusts authorities and shows a
// certificate, whatever the server asks for; the zero Issued shows none.
func Client(t testing.TB, i certs.Issued, authorities ...[]byte) *tls.Config {
	t.Helper()
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	for _, a := range authorities {
		c.RootCAs.AppendCertsFromPEM(a)
	}
	if i.Certificate == nil {
		return c
	}
	pair, err := tls.X509KeyPair(i.Certificate, i.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c
}
