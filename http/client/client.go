package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// The services, by the names that they are asked by.
const (
	StorageService    = "data-storage-service"
	SchedulerService  = "scheduler-service"
	CollectorService  = "market-data-collector"
	GatewayService    = "api-gateway-service"
	MonitoringService = "monitoring-service"
	BrokerService     = "message-broker-service"
)

// Doer sends requests; *http.Client does.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Config says whom a client asks, and as whom.
type Config struct {
	// Gateways are base addresses of api-gateway-services, such as
	// https://md.example:8083. The first that answers is asked from then on.
	Gateways []string
	// Services are base addresses by service, of those that are asked directly and
	// without a credential; all others are asked through a gateway.
	Services map[string]string

	// Key is an API key, or a token of an identity provider. Else, with Username, the
	// client logs in with Password, and renews its login as long as it is used. Without
	// either no credential is shown.
	Key                string
	Username, Password string

	// TLS is for HTTPS; nil trusts the authorities of the machine.
	TLS *tls.Config
	// HTTP sends requests in place of a client that New makes of TLS. WebSockets do not
	// go through it.
	HTTP Doer

	// Attempts is how often a request that may be repeated is sent; 0 is four times, 1
	// never again.
	Attempts int
	// MaxPause is the longest pause between two attempts; 0 is 30 s. A service that wants
	// a longer one is not asked again.
	MaxPause time.Duration
}

// Client asks the services of a running MarketPrism.
type Client struct {
	Storage    *Storage
	Scheduler  *Scheduler
	Collector  *Collector
	Gateway    *Gateway
	Monitoring *Monitoring
	Broker     *Broker

	cfg      Config
	http     Doer
	gateways []string
	services map[string]string
	gateway  atomic.Int64 // index of the one that answered last
	login    *session     // nil without a username
}

const (
	defaultAttempts = 4
	defaultMaxPause = 30 * time.Second
)

// New makes a client. It asks nobody yet.
func New(cfg Config) (*Client, error) {
	if len(cfg.Gateways)+len(cfg.Services) == 0 {
		return nil, errors.New("a client needs the address of a gateway, or of a service")
	}
	if cfg.Key != "" && cfg.Username != "" {
		return nil, errors.New("a client shows a key or logs in, not both")
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = defaultAttempts
	}
	if cfg.MaxPause <= 0 {
		cfg.MaxPause = defaultMaxPause
	}
	c := &Client{cfg: cfg, http: cfg.HTTP, services: map[string]string{}}
	for _, at := range cfg.Gateways {
		base, err := baseOf(at)
		if err != nil {
			return nil, err
		}
		c.gateways = append(c.gateways, base)
	}
	for service, at := range cfg.Services {
		base, err := baseOf(at)
		if err != nil {
			return nil, err
		}
		c.services[service] = base
	}
	if c.http == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = cfg.TLS
		c.http = &http.Client{Transport: t}
	}
	if cfg.Username != "" {
		c.login = &session{c: c, turn: make(chan struct{}, 1)}
	}
	c.Storage, c.Scheduler, c.Collector = &Storage{c}, &Scheduler{c}, &Collector{c}
	c.Gateway, c.Monitoring, c.Broker = &Gateway{c}, &Monitoring{c}, &Broker{c}
	return c, nil
}

// baseOf is an address as scheme://host.
func baseOf(address string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil {
		return "", fmt.Errorf("the address of a service: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("%q is no address of a service: want http://HOST:PORT, or https", u.Redacted())
	}
	return u.String(), nil
}

// base is where a service is asked, and whether that is a gateway. Which of several is
// where passOver counts from.
func (c *Client) base(service string) (at string, through bool, which int64, err error) {
	if at, ok := c.services[service]; ok {
		return at, service == GatewayService, 0, nil
	}
	if len(c.gateways) == 0 {
		return "", false, 0, fmt.Errorf("no address of the %s is known, nor of a gateway", service)
	}
	which = c.gateway.Load()
	return c.gateways[int(which)%len(c.gateways)], true, which, nil
}

// passOver has the next gateway asked from now on, unless another request has seen to
// that already.
func (c *Client) passOver(which int64) { c.gateway.CompareAndSwap(which, which+1) }
