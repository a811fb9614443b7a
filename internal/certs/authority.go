package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// Lifetimes of what an [Authority] makes, where nothing else is asked for.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	NodeLife      = 365 * 24 * time.Hour
	// early is how long before now a certificate begins, for clocks that are slow.
	early = time.Hour
)

// Authority signs certificates of nodes: ECDSA P-256, as everything that it makes. It
// may sign certificates only, not further authorities.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Issued is a certificate with its key, as PEM.
type Issued struct{ Certificate, Key []byte }

// NewAuthority makes an authority that is valid for life from now on.
func NewAuthority(name string, life time.Duration, now time.Time) (*Authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"MarketPrism"}},
		NotBefore: now.Add(-early), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &Authority{key: key}
	a.certificate, err = sign(template, template, key, key)
	return a, err
}

// ReadAuthority is the authority that [Authority.PEM] has written.
func ReadAuthority(certificate, key []byte) (*Authority, error) {
	all, err := certificates(certificate)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("reading the authority's key: there is no PEM in the file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's key: %w", err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	switch {
	case !ok:
		return nil, errors.New("reading the authority's key: it is not an ECDSA key")
	case !private.PublicKey.Equal(all[0].PublicKey):
		return nil, fmt.Errorf("reading the authority's key: %w", ErrKeyMismatch)
	case !all[0].IsCA:
		return nil, fmt.Errorf("reading the authority's certificate: %w", ErrNoAuthority)
	}
	return &Authority{all[0], private}, nil
}

// PEM is the authority's certificate and key.
func (a *Authority) PEM() (Issued, error) { return encode(a.certificate, a.key) }

// Expires is when the authority ends.
func (a *Authority) Expires() time.Time { return a.certificate.NotAfter }

// Request is what a certificate is to say.
type Request struct {
	// URI and Hosts are the names in it; Hosts are DNS names and IP addresses.
	URI   string
	Hosts []string
	// From and Until bound its life; Until is cut to that of the authority.
	From, Until time.Time
	// Uses are what it may be used for.
	Uses []x509.ExtKeyUsage
}

// NodeRequest asks for the certificate of a node, which it shows as a server and as a
// client, valid for life from now on.
func NodeRequest(node string, hosts []string, life time.Duration, now time.Time) Request {
	return Request{
		URI: NodeURI(node), Hosts: hosts, From: now.Add(-early), Until: now.Add(life),
		Uses: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// Issue makes a key, and signs a certificate for it.
func (a *Authority) Issue(r Request) (Issued, error) {
	serial, err := newSerial()
	if err != nil {
		return Issued{}, err
	}
	key, err := newKey()
	if err != nil {
		return Issued{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"MarketPrism"}},
		NotBefore: r.From, NotAfter: r.Until, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: r.Uses,
	}
	if template.NotAfter.After(a.certificate.NotAfter) {
		template.NotAfter = a.certificate.NotAfter
	}
	if r.URI != "" {
		u, err := url.Parse(r.URI)
		if err != nil {
			return Issued{}, fmt.Errorf("naming a certificate: %w", err)
		}
		template.URIs = []*url.URL{u}
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	c, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return Issued{}, err
	}
	return encode(c, key)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// newSerial is a number of 127 random bits (RFC 5280, 4.1.2.2: positive, at most 20
// octets).
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return c, nil
}

func encode(c *x509.Certificate, key *ecdsa.PrivateKey) (Issued, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Issued{}, fmt.Errorf("encoding a key: %w", err)
	}
	return Issued{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}
