package app

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/persistence/remote"
)

// storagePeers are the stores of the other nodes, where they keep copies of their own;
// nil where nobody says that there are others.
func (a *App) storagePeers(full bool) storage.Peers {
	if !full || a.members == nil && len(a.cfg.Cluster.Services.Instances()[cluster.Storage]) == 0 {
		return nil
	}
	return a.farStores()
}

// farStores asks the storage services of other nodes.
func (a *App) farStores() *remote.Reader {
	r := remote.New(remote.Options{Find: a.otherStores, Carry: a.carry(cluster.Storage)})
	a.closers = append(a.closers, func() error { r.Close(); return nil })
	return r
}

// sharedStore says how the store is shared, where it is not this node's own; nil when
// nobody else can be expected.
func (a *App) sharedStore(full bool) *storage.Share {
	if full || a.members == nil && a.cfg.Node.ID == "" {
		return nil
	}
	return &storage.Share{Node: a.node, Reached: a.farStores().Stored}
}

// archiverLease decides which node archives by itself, where several have one cold store.
const archiverLease = "archiver"

// archivist says whether this node is to archive what is due: of nodes with stores of
// their own and one cold store the one that has the lease. What each commits is safe
// whoever does: records of the manifest are made by exclusive creation.
func (a *App) archivist(full bool) func() bool {
	if a.members == nil || !full || !a.cfg.Storage.Storage.Cold.S3.Used() {
		return nil
	}
	return a.holding(resigning{a.members.NewLease(archiverLease, nodeService, a.log), &a.resigned, func() bool { return a.spread(cluster.Storage) }})
}

// leaseAgain is the pause before a lease is asked for again that could not be.
const leaseAgain = time.Second

// holding stands in line for a lease until Stop, and says whether this node has it.
func (a *App) holding(lease scheduler.Lease) func() bool {
	var has atomic.Bool
	ctx, cancel := context.WithCancel(context.Background()) // until Stop
	a.watchers.Go(func() { <-a.ending; cancel() })
	a.watchers.Go(func() {
		for ctx.Err() == nil {
			lost, release, err := lease.Acquire(ctx)
			if err != nil {
				if ctx.Err() == nil {
					a.log.Warn("a lease cannot be asked for", zap.Error(err))
				}
				select {
				case <-time.After(leaseAgain):
				case <-ctx.Done():
				}
				continue
			}
			has.Store(true)
			select {
			case <-lost:
			case <-ctx.Done():
			}
			has.Store(false)
			release()
		}
	})
	return has.Load
}

// otherStores are where the storage services of other nodes answer. Of a list in the
// settings, which knows no nodes, this one may be among them.
func (a *App) otherStores(ctx context.Context) (urls []string, err error) {
	if a.members != nil && len(a.cfg.Cluster.Services.Instances()[cluster.Storage]) == 0 {
		for _, m := range a.otherMembers(cluster.Storage) {
			urls = append(urls, a.urlOf(m))
		}
		return urls, nil
	}
	found, err := a.instances(ctx, cluster.Storage)
	for _, f := range found {
		urls = append(urls, f.URL())
	}
	return urls, err
}

// otherMembers are those of other nodes that announce a service.
func (a *App) otherMembers(service string) (all []consul.Member) {
	for _, m := range a.members.View(service).Members {
		if m.Node != a.node {
			all = append(all, m)
		}
	}
	return all
}

// ownerOf is the node that has its copy under a reader's name.
func (a *App) ownerOf(reader string) (node string, known bool) {
	if a.members == nil {
		return "", false
	}
	for _, m := range a.members.View(nodeService).Members {
		if copyNameOf(m.Node) == reader {
			return m.Node, true
		}
	}
	return "", false
}

// incomplete says why others should be asked for what is stored; nil when this node
// has it all, or nobody has more.
func (a *App) incomplete() error {
	if a.store == nil || len(a.otherMembers(cluster.Storage)) == 0 {
		return nil
	}
	return a.store.Incomplete()
}
