package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// ErrUntrusted: the certificate of a connection is not trusted any more, because it has
// ended, or its authority was taken out of the file.
var ErrUntrusted = errors.New("the certificate is not trusted any more")

// Peer is who has shown a certificate.
type Peer struct {
	// Name is the name by which it is a member, or else the first in the certificate.
	Name string
	// Member says that it is a node of ours.
	Member bool
}

// Peer says who is at the other end of a connection to [Pair.Server]; ok is false where
// no certificate was shown. The certificate is judged by the authorities of now, not by
// those of the handshake. Error: ErrUntrusted.
func (p *Pair) Peer(state *tls.ConnectionState) (who Peer, ok bool, err error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return who, false, nil
	}
	leaf := state.PeerCertificates[0]
	g := p.current.Load()
	print := sha256.Sum256(leaf.Raw)
	known, there := g.peers.Load(print)
	if !there {
		if err := g.trusts(state.PeerCertificates, p); err != nil {
			return who, true, err
		}
		known, _ = g.peers.LoadOrStore(print, p.identify(leaf))
	}
	if now := p.now(); now.After(leaf.NotAfter) {
		g.peers.Delete(print)
		return who, true, fmt.Errorf("%w: it has ended", ErrUntrusted)
	}
	return known.(Peer), true, nil
}

// trusts verifies a chain against the authorities of a generation.
func (g *generation) trusts(chain []*x509.Certificate, p *Pair) error {
	if g.roots == nil {
		return fmt.Errorf("%w: no authority for client certificates is configured", ErrUntrusted)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: g.roots, Intermediates: between, CurrentTime: p.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nil
}

// identify looks for a name of a member in a certificate.
func (p *Pair) identify(leaf *x509.Certificate) Peer {
	for _, u := range leaf.URIs {
		for _, m := range p.config.Members {
			if matchURI(m, u.String()) {
				return Peer{u.String(), true}
			}
		}
	}
	for _, d := range leaf.DNSNames {
		for _, m := range p.config.Members {
			if matchDNS(m, d) {
				return Peer{d, true}
			}
		}
	}
	if all := names(leaf); len(all) > 0 {
		return Peer{Name: all[0]}
	}
	return Peer{Name: leaf.SerialNumber.Text(16)}
}

// matchURI compares a URI with one whose last part may be *.
func matchURI(pattern, uri string) bool {
	if head, ok := strings.CutSuffix(pattern, "/*"); ok {
		rest, found := strings.CutPrefix(uri, head+"/")
		return found && rest != "" && !strings.ContainsAny(rest, "/?#")
	}
	return pattern == uri
}

// matchDNS compares a DNS name with one whose first part may be *. A name in a
// certificate that has a * itself is nobody's.
func matchDNS(pattern, name string) bool {
	if strings.Contains(name, "*") {
		return false
	}
	if tail, ok := strings.CutPrefix(pattern, "*"); ok {
		_, rest, found := strings.Cut(name, ".")
		return found && strings.EqualFold("."+rest, tail)
	}
	return strings.EqualFold(pattern, name)
}
