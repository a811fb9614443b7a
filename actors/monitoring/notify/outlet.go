package notify

import (
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// ref is an actor that runs.
type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// Kinds of destinations, as the metrics name them.
const (
	kindLog          = "log"
	kindWebhook      = "webhook"
	kindSlack        = "slack"
	kindEmail        = "email"
	kindAlertmanager = "alertmanager"
)

var kinds = []string{kindLog, kindWebhook, kindSlack, kindEmail, kindAlertmanager}

// outlet is a destination and the actor that tells it.
type outlet struct {
	destination
	kind     string
	open     func(log *zap.Logger) (teller, error)
	at       atomic.Pointer[ref]
	depth    atomic.Int64
	standing atomic.Pointer[outletStanding]
}

// outletStanding is what became of the last message.
type outletStanding struct{ err error }

// outlets are the destinations of all receivers.
func (h *Handle) outlets() []*outlet {
	c := h.options.Config
	var all []*outlet
	for _, r := range c.Receivers {
		n := 0
		add := func(kind string, tellsEnd bool, open func(*zap.Logger) (teller, error)) {
			all = append(all, &outlet{
				destination: destination{id: fmt.Sprintf("%s.%s.%d", r.Name, kind, n), receiver: r.Name, tellsEnd: tellsEnd}, kind: kind, open: open,
			})
			n++
		}
		if r.Log {
			add(kindLog, true, func(log *zap.Logger) (teller, error) { return note{log}, nil })
		}
		for _, w := range r.Webhooks {
			add(kindWebhook, !w.QuietEnd, func(*zap.Logger) (teller, error) {
				to, err := newCaller(w.HTTPConfig, c.Attempt, h.options.Version)
				return &webhook{to, h.external(), w.MaxAlerts}, err
			})
		}
		for _, s := range r.Slack {
			add(kindSlack, !s.QuietEnd, func(*zap.Logger) (teller, error) {
				to, err := newCaller(s.HTTPConfig, c.Attempt, h.options.Version)
				return &slack{to, s.Channel}, err
			})
		}
		for _, e := range r.Emails {
			add(kindEmail, !e.QuietEnd, func(*zap.Logger) (teller, error) { return newEmail(e.To, c.SMTP, h.external(), c.Attempt) })
		}
	}
	return all
}
