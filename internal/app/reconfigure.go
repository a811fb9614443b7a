package app

import (
	"context"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
)

// exchanges are the exchanges that there are with their settings; one that the
// collector's list does not name is not enabled.
func (a *App) exchanges(cfg *config.Config) []collector.Exchange {
	var list []collector.Exchange
	for _, x := range a.options.Exchanges {
		settings, ok := cfg.Exchanges[x.Name()]
		if !ok {
			continue
		}
		settings.Enabled = settings.Enabled && slices.Contains(cfg.Collector.Exchanges, x.Name())
		list = append(list, collector.Exchange{Exchange: x, Config: settings})
	}
	return list
}

// storagePolicy are the settings of when rows move and go.
var storagePolicy = []string{
	cluster.Storage + ".storage.hot_storage", cluster.Storage + ".storage.lifecycle", cluster.Storage + ".storage.cold_storage.ttl_days",
}

// Reconfigure takes up what of a new configuration can change while everything
// runs. taken are the paths of settings, or of whole parts, that are in force
// from now on, whether they were changed or not; needRestart those that were
// changed and are not. After an error that is all that there is to say.
func (a *App) Reconfigure(ctx context.Context, cfg *config.Config) (taken, needRestart []string, err error) {
	if a.certs != nil {
		_ = a.certs.Reload() // it is logged, and in the health; the rest of the configuration is good
	}
	list := cluster.Collector + ".exchanges"
	if a.collector == nil {
		taken = []string{"exchanges", list} // nobody here reads them
	} else {
		if taken, needRestart, err = a.collector.Reconfigure(ctx, a.exchanges(cfg)); err != nil {
			return taken, needRestart, err
		}
		taken = append(taken, list)
	}
	if a.store != nil {
		if err := a.store.SetPolicy(cfg.Storage.Storage.Policy()); err != nil {
			return taken, needRestart, err
		}
	}
	taken = append(taken, storagePolicy...)
	if a.scheduler != nil {
		if err := a.scheduler.Reconfigure(ctx, cfg.Scheduler.Scheduler); err != nil {
			return taken, needRestart, err
		}
	}
	for _, key := range scheduler.LiveSettings() {
		taken = append(taken, cluster.Scheduler+".scheduler."+key)
	}
	if a.gateway != nil {
		if err := a.gateway.Configure(cfg.Gateway.Gateway); err != nil {
			return taken, needRestart, err
		}
	}
	return append(taken, cluster.Gateway+".gateway"), needRestart, nil
}

// Live says whether a change of a setting is taken up while the program runs, as
// [App.Reconfigure] does it, and the log's level; else it waits for the next start.
func Live(path string) bool {
	parts := append([]string{"log.level", cluster.Collector + ".exchanges", cluster.Gateway + ".gateway"}, storagePolicy...)
	for _, key := range scheduler.LiveSettings() {
		parts = append(parts, cluster.Scheduler+".scheduler."+key)
	}
	if words := strings.Split(path, "."); len(words) > 2 && words[0] == "exchanges" {
		parts = append(parts, "exchanges."+words[1]+".enabled")
		if len(words) > 4 && words[2] == "markets" {
			for _, key := range collector.LiveSettings() {
				parts = append(parts, strings.Join(words[:4], ".")+"."+key)
			}
		}
	}
	return slices.ContainsFunc(parts, func(part string) bool {
		return path == part || strings.HasPrefix(path, part+".") || strings.HasPrefix(path, part+"[")
	})
}
