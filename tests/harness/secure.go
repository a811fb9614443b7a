package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// trusted is what HTTPS connections of [Do] go by; nil is the system's authorities.
var trusted atomic.Pointer[tls.Config]

func dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	return (&tls.Dialer{Config: trusted.Load()}).DialContext(ctx, network, address)
}

// Secure makes an authority and a certificate of a node by the program's own commands.
// It returns the settings with them, and until the test ends [Do] trusts the authority;
// it shows no certificate.
func Secure(t testing.TB, node string) (Settings, *tls.Config) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	Must(t, time.Minute, "certs", "init", "--dir", dir)
	Must(t, time.Minute, "certs", "issue", node, "--dir", dir)
	cert, key, ca := filepath.Join(dir, node+".crt"), filepath.Join(dir, node+".key"), filepath.Join(dir, "ca.crt")
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	trusted.Store(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots})
	t.Cleanup(func() { trusted.Store(nil) })
	return Settings{"node.tls.cert_file": cert, "node.tls.key_file": key, "node.tls.ca_file": ca, "node.tls.client_auth": "required"},
		&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}}
}
