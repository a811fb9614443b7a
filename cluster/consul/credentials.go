package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster"
)

// credentials carry questions to Consul with the token and the certificates that the
// files have now. Files that cannot be used change nothing: what was read before stays
// in use, and the fault is said once.
type credentials struct {
	cfg cluster.ConsulConfig
	log *zap.Logger

	mu     sync.Mutex
	looked time.Time // zero: look before the next question
	judged secrets   // last, good or not
	fault  error     // of those
	token  string
	way    *http.Transport
}

// secrets are the files as they were read; "" is one that is not configured.
type secrets struct{ token, ca, cert, key string }

const (
	// lookEvery is how often the files are looked at.
	lookEvery = 5 * time.Second
	// hasty is how often they are while Consul refuses what they say.
	hasty = 500 * time.Millisecond
)

// newCredentials reads the files.
func newCredentials(c cluster.ConsulConfig, log *zap.Logger) (*credentials, error) {
	if log == nil {
		log = zap.NewNop()
	}
	k := &credentials{cfg: c, log: log}
	if err := k.look(); err != nil {
		return nil, err
	}
	return k, nil
}

// RoundTrip implements http.RoundTripper.
func (k *credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	way, token := k.now()
	r = r.Clone(r.Context())
	r.Header.Del(tokenHeader) // of the environment: the configuration says what counts
	if token != "" {
		r.Header.Set(tokenHeader, token)
	}
	answer, err := way.RoundTrip(r)
	if refused := err == nil && answer.StatusCode == http.StatusForbidden; refused || err != nil && r.Context().Err() == nil {
		k.doubt()
	}
	return answer, err
}

// https://developer.hashicorp.com/consul/api-docs/api-structure#authentication
const tokenHeader = "X-Consul-Token"

// CloseIdleConnections ends those that no question uses.
func (k *credentials) CloseIdleConnections() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.way.CloseIdleConnections()
}

// now is what a question is carried by that begins now.
func (k *credentials) now() (*http.Transport, string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) >= lookEvery {
		k.note(k.look())
	}
	return k.way, k.token
}

// doubt has the files looked at soon: they may have been replaced because what they said
// before does not count any more.
func (k *credentials) doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if soon := time.Now().Add(hasty - lookEvery); soon.Before(k.looked) {
		k.looked = soon
	}
}

// Fault says what is wrong with files that were changed; nil while those are in use.
func (k *credentials) Fault() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

// note remembers what is wrong, and says it once; k.mu is held.
func (k *credentials) note(err error) {
	if err != nil && (k.fault == nil || k.fault.Error() != err.Error()) {
		k.log.Error("the files with what Consul asks for cannot be used; what was read before stays in use", zap.Error(err))
	}
	k.fault = err
}

// look reads the files, and takes what is new; k.mu is held.
func (k *credentials) look() error {
	k.looked = time.Now()
	s, err := readSecrets(k.cfg)
	if err != nil {
		k.judged = secrets{} // once they can be read, they are judged anew
		return err
	}
	if k.way != nil && s == k.judged {
		return k.fault
	}
	k.judged, k.fault = s, nil
	way, err := k.wayOf(s)
	if err != nil {
		return err
	}
	if k.way != nil {
		// Also those that become idle: it carries no question any more.
		k.way.CloseIdleConnections()
		k.log.Info("what Consul asks for was read again")
	}
	k.way, k.token = way, s.token
	return nil
}

// wayOf makes a transport with the certificates of some files, and connections of its own.
func (k *credentials) wayOf(s secrets) (*http.Transport, error) {
	way := api.DefaultConfig().Transport
	var err error
	way.TLSClientConfig, err = api.SetupTLSConfig(&api.TLSConfig{
		Address: k.cfg.TLS.ServerName, CAPem: []byte(s.ca), CertPEM: []byte(s.cert), KeyPEM: []byte(s.key),
	})
	if err != nil {
		return nil, fmt.Errorf("the certificates for Consul: %w", err)
	}
	if path, local := strings.CutPrefix(k.cfg.Address, "unix://"); local {
		way.Proxy = nil
		way.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	return way, nil
}

// readSecrets reads the files of a configuration; all errors at once.
func readSecrets(c cluster.ConsulConfig) (s secrets, err error) {
	var errs []error
	for _, f := range []struct {
		setting, path string
		into          *string
	}{
		{"token_file", c.TokenFile, &s.token}, {"tls.ca_file", c.TLS.CAFile, &s.ca},
		{"tls.cert_file", c.TLS.CertFile, &s.cert}, {"tls.key_file", c.TLS.KeyFile, &s.key},
	} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err == nil && strings.TrimSpace(string(text)) == "" {
			err = fmt.Errorf("%s is empty", f.path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s for Consul: %w", f.setting, err))
		}
		*f.into = strings.TrimSpace(string(text))
	}
	return s, errors.Join(errs...)
}
