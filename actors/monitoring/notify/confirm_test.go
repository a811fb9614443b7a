package notify_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/actors/bucket/buckettest"
)

// everybody is a lease that each node believes to have: as one does that was suspended,
// or is cut off, until it hears of it.
type everybody struct{}

func (everybody) Acquire(context.Context) (<-chan struct{}, func(), error) {
	return make(chan struct{}), func() {}, nil
}

// TestAnotherHasTold: a node that still believes to have the lease does not tell what
// another has told since, and learns from it what was told.
func TestAnotherHasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		asleep, awake := start(t, config(), store, everybody{}), start(t, config(), store, everybody{})
		defer asleep.stop()
		defer awake.stop()
		pass(time.Second)
		awake.says("A")
		pass(5 * time.Second)
		asleep.says("A")
		pass(time.Minute)
		awake.want("31s firing [A]")
		asleep.want()
		// What it has learnt, it goes on from.
		asleep.says("-A")
		pass(10 * time.Minute)
		asleep.want("5m36s resolved [-A]")
	})
}

// TestCutOffTells: a node that has the lease and reaches no log tells half a minute
// later than it would, and at once where it stands alone.
func TestCutOffTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		one, alone := start(t, config(), store, everybody{}), start(t, config(), buckettest.New(), nil)
		defer one.stop()
		defer alone.stop()
		pass(time.Second)
		store.Break(errors.New("no majority"))
		one.says("A")
		alone.says("A")
		pass(2 * time.Minute)
		one.want("1m1s firing [A]")
		alone.want("31s firing [A]")
		store.Break(nil)
		pass(time.Minute)
	})
}
