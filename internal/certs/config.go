package certs

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ClientAuth says what a server asks of those who connect to it.
type ClientAuth string

// What can be asked. A server that asks for certificates answers its open routes
// (whether it lives, how it is) without one all the same.
const (
	ClientNone     ClientAuth = "none"     // no certificate is asked for
	ClientOptional ClientAuth = "optional" // one that is shown counts; an identity that is signed counts too
	ClientRequired ClientAuth = "required" // nothing counts without one
)

// Config names the files, and says whose certificates count. The zero value is no TLS.
type Config struct {
	// CertFile holds the certificate, and those between it and the authority.
	CertFile string `yaml:"cert_file" doc:"This node's certificate, and those between it and the authority, as PEM; empty is no TLS. All nodes of a cluster have TLS, or none."`
	KeyFile  string `yaml:"key_file" doc:"Its private key, as PEM; not readable by everybody."`
	// CAFile holds the authorities whose certificates are trusted, on both ends.
	CAFile string `yaml:"ca_file" doc:"Certificates of the authorities that sign those of the nodes, as PEM."`
	// ClientAuth is what servers ask of those who connect.
	ClientAuth ClientAuth `yaml:"client_auth" enum:"none,optional,required" doc:"Client certificates at the services behind the gateway: none are asked for, optional, or required beside the signed identity; the gateway's clients never need one."`
	// Members are the names in certificates that are nodes'.
	Members []string `yaml:"members" doc:"Names in certificates that make whoever shows one a node: a URI, whose last part may be *, or a DNS name, whose first part may be *. Others of the same authority are refused."`
}

// DefaultConfig is no TLS; with certificates, nodes are known by the names that
// [Authority.Issue] gives them.
func DefaultConfig() Config {
	return Config{ClientAuth: ClientOptional, Members: []string{NodeURI("*")}}
}

// NodeURI is the name in the certificate of a node.
func NodeURI(node string) string { return "spiffe://marketprism/node/" + node }

// Enabled says whether there is TLS at all.
func (c Config) Enabled() bool { return c.CertFile != "" || c.KeyFile != "" }

// Validate returns all errors at once, each a [FieldError]. It does not read the files.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Sprintf(format, args...)})
	}
	switch {
	case c.CertFile != "" && c.KeyFile == "":
		bad("key_file", "is missing beside cert_file")
	case c.KeyFile != "" && c.CertFile == "":
		bad("cert_file", "is missing beside key_file")
	case c.CAFile != "" && c.CertFile == "":
		bad("cert_file", "is missing beside ca_file")
	}
	switch c.ClientAuth {
	case ClientNone, ClientOptional:
	case ClientRequired:
		if c.CAFile == "" {
			bad("client_auth", "required needs ca_file, by which client certificates are judged")
		}
	default:
		bad("client_auth", "found %q: want none, optional or required", string(c.ClientAuth))
	}
	for i, m := range c.Members {
		if err := validMember(m); err != nil {
			bad(fmt.Sprintf("members[%d]", i), "%v", err)
		}
	}
	return errors.Join(errs...)
}

// validMember judges a name that certificates of members have.
func validMember(m string) error {
	if u, err := url.Parse(m); err == nil && u.Scheme != "" && u.Host != "" {
		if head, ok := strings.CutSuffix(m, "*"); ok && !strings.HasSuffix(head, "/") || strings.Contains(head, "*") {
			return fmt.Errorf("found %q: * stands for the whole last part of a URI only", m)
		}
		return nil
	}
	plain := strings.TrimPrefix(m, "*.")
	if plain == "" || strings.ContainsAny(plain, "*/:@ ") || !strings.Contains(m, ".") && strings.HasPrefix(m, "*") {
		return fmt.Errorf("found %q: want a URI such as %s, or a DNS name such as *.nodes.example.com", m, NodeURI("*"))
	}
	return nil
}

// FieldError is a judgement about one setting.
type FieldError struct{ field, problem string }

// Field is the setting within [Config].
func (e *FieldError) Field() string { return e.field }

// Error implements error.
func (e *FieldError) Error() string { return e.field + ": " + e.problem }
