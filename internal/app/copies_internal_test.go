package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
)

// handed is a lease that a test gives and takes away.
type handed struct {
	turn chan error // nil gives it
	lost chan struct{}
	free chan struct{} // it was given back
}

func (l *handed) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	select {
	case err := <-l.turn:
		return l.lost, func() { l.free <- struct{}{} }, err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func (*handed) Holder() string { return "" }

// TestHolding: of the nodes that share a cold store the one that has the lease archives by
// itself: from when it gets it, until it loses it, or stops.
func TestHolding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &App{ending: make(chan struct{}), log: zap.NewNop()}
		lease := &handed{turn: make(chan error), lost: make(chan struct{}), free: make(chan struct{}, 1)}
		archives := a.holding(lease)
		want := func(what string, has bool) {
			t.Helper()
			synctest.Wait()
			if archives() != has {
				t.Errorf("%s: archives %t", what, !has)
			}
		}
		want("another has it", false)
		lease.turn <- errors.New("the lease cannot be asked for")
		want("an error", false)
		lease.turn <- nil
		want("it has it", true)
		lease.lost <- struct{}{}
		want("it has lost it", false)
		<-lease.free
		lease.turn <- nil
		want("it has it again", true)
		close(a.ending)
		want("it stops", false)
		a.watchers.Wait()
		<-lease.free
	})
}

// TestColdOfItsOwn: nodes that share a QuestDB do not start with cold stores of their own.
func TestColdOfItsOwn(t *testing.T) {
	cfg := config.Default()
	cfg.Storage.Engine, cfg.Cluster.Provider = config.EngineQuestDB, cluster.ProviderConsul
	a := &App{cfg: &cfg, log: zap.NewNop()}
	if _, err := a.openHot(t.Context(), nil, nil); !errors.Is(err, config.ErrColdOfItsOwn) {
		t.Errorf("%v", err)
	}
}
