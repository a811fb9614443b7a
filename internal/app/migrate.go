package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/persistence/journal"
)

// ErrRuns: the node runs.
var ErrRuns = errors.New("the node runs; stop it first")

// Migrate makes of the broker's store of a stopped node, which stood alone, that of a node
// in a cluster as cfg describes it; with plan, it says what it would carry. Errors: ErrRuns,
// and those of [broker.Migration].
func Migrate(ctx context.Context, cfg *config.Config, plan bool, progress func(broker.MigrationProgress)) (broker.MigrationReport, error) {
	for _, service := range cluster.Services() {
		if pid, _, ok := Running(cfg.Node.DataDir, service); ok {
			return broker.MigrationReport{}, fmt.Errorf("%w: %s is process %d", ErrRuns, service, pid)
		}
	}
	nats := cfg.Broker.NATS
	if nats.StoreDir == "" {
		nats.StoreDir = filepath.Join(cfg.Node.DataDir, "broker")
	}
	store, err := filepath.Abs(nats.StoreDir)
	if err != nil {
		return broker.MigrationReport{}, fmt.Errorf("finding the broker's store: %w", err)
	}
	nats.StoreDir, nats.ServerName = store, nodeName(cfg.Node.ID)
	m := broker.Migration{Config: nats, Progress: progress, Log: zap.NewNop(), Adapt: renameReader(cfg)}
	if plan {
		return m.Plan(ctx)
	}
	return m.Run(ctx)
}

// renameReader gives the embedded store the name among the readers of the journal that it
// has in a cluster: under the old one, which nobody has any more, it would hold back the
// journal.
func renameReader(cfg *config.Config) func(context.Context, *nats.Conn) error {
	return func(ctx context.Context, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return fmt.Errorf("opening JetStream: %w", err)
		}
		_, err = js.Stream(ctx, journal.StreamName(0))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil // no storage was on it
		}
		if err != nil {
			return fmt.Errorf("looking for the journal: %w", err)
		}
		c := cfg.Storage.Journal
		c.Replicas = 1 // there is no other node yet
		j, err := journal.Open(ctx, nc, c, journal.NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			return err
		}
		readers, err := j.Registry(ctx)
		if err != nil {
			return err
		}
		for k := range j.Shards() {
			if err := readers.Rename(ctx, k, config.EngineEmbedded, copyNameOf(nodeName(cfg.Node.ID))); err != nil {
				return err
			}
		}
		return nil
	}
}
