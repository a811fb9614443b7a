package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/cli/doctor"
)

func newDoctor(s streams) *cobra.Command {
	var o settings
	var form string
	var offline bool
	var within time.Duration
	c := &cobra.Command{
		Use:   "doctor",
		Short: "look at what the program will stand on: ports, disk, limits, clock, reachability",
		Long: `doctor looks at the configuration, the ports, the data directory and its disk,
the limits of this process, memory, the clock, and at every server that the
configuration names, and says of each that is not well what to do. It may run
beside the program. The exit code is 1 when something would keep the program
from working; what only warns does not count.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if form != "table" && form != "json" {
				return usage("-o %q: want table or json", form)
			}
			if within < 100*time.Millisecond {
				return usage("--within is at least 100ms")
			}
			if _, err := o.options(s); err != nil {
				return err
			}
			findings := o.examine(c.Context(), s, offline, within)
			if err := printFindings(s.out, findings, form); err != nil {
				return err
			}
			if !doctor.Well(findings) {
				return &exitError{ExitFailed, fmt.Errorf("not everything is well")}
			}
			return nil
		},
	}
	o.flags(c)
	c.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	c.Flags().BoolVar(&offline, "offline", false, "ask no other server")
	c.Flags().DurationVar(&within, "within", 5*time.Second, "how long a server may take to answer")
	return c
}

// examine reads the configuration and looks at what it names. Without a configuration
// that is valid nothing else can be looked at.
func (o *settings) examine(ctx context.Context, s streams, offline bool, within time.Duration) []doctor.Finding {
	loaded, err := o.load(s)
	if err != nil {
		return []doctor.Finding{{
			Check: "configuration", Verdict: doctor.Fail, Detail: strings.ReplaceAll(err.Error(), "\n", "; "),
			Fix: "correct it; `marketprism config check` lists everything that is wrong",
		}}
	}
	plan, err := planOf(&loaded.Config)
	if err != nil {
		return []doctor.Finding{{Check: "configuration", Verdict: doctor.Fail, Detail: err.Error(), Fix: "correct it"}}
	}
	plan.Offline, plan.Within = offline, within
	findings := []doctor.Finding{{Check: "configuration", Verdict: doctor.Pass, Detail: "valid"}}
	d := doctor.New(plan.DataDir)
	if files := loaded.Config.Node.TLS; files.Enabled() {
		findings = append(findings, doctor.Certificate(files, d.Now()))
		if k, ok := ctx.Value(callerKey{}).(*caller); ok {
			d.Nodes = k.client
		}
	}
	return append(findings, d.Examine(ctx, plan)...)
}

// filesBeside is how many files the program has open without sockets to exchanges:
// parts, the journal, connections of clients.
const filesBeside = 4096

// planOf is what to look at, of a configuration.
func planOf(c *config.Config) (*doctor.Plan, error) {
	p := &doctor.Plan{
		DataDir: c.Node.DataDir, FreeBytes: uint64(c.Storage.Journal.DiskFreeBytes), FreePercent: c.Storage.Journal.DiskFreePercent,
		WantBytes: uint64(c.Storage.Journal.MaxBytes), OpenFiles: filesBeside,
	}
	p.Ports = portsOf(c)
	elsewhere := c.Cluster.Services.Instances()
	for _, service := range cluster.Services() {
		for _, i := range elsewhere[service] {
			i.TLS = c.Node.TLS.Enabled()
			p.Places = append(p.Places, doctor.Place{Name: service + " elsewhere", URL: i.URL() + "/livez", Node: true, Setting: "cluster.services." + service})
		}
	}
	p.Places = append(p.Places, serversOf(c)...)
	exchanges, err := exchangesOf(c)
	p.Places = append(p.Places, exchanges...)
	return p, err
}

// portsOf are those that a program of this configuration listens on: of every service
// that is not said to be elsewhere, and of the embedded broker.
func portsOf(c *config.Config) []doctor.Port {
	var ports []doctor.Port
	elsewhere := c.Cluster.Services.Instances()
	listen := func(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
	for _, each := range []struct {
		service string
		port    int
	}{
		{cluster.Broker, c.Broker.Port}, {cluster.Monitoring, c.Monitoring.Port}, {cluster.Storage, c.Storage.Port},
		{cluster.Scheduler, c.Scheduler.Port}, {cluster.Collector, c.Collector.Port}, {cluster.Gateway, c.Gateway.Port},
	} {
		if len(elsewhere[each.service]) > 0 {
			continue
		}
		port := doctor.Port{Name: each.service, Address: listen(c.Node.Listen, each.port), Setting: each.service + ".port"}
		if pid, _, ok := app.Running(c.Node.DataDir, each.service); ok {
			port.Holder = pid
		}
		ports = append(ports, port)
	}
	if n := c.Broker.NATS; n.Mode == "embedded" && n.Port > 0 && len(elsewhere[cluster.Broker]) == 0 {
		port := doctor.Port{Name: "NATS", Address: listen(n.Host, n.Port), Setting: "message-broker-service.nats.port"}
		if pid, _, ok := app.Running(c.Node.DataDir, cluster.Broker); ok {
			port.Holder = pid
		}
		ports = append(ports, port)
	}
	return ports
}

// serversOf are the servers beside exchanges.
func serversOf(c *config.Config) []doctor.Place {
	var out []doctor.Place
	add := func(name, scheme, address, setting string, needed bool) {
		out = append(out, doctor.Place{Name: name, URL: scheme + "://" + address, Setting: setting, Needed: needed})
	}
	if c.Broker.NATS.Mode == "external" {
		for text := range strings.SplitSeq(c.Broker.NATS.URL, ",") {
			_, address, found := strings.Cut(strings.TrimSpace(text), "://")
			if !found {
				address = strings.TrimSpace(text)
			}
			if at := strings.LastIndexByte(address, '@'); at >= 0 { // credentials are nobody's business here
				address = address[at+1:]
			}
			if _, _, err := net.SplitHostPort(address); err != nil {
				address = net.JoinHostPort(address, "4222")
			}
			add("NATS", "tcp", address, "message-broker-service.nats.url", true)
		}
	}
	if c.Storage.Engine == config.EngineQuestDB {
		add("QuestDB, rows", "tcp", c.Storage.QuestDB.HTTP, "data-storage-service.questdb.http", true)
		add("QuestDB, queries", "tcp", c.Storage.QuestDB.PG, "data-storage-service.questdb.pg", true)
	}
	if s3 := c.Storage.Storage.Cold.S3; s3.Used() {
		scheme := map[bool]string{true: "https", false: "http"}[s3.TLS]
		add("S3", scheme, s3.Endpoint, "data-storage-service.storage.cold_storage.s3.endpoint", true)
	}
	if c.Cluster.ByConsul() {
		if path, ok := strings.CutPrefix(c.Cluster.Consul.Address, "unix://"); ok {
			add("Consul", "unix", path, "cluster.consul.address", true)
		} else {
			add("Consul", c.Cluster.Consul.Scheme, c.Cluster.Consul.Address, "cluster.consul.address", true)
		}
	}
	if at := c.Monitoring.Monitoring.Traces.Endpoint; at != "" {
		out = append(out, doctor.Place{Name: "OpenTelemetry", URL: at, Setting: "monitoring-service.monitoring.traces.otlp_endpoint"})
	}
	return out
}

// exchangesOf are the servers of the markets that are collected, each once.
func exchangesOf(c *config.Config) ([]doctor.Place, error) {
	var out []doctor.Place
	var errs []error
	seen := map[string]bool{}
	for _, name := range c.Collector.Exchanges {
		exchange, there := c.Exchanges[name]
		if !there {
			errs = append(errs, fmt.Errorf("market-data-collector.exchanges names %s, which is not described", name))
		}
		if !exchange.Enabled {
			continue
		}
		for _, market := range slices.Sorted(maps.Keys(exchange.Markets)) {
			m := exchange.Markets[market]
			if !m.Enabled {
				continue
			}
			at := "exchanges." + name + ".markets." + market
			for _, p := range []doctor.Place{
				{Name: name + " " + market + ", REST", URL: m.RESTURL, Setting: at + ".rest_url", Exchange: true, Needed: true},
				{Name: name + " " + market + ", WebSocket", URL: m.WSURL, Setting: at + ".ws_url", Exchange: true, Needed: true},
			} {
				if !seen[p.URL] {
					seen[p.URL] = true
					out = append(out, p)
				}
			}
		}
	}
	return out, errors.Join(errs...)
}

func printFindings(w io.Writer, findings []doctor.Finding, form string) error {
	if form == "json" {
		return json.NewEncoder(w).Encode(struct {
			Well     bool             `json:"well"`
			Findings []doctor.Finding `json:"findings"`
		}{doctor.Well(findings), findings})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHECK\tRESULT\tDETAIL")
	for _, f := range findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Check, f.Verdict, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(t, "\t  fix\t%s\n", f.Fix)
		}
	}
	return t.Flush()
}
