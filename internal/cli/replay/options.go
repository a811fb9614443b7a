package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

// Capture is recorded traffic.
type Capture struct {
	Name string
	// Open gives it from its beginning; it is called twice.
	Open func() (io.ReadCloser, error)
}

// Options say what to serve, and how.
type Options struct {
	Captures []Capture
	// Exchanges are those known; one that is not [connectors.Replayable] cannot be
	// served.
	Exchanges []connectors.Exchange
	// Exchange and Market say where a capture is from when its URLs do not.
	Exchange, Market string
	// Listen is the address of the first host; the next one has the next port.
	// "" is 127.0.0.1:0.
	Listen string
	// Speed is how many times as fast as recorded; 0 is as fast as the clients read.
	Speed float64
	// Expect is the number of subscriptions that the time line waits for before it
	// begins; 0 lets it begin when the first has come and no other for Settle.
	// [Server.Begin] begins it in any case.
	Expect int
	// Settle is that time; 0 is 2 s, longer than a polite client takes between two
	// connections.
	Settle time.Duration
	// Grace is how long the time line waits for a call, and a call for the first
	// subscription; 0 is 1 s.
	Grace time.Duration
	// Recorded gives a recorded answer again to who asks again, however old it is,
	// where otherwise the book as it stands is composed: for a collector whose
	// records are to be those of the recording.
	Recorded bool
	// WriteTimeout is how long a connection may take no bytes; 0 is 30 s.
	WriteTimeout time.Duration
	// Clock is the clock; nil is the system's.
	Clock Clock
}

// Clock is what the time line moves by.
type Clock interface {
	Now() time.Time
	// After sends once when d has passed.
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// ErrVenue says that a capture does not tell where it is from.
var ErrVenue = errors.New("the capture does not say which exchange and market it is from: give --exchange and --market")

func (o *Options) complete() error {
	if len(o.Captures) == 0 {
		return errors.New("no capture to serve")
	}
	if o.Speed < 0 || o.Expect < 0 {
		return fmt.Errorf("speed %v, expected subscriptions %d: neither may be below zero", o.Speed, o.Expect)
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.Settle, 2 * time.Second}, {&o.Grace, time.Second}, {&o.WriteTimeout, 30 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	return nil
}

// Endpoint is where a market is served, in the words of its settings.
type Endpoint struct {
	Exchange, Market string
	// WSURL and RESTURL are the settings ws_url and rest_url.
	WSURL, RESTURL string
	// Symbols and DataTypes are what the captures hold of the market.
	Symbols, DataTypes []string
}

// Report is what was served so far.
type Report struct {
	// Frames is the number of recorded frames that have been passed; Sent counts
	// those that somebody got, Unasked those that nobody had asked for, Control
	// those that belong to no subscription.
	Frames, Sent, Unasked, Control int64
	// Responses is the number of recorded responses given.
	Responses int64
	// Composed are the calls whose answers were made up from what the capture
	// holds; Unanswered those that could not be.
	Composed, Unanswered []Call
	// Silent are the topics in the captures that nobody asked for.
	Silent []string
	// Truncated are the captures that are cut off.
	Truncated []string
}

// Progress is how far a time line has come.
type Progress struct {
	// Frames is the number of recorded frames that have been passed; 0 while
	// subscriptions are waited for.
	Frames int64
	// At is the recorded time that has passed since the first frame, Of the time
	// between the first and the last one.
	At, Of time.Duration
}

// Share is how much of the time line has passed, 0 to 1.
func (p Progress) Share() float64 {
	switch {
	case p.Frames == 0:
		return 0
	case p.Of == 0:
		return 1
	}
	return float64(p.At) / float64(p.Of)
}

// Call is a REST call and how often it came.
type Call struct {
	Key   string
	Times int
}
