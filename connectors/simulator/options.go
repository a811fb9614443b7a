package simulator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Genesis is when every simulated market began, unless told otherwise.
var Genesis = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Options say what to simulate, and how.
type Options struct {
	// Exchanges are those to simulate; each must be [Simulated].
	Exchanges []connectors.Exchange
	// Markets are the markets wanted, by exchange; an exchange without an entry has
	// all of them.
	Markets map[string][]market.Market
	// Profiles are the profiles wanted, by exchange; see [Simulation.Profile].
	Profiles map[string]string
	// Listen is the address of the first host; the next one has the next port, and
	// the truth the one after the last. "" is 127.0.0.1:0.
	Listen string
	// Seed makes the market: the same seed and rate, the same market.
	Seed uint64
	// Rate is the number of events a second of each instrument; an event is an order
	// of a taker, with its trades, or makers' work on the book. 0 is 10.
	Rate float64
	// Symbols is the number of instruments of each market: the best known of the
	// built-in table, then made-up ones. 0 is 4.
	Symbols int
	// Genesis is when the market began: step 0. The zero time is [Genesis]. Where a
	// market is in its course follows from the time that has passed since; with a
	// Genesis of now it begins at trade 1.
	Genesis time.Time
	// Faults are injected from the start on.
	Faults Faults
	// StaleFor is how long the fault [Stale] lasts; 0 is 90 s.
	StaleFor time.Duration
	// NoLimits switches off limits and bans, for load tests.
	NoLimits bool
	// Clock is the clock; nil is the system's.
	Clock Clock
	// Log is told of clients that are too slow, and of faults at debug level; nil is
	// nobody.
	Log *zap.Logger
}

// Clock is what the market goes by.
type Clock interface {
	Now() time.Time
	// After sends once when d has passed.
	After(d time.Duration) <-chan time.Time
}

// systemClock goes by the machine's monotonic clock: an exchange's time does not
// step when the machine's does.
type systemClock struct{ start time.Time }

func (c systemClock) Now() time.Time                       { return c.start.Add(time.Since(c.start)) }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// The bounds of what can be asked for.
const (
	MaxRate    = 1e5
	MaxSymbols = 10000
)

// Validate reports everything that is wrong.
func (o Options) Validate() error {
	var errs []error
	if len(o.Exchanges) == 0 {
		errs = append(errs, errors.New("no exchange to simulate"))
	}
	for _, x := range o.Exchanges {
		if _, ok := x.(Simulated); !ok {
			errs = append(errs, fmt.Errorf("exchange %s cannot be simulated", x.Name()))
		}
	}
	if !(o.Rate >= 0 && o.Rate <= MaxRate) {
		errs = append(errs, fmt.Errorf("rate: %v is not between 0 and %v events a second", o.Rate, MaxRate))
	}
	if o.Symbols < 0 || o.Symbols > MaxSymbols {
		errs = append(errs, fmt.Errorf("symbols: %d is not between 0 and %d", o.Symbols, MaxSymbols))
	}
	return errors.Join(append(errs, o.Faults.Validate())...)
}

// Profiles are the profiles that an exchange has; none for one that cannot be
// simulated.
func Profiles(x connectors.Exchange) []string {
	s, ok := x.(Simulated)
	if !ok {
		return nil
	}
	var list []string
	for _, sim := range s.Simulations() {
		if !slices.Contains(list, sim.Profile) {
			list = append(list, sim.Profile)
		}
	}
	return list
}

func (o *Options) complete() {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Rate == 0 {
		o.Rate = 10
	}
	if o.Symbols == 0 {
		o.Symbols = 4
	}
	if o.StaleFor <= 0 {
		o.StaleFor = 90 * time.Second
	}
	if o.Genesis.IsZero() {
		o.Genesis = Genesis
	}
	if o.Clock == nil {
		o.Clock = systemClock{time.Now()}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
}

// Endpoint is where a market is served, in the words of its settings.
type Endpoint struct {
	Exchange, Market string
	// WSURL and RESTURL are the settings ws_url and rest_url.
	WSURL, RESTURL string
	// Symbols are the instruments that there are.
	Symbols []string
}
