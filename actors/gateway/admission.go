package gateway

import (
	"time"

	"github.com/marketprism/marketprism/actors/gateway/limit"
)

// Client is who is counted for a request: the API key, else the user, else the address.
type Client struct{ User, Key, Address string }

// Admission is what the limits say of a request.
type Admission struct {
	// Limited says that a limit counts; Verdict is that of the tightest.
	Limited bool
	Verdict limit.Verdict
	// Refused is why the request is refused; "" when it is not. After is when it may
	// be sent again.
	Refused Refusal
	After   time.Duration
}

// Admit takes one request out of what a client may ask.
func (h *Handle) Admit(who Client, service, method, path string) Admission {
	c := &h.settings.Load().Limits
	if !c.Enabled {
		return Admission{}
	}
	now := h.options.Now()
	kind, name, rate := "address", who.Address, c.Address
	switch {
	case who.Key != "":
		kind, name, rate = "key", who.Key, c.Key
	case who.User != "":
		kind, name, rate = "user", who.User, c.User
	}
	a := Admission{Limited: true, Verdict: h.rates.Take(limit.Key{Rule: kind, Who: name}, rate.Rate(), now)}
	if a.Verdict.Allowed {
		for i := range c.Routes {
			r := &c.Routes[i]
			if !r.Matches(service, method, path) {
				continue
			}
			v := h.rates.Take(limit.Key{Rule: r.Service + r.Path + kind, Who: name}, r.Rate(), now)
			if !v.Allowed || v.Remaining < a.Verdict.Remaining {
				a.Verdict = v
			}
			break
		}
	}
	if !a.Verdict.Allowed {
		a.Refused, a.After = RefusedRate, a.Verdict.After
		h.Refused(a.Refused)
		return a
	}
	if c.PerDay > 0 {
		if _, reset, ok := h.quotas.Take(kind+" "+name, c.PerDay, now); !ok {
			a.Refused, a.After = RefusedQuota, reset
			h.Refused(a.Refused)
		}
	}
	return a
}
