package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
	facade "github.com/marketprism/marketprism/http/cluster"
	"github.com/marketprism/marketprism/persistence/journal"
)

const (
	// journalFor is how long what was learnt of the journal's copies is good: however
	// often the cluster is looked at, the broker is asked once.
	journalFor = time.Second
	// journalWithin bounds asking: without a majority nobody answers.
	journalWithin = 1500 * time.Millisecond
)

// journalView is how the journal is replicated, as the broker says. It is safe for
// concurrent use.
type journalView struct {
	connect func(context.Context) (*nats.Conn, error)
	shards  int
	now     func() time.Time

	mu  sync.Mutex
	nc  *nats.Conn // nil until it is asked first
	at  time.Time
	is  *facade.Journal
	err error
}

func (a *App) newJournalView() *journalView {
	v := &journalView{connect: a.connectAs(broker.Monitoring), shards: a.cfg.Storage.Journal.Shards, now: time.Now}
	a.closers = append(a.closers, v.close)
	return v
}

func (v *journalView) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.nc != nil {
		v.nc.Close()
	}
	return nil
}

// get is what the broker said last; what could not be found out is noted in the view.
func (v *journalView) get(ctx context.Context, of *facade.View) *facade.Journal {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); v.at.IsZero() || now.Sub(v.at) >= journalFor {
		within, cancel := context.WithTimeout(ctx, journalWithin)
		v.is, v.err = v.ask(within)
		cancel()
		v.at = v.now()
	}
	trouble(of, v.err)
	return v.is
}

func (v *journalView) ask(ctx context.Context) (*facade.Journal, error) {
	if v.nc == nil {
		nc, err := v.connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking how the journal is replicated: %w", err)
		}
		v.nc = nc
	}
	js, err := jetstream.New(v.nc)
	if err != nil {
		return nil, fmt.Errorf("asking how the journal is replicated: %w", err)
	}
	j := &facade.Journal{Quorum: true, Shards: []facade.Shard{}}
	for k := range v.shards {
		stream, err := js.Stream(ctx, journal.StreamName(k))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, nil //nolint:nilnil // nobody has recorded anything yet
		}
		if err != nil {
			return nil, fmt.Errorf("asking how the journal is replicated: %w", err)
		}
		info := stream.CachedInfo()
		j.Replicas = max(j.Replicas, info.Config.Replicas)
		shard := shardOf(k, info)
		j.Quorum = j.Quorum && shard.Quorum
		j.Shards = append(j.Shards, shard)
	}
	return j, nil
}

// shardOf says how a stream of the journal stands. A server that is alone names no
// leader: it is that itself.
func shardOf(k int, info *jetstream.StreamInfo) facade.Shard {
	s := facade.Shard{
		Shard: k, Quorum: true, Messages: info.State.Msgs, Bytes: info.State.Bytes, First: info.State.FirstSeq, Last: info.State.LastSeq, Copies: []facade.Copy{},
	}
	c := info.Cluster
	if c == nil {
		return s
	}
	s.Leader = c.Leader
	there := 0
	if c.Leader != "" {
		s.Copies = append(s.Copies, facade.Copy{Node: c.Leader, Leader: true, There: true, Current: true})
		there++
	}
	for _, r := range c.Replicas {
		s.Copies = append(s.Copies, facade.Copy{Node: r.Name, There: !r.Offline, Current: r.Current && !r.Offline, Lag: r.Lag, Active: r.Active.Seconds()})
		if !r.Offline {
			there++
		}
	}
	s.Quorum = c.Leader != "" && there > info.Config.Replicas/2
	return s
}
