package connectors_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// A rate that is set while turns are taken holds from the turn after the next on, which
// is given already.
func TestPacerSetRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connectors.NewPacer(connectors.Rate{N: 1, Per: time.Second})
		begin := time.Now()
		turn := func(want time.Duration) {
			t.Helper()
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(begin); got != want {
				t.Errorf("a turn after %v, want %v", got, want)
			}
		}
		turn(0)
		turn(time.Second)
		p.SetRate(connectors.Rate{N: 10, Per: time.Second})
		turn(2 * time.Second)
		turn(2100 * time.Millisecond)
		p.SetRate(connectors.Rate{})
		turn(2100 * time.Millisecond)
	})
}

// TestPacerGivenUp: whoever gives up before its turn takes nothing from the next.
func TestPacerGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connectors.NewPacer(connectors.Rate{N: 1, Per: time.Second})
		begin := time.Now()
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a turn that was not there: %v", err)
			}
			cancel()
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(begin); got != time.Second {
			t.Errorf("the second turn after %v", got)
		}
	})
}

// Two pacers of one rate give together as many turns as it allows.
func TestPacerSetSharers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connectors.NewPacer(connectors.Rate{N: 10, Per: time.Second})
		p.SetSharers(2)
		begin := time.Now()
		for i := range 3 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(begin), time.Duration(i)*200*time.Millisecond; got != want {
				t.Errorf("a turn after %v, want %v", got, want)
			}
		}
		p.SetSharers(0) // alone: after the turn that was given
		for _, want := range []time.Duration{600 * time.Millisecond, 700 * time.Millisecond} {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(begin); got != want {
				t.Errorf("alone a turn after %v, want %v", got, want)
			}
		}
	})
}
