package cluster

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/identity"
)

// Source knows the cluster.
type Source interface {
	// View is how everything stands. What cannot be found out is in its Problems.
	View(ctx context.Context) View
	// Drain orders that a node is emptied, Undrain takes that back. Errors: ErrNoNode,
	// ErrAlone.
	Drain(ctx context.Context, node, by, reason string) error
	Undrain(ctx context.Context, node string) error
	// Move orders that a stream is collected by a node, Unpin takes that back. Errors:
	// those of Drain, ErrNoStream, ErrDrained, ErrCannot.
	Move(ctx context.Context, o PinOrder) error
	Unpin(ctx context.Context, stream string) error
}

var (
	// ErrNoNode: nobody of that name is known.
	ErrNoNode = errors.New("no such node")
	// ErrAlone: there is one node, and nobody who could take what it has.
	ErrAlone = errors.New("this is no cluster")
)

// Recorder keeps who did what.
type Recorder interface {
	Record(ctx context.Context, e audit.Entry)
}

// Options are what the façade stands on.
type Options struct {
	Source Source
	// Service is the one that serves it: whose role counts.
	Service string
	Audit   Recorder // nil keeps nothing
}

const (
	base = "/api/v1/"
	tag  = "cluster"
)

type service struct{ Options }

// ordered is the answer to an order.
type ordered struct {
	Success   bool      `json:"success" required:"true"`
	Message   string    `json:"message" required:"true" doc:"what comes of it, for people"`
	Node      string    `json:"node" required:"true"`
	Action    string    `json:"action" enum:"drain,undrain" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// why is the optional body of an order.
type why struct {
	Reason string `json:"reason" maxLength:"300" doc:"for the audit log, and for whoever looks"`
}

// Register adds the routes to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Source == nil || o.Service == "" {
		return errors.New("cluster façade: Source and Service are needed")
	}
	f := &service{o}
	node := chassis.Param{Name: "id", In: "path", Doc: "The node's id.", Example: "node-2"}
	answers := []chassis.Response{{Body: ordered{}}}
	return s.Handle(append(f.moveRoutes(),
		chassis.Route{Method: http.MethodGet, Path: base + "cluster", ID: "cluster", Tag: tag, Summary: "Who is here, and who has what",
			Description: "Nodes with their services, leases, the plan of which node collects which stream, and what it changed last. `owners` lists every stream.",
			Params:      []chassis.Param{{Name: "owners", Type: false, Default: true, Doc: "Whether streams are listed with their owners."}},
			Responses:   []chassis.Response{{Body: View{}}}, Handler: f.view},
		chassis.Route{Method: http.MethodPost, Path: base + "cluster/nodes/{id}/drain", ID: "drainNode", Tag: tag, Summary: "Empty a node",
			Description: "Its streams move to the others without a hole, and it gives back the leases that another can have. Holds until `undrain`, over restarts. It answers at once; `GET cluster` says how far it is. Needs the role operator. Audited.",
			Params:      []chassis.Param{node}, Request: why{}, Optional: true, Accepts: []string{"*/*"}, Responses: answers, Handler: f.order("drain", o.Source.Drain)},
		chassis.Route{Method: http.MethodPost, Path: base + "cluster/nodes/{id}/undrain", ID: "undrainNode", Tag: tag, Summary: "Use a node again",
			Description: "Needs the role operator. Audited.",
			Params:      []chassis.Param{node}, Request: why{}, Optional: true, Accepts: []string{"*/*"}, Responses: answers,
			Handler: f.order("undrain", func(ctx context.Context, node, _, _ string) error { return o.Source.Undrain(ctx, node) })},
	)...)
}

func (f *service) view(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	owners := q.Bool("owners", true)
	if err := q.Err(); err != nil {
		return err
	}
	v := f.Source.View(r.Context())
	if !owners {
		v.Placement.Owners = nil
	}
	return chassis.WriteJSON(w, r, http.StatusOK, v)
}

// order gives an order, and audits it whatever comes of it.
func (f *service) order(action string, do func(ctx context.Context, node, by, reason string) error) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		node, err := chassis.PathParam(r, "id")
		if err != nil {
			return err
		}
		var asked why
		if err := chassis.DecodeOptional(r, &asked); err != nil {
			return err
		}
		p := facade.Sender(r)
		outcome := audit.Failed
		if p.RoleAt(f.Service) < identity.Operator {
			outcome = audit.Refused
			err = chassis.Forbidden("this needs the role operator at %s; yours is %s", f.Service, p.RoleAt(f.Service)).WithCode("role_needed")
		} else {
			err = refusal(do(r.Context(), node, p.Subject, asked.Reason), node)
		}
		f.audit(r, facade.Act("node."+action, node, asked.Reason, outcome, err))
		if err != nil {
			return err
		}
		message := node + " is being emptied"
		if action == "undrain" {
			message = node + " is used again"
		}
		return chassis.WriteJSON(w, r, http.StatusOK, ordered{true, message, node, action, time.Now().UTC()})
	}
}

func refusal(err error, node string) error {
	switch {
	case errors.Is(err, ErrNoNode):
		return chassis.NotFound("no node %q; GET %scluster lists those there are", node, base).WithCode("unknown_node")
	case errors.Is(err, ErrAlone):
		return chassis.Conflict("this node is alone: there is nobody to take what it has").WithCode("no_cluster")
	case err != nil:
		return chassis.Unavailable(2*time.Second, "the order was not kept: %s", err.Error()).WithCode("broker_away").WithCause(err)
	}
	return nil
}

func (f *service) audit(r *http.Request, e audit.Entry) {
	if f.Audit != nil {
		f.Audit.Record(context.WithoutCancel(r.Context()), facade.Audited(r, e))
	}
}
