package cluster

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Config says where the services are that other processes run.
type Config struct {
	Provider  Provider        `yaml:"provider" doc:"Who knows where the services are: static (this configuration) or consul."`
	Consul    ConsulConfig    `yaml:"consul" doc:"The Consul agent that this node talks to; used with provider: consul."`
	Placement PlacementConfig `yaml:"placement" doc:"How streams are placed over the nodes; used with provider: consul."`
	Remoting  RemotingConfig  `yaml:"remoting" doc:"How nodes ask each other directly."`
	Services  Addresses       `yaml:"services" doc:"Where services answer that other processes or hosts run; those not named are looked for on this node, or in Consul."`
}

// DefaultConfig looks for every service on this node.
func DefaultConfig() Config {
	none := []string{}
	return Config{
		Provider: ProviderStatic, Consul: DefaultConsul(), Placement: DefaultPlacement(), Remoting: DefaultRemoting(),
		Services: Addresses{Broker: none, Storage: none, Collector: none, Scheduler: none, Gateway: none, Monitoring: none},
	}
}

// ByConsul reports whether Consul knows the members.
func (c Config) ByConsul() bool { return c.Provider == ProviderConsul }

// Provider is who knows the members of the cluster.
type Provider string

// The providers.
const (
	ProviderStatic Provider = "static"
	ProviderConsul Provider = "consul"
)

// Validate accepts the providers there are.
func (p Provider) Validate() error {
	if p != ProviderStatic && p != ProviderConsul {
		return fmt.Errorf("found %q: want static or consul", string(p))
	}
	return nil
}

// Addresses are places where services answer, each as host:port. An IPv6 address
// stands in brackets.
type Addresses struct {
	Broker     []string `yaml:"message-broker-service" doc:"host:port, several for several instances."`
	Storage    []string `yaml:"data-storage-service" doc:"host:port, several for several instances."`
	Collector  []string `yaml:"market-data-collector" doc:"host:port, several for several instances."`
	Scheduler  []string `yaml:"scheduler-service" doc:"host:port, several for several instances."`
	Gateway    []string `yaml:"api-gateway-service" doc:"host:port, several for several instances."`
	Monitoring []string `yaml:"monitoring-service" doc:"host:port, several for several instances."`
}

func (a Addresses) of(service string) []string {
	return map[string][]string{
		Broker: a.Broker, Storage: a.Storage, Collector: a.Collector, Scheduler: a.Scheduler, Gateway: a.Gateway, Monitoring: a.Monitoring,
	}[service]
}

// Validate checks every address.
func (a Addresses) Validate() error {
	var errs []error
	for _, service := range Services() {
		for i, text := range a.of(service) {
			if _, err := parseInstance(service, text); err != nil {
				errs = append(errs, &addressError{fmt.Sprintf("%s[%d]", service, i), err.Error()})
			}
		}
	}
	return errors.Join(errs...)
}

// Instances are the services that have an address; addresses that Validate refuses
// are left out.
func (a Addresses) Instances() Static {
	r := Static{}
	for _, service := range Services() {
		for _, text := range a.of(service) {
			if i, err := parseInstance(service, text); err == nil {
				r[service] = append(r[service], i)
			}
		}
	}
	return r
}

// parseInstance reads host:port.
func parseInstance(service, text string) (Instance, error) {
	host, port, err := net.SplitHostPort(text)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || host == "" || strings.ContainsAny(host, " /@%?#") {
		return Instance{}, fmt.Errorf("found %q: want host:port, such as 10.0.0.7:8080 or [2001:db8::7]:8080", text)
	}
	return Instance{Service: service, Host: host, Port: int(n)}, nil
}

// addressError is a judgement about one address.
type addressError struct{ field, problem string }

// Field is the setting within [Addresses].
func (e *addressError) Field() string { return e.field }

func (e *addressError) Error() string { return e.field + ": " + e.problem }
