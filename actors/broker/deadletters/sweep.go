package deadletters

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
)

// sweepEvery is how soon a message that came for the last time is found out when
// nobody asks its consumer for more.
const sweepEvery = 2 * time.Second

// poke asks a consumer for a message that is too small to be one: what came too often
// is given up by that, and nothing is delivered. nats-server (2.15) gives up a message
// only when its consumer is asked again; see getNextMsg and nextWaiting in its
// consumer.go.
const poke = `{"batch":1,"no_wait":true,"max_bytes":1}`

// sweep pokes consumers that nobody asks, until ctx ends.
func (u *undertaker) sweep(ctx context.Context, c *supervise.Context) {
	box, err := OpenBox(ctx, u.Broker)
	if err != nil {
		return // ctx has ended
	}
	defer box.Close()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if u.Broker.Up() != nil {
			continue
		}
		if err := box.sweep(ctx); err != nil && ctx.Err() == nil {
			c.Log().Warn("looking for messages that came for the last time failed, and is tried again", zap.Error(err))
		}
	}
}

func (b *Box) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	streams := b.js.ListStreams(ctx)
	for info := range streams.Info() {
		if info.State.Consumers == 0 || broker.IsInternal(info.Config.Name) {
			continue
		}
		s, err := b.js.Stream(ctx, info.Config.Name)
		if err != nil {
			return fmt.Errorf("looking at stream %s: %w", info.Config.Name, err)
		}
		consumers := s.ListConsumers(ctx)
		for c := range consumers.Info() {
			if !forgotten(c) {
				continue
			}
			if err := b.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.Stream+"."+c.Name, nats.NewInbox(), []byte(poke)); err != nil {
				return fmt.Errorf("asking consumer %s of %s: %w", c.Name, c.Stream, err)
			}
		}
		if err := consumers.Err(); err != nil {
			return fmt.Errorf("listing the consumers of %s: %w", info.Config.Name, err)
		}
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("listing streams: %w", err)
	}
	return nil
}

// forgotten reports whether a consumer may hold a message that came for the last
// time, and nobody waits for the next.
func forgotten(c *jetstream.ConsumerInfo) bool {
	return c.Config.DeliverSubject == "" && c.Config.MaxDeliver > 1 && c.NumAckPending > 0 && c.NumRedelivered > 0 && c.NumWaiting == 0
}
