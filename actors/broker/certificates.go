package broker

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// certificates are what the embedded server shows and trusts: the files of [TLSConfig],
// read again when they change. A connection that is made afterwards meets the new ones;
// those that are there go on. Files that cannot be read change nothing, and are logged.
type certificates struct {
	config TLSConfig
	log    *zap.Logger

	mu     sync.Mutex
	seen   []os.FileInfo // as they were when they were read last
	served *tls.Config
	expiry time.Time // of the certificate
	fault  string    // what was logged last
}

// openCertificates reads the files.
func openCertificates(c TLSConfig, log *zap.Logger) (*certificates, error) {
	o := &certificates{config: c, log: log}
	seen, err := o.look()
	if err != nil {
		return nil, err
	}
	return o, o.read(seen)
}

// tls is the configuration of a listener.
func (o *certificates) tls() *tls.Config {
	c := o.current().Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return o.current(), nil }
	return c
}

// current is what a connection that begins now meets.
func (o *certificates) current() *tls.Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen, err := o.look()
	switch {
	case err == nil && o.same(seen):
		return o.served
	case err == nil:
		err = o.read(seen)
	}
	switch {
	case err == nil:
		o.fault = ""
		o.log.Info("the broker's certificates were read again", zap.Time("expires", o.expiry))
	case err.Error() != o.fault:
		o.fault = err.Error()
		o.log.Warn("the broker's certificates cannot be read again, and stay as they are", zap.Error(err))
	}
	return o.served
}

func (o *certificates) look() ([]os.FileInfo, error) {
	var seen []os.FileInfo
	for _, path := range []string{o.config.CertFile, o.config.KeyFile, o.config.CAFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading the broker's certificates: %w", err)
		}
		seen = append(seen, info)
	}
	return seen, nil
}

func (o *certificates) same(seen []os.FileInfo) bool {
	for i, info := range seen {
		if !os.SameFile(info, o.seen[i]) || !info.ModTime().Equal(o.seen[i].ModTime()) || info.Size() != o.seen[i].Size() {
			return false
		}
	}
	return true
}

// read takes the files as they are; what is half replaced is read again at its next
// change.
func (o *certificates) read(seen []os.FileInfo) error {
	o.seen = seen
	fresh, err := server.GenTLSConfig(&server.TLSConfigOpts{
		CertFile: o.config.CertFile, KeyFile: o.config.KeyFile, CaFile: o.config.CAFile, Verify: o.config.CAFile != "",
	})
	if err != nil {
		return fmt.Errorf("reading the broker's certificates: %w", err)
	}
	o.served = fresh
	if leaf := fresh.Certificates[0].Leaf; leaf != nil {
		o.expiry = leaf.NotAfter
	}
	return nil
}

// expires is when the certificate that is shown ends.
func (o *certificates) expires() time.Time {
	o.current()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.expiry
}
