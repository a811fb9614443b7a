package app

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/embedded"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/questdb"
	"github.com/marketprism/marketprism/persistence/router"
)

// hotStore is an open hot store, and what the journal must know of it.
type hotStore struct {
	router.Hot
	// reader is its name in the journal's registry.
	reader string
	// full says that it keeps everything on this node.
	full bool
}

// openHot opens the hot store that the configuration names. late is where the rows
// go that a QuestDB server refuses; it is asked when there are any.
func (a *App) openHot(ctx context.Context, names *part.Names, late func() *cold.Tier) (hotStore, error) {
	if a.cfg.Storage.Engine == config.EngineQuestDB {
		return a.openQuestDB(ctx, names, late)
	}
	hot, err := embedded.Open(a.path("hot"), a.cfg.Storage.Embedded, embedded.Surroundings{Log: a.log, Registerer: a.registry, Names: names})
	if err != nil {
		return hotStore{}, fmt.Errorf("opening the hot store: %w", err)
	}
	return hotStore{hot, a.copyName(), true}, nil
}

// copyName is what the embedded store is called among the readers of the journal: it is
// this node's own copy, of which there may be others.
func (a *App) copyName() string {
	nats := a.cfg.Broker.NATS
	if a.members == nil && !nats.Clustered() && (nats.Mode == broker.Embedded || a.cfg.Node.ID == "") {
		return config.EngineEmbedded
	}
	return copyNameOf(a.node)
}

// copyNameOf is what a node of several calls its copy.
func copyNameOf(node string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, node)
	if plain != node || len(plain) > maxNodeName { // two nodes are never one reader
		plain = fmt.Sprintf("%s-%08x", plain[:min(len(plain), maxNodeName)], crc32.ChecksumIEEE([]byte(node)))
	}
	return config.EngineEmbedded + "-" + plain
}

// maxNodeName leaves room in the 64 characters of a reader's name.
const maxNodeName = 40

// openQuestDB opens the store of a QuestDB server, which may be away. Its positions
// are the broker's to keep, so the journal must answer.
func (a *App) openQuestDB(ctx context.Context, names *part.Names, late func() *cold.Tier) (hotStore, error) {
	if a.cfg.ColdOfItsOwn() {
		return hotStore{}, config.ErrColdOfItsOwn
	}
	j, err := a.reading.Journal(ctx)
	if err != nil {
		return hotStore{}, fmt.Errorf("opening the hot store: %w", err)
	}
	positions, err := j.Positions(ctx, config.EngineQuestDB)
	if err != nil {
		return hotStore{}, fmt.Errorf("opening the hot store: %w", err)
	}
	hot, err := questdb.Open(ctx, a.cfg.Storage.QuestDB, questdb.Surroundings{
		Positions: positions, Shards: a.cfg.Storage.Journal.Shards, Names: names, Log: a.log, Registerer: a.registry,
		Rejects: func(ctx context.Context, r questdb.Rejected) error {
			return late().Add(ctx, r.Meta, r.Stream, r.Day, r.Rows)
		},
	})
	if err != nil {
		return hotStore{}, fmt.Errorf("opening the hot store: %w", err)
	}
	return hotStore{hot, config.EngineQuestDB, false}, nil
}
