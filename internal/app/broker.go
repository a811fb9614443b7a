package app

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/outbox"
	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/http/broker"
	"github.com/marketprism/marketprism/http/chassis"
)

// startBroker starts the broker's branch, and what clients use where its service runs.
func (a *App) startBroker(ctx context.Context) error {
	var err error
	if a.events, err = outbox.New(a.broker, a.registry); err != nil {
		return err
	}
	if err := a.makeAudit(); err != nil {
		return err
	}
	behind := []supervise.Spec{a.events.Spec(), a.audit.Spec()}
	if a.runs(cluster.Broker) {
		spec, err := deadletters.Spec(deadletters.Options{Broker: a.broker, Registerer: a.registry, Died: a.taskDied})
		if err != nil {
			return err
		}
		behind = append(behind, spec)
	}
	if _, err := a.system.StartChild(ctx, rootID, a.broker.Spec(behind...)); err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	if !a.runs(cluster.Broker) {
		return nil
	}
	return a.openDesk(ctx)
}

// openDesk opens what the broker's façade serves.
func (a *App) openDesk(ctx context.Context) error {
	var err error
	if a.letters, err = deadletters.OpenBox(ctx, a.broker); err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.letters.Close(); return nil })
	if a.desk, err = messages.Open(ctx, messages.Options{Broker: a.broker, Bury: a.letters.Bury, Registerer: a.registry}); err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.desk.Close(); return nil })
	queues, err := tasks.Open(ctx, tasks.Options{
		Config: a.cfg.Broker.Tasks, Broker: a.broker, Seal: a.desk.Seal(), Letters: a.letters, Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { queues.Close(); return nil })
	a.tasks.Store(queues)
	return nil
}

// errNotYet: the letter comes again.
var errNotYet = errors.New("tasks are not open yet")

// taskDied tells the tasks of a dead letter.
func (a *App) taskDied(ctx context.Context, l deadletters.Letter) error {
	queues := a.tasks.Load()
	if queues == nil {
		return errNotYet
	}
	return queues.Died(ctx, l)
}

func (a *App) registerBroker(s *chassis.Server) error {
	o := broker.Options{
		Branch: a.broker, Desk: a.desk, Tasks: a.tasks.Load(), Letters: a.letters, MaxMessage: a.cfg.Broker.NATS.MaxPayload,
	}
	if a.members != nil {
		plans := a.openPlans()
		o.Removed = func(ctx context.Context, node string) {
			if err := coordinator.Forget(ctx, plans, node); err != nil {
				a.log.Warn("what a node has said that was removed is kept for now", zap.String("node", node), zap.Error(err))
			}
		}
	}
	return broker.Register(s, o)
}
