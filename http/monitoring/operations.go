package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/identity"
)

// Supervisor changes the tree; *supervise.System is one.
type Supervisor interface {
	RestartChild(ctx context.Context, branch, name string) error
	StopChild(ctx context.Context, branch, name string) error
	// Kill makes an actor fail; it does not wait for what comes of it.
	Kill(id, why string) error
}

// Streams pauses what the collector collects of one instrument, by the id of its actor.
type Streams interface {
	// Owns reports whether an id is, or would be, that of a stream.
	Owns(id string) bool
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
}

// Recorder keeps who did what.
type Recorder interface {
	Record(ctx context.Context, e audit.Entry)
}

// Operations are what an operator may do to actors.
type Operations struct {
	// Allowed says whether anything may be done; without it every operation is refused.
	Allowed    bool
	Supervisor Supervisor
	Streams    Streams  // nil where no collector runs
	Audit      Recorder // nil keeps nothing
}

// allowedBy is the setting that lets operators do something.
const allowedBy = "monitoring-service.monitoring.actors.allow_operations"

// operated is the answer of an operation.
type operated struct {
	Success   bool      `json:"success" required:"true"`
	Message   string    `json:"message" required:"true"`
	Action    string    `json:"action" enum:"restart,stop,kill,pause,resume" required:"true"`
	Actor     string    `json:"actor" required:"true" doc:"its id"`
	Node      string    `json:"node,omitempty" doc:"when another node was asked"`
	Seconds   float64   `json:"duration_seconds" required:"true" doc:"what it took"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// why is the optional body of an operation.
type why struct {
	Reason string `json:"reason" maxLength:"300" doc:"for the audit log"`
}

// operation is one thing that can be done.
type operation struct {
	name, done  string
	summary     string
	description string
	do          func(ctx context.Context, o *Operations, id, why string) error
}

var operations = []operation{
	{"restart", "restarted", "Restart an actor", "It costs its supervisor no restart of the budget. Answers once the actor is ready again.", restart},
	{"stop", "stopped", "Stop an actor", "It is drained, with everything below it, and stays away until the process, or the branch above it, is started anew. Whole services cannot be stopped.", stop},
	{"kill", "killed", "Make an actor fail", "As a bug of its own would: its supervisor spends a restart, waits and starts it again, or gives up. For rehearsing failures. Answers at once.", kill},
	{"pause", "paused", "Stop collecting one instrument", "Of a stream's actor only. Survives a restart of the process, until it is resumed. What is missed meanwhile is a gap.", pauseStream},
	{"resume", "resumed", "Collect one instrument again", "Of an id that a stream's actor had: with the kinds that the configuration names.", resumeStream},
}

func (f *service) operationRoutes() []chassis.Route {
	var routes []chassis.Route
	for _, op := range operations {
		routes = append(routes, chassis.Route{
			Method: http.MethodPost, Path: base + "actors/{id}/" + op.name, ID: op.name + "Actor", Tag: tagActors, Summary: op.summary,
			Description: op.description + " Needs the setting `" + allowedBy + "`, and the role operator where clients have roles. Audited.",
			Params:      append([]chassis.Param{{Name: "id", In: "path", Doc: "As in the tree, its slashes escaped.", Example: "root/collector"}}, f.nodeParam()...),
			Request:     why{}, Accepts: []string{"*/*"}, Optional: true,
			Responses: []chassis.Response{{Body: operated{}}}, Handler: f.operate(op),
		})
	}
	return routes
}

// operate does one thing, and audits it whatever comes of it.
func (f *service) operate(op operation) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := chassis.PathParam(r, "id")
		if err != nil {
			return err
		}
		var asked why
		if err := chassis.DecodeOptional(r, &asked); err != nil {
			return err
		}
		begin := time.Now()
		node, target, err := f.asked(r, id)
		if err != nil {
			return err
		}
		err = f.permitted(r.Context())
		outcome := audit.Refused
		if err == nil {
			err = f.perform(r.Context(), op, node, id, asked.Reason)
			outcome = audit.Failed
		}
		f.audit(r, op.name, target, asked.Reason, outcome, err)
		if err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, http.StatusOK, operated{
			Success: true, Message: id + " is " + op.done, Action: op.name, Actor: id, Node: node, Seconds: time.Since(begin).Seconds(), Timestamp: f.Now(),
		})
	}
}

// perform does it here, or at another node.
func (f *service) perform(ctx context.Context, op operation, node, id, reason string) error {
	if node != "" {
		return f.Nodes.Operate(ctx, node, op.name, id, who(ctx), reason)
	}
	return f.Operations.Do(ctx, f.Tree, op.name, id, reason)
}

// Do does one thing (restart, stop, kill, pause, resume) to an actor of a tree, where that is
// allowed; why is said where something keeps it. Its errors are answers: [*chassis.Error], or those of the chassis.
func (o *Operations) Do(ctx context.Context, tree Tree, action, id, why string) error {
	if !o.Allowed || o.Supervisor == nil {
		return notAllowed()
	}
	for _, op := range operations {
		if op.name != action {
			continue
		}
		// A paused stream has no actor.
		if _, there := tree.Node(id); !there && action != "pause" && action != "resume" {
			return operationError(supervise.ErrNoChild, id)
		}
		return operationError(op.do(ctx, o, id, why), id)
	}
	return chassis.Conflict("%.40q is nothing that can be done", action).WithCode("not_possible")
}

func notAllowed() error {
	return chassis.Forbidden("nobody may touch actors here: %s allows it", allowedBy).WithCode("operations_not_allowed")
}

// who is the name of whoever asks.
func who(ctx context.Context) string {
	if p, ok := identity.From(ctx); ok {
		return p.String()
	}
	return ""
}

// permitted says whether whoever asks may do something.
func (f *service) permitted(ctx context.Context) error {
	if !f.Operations.Allowed || f.Operations.Supervisor == nil {
		return notAllowed()
	}
	if p, ok := identity.From(ctx); ok && p.RoleAt(Service) < identity.Operator {
		return chassis.Forbidden("this needs the role operator at %s; yours is %s", Service, p.RoleAt(Service)).WithCode("role_needed")
	}
	return nil
}

// audit puts down who did it, and what came of it.
func (f *service) audit(r *http.Request, action, id, reason, outcome string, err error) {
	f.record(r, facade.Act("actor."+action, id, reason, outcome, err))
}

// record puts down what a request did, in the name of who sent it.
func (f *service) record(r *http.Request, e audit.Entry) {
	if f.Operations.Audit == nil {
		return
	}
	f.Operations.Audit.Record(context.WithoutCancel(r.Context()), facade.Audited(r, e))
}

// The refusals of an operation.
var (
	errRoot    = errors.New("the root is the process: stop that instead")
	errService = errors.New("a whole service cannot be stopped, only restarted; stop an actor below it, or the process")
	errStream  = errors.New("only streams can be paused and resumed: their ids are root/collector/EXCHANGE-MARKET/SYMBOL")
)

// operationError gives the failures of an operation their answers.
func operationError(err error, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errRoot), errors.Is(err, errService), errors.Is(err, errStream):
		return chassis.Conflict("%v", err).WithCode("not_possible")
	case errors.Is(err, supervise.ErrNoChild), errors.Is(err, supervise.ErrStopped):
		return chassis.NotFound("no actor %q that a supervisor has; GET %sactors/tree lists those there are", id, base).WithCause(err)
	case errors.Is(err, supervise.ErrNotBranch):
		return chassis.Conflict("%q belongs to its parent, and shares its fate: restart that", id).WithCode("not_possible").WithCause(err)
	}
	return err
}

// split is the branch and the name of an actor.
func split(id string) (branch, name string, err error) {
	at := strings.LastIndexByte(id, '/')
	if at < 0 {
		if id == supervise.RootID {
			return "", "", errRoot
		}
		return "", "", fmt.Errorf("%w: %s", supervise.ErrNoChild, id)
	}
	return id[:at], id[at+1:], nil
}

func restart(ctx context.Context, o *Operations, id, _ string) error {
	branch, name, err := split(id)
	if err != nil {
		return err
	}
	return o.Supervisor.RestartChild(ctx, branch, name)
}

func stop(ctx context.Context, o *Operations, id, _ string) error {
	branch, name, err := split(id)
	if err != nil {
		return err
	}
	if branch == supervise.RootID {
		return errService
	}
	return o.Supervisor.StopChild(ctx, branch, name)
}

func kill(_ context.Context, o *Operations, id, why string) error {
	if id == supervise.RootID {
		return errRoot
	}
	return o.Supervisor.Kill(id, why)
}

func pauseStream(ctx context.Context, o *Operations, id, _ string) error {
	if o.Streams == nil || !o.Streams.Owns(id) {
		return errStream
	}
	return o.Streams.Pause(ctx, id)
}

func resumeStream(ctx context.Context, o *Operations, id, _ string) error {
	if o.Streams == nil || !o.Streams.Owns(id) {
		return errStream
	}
	return o.Streams.Resume(ctx, id)
}
