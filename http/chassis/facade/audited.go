package facade

import (
	"net"
	"net/http"
	"strings"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// Act is what the audit log keeps of an operator's act: done, or with the outcome and
// the error why not, behind the reason that was given.
func Act(action, target, reason, outcome string, err error) audit.Entry {
	e := audit.Entry{Action: action, Target: target, Detail: reason, Outcome: audit.Done}
	if err != nil {
		e.Outcome = outcome
		e.Detail = strings.TrimPrefix(reason+": "+err.Error(), ": ")
	}
	return e
}

// Sender is who sent a request; nobody where clients have no logins.
func Sender(r *http.Request) identity.Principal {
	if p, ok := identity.From(r.Context()); ok {
		return p
	}
	return identity.Nobody()
}

// Audited puts into an entry who sent the request that caused it, from where, and which
// request and trace it is.
func Audited(r *http.Request, e audit.Entry) audit.Entry {
	by := audit.By(Sender(r), e.Action, e.Target)
	by.Detail, by.Outcome = e.Detail, e.Outcome
	by.RequestID, by.TraceID = chassis.RequestID(r.Context()), chassis.TraceFrom(r.Context()).TraceHex()
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		by.Address = host
	}
	return by
}
