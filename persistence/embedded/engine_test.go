package embedded

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// clock is a clock that only the test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(persistencetest.Base)
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.ns.Load()) }

func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.PublishRows = 5000
	cfg.OpenParts = 3
	return cfg
}

func TestSuite(t *testing.T) {
	persistencetest.Run(t, func(t *testing.T) persistencetest.Subject {
		dir, c := t.TempDir(), newClock()
		return persistencetest.Subject{
			Open: func() (persistence.Engine, error) {
				return Open(dir, testConfig(), Surroundings{Now: c.now, Disk: part.Disk{}})
			},
			Advance: c.advance,
		}
	})
}
