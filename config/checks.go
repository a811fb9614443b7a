package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// listener is a port that the program opens.
type listener struct {
	path string
	port int
}

func (c *Config) listeners() []listener {
	all := []listener{
		{"data-storage-service.port", c.Storage.Port},
		{"scheduler-service.port", c.Scheduler.Port},
		{"market-data-collector.port", c.Collector.Port},
		{"api-gateway-service.port", c.Gateway.Port},
		{"monitoring-service.port", c.Monitoring.Port},
		{"message-broker-service.port", c.Broker.Port},
	}
	if c.Broker.NATS.Mode == "embedded" {
		all = append(all, listener{"message-broker-service.nats.port", c.Broker.NATS.Port})
		if c.Broker.NATS.Cluster.BootstrapExpect > 1 {
			all = append(all, listener{"message-broker-service.nats.cluster.port", c.Broker.NATS.Cluster.Port})
		}
	}
	if r := c.Cluster.Remoting; r.Enabled && (c.Cluster.ByConsul() || len(r.Peers) > 0) {
		all = append(all, listener{"cluster.remoting.port", r.Port})
	}
	return all
}

// checkPorts reports each port that two listeners share, at the one that a
// source gave. Port 0 is any free one, and so is
// -1 of the broker: they are shared by none.
func (d *decoder) checkPorts(c *Config) {
	all := c.listeners()
	for i, second := range all {
		j := slices.IndexFunc(all[:i], func(l listener) bool { return l.port == second.port })
		if second.port <= 0 || j < 0 {
			continue
		}
		first := all[j]
		if d.place(second.path).Source < d.place(first.path).Source {
			first, second = second, first
		}
		problem := fmt.Sprintf("found %d, the port of %s too (%s)", second.port, first.path, d.place(first.path))
		d.fail(second.path, d.place(second.path), problem, "a port of its own, or 0 for any", "")
	}
}

// checkAuth refuses a gateway that others reach and that asks nobody who they are.
func (d *decoder) checkAuth(c *Config) {
	const path = "api-gateway-service.auth.enabled"
	ip := net.ParseIP(c.Node.Listen)
	if c.Gateway.Auth.Enabled == "off" && c.Node.Listen != "localhost" && (ip == nil || !ip.IsLoopback()) {
		d.fail(path, d.place(path), fmt.Sprintf("found off, and node.listen is %s, which others reach", c.Node.Listen), "auto or on", "")
	}
}

// checkExchanges reports exchanges that are to be collected and that no file
// describes.
func (d *decoder) checkExchanges(c *Config) {
	for i, name := range c.Collector.Exchanges {
		if _, ok := c.Exchanges[name]; ok {
			continue
		}
		path := fmt.Sprintf("market-data-collector.exchanges[%d]", i)
		known := sortedKeys(c.Exchanges)
		d.fail(path, d.place(path), fmt.Sprintf("found %q, which no exchanges/%s.yaml describes", name, name), fmt.Sprint(known), nearest(name, known))
	}
}

// storageService is the one that has a store.
const storageService = "data-storage-service"

// ErrColdOfItsOwn refuses a store whose archives the nodes that share its hot store could
// not read.
var ErrColdOfItsOwn = errors.New("data-storage-service.engine is questdb, which the nodes of a cluster share, and data-storage-service.storage.cold_storage is this node's own disk: " +
	"what this node archives the others could not read. Name a bucket that all nodes share, data-storage-service.storage.cold_storage.s3, or take the embedded engine")

// ColdOfItsOwn reports whether a node that stores is refused with [ErrColdOfItsOwn]:
// where other nodes may have the store of its QuestDB, those of a Consul, or those that
// the settings list, where archiving is on.
func (c *Config) ColdOfItsOwn() bool {
	if c.Storage.Engine != EngineQuestDB || c.Storage.Storage.Cold.S3.Used() {
		return false
	}
	listed := len(c.Cluster.Services.Instances()[storageService]) > 1 && c.Storage.Storage.Lifecycle.Archive
	return listed || c.Cluster.ByConsul()
}

// checkCold reports what a start that includes the store would refuse.
func (d *decoder) checkCold(c *Config) {
	const path = "data-storage-service.engine"
	if c.ColdOfItsOwn() {
		d.fail(path, d.place(path), "found questdb, which the nodes of a cluster share, and data-storage-service.storage.cold_storage.path is this node's own disk",
			"a bucket that all nodes share, data-storage-service.storage.cold_storage.s3, or the embedded engine", "")
	}
}

// checkDataDir reports a data directory that could not be written. It makes
// nothing: the nearest existing parent must let us.
func (d *decoder) checkDataDir(c *Config, dir string) {
	const path = "node.data_dir"
	if c.Node.DataDir == "" {
		return
	}
	target := c.Node.DataDir
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, target)
	}
	for {
		info, err := os.Stat(target)
		switch {
		case err == nil && !info.IsDir():
			d.fail(path, d.place(path), fmt.Sprintf("found %s: %s is not a directory", c.Node.DataDir, target), "a directory that can be written", "")
		case err == nil:
			if err := unix.Access(target, unix.W_OK|unix.X_OK); err != nil {
				d.fail(path, d.place(path), fmt.Sprintf("found %s: %s cannot be written: %v", c.Node.DataDir, target, err), "a directory that can be written", "")
			}
		case os.IsNotExist(err) && filepath.Dir(target) != target:
			target = filepath.Dir(target)
			continue
		default:
			d.fail(path, d.place(path), fmt.Sprintf("found %s: %v", c.Node.DataDir, err), "a directory that can be written", "")
		}
		return
	}
}
