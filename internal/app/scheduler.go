package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/scheduler"
)

// defaultTasks are made at the first start.
func defaultTasks() []scheduler.Task {
	return []scheduler.Task{
		{
			ID: "daily_data_archive", Name: "daily_data_archive", Cron: "0 2 * * *",
			TargetService: cluster.Storage, TargetEndpoint: "/api/v1/storage/cold/archive",
			TimeoutSeconds: (4 * time.Hour).Seconds(), Misfire: scheduler.MisfireOnce,
		},
		{
			ID: "cleanup_expired_data", Name: "cleanup_expired_data", Cron: "0 * * * *",
			TargetService: cluster.Storage, TargetEndpoint: "/api/v1/storage/lifecycle/cleanup",
			Payload: json.RawMessage(`{"retention_hours":72}`), TimeoutSeconds: time.Hour.Seconds(),
		},
		{
			ID: "health_check_all_services", Name: "health_check_all_services", Cron: "*/5 * * * *",
			TargetService: cluster.Monitoring, TargetEndpoint: "/api/v1/health-check-all",
		},
	}
}

func (a *App) makeScheduler(ctx context.Context) error {
	cfg := a.cfg.Scheduler.Scheduler
	store := ledger.NewJetStream(a.connectAs(broker.Scheduler), cfg.LedgerMaxBytes, cfg.Replicas)
	a.closers = append(a.closers, func() error { store.Close(); return nil })
	publish, err := a.taskPublisher(ctx)
	if err != nil {
		return err
	}
	a.scheduler, err = scheduler.New(scheduler.Options{
		Config: cfg, Store: store, Lease: a.leaseOfScheduler(store, cfg.LeaseTerm), Services: cluster.Services(), Resolve: a.resolve, Carry: a.carry(cluster.Scheduler), Publish: publish, CheckSubject: broker.CheckPublished,
		Messages: a.taskMessages(), Told: a.tellRun, Defaults: defaultTasks(), Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.scheduler.Close(); return nil })
	return nil
}

func (a *App) registerScheduler(s *chassis.Server) error {
	return facade.Register(s, facade.Options{Branch: a.scheduler, Others: a.neighboursOf(cluster.Scheduler)})
}

// resolve finds where a service answers: where the configuration says, else here, at
// the port that it got, else at its usual one. A run of a start waits for the servers.
func (a *App) resolve(ctx context.Context, service string) ([]string, error) {
	if a.runs(service) && len(a.cfg.Cluster.Services.Instances()[service]) == 0 && !a.spread(service) {
		select {
		case <-a.listening:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s to listen: %w", service, ctx.Err())
		}
		_, port, err := net.SplitHostPort(a.servers[service].Addr())
		if err != nil {
			return nil, fmt.Errorf("the address of %s: %w", service, err)
		}
		return []string{scheme(a.cfg) + "://" + net.JoinHostPort(a.host(), port)}, nil
	}
	instances, err := a.instances(ctx, service)
	if err != nil {
		return nil, err
	}
	urls := make([]string, len(instances))
	for i, instance := range instances {
		urls[i] = instance.URL()
	}
	return urls, nil
}

// taskPublisher sends messages of runs: into the stream that takes the subject, and
// where none does to whoever listens.
func (a *App) taskPublisher(ctx context.Context) (scheduler.Publish, error) {
	nc, err := a.broker.ConnectClientsAs(ctx, broker.Scheduler)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error { nc.Close(); return nil })
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return func(ctx context.Context, subject string, header map[string]string, payload []byte) (string, error) {
		msg := &nats.Msg{Subject: subject, Data: payload, Header: nats.Header{}}
		for name, value := range header {
			msg.Header[name] = []string{value}
		}
		msg.Header[jetstream.MsgIDHeader] = []string{header["Idempotency-Key"]}
		ack, err := js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
		if err == nil {
			return fmt.Sprintf("stream %s, sequence %d", ack.Stream, ack.Sequence), nil
		}
		if !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
			return "", fmt.Errorf("publishing to %s: %w", subject, err)
		}
		delete(msg.Header, jetstream.MsgIDHeader)
		msg.Reply = ""
		if err := nc.PublishMsg(msg); err != nil {
			return "", fmt.Errorf("publishing to %s: %w", subject, err)
		}
		if err := nc.FlushWithContext(ctx); err != nil {
			return "", fmt.Errorf("publishing to %s: %w", subject, err)
		}
		return "no stream takes the subject; whoever listens has it", nil
	}, nil
}

// taskMessages are what the actors of this process do when a task says so.
func (a *App) taskMessages() map[string]scheduler.Message {
	messages := map[string]scheduler.Message{}
	if a.store == nil {
		return messages
	}
	messages["storage.archive"] = func(ctx context.Context, payload json.RawMessage) (string, error) {
		ask := struct {
			Hours float64 `json:"cutoff_hours"`
		}{24}
		if err := json.Unmarshal(payload, &ask); err != nil {
			return "", fmt.Errorf("reading the payload: %w", err)
		}
		o, _, err := a.store.Archive(ctx, nil, time.Duration(ask.Hours*float64(time.Hour)))
		if err == nil {
			o, err = a.store.Await(ctx, o.ID)
		}
		if err = errors.Join(err, o.Err); err != nil {
			return "", fmt.Errorf("archiving: %w", err)
		}
		return fmt.Sprintf("%d rows in %d files", o.Rows, o.Files), nil
	}
	return messages
}
