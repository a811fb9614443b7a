package app

import (
	"fmt"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/cluster"
)

// notifyLease decides which node tells people of alerts.
const notifyLease = "notifier"

// makeNotify makes what tells people of alerts; it remembers in the cluster's bucket.
func (a *App) makeNotify(store bucket.Store) error {
	var lease notify.Lease = notify.Alone{}
	if a.members != nil {
		others := func() bool { return a.spread(cluster.Monitoring) }
		lease = resigning{resigning{a.members.NewLease(notifyLease, nodeService, a.log), &a.resigned, others}, &a.fitness.turn, others}
	}
	var err error
	a.notify, err = notify.New(notify.Options{
		Config: a.cfg.Monitoring.Monitoring.Notify, Store: store, Lease: lease, Node: a.node, Events: a.events, Source: a.source(cluster.Monitoring),
		URL: func() string { return a.URL(cluster.Monitoring) }, Version: a.options.Version, Registerer: a.registry,
	})
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}
