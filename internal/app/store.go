package app

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/router"
)

// coldPatience is how long a start waits for the cold store. One that does not
// answer is opened later.
const coldPatience = 5 * time.Second

// makeStorage opens the hot store, and the cold one behind it as far as it can be.
func (a *App) makeStorage(ctx context.Context) error {
	names := part.NewNames()
	var tier *cold.Tier
	opened, err := a.openHot(ctx, names, func() *cold.Tier { return tier })
	if err != nil {
		return err
	}
	hot := opened.Hot
	tier, err = cold.NewTier(a.cfg.Storage.Storage.Cold, a.path("cold"), hot, cold.Surroundings{Log: a.log, Names: names, Scratch: a.path("cold-scratch")})
	if err != nil {
		return errors.Join(err, hot.Close())
	}
	a.hot, a.engine = hot, router.New(hot, tier, a.cfg.Storage.Journal.Shards)
	a.closers = append(a.closers, a.engine.Close)
	ctx, cancel := context.WithTimeout(ctx, coldPatience)
	defer cancel()
	if err := tier.Open(ctx); err != nil {
		a.log.Error("starting without the cold store; it is tried again, and queries that need it are refused meanwhile", zap.Error(err))
	}
	a.store, err = storage.New(storage.Options{
		Config: a.cfg.Storage.Actors, Engine: a.engine, Tiers: a.engine, Policy: a.cfg.Storage.Storage.Policy(),
		Journal: a.reading.Journal, Writing: a.opener.Journal, Shards: a.cfg.Storage.Journal.Shards,
		Dir: a.cfg.Node.DataDir, ReaderID: opened.reader, FullCopy: opened.full, Peers: a.storagePeers(opened.full), Owner: a.ownerOf,
		Share: a.sharedStore(opened.full), Archives: a.archivist(opened.full), Recorder: a.recorders.Recorder(0), Registerer: a.registry,
	})
	return err
}

// history is what the collector asks of the store. Collecting must go on while the
// cold store is away: then the hot one alone says what came last.
type history struct {
	*router.Engine
	hot persistence.Reader
	log *zap.Logger
}

// Last implements [persistence.Reader].
func (h history) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter, into *market.Batch) (market.Record, bool, error) {
	r, ok, err := h.Engine.Last(ctx, kind, stream, origin, into)
	if !errors.Is(err, persistence.ErrAway) || errors.Is(err, persistence.ErrUnavailable) {
		return r, ok, err
	}
	h.log.Warn("the cold store is away; the hot one alone says what came last", zap.Stringer("stream", stream))
	return h.hot.Last(ctx, kind, stream, origin, into)
}
