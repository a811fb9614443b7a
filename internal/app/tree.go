package app

import (
	"context"

	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/collector"
	recorder "github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/journal"
)

// startTree starts the branches in order, each ready before the next.
func (a *App) startTree(ctx context.Context) error {
	if err := a.makeBroker(ctx); err != nil {
		return err
	}
	if err := a.makeTrust(); err != nil {
		return err
	}
	if err := a.makeRecorders(); err != nil {
		return err
	}
	if err := a.system.Start(ctx); err != nil {
		return fmt.Errorf("starting the tree: %w", err)
	}
	// The servers of a broker of several nodes find each other there.
	if err := a.joinCluster(ctx); err != nil {
		return err
	}
	// The store may keep its positions at the broker.
	if err := a.startBroker(ctx); err != nil {
		return err
	}
	if err := a.startTrust(ctx); err != nil {
		return err
	}
	if err := a.startMonitoring(ctx); err != nil {
		return err
	}
	var specs []supervise.Spec
	if a.runs(cluster.Storage) || a.runs(cluster.Collector) {
		specs = append(specs, a.recorders.Spec())
	}
	if a.runs(cluster.Storage) {
		if err := a.makeStorage(ctx); err != nil {
			return err
		}
		specs = append(specs, a.store.Spec())
	}
	// Closed before the store, whose readers use it.
	a.closers = append(a.closers, func() error { a.reading.Close(); a.opener.Close(); return nil })
	for _, s := range specs {
		if _, err := a.system.StartChild(ctx, rootID, s); err != nil {
			return fmt.Errorf("starting %s: %w", s.Name, err)
		}
	}
	a.catchUp(ctx)
	if a.runs(cluster.Scheduler) {
		if err := a.makeScheduler(ctx); err != nil {
			return err
		}
		if _, err := a.system.StartChild(ctx, rootID, a.scheduler.Spec()); err != nil {
			return fmt.Errorf("starting the scheduler: %w", err)
		}
	}
	if a.runs(cluster.Collector) {
		if err := a.makeCollector(ctx); err != nil {
			return err
		}
		if _, err := a.system.StartChild(ctx, rootID, a.collector.Spec()); err != nil {
			return fmt.Errorf("starting the collector: %w", err)
		}
		if err := a.startPlacement(ctx); err != nil {
			return err
		}
	}
	if a.runs(cluster.Gateway) {
		return a.startGateway(ctx)
	}
	return nil
}

// catchUpWithin bounds the wait for the journal's end at a start.
const catchUpWithin = time.Minute

// catchUp waits until queries see everything that the journal held at the start:
// what was acknowledged before a crash is there when the services turn ready. A
// store that cannot catch up says so in its health and does not keep the others
// from starting.
func (a *App) catchUp(ctx context.Context) {
	if a.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWithin)
	defer cancel()
	for k := range a.recorders.Shards() {
		if err := a.store.CaughtUp(ctx, k); err != nil {
			a.log.Error("starting before the store has all of the journal", zap.Int("shard", k), zap.Error(err))
			return
		}
	}
}

// makeBroker makes the broker's handle: the embedded server where the broker's
// service runs, a client of it where only others do.
func (a *App) makeBroker(ctx context.Context) error {
	cfg := a.cfg.Broker.NATS
	var err error
	if cfg.Port != 0 || !a.runs(cluster.Broker) { // else nobody but this process can reach the program's account
		if cfg, err = cfg.WithCredentials(a.path("broker-credentials.json")); err != nil {
			return err
		}
	}
	if cfg.Mode == broker.Embedded && !a.runs(cluster.Broker) {
		url := cfg.URL
		switch {
		case url == "" && a.cfg.Cluster.ByConsul():
			if url, err = a.findServers(ctx); err != nil {
				return err
			}
		case url == "":
			url = fmt.Sprintf("nats://%s:%d", cfg.Host, cfg.Port)
		}
		cfg = cfg.ElsewhereAt(url)
	}
	if cfg.StoreDir == "" {
		cfg.StoreDir = a.path("broker")
	}
	if cfg.Clustered() {
		cfg.ServerName = a.node // it counts in the majority, and has to stay the same
	}
	if a.broker, err = broker.New(cfg, broker.Options{Registerer: a.registry, Logger: a.log, Routes: a.brokerRoutes}); err != nil {
		return err
	}
	return nil
}

// connectAs connects with the rights of one service.
func (a *App) connectAs(s broker.Service) func(context.Context) (*nats.Conn, error) {
	return func(ctx context.Context) (*nats.Conn, error) { return a.broker.ConnectAs(ctx, s) }
}

// connectReading waits for the journal, which only recorders make.
func (a *App) connectReading(ctx context.Context) (*nats.Conn, error) {
	if _, err := a.opener.Journal(ctx); err != nil {
		return nil, err
	}
	return a.broker.ConnectAs(ctx, broker.Storage)
}

func (a *App) makeRecorders() error {
	cfg, figures := a.cfg.Storage.Journal, journal.NewMetrics(a.registry)
	a.opener = recorder.NewOpener(a.connectAs(broker.Recorder), cfg, figures)
	a.reading = recorder.NewOpener(a.connectReading, cfg, figures)
	guard := journal.DiskGuard{}
	if a.runs(cluster.Broker) {
		dir := a.cfg.Broker.NATS.StoreDir
		if dir == "" {
			dir = a.path("broker")
		}
		guard = cfg.GuardDir(dir)
	}
	var err error
	a.recorders, err = recorder.New(recorder.Options{
		Config: a.cfg.Storage.Recorder, Shards: cfg.Shards, Open: a.opener.Journal, Verify: a.verifyJournal(), Guard: guard, Registerer: a.registry,
	})
	return err
}

func (a *App) makeCollector(ctx context.Context) error {
	epoch, err := a.nextEpoch(ctx)
	if err != nil {
		return err
	}
	nc, err := a.broker.ConnectAs(ctx, broker.Collector)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { nc.Close(); return nil })
	changes := bucket.New(a.connectAs(broker.Collector), bucket.Options{Name: overlayBucket, Description: "run-time subscriptions over the configuration"})
	a.closers = append(a.closers, func() error { changes.Close(); return nil })
	o := collector.Options{
		System: a.system, Config: a.cfg.Collector.Streams, Epoch: epoch,
		Recorder: a.recorders.For, Publisher: nc, Store: overlays{changes}, Registerer: a.registry,
		Live: &a.cfg.Collector.Live,
	}
	kept := bucket.New(a.connectAs(broker.Collector), bucket.Options{Name: backfillBucket, Description: "operations that fetch the past"})
	a.closers = append(a.closers, func() error { kept.Close(); return nil })
	o.Backfills = kept
	o.Exchanges = a.exchanges(a.cfg)
	if a.store != nil {
		o.Reader = history{Engine: a.engine, hot: a.hot, log: a.log}
		o.Applied = func(ctx context.Context, id market.StreamID) error {
			err := a.store.CaughtUp(ctx, journal.Shard(id.Exchange, id.Market.String(), id.Symbol, a.recorders.Shards()))
			if journal.IsForeign(err) {
				return nil // what another journal holds is not the store's: what is stored is known
			}
			return err
		}
	} else {
		o.Reader, o.Applied = a.far, a.appliedFar
	}
	if a.members != nil {
		o.Handoff, o.Node, o.Alive = handoff{a}, a.node, a.aliveCollectors
	}
	if a.collector, err = collector.New(o); err != nil {
		return err
	}
	return a.makePlacement(epoch)
}

// nextEpoch is the ownership number of this process: above every one that is
// saved.
func (a *App) nextEpoch(ctx context.Context) (int64, error) {
	j, err := a.opener.Journal(ctx)
	if err != nil {
		return 0, err
	}
	highest := int64(0)
	if a.engine != nil {
		for k := range a.recorders.Shards() {
			for _, e := range a.engine.Position(k).Epochs {
				highest = max(highest, e)
			}
		}
	} else {
		highest = a.highestEpochFar(ctx)
	}
	epoch, err := j.NextEpoch(ctx, uint64(highest)+1)
	if err != nil {
		return 0, fmt.Errorf("taking the next epoch: %w", err)
	}
	return int64(epoch), nil
}
