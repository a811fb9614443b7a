package journal

import (
	"sync"
	"testing"
)

func nextEpoch(t testing.TB, j *Journal, atLeast uint64) uint64 {
	t.Helper()
	e, err := j.NextEpoch(testContext(t), atLeast)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEpochIsMonotonicThroughLossAndRestart(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	last := nextEpoch(t, j, 0)
	if last != 1 {
		t.Errorf("the first epoch is %d", last)
	}
	above := func(atLeast uint64) {
		t.Helper()
		e := nextEpoch(t, j, atLeast)
		if e <= last || e <= atLeast {
			t.Errorf("epoch %d after %d, asked above %d", e, last, atLeast)
		}
		last = e
	}
	above(0)
	above(last)
	b.stop()
	b.start()
	j = b.openJournal(testConfig())
	above(0)

	if err := j.js.DeleteKeyValue(testContext(t), epochBucket); err != nil { // lost
		t.Fatal(err)
	}
	above(last)
	if last != 5 {
		t.Errorf("epoch %d, want the one after 4", last)
	}
	above(5_000_000) // at once, not bump by bump
	above(0)
	above(0)
	if err := j.js.DeleteKeyValue(testContext(t), epochBucket); err != nil {
		t.Fatal(err)
	}
	above(last)
}

func TestEpochsOfManyAreDifferent(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	const many = 8
	epochs := make([]uint64, many)
	ctx := testContext(t)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			var err error
			if epochs[i], err = j.NextEpoch(ctx, 100); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for _, e := range epochs {
		if e <= 100 || seen[e] {
			t.Errorf("epochs %v", epochs)
		}
		seen[e] = true
	}
}
