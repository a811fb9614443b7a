package consul

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
)

// asked is what a Consul of a test was told last.
type asked struct {
	mu     sync.Mutex
	token  string
	serial string // of the certificate that was shown
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token, a.serial = r.Header.Get(tokenHeader), ""
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		a.serial = r.TLS.PeerCertificates[0].SerialNumber.Text(16)
	}
	if a.token == "withdrawn" {
		w.WriteHeader(http.StatusForbidden)
	}
	_, _ = w.Write([]byte(`"127.0.0.1:8300"`))
}

// ask asks Consul who leads, and returns what it was told with that.
func (a *asked) ask(t *testing.T, n *Node) (token, serial string) {
	t.Helper()
	_, err := n.client.Status().Leader()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.token != "withdrawn" {
		t.Fatal(err)
	}
	return a.token, a.serial
}

// again has a node look at its files at the next question.
func again(n *Node) {
	n.credentials.mu.Lock()
	defer n.credentials.mu.Unlock()
	n.credentials.looked = time.Time{}
}

// TestToken: the token in the file counts, whatever the environment says, and its
// successor as soon as the file has it; a file that is torn changes nothing.
func TestToken(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "of the environment")
	var server asked
	s := httptest.NewServer(&server)
	defer s.Close()
	c := cluster.DefaultConsul()
	c.Address = strings.TrimPrefix(s.URL, "http://")
	made := func() *Node {
		n, err := New(Options{Config: c, Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if token, _ := server.ask(t, made()); token != "" {
		t.Errorf("without a file the token is %q", token)
	}
	c.TokenFile = filepath.Join(t.TempDir(), "token")
	if _, err := New(Options{Config: c, Name: "a"}); err == nil {
		t.Error("a node begins without its token")
	}
	write := func(text string) {
		if err := os.WriteFile(c.TokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	n := made()
	for _, step := range []struct {
		text, want string
		fault      bool
	}{{"first\n", "first", false}, {"second", "second", false}, {"\n", "second", true}, {"second", "second", false}, {"third\n", "third", false}} {
		write(step.text)
		again(n)
		token, _ := server.ask(t, n)
		if fault := n.Fault(); token != step.want || (fault != nil) != step.fault {
			t.Errorf("with %q in the file the token is %q, and the fault %v", step.text, token, fault)
		}
	}
	write("withdrawn")
	again(n)
	server.ask(t, n)
	n.credentials.mu.Lock()
	soon := time.Until(n.credentials.looked.Add(lookEvery))
	n.credentials.mu.Unlock()
	if soon > hasty {
		t.Errorf("a token that is refused is looked at again in %v", soon)
	}
}

// TestCertificates: a certificate that was renewed is shown, and another authority is
// trusted, as soon as the files have them; half of a pair changes nothing.
func TestCertificates(t *testing.T) {
	one, two := certstest.New(t, "one"), certstest.New(t, "two")
	var server asked
	var mu sync.Mutex
	shown := one.Node("consul")
	s := httptest.NewUnstartedServer(&server)
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		pair, err := tls.X509KeyPair(shown.Certificate, shown.Key)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(one.PEM())
		roots.AppendCertsFromPEM(two.PEM())
		return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}, err
	}}
	s.StartTLS()
	defer s.Close()
	first := one.Node("a")
	files := certstest.Files(t, t.TempDir(), first, one.PEM())
	c := cluster.DefaultConsul()
	c.Address, c.Scheme = strings.TrimPrefix(s.URL, "https://"), "https"
	c.TLS = cluster.ConsulTLS{CAFile: files.CAFile, CertFile: files.CertFile, KeyFile: files.KeyFile}
	n, err := New(Options{Config: c, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, i certs.Issued, faulty bool) {
		t.Helper()
		again(n)
		_, serial := server.ask(t, n)
		if pair, err := tls.X509KeyPair(i.Certificate, i.Key); err != nil || serial != pair.Leaf.SerialNumber.Text(16) {
			t.Errorf("%s: %s was shown, %v", what, serial, err)
		}
		if fault := n.Fault(); (fault != nil) != faulty {
			t.Errorf("%s: the fault is %v", what, fault)
		}
	}
	want("at first", first, false)
	renewed := two.Node("a")
	certstest.Replace(t, files.CertFile, renewed.Certificate)
	want("without its key", first, true)
	certstest.Replace(t, files.KeyFile, renewed.Key)
	want("with it", renewed, false)
	mu.Lock()
	shown = two.Node("consul")
	mu.Unlock()
	certstest.Replace(t, files.CAFile, append(one.PEM(), two.PEM()...))
	want("with both authorities", renewed, false)
}
