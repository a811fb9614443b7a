package connectors

import (
	"net/http"
	"sync"
	"time"
)

// clockMemory is how long a response tells of the exchange's clock: clocks drift.
const clockMemory = time.Hour

// serverClock finds how far a server's clock is ahead of ours.
//
//  1. A Date header names the second in which the response was made
//     (https://www.rfc-editor.org/rfc/rfc9110.html#name-date): the server's clock
//     was in [date, date+1 s) at some moment between our call and its answer.
//  2. So the offset lies between date minus the answer's time and date + 1 s minus
//     the call's; every response narrows what the ones before left.
//  3. When nothing is left, a clock was set: the last response alone counts.
type serverClock struct {
	mu       sync.Mutex
	known    bool
	low      time.Duration
	high     time.Duration
	narrowed time.Time // when it began
}

func (c *serverClock) learn(h http.Header, asked, answered time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return // without one there is nothing to learn
	}
	low, high := date.Sub(answered), date.Add(time.Second).Sub(asked)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known && answered.Sub(c.narrowed) < clockMemory && max(low, c.low) <= min(high, c.high) {
		c.low, c.high = max(low, c.low), min(high, c.high)
		return
	}
	c.known, c.low, c.high, c.narrowed = true, low, high, answered
}

func (c *serverClock) read() (offset, within time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (c.low + c.high) / 2, (c.high - c.low) / 2, c.known
}
