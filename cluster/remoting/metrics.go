package remoting

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/cluster/wire"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// What is refused at the port.
const (
	refusedExpired   = "expired"
	refusedAuthority = "authority" // of another authority, or of one that counts no more
	refusedName      = "name"      // of our authority, and no member's
	refusedHandshake = "handshake" // no certificate, another version of TLS, silence
	refusedPlain     = "plaintext" // from beyond loopback
	refusedMalformed = "malformed"
	refusedForbidden = "forbidden" // a message, a target or a call that peers may not use
	refusedPanic     = "panic"
)

type metrics struct {
	refusals, asked, served *prometheus.CounterVec
	took                    prometheus.Histogram
	members                 prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		refusals: catalogue.NewCounterVec(catalogue.RemotingRefused),
		asked:    catalogue.NewCounterVec(catalogue.RemotingAsked),
		served:   catalogue.NewCounterVec(catalogue.RemotingServed),
		took:     catalogue.NewHistogram(catalogue.RemotingAsking),
		members:  catalogue.NewGauge(catalogue.RemotingMembers),
	}
	return m, catalogue.Register(r, m.refusals, m.asked, m.served, m.took, m.members)
}

func (m *metrics) refuse(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// question names what a call asks for, for a label.
func question(c *wire.Call) string {
	switch c.GetQuestion().(type) {
	case *wire.Call_Node:
		return "node"
	case *wire.Call_Tree:
		return "tree"
	case *wire.Call_Actor:
		return "actor"
	case *wire.Call_Operation:
		return "operation"
	case *wire.Call_Activation:
		return "activation"
	case *wire.Call_Book:
		return "book"
	case *wire.Call_Resync:
		return "resync"
	}
	return "unknown"
}

// answered counts a call that this node made.
func (m *metrics) answered(c *wire.Call, took time.Duration, err error) {
	var refusal *Refused
	outcome := "failed"
	switch {
	case err == nil:
		outcome = "ok"
	case errors.As(err, &refusal):
		outcome = "refused"
	case errors.Is(err, ErrUnreachable):
		outcome = "unreachable"
	case errors.Is(err, ErrTimeout):
		outcome = "timeout"
	case errors.Is(err, ErrBusy):
		outcome = "busy"
	case errors.Is(err, context.Canceled):
		outcome = "cancelled"
	}
	m.asked.WithLabelValues(question(c), outcome).Inc()
	m.took.Observe(took.Seconds())
}

// answer counts a call to this node.
func (m *metrics) answer(c *wire.Call, r *wire.Reply) {
	outcome := "ok"
	switch reason := r.GetRefusal().GetReason(); {
	case r.GetRefusal() == nil:
	case reason == wire.Reason_REASON_FAILED, reason == wire.Reason_REASON_TIMEOUT:
		outcome = "failed"
	default:
		outcome = "refused"
	}
	m.served.WithLabelValues(question(c), outcome).Inc()
}
