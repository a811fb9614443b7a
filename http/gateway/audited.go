package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/internal/identity"
)

const monitoring = "monitoring-service"

// audited says whether a request is put down in the audit log: whatever changes
// something and takes an operator or more. Users, keys and actors are put down where
// they are changed, with more words. What is refused for want of a role is counted
// only: whoever may ask often would fill the log.
func audited(t Target) bool {
	switch {
	case t.Method == http.MethodGet, t.Method == http.MethodHead, t.Method == http.MethodOptions:
		return false
	case ownAuth(t), t.Service == monitoring && strings.HasPrefix(t.Path, apiBase+"actors/"):
		return false
	}
	return access.Required(t.Service, t.Method, t.Path) >= identity.Operator
}

// putDown puts a request that passed through into the audit log, before its answer
// leaves. status is that of the service's answer; 0: there is none, but err.
func (f *service) putDown(p *passage, status int, err error) {
	if !audited(p.Target) {
		return
	}
	r := p.client
	if p.known {
		r = r.WithContext(identity.With(r.Context(), p.who))
	}
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("answered %d", status)
	}
	f.putDownAct(r, "request", strings.Join([]string{p.Service, p.Method, p.Path}, " "), err)
}

// putDownAct puts down what whoever sends a request has done.
func (f *service) putDownAct(r *http.Request, action, target string, err error) {
	if f.Audit == nil {
		return
	}
	who := f.by(r)
	e := audit.By(who.By, action, target)
	e.Address, e.RequestID, e.TraceID = who.From.Address, who.From.RequestID, who.From.TraceID
	f.Audit.Record(context.WithoutCancel(r.Context()), e.Of(err))
}
