package app

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster/consul"
)

// fitness is what this node makes of not reaching the broker: it leaves to others what
// they can do, and says so in Consul, so that who does not reach it either gives it up.
// Who does goes on to count on it: when the broker is down for all, nobody leaves.
type fitness struct {
	unfit     atomic.Pointer[string] // why; nil when it is fit
	idle      resignation            // from what takes the broker
	turn      resignation            // for a while, from what could be done without
	since     time.Time              // of the failure; zero while there is none
	stoodBack bool
}

const (
	fitnessEvery = 500 * time.Millisecond
	// unfitAfter passes over what reconnects at once.
	unfitAfter = 3 * time.Second
	// standBack is for how long others may take what could be done without the broker.
	standBack = 15 * time.Second
)

// step takes a look. heard is whether Consul takes our word, so that leases can be given
// back and taken again. It reports whether the node has become fit, or unfit.
func (f *fitness) step(now time.Time, failure error, heard bool) (changed bool) {
	was := f.unfit.Load() != nil
	if failure == nil {
		f.since, f.stoodBack = time.Time{}, false
		f.unfit.Store(nil)
		f.idle.set(false)
		f.turn.set(false)
		return was
	}
	if f.since.IsZero() {
		f.since = now
	}
	lasts := now.Sub(f.since)
	if lasts < unfitAfter {
		return false
	}
	text := failure.Error()
	f.unfit.Store(&text)
	f.idle.set(true)
	switch over := lasts >= unfitAfter+standBack; {
	case over:
		f.turn.set(false)
	case heard && !f.stoodBack:
		f.stoodBack = true
		f.turn.set(true)
	}
	return !was
}

// status is what Consul is told of a service that is well.
func (f *fitness) status() (consul.Status, string) {
	if why := f.unfit.Load(); why != nil {
		return consul.Warning, *why
	}
	return consul.Passing, "ready"
}

// watchFitness looks until Stop.
func (a *App) watchFitness() {
	tick := time.NewTicker(fitnessEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		failure := a.broker.Reach()
		lasts, missing := a.unlisted(now)
		if failure == nil {
			failure = missing
		}
		if missing != nil && lasts > a.cfg.Cluster.Consul.TTL*2+a.cfg.Cluster.Consul.Grace {
			a.fail(missing) // what it has, others have; started anew it may be one of them again
		}
		if a.fitness.step(now, failure, a.members.Err() == nil) {
			if failure != nil {
				a.log.Warn("this node leaves to others what takes the broker", zap.Error(failure))
			} else {
				a.log.Info("this node does again what takes the broker")
			}
		}
		select {
		case <-a.ending:
			return
		case <-tick.C:
		}
	}
}
