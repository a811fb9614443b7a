package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/access"
	recorder "github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/http/chassis"
	entrance "github.com/marketprism/marketprism/http/gateway"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/embedded"
	"github.com/marketprism/marketprism/persistence/journal"
	"github.com/marketprism/marketprism/persistence/questdb"
)

// Config is everything that services.yaml and exchanges/*.yaml can say. Every
// section is the Config of the package that it configures; only node and log
// belong to no package and are declared here.
type Config struct {
	Node       Node                         `yaml:"node" doc:"This process."`
	Cluster    cluster.Config               `yaml:"cluster" doc:"Services that other processes or hosts run."`
	Log        Log                          `yaml:"log" doc:"What the program writes about itself."`
	HTTP       chassis.Config               `yaml:"http" doc:"Limits of every service's HTTP server."`
	Broker     BrokerService                `yaml:"message-broker-service" doc:"NATS JetStream: events, tasks, dead letters, and the journal's streams."`
	Storage    StorageService               `yaml:"data-storage-service" doc:"Hot and cold storage, lifecycle, queries."`
	Collector  CollectorService             `yaml:"market-data-collector" doc:"Exchange sessions, normalisation, books, gap ledger, live streams."`
	Scheduler  SchedulerService             `yaml:"scheduler-service" doc:"Cron tasks, each fired once per cluster."`
	Gateway    GatewayService               `yaml:"api-gateway-service" doc:"The one entrance: authentication, limits, breakers, balancing."`
	Monitoring MonitoringService            `yaml:"monitoring-service" doc:"Health, queries, alerts, dashboards, the live supervision tree."`
	Exchanges  map[string]connectors.Config `yaml:"exchanges" doc:"One entry for each exchange; usually given in exchanges/<exchange>.yaml."`
}

// serviceNames are the sections that may also stand under services:.
var serviceNames = []string{
	"message-broker-service", "data-storage-service", "market-data-collector",
	"scheduler-service", "api-gateway-service", "monitoring-service",
}

// Node is this process.
type Node struct {
	ID        string `yaml:"id" doc:"Name of this node in a cluster; empty takes the host's name."`
	DataDir   string `yaml:"data_dir" doc:"Where the journal, the hot store and the cold store live, unless they say otherwise."`
	Listen    string `yaml:"listen" doc:"Address that every service listens on; 0.0.0.0 is every interface."`
	Advertise string `yaml:"advertise" doc:"Address under which other nodes reach this one; empty takes listen."`
	// TLS is of every service's port.
	TLS certs.Config `yaml:"tls" doc:"HTTPS at every service's port, and towards the others'; the files are read again when they change."`
}

// Validate checks that the addresses are hosts without ports.
func (n Node) Validate() error {
	var errs []error
	if n.DataDir == "" {
		errs = append(errs, wrong("data_dir", "must name a directory"))
	}
	if !isHost(n.Listen) {
		errs = append(errs, wrong("listen", "must be an IP address or a host name, without a port"))
	}
	if n.Advertise != "" && !isHost(n.Advertise) {
		errs = append(errs, wrong("advertise", "must be an IP address or a host name, without a port"))
	}
	return errors.Join(errs...)
}

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	_, _, err := net.SplitHostPort(s)
	return err != nil && s != "" && !strings.ContainsAny(s, " /:")
}

// Log is what the program writes about itself.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"Least severe level that is written."`
	Format string `yaml:"format" enum:"auto,json,console" doc:"json, console, or auto: console on a terminal."`
}

// BrokerService is the message-broker-service.
type BrokerService struct {
	Port  int           `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade; 0 takes any free one."`
	NATS  broker.Config `yaml:"nats" doc:"The NATS server behind it."`
	Tasks tasks.Config  `yaml:"tasks" doc:"Tasks that clients submit and workers claim."`
}

// StorageService is the data-storage-service.
type StorageService struct {
	Port     int             `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade; 0 takes any free one."`
	Engine   string          `yaml:"engine" enum:"embedded,questdb" doc:"Hot store: embedded Parquet parts, or a QuestDB server."`
	Embedded embedded.Config `yaml:"embedded" doc:"The embedded store."`
	QuestDB  questdb.Config  `yaml:"questdb" doc:"The QuestDB server; used with engine questdb."`
	Journal  journal.Config  `yaml:"journal" doc:"The write-ahead log, a JetStream stream for each shard."`
	Actors   storage.Config  `yaml:"actors" doc:"The readers of the journal, maintenance, and requests under way."`
	Recorder recorder.Config `yaml:"recorder" doc:"The way into the journal, on every node that records."`
	Storage  Tiers           `yaml:"storage" doc:"The two tiers and how long each keeps its rows."`
}

// The engines of the hot store.
const (
	EngineEmbedded = "embedded"
	EngineQuestDB  = "questdb"
)

// Tiers are the two stores, and how rows move between them.
type Tiers struct {
	Hot       storage.HotConfig       `yaml:"hot_storage" doc:"Recent rows."`
	Cold      cold.Config             `yaml:"cold_storage" doc:"Archived rows, hive-partitioned Parquet."`
	Lifecycle storage.LifecycleConfig `yaml:"lifecycle" doc:"When rows move from the one to the other."`
}

// Policy is when rows move and go.
func (t Tiers) Policy() storage.PolicyConfig {
	return storage.PolicyConfig{Hot: t.Hot, Lifecycle: t.Lifecycle, ColdTTLDays: t.Cold.TTLDays}
}

// CollectorService is the market-data-collector.
type CollectorService struct {
	Port      int              `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade; 0 takes any free one."`
	Exchanges []string         `yaml:"exchanges" doc:"Exchanges to collect, each described in exchanges/<exchange>.yaml."`
	Streams   collector.Config `yaml:"streams" doc:"What is made of the streams, and how they start and stop."`
	Live      live.Config      `yaml:"live" doc:"Those who follow streams over WebSocket and server-sent events."`
}

// SchedulerService is the scheduler-service.
type SchedulerService struct {
	Port      int              `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade; 0 takes any free one."`
	Scheduler scheduler.Config `yaml:"scheduler" doc:"How tasks run."`
}

// GatewayService is owned by package actors/gateway.
type GatewayService struct {
	Port     int             `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade; 0 takes any free one."`
	Entrance entrance.Config `yaml:"entrance" doc:"What clients and the proxies in front of them may send."`
	Gateway  gateway.Config  `yaml:"gateway" doc:"Limits, and how requests are sent on."`
	Auth     access.Config   `yaml:"auth" doc:"Who is let in."`
	Audit    audit.Config    `yaml:"audit" doc:"The log of who did what, which all services write."`
}

// MonitoringService is the monitoring-service.
type MonitoringService struct {
	Port       int               `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade; 0 takes any free one."`
	Monitoring monitoring.Config `yaml:"monitoring" doc:"What is watched, and how."`
}

// Default returns the built-in defaults, without the exchanges: theirs are the
// files of exchanges/, which are embedded.
func Default() Config {
	policy := storage.DefaultPolicyConfig()
	return Config{
		Node:    Node{DataDir: "./data", Listen: "127.0.0.1", TLS: certs.DefaultConfig()},
		Cluster: cluster.DefaultConfig(),
		Log:     Log{Level: "info", Format: "auto"},
		HTTP:    chassis.DefaultConfig(),
		Broker: BrokerService{
			Port:  8085,
			NATS:  broker.DefaultConfig(),
			Tasks: tasks.DefaultConfig(),
		},
		Storage: StorageService{
			Port:     8080,
			Engine:   EngineEmbedded,
			Embedded: embedded.DefaultConfig(),
			QuestDB:  questdb.DefaultConfig(),
			Journal:  journal.DefaultConfig(),
			Actors:   storage.DefaultConfig(),
			Recorder: recorder.DefaultConfig(),
			Storage:  Tiers{Hot: policy.Hot, Cold: cold.DefaultConfig(), Lifecycle: policy.Lifecycle},
		},
		Collector:  CollectorService{Port: 8082, Exchanges: []string{"binance"}, Streams: collector.DefaultConfig(), Live: live.DefaultConfig()},
		Scheduler:  SchedulerService{Port: 8081, Scheduler: scheduler.DefaultConfig()},
		Gateway:    GatewayService{Port: 8083, Entrance: entrance.DefaultConfig(), Gateway: gateway.DefaultConfig(), Auth: access.DefaultConfig(), Audit: audit.DefaultConfig()},
		Monitoring: MonitoringService{Port: 8084, Monitoring: monitoring.DefaultConfig()},
	}
}

// fieldError is a judgement about one setting of a section.
type fieldError struct{ field, problem string }

func (e fieldError) Field() string { return e.field }
func (e fieldError) Error() string { return e.field + ": " + e.problem }

func wrong(field, format string, args ...any) error {
	return fieldError{field, fmt.Sprintf(format, args...)}
}
