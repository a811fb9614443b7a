package app

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
)

// ports are the configured ports of the services.
func ports(c *config.Config) map[string]int {
	return map[string]int{
		cluster.Broker: c.Broker.Port, cluster.Monitoring: c.Monitoring.Port, cluster.Storage: c.Storage.Port,
		cluster.Scheduler: c.Scheduler.Port, cluster.Collector: c.Collector.Port, cluster.Gateway: c.Gateway.Port,
	}
}

// StaticRegistry finds every service where the configuration puts it: at the
// addresses that cluster.services gives, else on this node, at its port.
func StaticRegistry(c *config.Config) cluster.Static {
	host := c.Node.Advertise
	if host == "" {
		host = reachable(c.Node.Listen)
	}
	r := c.Cluster.Services.Instances()
	for _, found := range r {
		for i := range found {
			found[i].TLS = c.Node.TLS.Enabled()
		}
	}
	for name, port := range ports(c) {
		if len(r[name]) > 0 {
			continue
		}
		r[name] = []cluster.Instance{{Service: name, Host: host, Port: port, TLS: c.Node.TLS.Enabled()}}
	}
	return r
}

// portOf is the port of a listener's address.
func portOf(address string) (int, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// reachable is an address at which a listener on every interface answers here.
func reachable(listen string) string {
	a, err := netip.ParseAddr(listen)
	switch {
	case err == nil && a.IsUnspecified() && a.Is6():
		return "::1"
	case err == nil && a.IsUnspecified():
		return "127.0.0.1"
	}
	return listen
}
