package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/internal/certs"
)

// Registry says where the platform's services answer.
type Registry interface {
	// Watch returns where a service answers, at once when version is 0 and else when
	// that is no longer the list of that version; next is the version of the list. It
	// blocks until then, or until ctx ends.
	Watch(ctx context.Context, service string, version uint64) (list []upstream.Address, next uint64, err error)
}

// Service is a service of the platform.
type Service struct {
	Name string
	// Alias is the word that stands for it in paths, "" for none: /api/v1/{alias}/….
	Alias string
	// Prefixed says that the service's own paths begin with that: they stay as they are.
	Prefixed bool
}

// Options of the branch.
type Options struct {
	Config   Config
	Registry Registry
	// Services are those of the platform; Self is the gateway's own name.
	Services []Service
	Self     string
	// Probe is what a service of the platform is asked whether it takes requests; ""
	// is /readyz.
	Probe string
	// Prepare readies the gateway's own requests to a service, its identity included;
	// nil leaves them as they are.
	Prepare func(r *http.Request, service string) error
	// Certificates are shown to the platform's services, where they answer by HTTPS; nil
	// is TLS with the authorities of the system.
	Certificates *certs.Pair
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer
}

func (o *Options) check() error {
	if err := o.Config.Validate(); err != nil {
		return fmt.Errorf("gateway configuration: %w", err)
	}
	if o.Registry == nil {
		return errors.New("gateway without a registry")
	}
	if !slices.ContainsFunc(o.Services, func(s Service) bool { return s.Name == o.Self }) {
		return fmt.Errorf("gateway %q is none of the services", o.Self)
	}
	if o.Probe == "" {
		o.Probe = "/readyz"
	}
	if o.Prepare == nil {
		o.Prepare = func(*http.Request, string) error { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}
