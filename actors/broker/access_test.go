package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/broker"
)

// client is a connection from outside, with what it is refused.
func client(t *testing.T, url string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream, chan error) {
	t.Helper()
	refused := make(chan error, 16)
	nc, err := nats.Connect(url, append(opts, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js, refused
}

func wantRefused(t *testing.T, what string, refused chan error) {
	t.Helper()
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s was not refused", what)
	}
}

// A user has the subjects that the configuration gives him, of streams too.
func TestUsers(t *testing.T) {
	c := testConfig(t)
	c.Port, c.Anonymous = -1, false
	c.Users = []broker.UserConfig{
		{Name: "desk", Password: "of-a-test", Publish: []string{"market.desk.>"}, Subscribe: []string{"market.>", "md.v1.>"}},
		{Name: "any", Password: "of-a-test"},
	}
	h, _ := start(t, c)
	if _, err := nats.Connect(h.ClientURL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without credentials: %v", err)
	}
	nc, js, refused := client(t, h.ClientURL(), nats.UserInfo("desk", "of-a-test"))
	if ack, err := js.Publish(testContext(t), "market.desk.x", []byte("1")); err != nil || ack.Stream != "MARKET_DATA" {
		t.Errorf("publishing where it may: %v, %v", ack, err)
	}
	for _, subject := range []string{"market.other", "system.x", "$JS.API.STREAM.MSG.GET.SYSTEM_EVENTS"} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, "publishing to "+subject, refused)
	}
	if _, err := nc.SubscribeSync("system.>"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "following system.>", refused)
	// A consumer is made for what may be read, and for nothing else.
	short, cancel := context.WithTimeout(testContext(t), 300*time.Millisecond)
	defer cancel()
	if _, err := js.CreateConsumer(short, "SYSTEM_EVENTS", jetstream.ConsumerConfig{Name: "own", FilterSubject: "system.>", AckPolicy: jetstream.AckExplicitPolicy}); err == nil {
		t.Error("a consumer of what may not be read was made")
	}
	wantRefused(t, "a consumer of system.>", refused)
	consumer, err := js.CreateConsumer(testContext(t), "MARKET_DATA", jetstream.ConsumerConfig{Name: "own", FilterSubject: "market.desk.>", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(testContext(t)); err != nil {
		t.Error(err)
	}
	_, all, _ := client(t, h.ClientURL(), nats.UserInfo("any", "of-a-test"))
	if _, err := all.Publish(testContext(t), "system.x", []byte("1")); err != nil {
		t.Errorf("a user without lists: %v", err)
	}
}

// What a client says with a reply subject or a push consumer stays in his account:
// nothing of it reaches the journal's.
func TestClientsReachNothingThroughReplies(t *testing.T) {
	c := testConfig(t)
	c.Port = -1
	h, _ := start(t, c)
	_, own := connect(t, h)
	kept, err := own.CreateStream(testContext(t), jetstream.StreamConfig{Name: "JOURNAL_0", Subjects: []string{"journal.0.>"}})
	if err != nil {
		t.Fatal(err)
	}
	nc, js, _ := client(t, h.ClientURL())
	if err := nc.PublishRequest("market.x", "journal.0.batch", []byte("aimed")); err != nil {
		t.Fatal(err)
	}
	push, err := js.CreatePushConsumer(testContext(t), "MARKET_DATA", jetstream.ConsumerConfig{Durable: "aimed", DeliverSubject: "journal.0.batch", AckPolicy: jetstream.AckNonePolicy})
	if err == nil {
		_ = push // it delivers, in the clients' account
	}
	if _, err := js.Publish(testContext(t), "market.x", []byte("flushes what was before")); err != nil {
		t.Fatal(err)
	}
	info, err := kept.Info(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.State.LastSeq != 0 {
		t.Errorf("the journal took %d messages of a client", info.State.LastSeq)
	}
	if _, err := js.Stream(testContext(t), "JOURNAL_0"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a client sees the journal: %v", err)
	}
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	File string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, File: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.File, "CERTIFICATE", der)
	return a
}

// sign writes a certificate for 127.0.0.1 and its key into dir, in the place of those
// that are there.
func (a *authority) sign(dir string, serial int64, ends time.Time) (certFile, keyFile string) {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(a.t, certFile, "CERTIFICATE", der)
	writePEM(a.t, keyFile, "PRIVATE KEY", private)
	return certFile, keyFile
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	fresh := file + ".new"
	err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	if err == nil {
		err = os.Rename(fresh, file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// With TLS the way in from outside is encrypted, in process it stays as it is, and
// another process of the program gets in with the certificate's signer.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	c := testConfig(t)
	c.Port, c.Username, c.Password = -1, "node", "of-a-test"
	c.TLS.CertFile, c.TLS.KeyFile = ca.sign(t.TempDir(), 2, time.Now().Add(time.Hour))
	h, _ := start(t, c)
	_, own := connectClients(t, h)
	if _, err := own.Publish(testContext(t), "market.x", []byte("in process")); err != nil {
		t.Error(err)
	}
	if _, err := nats.Connect(h.ClientURL(), nats.Timeout(5*time.Second)); err == nil {
		t.Error("a client that does not know the signer got in")
	}
	_, js, _ := client(t, h.ClientURL(), nats.RootCAs(ca.File))
	if _, err := js.Publish(testContext(t), "market.x", []byte("encrypted")); err != nil {
		t.Error(err)
	}
	far := c.ElsewhereAt(h.ClientURL())
	far.TLS.CAFile = ca.File
	elsewhere, _ := start(t, far)
	if s, err := elsewhere.Status(testContext(t)); err != nil || !s.Available {
		t.Errorf("another process: %+v, %v", s, err)
	}
}

// With a signer of clients, who shows no certificate of it stays outside.
func TestTLSOfClients(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	c := testConfig(t)
	c.Port = -1
	c.TLS.CertFile, c.TLS.KeyFile = ca.sign(t.TempDir(), 2, time.Now().Add(time.Hour))
	c.TLS.CAFile = ca.File
	h, _ := start(t, c)
	if _, err := nats.Connect(h.ClientURL(), nats.RootCAs(ca.File), nats.Timeout(5*time.Second)); err == nil {
		t.Error("a client without a certificate got in")
	}
	strange, strangeKey := other.sign(t.TempDir(), 3, time.Now().Add(time.Hour))
	if _, err := nats.Connect(h.ClientURL(), nats.RootCAs(ca.File), nats.ClientCert(strange, strangeKey), nats.Timeout(5*time.Second)); err == nil {
		t.Error("a client with somebody else's certificate got in")
	}
	cert, key := ca.sign(t.TempDir(), 4, time.Now().Add(time.Hour))
	_, js, _ := client(t, h.ClientURL(), nats.RootCAs(ca.File), nats.ClientCert(cert, key))
	if _, err := js.Publish(testContext(t), "market.x", []byte("known")); err != nil {
		t.Error(err)
	}
}

// A certificate that is replaced is what the next connection meets; one that makes no
// sense changes nothing; connections that are there go on.
func TestTLSIsReadAgain(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	c := testConfig(t)
	c.Port = -1
	c.TLS.CertFile, c.TLS.KeyFile = ca.sign(dir, 2, time.Now().Add(time.Hour))
	reg := prometheus.NewPedanticRegistry()
	h, err := broker.New(c, broker.Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	if err := newSystem(t).Start(testContext(t), h.Spec()); err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		nc, _, _ := client(t, h.ClientURL(), nats.RootCAs(ca.File))
		state, err := nc.TLSConnectionState()
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.Int64()
	}
	_, before, _ := client(t, h.ClientURL(), nats.RootCAs(ca.File))
	if got := serial(); got != 2 {
		t.Errorf("at first, certificate %d", got)
	}
	ends := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	ca.sign(dir, 3, ends)
	if got := serial(); got != 3 {
		t.Errorf("after it was replaced, certificate %d", got)
	}
	if got := gauge(t, reg, "mp_broker_certificate_expiry_timestamp_seconds"); got != float64(ends.Unix()) {
		t.Errorf("it ends at %v, want %v", got, ends.Unix())
	}
	if err := os.WriteFile(c.TLS.CertFile, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 3 {
		t.Errorf("after it was broken, certificate %d", got)
	}
	ca.sign(dir, 4, ends)
	if got := serial(); got != 4 {
		t.Errorf("after it was mended, certificate %d", got)
	}
	if _, err := before.Publish(testContext(t), "market.x", []byte("goes on")); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
}

// gauge is a metric without labels.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestAccessConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(c *broker.Config)
		want   string
	}{
		"beyond loopback": {func(c *broker.Config) { c.Host = "0.0.0.0" }, "anonymous: "},
		"with users":      {func(c *broker.Config) { c.Host, c.Anonymous = "0.0.0.0", false }, ""},
		"half of TLS":     {func(c *broker.Config) { c.TLS.CertFile = "x" }, "tls: "},
		"short password":  {func(c *broker.Config) { c.Users = []broker.UserConfig{{Name: "a", Password: "x"}} }, "users[0]: password"},
		"a space":         {func(c *broker.Config) { c.Users = []broker.UserConfig{{Name: "a b", Password: "of-a-test"}} }, "users[0]: name"},
		"the program's": {func(c *broker.Config) {
			c.Username, c.Users = "n", []broker.UserConfig{{Name: "n.clients", Password: "of-a-test"}}
		}, "users[0]: name"},
		"a service's": {func(c *broker.Config) {
			c.Users = []broker.UserConfig{{Name: "marketprism.recorder", Password: "of-a-test"}}
		}, "users[0]: name"},
		"unknown service": {func(c *broker.Config) {
			c.Services = []broker.ServiceUser{{Service: "oracle", Username: "a", Password: "of-a-test"}}
		}, "services[0]: service"},
		"a service twice": {func(c *broker.Config) {
			one := broker.ServiceUser{Service: broker.Tasks, Username: "a", Password: "of-a-test"}
			c.Services = []broker.ServiceUser{one, one}
		}, "services[1]: service"},
		"a service without a name":     {func(c *broker.Config) { c.Services = []broker.ServiceUser{{Service: broker.Tasks}} }, "services[0]: username"},
		"a service without a password": {func(c *broker.Config) { c.Services = []broker.ServiceUser{{Service: broker.Tasks, Username: "a"}} }, "services[0]: password"},
		"bad subject": {func(c *broker.Config) {
			c.Users = []broker.UserConfig{{Name: "a", Password: "of-a-test", Publish: []string{"x..y"}}}
		}, "users[0]: "},
	} {
		t.Run(name, func(t *testing.T) {
			checkConfig(t, tc.change, tc.want)
		})
	}
}
