package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Error is what is wrong with one file.
type Error struct {
	// Setting is the key of [Config] that names the file.
	Setting, File string
	Err           error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Setting, e.File, e.Err) }

// Unwrap is what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// What can be wrong with the files, beside what reading and parsing them finds.
var (
	ErrExpired     = errors.New("the certificate has expired")
	ErrNotYetValid = errors.New("the certificate is not valid yet")
	ErrKeyMismatch = errors.New("the key is not the certificate's")
	ErrNoName      = errors.New("the certificate names no host: it needs a DNS name or an IP address as subject alternative name")
	ErrUsage       = errors.New("the certificate must not be used for this")
	ErrOpenKey     = errors.New("the key can be read or written by everybody on this machine: chmod 600 it")
	ErrNoneInFile  = errors.New("there is no PEM certificate in the file")
	ErrNoAuthority = errors.New("a certificate in the file is not an authority's")
	ErrSigner      = errors.New("no authority in ca_file has signed the certificate")
)

// texts are the files as they were read.
type texts struct{ cert, key, ca []byte }

func (t texts) same(o texts) bool {
	return bytes.Equal(t.cert, o.cert) && bytes.Equal(t.key, o.key) && bytes.Equal(t.ca, o.ca)
}

// material is what good files hold.
type material struct {
	texts       texts
	certificate tls.Certificate // with its Leaf
	roots       *x509.CertPool  // nil without ca_file: those of the system
	authorities []*x509.Certificate
}

// expires is when the certificate ends; authorityExpires when the first of the
// authorities does, zero without any.
func (m *material) expires() time.Time { return m.certificate.Leaf.NotAfter }

func (m *material) authorityExpires() time.Time {
	var first time.Time
	for _, a := range m.authorities {
		if first.IsZero() || a.NotAfter.Before(first) {
			first = a.NotAfter
		}
	}
	return first
}

// read reads the files of a configuration.
func (c Config) read() (texts, error) {
	var t texts
	var errs []error
	for _, f := range []struct {
		setting, path string
		into          *[]byte
	}{{"cert_file", c.CertFile, &t.cert}, {"key_file", c.KeyFile, &t.key}, {"ca_file", c.CAFile, &t.ca}} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err == nil && f.setting == "key_file" {
			err = closed(f.path)
		}
		if err != nil {
			errs = append(errs, &Error{f.setting, f.path, err})
		}
		*f.into = text
	}
	return t, errors.Join(errs...)
}

// closed refuses a key that everybody may read or change.
func closed(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o006 != 0 {
		err = ErrOpenKey
	}
	return err
}

// parse makes what can be used of the files; the authorities may be apart from the
// certificate. Every error is an [*Error], or several.
func (c Config) parse(t texts, apart bool, now time.Time) (*material, error) {
	m := &material{texts: t}
	var errs []error
	wrong := func(setting, path string, err error) {
		if err != nil {
			errs = append(errs, &Error{setting, path, err})
		}
	}
	chain, err := certificates(t.cert)
	wrong("cert_file", c.CertFile, err)
	if c.CAFile != "" {
		m.authorities, err = certificates(t.ca)
		wrong("ca_file", c.CAFile, err)
		m.roots = x509.NewCertPool()
		for _, a := range m.authorities {
			if !a.BasicConstraintsValid || !a.IsCA {
				wrong("ca_file", c.CAFile, fmt.Errorf("%w: that of %s", ErrNoAuthority, a.Subject))
			}
			m.roots.AddCert(a)
		}
	}
	if len(chain) == 0 {
		return nil, errors.Join(errs...)
	}
	if m.certificate, err = tls.X509KeyPair(t.cert, t.key); err != nil {
		wrong("key_file", c.KeyFile, fmt.Errorf("%w: %w", ErrKeyMismatch, err))
	}
	wrong("cert_file", c.CertFile, c.judge(chain, m, apart, now))
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m.certificate.Leaf = chain[0]
	return m, nil
}

// judge says whether a certificate can be shown to others.
func (c Config) judge(chain []*x509.Certificate, m *material, apart bool, now time.Time) error {
	leaf := chain[0]
	var errs []error
	switch {
	case now.After(leaf.NotAfter):
		errs = append(errs, fmt.Errorf("%w: it ended on %s", ErrExpired, leaf.NotAfter.Format(time.RFC3339)))
	case now.Before(leaf.NotBefore):
		errs = append(errs, fmt.Errorf("%w: it begins on %s, and it is %s now", ErrNotYetValid, leaf.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		errs = append(errs, ErrNoName)
	}
	if !may(leaf, x509.ExtKeyUsageServerAuth) {
		errs = append(errs, fmt.Errorf("%w: its extended key usage lacks serverAuth", ErrUsage))
	}
	if m.roots != nil && !apart && !may(leaf, x509.ExtKeyUsageClientAuth) {
		errs = append(errs, fmt.Errorf("%w: its extended key usage lacks clientAuth, which connections between nodes need", ErrUsage))
	}
	if len(errs) > 0 || apart || m.roots == nil || len(m.authorities) == 0 {
		return errors.Join(errs...)
	}
	between := x509.NewCertPool()
	for _, b := range chain[1:] {
		between.AddCert(b)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: m.roots, Intermediates: between, CurrentTime: now, KeyUsages: anyUsage}); err != nil {
		return fmt.Errorf("%w: %w", ErrSigner, err)
	}
	return nil
}

var anyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}

// may says whether a certificate allows a use; one that names none allows all.
func may(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// certificates are those in a PEM text, of which there is at least one.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing certificate %d of the file: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, ErrNoneInFile
	}
	return all, nil
}

// Hosts are the DNS names and IP addresses in the certificate of a file.
func Hosts(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	all, err := certificates(text)
	if err != nil {
		return nil, &Error{"cert_file", path, err}
	}
	return names(&x509.Certificate{DNSNames: all[0].DNSNames, IPAddresses: all[0].IPAddresses}), nil
}

// Check reads the files once and says everything that is wrong with them, and when the
// certificate ends. now is the time at which they are judged.
func Check(c Config, now time.Time) (expires time.Time, err error) {
	t, err := c.read()
	if err != nil {
		return time.Time{}, err
	}
	m, err := c.parse(t, false, now)
	if err != nil {
		return time.Time{}, err
	}
	return m.expires(), nil
}
