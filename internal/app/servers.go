package app

import (
	"context"
	"fmt"
	"io"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/cluster"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/http/storage"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// about describes the services in their documentation.
var about = map[string]string{
	cluster.Broker:     "NATS JetStream: events, tasks, dead letters, and the journal's streams.",
	cluster.Monitoring: "Health, alerts, dashboards, and the live supervision tree.",
	cluster.Storage:    "Hot and cold storage, lifecycle, query routing.",
	cluster.Scheduler:  "Cron tasks, fired once per cluster.",
	cluster.Collector:  "Exchange sessions, normalisation, books, gap ledger, live streams.",
	cluster.Gateway:    "One entrance: authentication, rate limits, breakers, balancing.",
}

// startServers makes every service's server listen; none is ready yet.
func (a *App) startServers(ctx context.Context) error {
	register := map[string]func(*chassis.Server) error{
		cluster.Broker:     a.registerBroker,
		cluster.Monitoring: a.registerMonitoring,
		cluster.Storage:    a.registerStorage,
		cluster.Collector: func(s *chassis.Server) error {
			return collector.Register(s, collector.Options{Branch: a.collector, Live: a.collector.Live(), Others: a.makeOthers()})
		},
		cluster.Scheduler: a.registerScheduler,
		cluster.Gateway:   a.registerGateway,
	}
	for _, name := range a.services {
		limits := a.cfg.HTTP
		if name == cluster.Gateway {
			limits = gatewayHTTP(a.cfg)
		}
		gate, err := a.gate(name)
		if err != nil {
			return err
		}
		s, err := chassis.New(chassis.Options{
			Service: name, Version: a.options.Version, Title: "MarketPrism " + name, About: about[name], Listen: a.listen(name),
			Config: limits, Logger: a.log, Registerer: a.registry, Gatherer: a.registry, Spans: spans{a.traces}, Gate: gate, TLS: a.serverTLS(),
		})
		if err != nil {
			return err
		}
		if err := register[name](s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.Health().Add("actors", a.actorsCheck)
		if a.certs != nil {
			s.Health().Add("certificate", a.certificateCheck)
		}
		if a.members != nil {
			s.Health().Add("cluster", a.clusterCheck)
		}
		if a.remoting != nil {
			s.Health().Add("remoting", a.remotingCheck)
		}
		if name == cluster.Collector && a.placement != nil {
			if err := facade.RegisterStanding(s, a.standing); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			s.Health().Add("placement", a.placementCheck)
		}
		if name == cluster.Collector && a.store == nil {
			s.Health().Add("journal", a.journalCheck)
		}
		if err := s.Start(ctx); err != nil {
			return err
		}
		a.servers[name] = s
	}
	return nil
}

// actorsCheck fails when the tree has failed beyond its restart budget.
func (a *App) actorsCheck(context.Context) chassis.CheckResult {
	if err := a.system.Err(); err != nil {
		return chassis.Failed(err)
	}
	return chassis.Passed(nil)
}

func (a *App) registerStorage(s *chassis.Server) error {
	schemas, err := part.NewSchemas()
	if err != nil {
		return err
	}
	return storage.Register(s, storage.Options{
		Branch: a.store, Recorders: a.recorders, Catalogue: newCatalogue(a), Others: a.neighboursOf(cluster.Storage),
		Files: func(w io.Writer, kind market.Kind, fields []string) (storage.FileWriter, error) {
			return part.NewExport(w, schemas[kind], fields)
		},
	})
}
