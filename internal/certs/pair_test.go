package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
)

func open(t *testing.T, c certs.Config) *certs.Pair {
	t.Helper()
	p, err := certs.Open(certs.Options{Config: c, Name: "node"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWrongFiles names what is wrong, and in which file.
func TestWrongFiles(t *testing.T) {
	ca, other := certstest.New(t, "ours"), certstest.New(t, "another")
	now := time.Now()
	with := func(change func(*certs.Request)) certs.Issued {
		r := certs.NodeRequest("a", []string{"127.0.0.1"}, time.Hour, now)
		change(&r)
		return ca.Issue(r)
	}
	good := ca.Node("a")
	for _, c := range []struct {
		name    string
		issued  certs.Issued
		change  func(t *testing.T, c *certs.Config)
		want    error
		setting string
	}{
		{"expired", with(func(r *certs.Request) { r.Until = now.Add(-time.Minute) }), nil, certs.ErrExpired, "cert_file"},
		{"not yet valid", with(func(r *certs.Request) { r.From = now.Add(time.Minute) }), nil, certs.ErrNotYetValid, "cert_file"},
		{"no host", with(func(r *certs.Request) { r.Hosts = nil }), nil, certs.ErrNoName, "cert_file"},
		{"client only", with(func(r *certs.Request) { r.Uses = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), nil, certs.ErrUsage, "cert_file"},
		{"server only", with(func(r *certs.Request) { r.Uses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil, certs.ErrUsage, "cert_file"},
		{"another authority", other.Node("a"), nil, certs.ErrSigner, "cert_file"},
		{"another key", certs.Issued{Certificate: good.Certificate, Key: ca.Node("b").Key}, nil, certs.ErrKeyMismatch, "key_file"},
		{"no certificate", certs.Issued{Certificate: good.Key, Key: good.Key}, nil, certs.ErrNoneInFile, "cert_file"},
		{"an authority that is none", good, func(t *testing.T, c *certs.Config) { certstest.Replace(t, c.CAFile, good.Certificate) }, certs.ErrNoAuthority, "ca_file"},
		{"a key for everybody", good, func(t *testing.T, c *certs.Config) {
			if err := os.Chmod(c.KeyFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}, certs.ErrOpenKey, "key_file"},
		{"a missing file", good, func(_ *testing.T, c *certs.Config) { c.CAFile += ".gone" }, os.ErrNotExist, "ca_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := certstest.Files(t, t.TempDir(), c.issued, ca.PEM())
			if c.change != nil {
				c.change(t, &files)
			}
			_, err := certs.Open(certs.Options{Config: files})
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.setting+" ") {
				t.Errorf("%q does not name %s", err, c.setting)
			}
			if _, checked := certs.Check(files, now); checked == nil || checked.Error() != err.Error() {
				t.Errorf("Check says %v, Open %v", checked, err)
			}
		})
	}
	t.Run("several at once", func(t *testing.T) {
		files := certstest.Files(t, t.TempDir(), with(func(r *certs.Request) { r.Hosts, r.Until = nil, now.Add(-time.Minute) }), ca.PEM())
		if _, err := certs.Open(certs.Options{Config: files}); !errors.Is(err, certs.ErrNoName) || !errors.Is(err, certs.ErrExpired) {
			t.Errorf("%v, want both", err)
		}
	})
	if _, err := certs.Check(certstest.Files(t, t.TempDir(), good, ca.PEM()), now); err != nil {
		t.Errorf("good files: %v", err)
	}
}

// listen accepts connections, shakes hands, and answers one byte.
// TestApart: authorities of those who connect need not have signed the server's own
// certificate, which need not be one to connect with.
func TestApart(t *testing.T) {
	own, theirs := certstest.New(t, "ours"), certstest.New(t, "of clients")
	r := certs.NodeRequest("a", []string{"127.0.0.1"}, time.Hour, time.Now())
	r.Uses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c := certstest.Files(t, t.TempDir(), own.Issue(r), theirs.PEM())
	if _, err := certs.Open(certs.Options{Config: c, Name: "node"}); err == nil {
		t.Error("a node shows what its peers do not trust")
	}
	p, err := certs.Open(certs.Options{Config: c, Name: "broker", Apart: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(); err != nil {
		t.Error(err)
	}
}

func listen(t *testing.T, c *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("!")) // a handshake that failed is the client's to see
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func answered(c net.Conn, err error) error {
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

// TestReload replaces everything below a listener and its client.
func TestReload(t *testing.T) {
	first, second := certstest.New(t, "first"), certstest.New(t, "second")
	files := certstest.Files(t, t.TempDir(), first.Node("a"), first.PEM())
	core, logged := observer.New(zap.InfoLevel)
	reg := prometheus.NewRegistry()
	p, err := certs.Open(certs.Options{Config: files, Name: "node", Log: zap.New(core), Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	address := listen(t, p.ServerFor(func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert }))
	dial := func() error { return answered(p.Dial(t.Context(), "tcp", address)) }
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	outsider := certstest.Client(t, second.Node("b"), first.PEM(), second.PEM())
	foreign := func() error { return answered(tls.Dial("tcp", address, outsider)) }
	if err := foreign(); err == nil {
		t.Fatal("a certificate of an authority that is not ours was taken")
	}

	// Half replaced: nothing changes, and it is said once.
	next := second.Node("a")
	certstest.Replace(t, files.CertFile, next.Certificate)
	for range 3 {
		if err := p.Reload(); !errors.Is(err, certs.ErrKeyMismatch) {
			t.Fatalf("%v, want %v", err, certs.ErrKeyMismatch)
		}
	}
	if err := dial(); err != nil || p.Standing().Fault == nil {
		t.Fatalf("%v, fault %v", err, p.Standing().Fault)
	}
	if n := logged.FilterLevelExact(zap.ErrorLevel).Len(); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}

	// All replaced.
	certstest.Replace(t, files.KeyFile, next.Key)
	certstest.Replace(t, files.CAFile, second.PEM())
	if err := p.Reload(); err != nil || p.Standing().Fault != nil {
		t.Fatalf("%v, fault %v", err, p.Standing().Fault)
	}
	if err := errors.Join(dial(), foreign()); err != nil {
		t.Fatal(err)
	}
	if err := answered(tls.Dial("tcp", address, certstest.Client(t, first.Node("c"), second.PEM()))); err == nil {
		t.Error("a certificate of the authority of before was taken")
	}
	for outcome, want := range map[string]float64{"refused": 1, "taken": 1} {
		if got := counted(t, reg, outcome); got != want {
			t.Errorf("%s: counted %v, want %v", outcome, got, want)
		}
	}
	if _, err := certs.Open(certs.Options{Config: files, Name: "other", Registerer: reg}); err != nil {
		t.Errorf("a second pair of the same registry: %v", err)
	}
}

func counted(t *testing.T, reg *prometheus.Registry, outcome string) (n float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == string(catalogue.CertificateReloads) && l.GetValue() == outcome {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// TestDialChecksTheHost refuses a certificate of ours that is another host's.
func TestDialChecksTheHost(t *testing.T) {
	ca := certstest.New(t, "ours")
	elsewhere := ca.Issue(certs.NodeRequest("b", []string{"10.0.0.7"}, time.Hour, time.Now()))
	server := open(t, certstest.Files(t, t.TempDir(), elsewhere, ca.PEM()))
	client := open(t, certstest.Files(t, t.TempDir(), ca.Node("a"), ca.PEM()))
	address := listen(t, server.Server())
	var host x509.HostnameError
	if err := answered(client.Dial(t.Context(), "tcp", address)); !errors.As(err, &host) {
		t.Errorf("%v, want a wrong host", err)
	}
}

// TestPeer says who is a member, by the authorities of now.
func TestPeer(t *testing.T) {
	ca, other := certstest.New(t, "ours"), certstest.New(t, "another")
	now := time.Now()
	files := certstest.Files(t, t.TempDir(), ca.Node("a"), ca.PEM(), other.PEM())
	files.Members = append(files.Members, "*.nodes.example.com", "lone.example.com")
	var clock atomic.Pointer[time.Time]
	clock.Store(&now)
	p, err := certs.Open(certs.Options{Config: files, Now: func() time.Time { return *clock.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	named := func(uri string, hosts ...string) certs.Request {
		return certs.Request{URI: uri, Hosts: hosts, From: now.Add(-time.Hour), Until: now.Add(time.Hour), Uses: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	for _, c := range []struct {
		name   string
		r      certs.Request
		member bool
		as     string
	}{
		{"a node", named(certs.NodeURI("b")), true, certs.NodeURI("b")},
		{"below a node", named(certs.NodeURI("b/c")), false, certs.NodeURI("b/c")},
		{"no name of a node", named(certs.NodeURI("")), false, certs.NodeURI("")},
		{"something else", named("spiffe://marketprism/client/desk"), false, "spiffe://marketprism/client/desk"},
		{"another domain", named("spiffe://elsewhere/node/b"), false, "spiffe://elsewhere/node/b"},
		{"by DNS", named("", "x.nodes.example.com"), true, "x.nodes.example.com"},
		{"the second name", named("", "other.example.com", "LONE.example.com"), true, "LONE.example.com"},
		{"two levels", named("", "x.y.nodes.example.com"), false, "x.y.nodes.example.com"},
		{"a wildcard", named("", "*.nodes.example.com"), false, "*.nodes.example.com"},
		{"an address", named("", "10.0.0.7"), false, "10.0.0.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, ok, err := p.Peer(state(t, ca.Issue(c.r)))
			if err != nil || !ok || who.Member != c.member || who.Name != c.as {
				t.Errorf("%+v, %v, %v", who, ok, err)
			}
		})
	}
	if _, ok, err := p.Peer(&tls.ConnectionState{}); ok || err != nil {
		t.Errorf("no certificate: %v, %v", ok, err)
	}
	t.Run("a server's", func(t *testing.T) {
		r := named(certs.NodeURI("b"))
		r.Uses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if _, _, err := p.Peer(state(t, ca.Issue(r))); !errors.Is(err, certs.ErrUntrusted) {
			t.Errorf("%v", err)
		}
	})
	t.Run("ended since", func(t *testing.T) {
		s := state(t, ca.Issue(named(certs.NodeURI("b"))))
		if _, _, err := p.Peer(s); err != nil {
			t.Fatal(err)
		}
		later := now.Add(61 * time.Minute)
		clock.Store(&later)
		defer clock.Store(&now)
		if _, _, err := p.Peer(s); !errors.Is(err, certs.ErrUntrusted) {
			t.Errorf("%v", err)
		}
	})
	t.Run("revoked by removal", func(t *testing.T) {
		s := state(t, other.Node("b"))
		if who, _, err := p.Peer(s); err != nil || !who.Member {
			t.Fatalf("%+v, %v", who, err)
		}
		certstest.Replace(t, files.CAFile, ca.PEM())
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := p.Peer(s); !ok || !errors.Is(err, certs.ErrUntrusted) {
			t.Errorf("%v, %v", ok, err)
		}
	})
}

func state(t *testing.T, i certs.Issued) *tls.ConnectionState {
	t.Helper()
	pair, err := tls.X509KeyPair(i.Certificate, i.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}}
}

// TestWatch finds changed files by itself.
func TestWatch(t *testing.T) {
	ca := certstest.New(t, "ours")
	dir := t.TempDir()
	files := certstest.Files(t, dir, ca.Node("a"), ca.PEM())
	next := ca.Node("b")
	synctest.Test(t, func(t *testing.T) {
		p, err := certs.Open(certs.Options{Config: files, Now: func() time.Time { return time.Unix(0, 0).AddDate(100, 0, 0) }})
		if !errors.Is(err, certs.ErrExpired) {
			t.Fatalf("a clock far ahead: %v, %v", p, err)
		}
		real := notBefore(t, files)
		if p, err = certs.Open(certs.Options{Config: files, Now: func() time.Time { return real.Add(2 * time.Hour) }}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Watch(ctx) }()
		certstest.Replace(t, files.KeyFile, next.Key)
		certstest.Replace(t, files.CertFile, next.Certificate)
		<-time.After(certs.WatchEvery + time.Millisecond) // of the bubble
		synctest.Wait()
		if got := p.Standing().Names[0]; got != certs.NodeURI("b") {
			t.Errorf("in use is %s", got)
		}
		cancel()
		<-done
	})
}

func notBefore(t *testing.T, c certs.Config) time.Time {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.NotBefore
}

// TestStanding says when a certificate is about to end.
func TestStanding(t *testing.T) {
	ca := certstest.New(t, "ours")
	now := time.Now()
	at := now
	files := certstest.Files(t, t.TempDir(), ca.Issue(certs.NodeRequest("a", []string{"127.0.0.1"}, 10*time.Hour, now)), ca.PEM())
	p, err := certs.Open(certs.Options{Config: files, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after         time.Duration
		ending, ended bool
	}{{0, false, false}, {8 * time.Hour, false, false}, {9*time.Hour + 30*time.Minute, true, false}, {11 * time.Hour, true, true}} {
		at = now.Add(c.after)
		if s := p.Standing(); s.Ending != c.ending || s.Ended != c.ended {
			t.Errorf("after %v: %+v", c.after, s)
		}
	}
}

func TestConfig(t *testing.T) {
	ok := certs.Config{CertFile: "a", KeyFile: "b", CAFile: "c", ClientAuth: certs.ClientRequired, Members: []string{"spiffe://x/node/*", "*.example.com", "host"}}
	for _, c := range []struct {
		name   string
		change func(*certs.Config)
		want   string
	}{
		{"good", func(*certs.Config) {}, ""},
		{"none", func(c *certs.Config) { *c = certs.DefaultConfig() }, ""},
		{"no key", func(c *certs.Config) { c.KeyFile = "" }, "key_file: is missing"},
		{"no certificate", func(c *certs.Config) { c.CertFile = "" }, "cert_file: is missing"},
		{"authorities alone", func(c *certs.Config) { c.CertFile, c.KeyFile = "", "" }, "cert_file: is missing beside ca_file"},
		{"nobody to judge", func(c *certs.Config) { c.CAFile = "" }, "client_auth: required needs ca_file"},
		{"another word", func(c *certs.Config) { c.ClientAuth = "maybe" }, `client_auth: found "maybe"`},
		{"a star in a part", func(c *certs.Config) { c.Members = []string{"spiffe://x/node-*"} }, "members[0]: "},
		{"everybody", func(c *certs.Config) { c.Members = []string{"host", "*"} }, "members[1]: "},
		{"nothing", func(c *certs.Config) { c.Members = []string{""} }, "members[0]: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := ok
			c.change(&is)
			err := is.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestAuthority writes an authority down and takes it up again.
func TestAuthority(t *testing.T) {
	a := certstest.New(t, "ours")
	p, err := a.Authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := certs.ReadAuthority(p.Certificate, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	i, err := again.Issue(certs.NodeRequest("a", []string{"localhost"}, 100*24*time.Hour, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	expires, err := certs.Check(certstest.Files(t, t.TempDir(), i, p.Certificate), time.Now())
	if err != nil || expires.After(again.Expires()) {
		t.Errorf("ends %v, the authority %v, %v", expires, again.Expires(), err)
	}
	other, err := certstest.New(t, "another").Authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	leaf := a.Node("a")
	for name, c := range map[string]certs.Issued{
		"another's key": {Certificate: p.Certificate, Key: other.Key}, "a node's": leaf, "no key": {Certificate: p.Certificate}, "no certificate": {Key: p.Key},
	} {
		if _, err := certs.ReadAuthority(c.Certificate, c.Key); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if bytes.Equal(p.Key, other.Key) {
		t.Error("two authorities have the same key")
	}
}
