package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/internal/certs"
)

// secureOptions are the flags by which commands ask over HTTPS; what is not given is
// that of node.tls.
type secureOptions struct{ ca, cert, key string }

func (o *secureOptions) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&o.ca, "ca", "", "file with the authorities that are trusted too, for HTTPS (default node.tls.ca_file)")
	c.PersistentFlags().StringVar(&o.cert, "cert", "", "file with the certificate to show, for HTTPS (default node.tls.cert_file)")
	c.PersistentFlags().StringVar(&o.key, "key", "", "file with its key (default node.tls.key_file)")
}

// trust is whom a command trusts, and what it shows. A node's own certificate that this
// user may not read is not shown: the gateway asks for none.
func (o secureOptions) trust(of func() (certs.Config, error)) (*tls.Config, error) {
	asked := o.cert != "" || o.key != ""
	if o.ca == "" || !asked {
		c, err := of()
		if err != nil {
			return nil, err
		}
		if o.ca == "" {
			o.ca = c.CAFile
		}
		if !asked {
			o.cert, o.key = c.CertFile, c.KeyFile
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool() // a machine without any trusts those of the file
		}
		text, err := os.ReadFile(o.ca)
		switch {
		case err != nil:
			return nil, usage("authorities for HTTPS: %w", err)
		case !roots.AppendCertsFromPEM(text):
			return nil, usage("authorities for HTTPS: %s has no certificate", o.ca)
		}
		config.RootCAs = roots
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		switch {
		case err == nil:
			config.Certificates = []tls.Certificate{pair}
		case asked || !errors.Is(err, fs.ErrPermission):
			return nil, usage("the certificate to show: %w", err)
		}
	}
	return config, nil
}

// secureTransport is a transport whose HTTPS connections follow the flags of a command,
// read when the first is made.
func (k *caller) secureTransport() *http.Transport {
	trust := sync.OnceValues(func() (*tls.Config, error) {
		return k.secure.trust(func() (certs.Config, error) {
			c, err := k.configuration()
			if err != nil {
				return certs.Config{}, err
			}
			return c.Node.TLS, nil
		})
	})
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		config, err := trust()
		if err != nil {
			return nil, err
		}
		c, err := (&tls.Dialer{NetDialer: new(net.Dialer), Config: config}).DialContext(ctx, network, address)
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			err = fmt.Errorf("%w; name the file with its authority by --ca, or in node.tls.ca_file", err)
		}
		return c, err
	}
	return t
}
