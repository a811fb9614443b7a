package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/event"
)

// healthEvery is the time between two looks at the health of this process's services.
const healthEvery = 5 * time.Second

// source makes the events of a service of this process.
func (a *App) source(service string) event.Source {
	return event.Source{Node: a.node, Service: service}
}

// nodeName is how this node is called: as configured, else as its host.
func nodeName(id string) string {
	if id != "" {
		return id
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// tell publishes what happens to a service itself.
func (a *App) tell(kind event.Kind) {
	for _, name := range a.services {
		if s := a.servers[name]; s != nil {
			a.events.Publish(a.source(name).New(kind, "", event.Service{Service: name, Version: a.options.Version, URL: s.URL()}))
		}
	}
}

// watchLife publishes what happens, until Stop.
func (a *App) watchLife(ctx context.Context) error {
	failures, cancel := a.system.Tree().Subscribe(256)
	a.watchers.Go(func() {
		defer cancel()
		a.tellFailures(failures)
	})
	a.watchers.Go(func() { a.tellHealth(context.WithoutCancel(ctx)) })
	if a.members != nil {
		a.watchers.Go(a.watchFitness)
	}
	if a.store != nil {
		a.watchers.Go(a.tellArchives)
	}
	if a.runs(cluster.Collector) {
		return a.tellGaps(ctx)
	}
	return nil
}

// tellFailures publishes the failures of actors. The tree keeps those that it was too
// fast for.
func (a *App) tellFailures(events <-chan supervise.Event) {
	for {
		select {
		case <-a.ending:
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			kind := event.ActorFailed
			switch e.Kind {
			case supervise.EventFailed:
			case supervise.EventEscalated:
				kind = event.ActorEscalated
			default:
				continue
			}
			data := event.Actor{Actor: e.ID, Kind: e.Actor, Exchange: e.Exchange, Left: e.Left}
			if e.Failure != nil {
				data.Reason, data.Message = e.Failure.Reason, e.Failure.Message
			}
			a.events.Publish(a.source(a.serviceOf(e.ID)).New(kind, e.ID, data))
		}
	}
}

// branches are the services whose branches have other names.
var branches = map[string]string{
	"broker": cluster.Broker, "journal": cluster.Storage, "storage": cluster.Storage, "collector": cluster.Collector,
	"scheduler": cluster.Scheduler, "gateway": cluster.Gateway, "monitoring": cluster.Monitoring,
}

// serviceOf is the service that an actor belongs to; the first of this process for
// the root.
func (a *App) serviceOf(id string) string {
	if len(id) > len(rootID)+1 {
		branch := id[len(rootID)+1:]
		for name, service := range branches {
			if branch == name || len(branch) > len(name) && branch[:len(name)+1] == name+"/" {
				return service
			}
		}
	}
	return a.services[0]
}

// tellHealth publishes the health of each service whenever it is another.
func (a *App) tellHealth(ctx context.Context) {
	last := map[string]string{}
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		for _, name := range a.services {
			a.tellHealthOf(ctx, name, last)
		}
		select {
		case <-a.ending:
			return
		case <-tick.C:
		}
	}
}

func (a *App) tellHealthOf(ctx context.Context, name string, last map[string]string) {
	report, _, err := a.servers[name].Health().Report(ctx)
	if err != nil {
		return // it stops, or took too long; the next look tells
	}
	before, known := last[name]
	last[name] = report.Status
	if before == report.Status || !known && report.Status == chassis.Healthy {
		return
	}
	if !known {
		before = chassis.Healthy
	}
	failing := []string{}
	for check, found := range report.Checks {
		if found["status"] != chassis.Pass {
			failing = append(failing, check)
		}
	}
	slices.Sort(failing)
	a.events.Publish(a.source(name).New(event.HealthChanged, "", event.Health{Service: name, From: before, To: report.Status, Failing: failing}))
}

// tellArchives publishes the archives that end while this process runs.
func (a *App) tellArchives() {
	source := a.source(cluster.Storage)
	told := map[string]bool{}
	tick := time.NewTicker(archivesEvery)
	defer tick.Stop()
	for begin := time.Now(); ; {
		listed := map[string]bool{}
		for _, op := range a.store.Operations() {
			if op.Job != storage.JobArchive || !op.Over() || op.Finished.Before(begin) {
				continue
			}
			listed[op.ID] = true
			if !told[op.ID] {
				a.events.Publish(source.New(event.ArchiveDone, op.ID, archived(op)))
			}
		}
		told = listed
		select {
		case <-a.ending:
			return
		case <-tick.C:
		}
	}
}

// archivesEvery is the time between two looks at the operations of the store.
const archivesEvery = 2 * time.Second

func archived(op storage.Operation) event.Archive {
	return event.Archive{
		Operation: op.ID, Scheduled: op.Scheduled, Tables: op.Tables, Cutoff: op.Cutoff, Rows: op.Rows,
		Seconds: op.Finished.Sub(op.Started).Seconds(), Error: op.Problem,
	}
}

// tellRun publishes that a run of a scheduled task is over.
func (a *App) tellRun(t scheduler.Task, r ledger.Result) {
	fire := ledger.Fire{Task: t.ID, Nominal: r.Nominal}
	a.events.Publish(a.source(cluster.Scheduler).New(event.TaskRun, fire.ID(), event.Run{
		Task: t.ID, Name: t.Name, Fire: fire.ID(), Nominal: fire.Time(), Outcome: r.Outcome, Attempts: r.Attempts,
		Seconds: float64(r.Took) / 1e6, Error: r.Error,
	}))
}

// tellGaps publishes the gaps that the collector records: it publishes them on the
// live plane.
func (a *App) tellGaps(ctx context.Context) error {
	nc, err := a.broker.ConnectAs(ctx, broker.Collector)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { nc.Close(); return nil })
	source := a.source(cluster.Collector)
	_, err = nc.Subscribe("md.v1.gap.>", func(m *nats.Msg) {
		gap, err := gapOf(m.Data)
		if err != nil {
			a.log.Warn("a gap on the live plane cannot be read", zap.String("subject", m.Subject), zap.Error(err))
			return
		}
		a.events.Publish(source.New(event.StreamGap, gap.Exchange+"/"+gap.Market+"/"+gap.Symbol, gap))
	})
	if err != nil {
		return fmt.Errorf("following gaps: %w", err)
	}
	return nil
}

// gapOf reads a gap in the form of the live plane.
func gapOf(text []byte) (event.Gap, error) {
	var g struct {
		event.Gap
		From int64 `json:"from_time_ns"`
		To   int64 `json:"to_time_ns"`
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return g.Gap, fmt.Errorf("reading a gap: %w", err)
	}
	g.Gap.From = time.Unix(0, g.From).UTC()
	if g.To > 0 {
		g.Gap.To = time.Unix(0, g.To).UTC()
	}
	return g.Gap, nil
}
