// Package cluster says which services there are and where they answer.
//
// A single machine has a static [Registry], made from the configuration.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// The services, in start order. The reverse is the order of stopping.
const (
	Broker     = "message-broker-service"
	Monitoring = "monitoring-service"
	Storage    = "data-storage-service"
	Scheduler  = "scheduler-service"
	Collector  = "market-data-collector"
	Gateway    = "api-gateway-service"
)

// ErrDouble: two processes run under the name of one node, and this one has to end.
var ErrDouble = errors.New("this node runs twice")

// Services lists all six in start order.
func Services() []string {
	return []string{Broker, Monitoring, Storage, Scheduler, Collector, Gateway}
}

// Instance is one place where a service answers.
type Instance struct {
	Service string
	// Host is an address or name, without port.
	Host string
	Port int
	// TLS says that it answers by HTTPS only.
	TLS bool
}

// URL is the base of the instance's HTTP addresses, without a slash at the end.
func (i Instance) URL() string {
	scheme := "http://"
	if i.TLS {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(i.Host, strconv.Itoa(i.Port))
}

// Registry finds services by name. It is safe for concurrent use.
type Registry interface {
	// Instances lists where a service answers, none when it runs nowhere. The
	// error is a [*UnknownServiceError] for a name that is no service's.
	Instances(ctx context.Context, service string) ([]Instance, error)
}

// UnknownServiceError says that a name is no service's.
type UnknownServiceError struct{ Name string }

// Error lists the names that there are.
func (e *UnknownServiceError) Error() string {
	return fmt.Sprintf("no service %q (%s)", e.Name, strings.Join(Services(), ", "))
}

// Static is a [Registry] that never changes.
type Static map[string][]Instance

// Instances implements [Registry].
func (s Static) Instances(_ context.Context, service string) ([]Instance, error) {
	if !slices.Contains(Services(), service) {
		return nil, &UnknownServiceError{service}
	}
	return s[service], nil
}

// Named puts names of services in start order; none means all six.
func Named(names []string) ([]string, error) {
	if len(names) == 0 {
		return Services(), nil
	}
	for _, name := range names {
		if !slices.Contains(Services(), name) {
			return nil, &UnknownServiceError{name}
		}
	}
	return slices.DeleteFunc(Services(), func(s string) bool { return !slices.Contains(names, s) }), nil
}
