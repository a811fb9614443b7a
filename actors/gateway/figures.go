package gateway

import (
	"github.com/marketprism/marketprism/actors/gateway/cache"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
)

// ServiceFigures are what the gateway knows of one service.
type ServiceFigures struct {
	Requests, Failed, Trips, Ejections uint64
	Repeats, RepeatsRefused            uint64
	Instances                          []upstream.View
}

// Figures of one service.
func (h *Handle) Figures(u *Upstream) ServiceFigures {
	f := ServiceFigures{
		Requests: u.outcomes.requests.Load(), Failed: u.outcomes.failed.Load(), Trips: u.Trips(), Ejections: u.Ejections(),
	}
	f.Repeats, f.RepeatsRefused = u.Budget.Counts()
	now := h.options.Now()
	for _, i := range u.Instances() {
		f.Instances = append(f.Instances, i.View(now))
	}
	return f
}

// LimitFigures are what the limits have done.
type LimitFigures struct {
	Clients            int
	Refused, Forgotten uint64
	Overloaded         uint64 // refused because too much was under way
	StreamsRefused     uint64
}

// LimitFigures says what the limits have done.
func (h *Handle) LimitFigures() LimitFigures {
	return LimitFigures{h.rates.Len(), h.rates.Refused(), h.rates.Evicted(), h.requests.Refused(), h.streams.Refused()}
}

// CacheFigures says what the cache has done.
func (h *Handle) CacheFigures() cache.Figures { return h.cache.Figures() }
