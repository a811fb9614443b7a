package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"
)

// permanentError is a refusal that the same message would meet again.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func permanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

// errForbidden: no address that messages may go to. A name that leads to the cloud's
// metadata service, which answers with credentials, is the usual trick.
var errForbidden = errors.New("messages do not go to link-local, multicast or unspecified addresses")

// guard judges an address right before it is dialled.
func guard(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errForbidden, address)
	}
	a := at.Addr().Unmap()
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return fmt.Errorf("%w: %s", errForbidden, a)
	}
	return nil
}

// authorities are the certificates to trust: the system's, and those of a file.
func authorities(file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return config, nil
}

func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Control: guard}
}

// caller posts to one address. It follows no redirect and knows no proxy.
type caller struct {
	config HTTPConfig
	client *http.Client
	agent  string
}

func newCaller(c HTTPConfig, attempt time.Duration, version string) (*caller, error) {
	trust, err := authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	return &caller{config: c, agent: "MarketPrism/" + version, client: &http.Client{
		Timeout: attempt,
		Transport: &http.Transport{
			DialContext: dialer(attempt).DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: attempt,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// maxAnswer is what is read of an answer, to say why it is a refusal.
const maxAnswer = 512

// post sends JSON. A 2xx is success; 429, 5xx and what never arrived may be tried
// again, anything else is permanent. An error never holds the address: it may be a secret.
func (c *caller) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(body))
	if err != nil {
		return permanentError{errors.New("the address is not valid")}
	}
	for name, value := range c.config.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", c.agent)
	switch {
	case c.config.BearerToken != "":
		request.Header.Set("Authorization", "Bearer "+c.config.BearerToken)
	case c.config.Username != "":
		request.SetBasicAuth(c.config.Username, c.config.Password)
	}
	response, err := c.client.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if errors.Is(err, errForbidden) {
			return permanentError{err}
		}
		return fmt.Errorf("calling: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch status := response.StatusCode; {
	case status/100 == 2:
		return nil
	case err != nil:
		return fmt.Errorf("answered %d, then: %w", status, err)
	case status == http.StatusTooManyRequests || status/100 == 5:
		return fmt.Errorf("answered %d: %q", status, answer)
	default:
		return permanentError{fmt.Errorf("answered %d: %q", status, answer)}
	}
}
