package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// Branch is the broker; *broker.Handle is one.
type Branch interface {
	// Up says whether the broker is usable, and if not, why.
	Up() error
	// Cluster is nil where the broker stands alone.
	Cluster() *branch.ClusterStatus
	// Remove takes a node out of the cluster.
	Remove(ctx context.Context, node string) error
	Status(ctx context.Context) (branch.Status, error)
	Streams(ctx context.Context) ([]branch.StreamStatus, error)
}

// Options are what the façade stands on.
type Options struct {
	Branch Branch
	// Desk, Tasks and Letters are what clients use. Without a Desk only the figures are
	// served.
	Desk    *messages.Desk
	Tasks   *tasks.Queues
	Letters *deadletters.Box
	// MaxMessage is the largest message that the broker takes, in bytes.
	MaxMessage int
	// Removed is told of a node that was taken out for good; nil: nobody else needs to know.
	Removed func(ctx context.Context, node string)
	// Now is the time of answers; nil is time.Now.
	Now func() time.Time
}

// Service is the service's name in every answer.
const Service = "message-broker-service"

const tag = "broker"

type service struct {
	Options
	started time.Time
}

// Register adds the routes and the health check of the façade to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Branch == nil {
		return errors.New("broker façade: Branch is needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &service{Options: o, started: o.Now()}
	s.Health().Add("nats", f.check)
	var routes []chassis.Route
	for _, prefix := range []string{"/api/v1/", "/api/v1/broker/"} {
		routes = slices.Concat(routes, f.routes(prefix), f.nodeRoutes(prefix))
		if f.Desk != nil {
			routes = slices.Concat(routes, f.publishRoutes(prefix), f.followRoutes(prefix), f.streamRoutes(prefix), f.consumerRoutes(prefix),
				f.taskRoutes(prefix), f.workerRoutes(prefix), f.letterRoutes(prefix))
		}
	}
	if f.Desk != nil {
		routes = append(routes, f.socketRoute())
	}
	for i := range routes {
		routes[i].Handler = answered(routes[i].Handler)
	}
	return s.Handle(facade.Answered(routes)...)
}

func (f *service) routes(prefix string) []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: prefix + "status", Tag: tag, Summary: "What the broker is doing",
			Responses: []chassis.Response{{Body: status{}}}, Handler: f.status},
		{Method: http.MethodGet, Path: prefix + "streams", Tag: tag, Summary: "The JetStream streams",
			Responses: []chassis.Response{{Body: streamList{}}}, Handler: f.streams},
		{Method: http.MethodGet, Path: prefix + "nats/info", Tag: tag, Summary: "The NATS server",
			Responses: []chassis.Response{{Body: info{}}}, Handler: f.info},
		{Method: http.MethodGet, Path: prefix + "stats", Tag: tag, Summary: "Messages, streams and their consumers in figures",
			Responses: []chassis.Response{{Body: stats{}}}, Handler: f.stats},
	}
}

// answered gives the branch's own errors their answers.
func answered(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		var refused *messages.Refusal
		switch {
		case errors.As(err, &refused):
			return refusal(refused, err)
		case errors.Is(err, branch.ErrNotRunning):
			return chassis.Unavailable(time.Second, "the message broker is not running at the moment").WithCode("restarting").WithCause(err)
		case errors.Is(err, branch.ErrBusy):
			return chassis.Unavailable(time.Second, "the message broker has more requests than it can take at the moment").WithCode("busy").WithCause(err)
		}
		return err
	}
}

// refusals are the answers to what the branch refuses.
var refusals = map[messages.Why]struct {
	status int
	code   string
}{
	messages.Malformed: {http.StatusBadRequest, "bad_request"},
	messages.Forbidden: {http.StatusForbidden, "forbidden"},
	messages.Unknown:   {http.StatusNotFound, "not_found"},
	messages.Conflict:  {http.StatusConflict, "conflict"},
	messages.TooLarge:  {http.StatusRequestEntityTooLarge, "too_large"},
	messages.Nobody:    {http.StatusNotFound, "no_responders"},
}

func refusal(r *messages.Refusal, err error) error {
	if r.Why == messages.Full {
		return chassis.Unavailable(5*time.Second, "%s", r.Text).WithCode("full").WithCause(err)
	}
	a := refusals[r.Why]
	answer := chassis.NewError(a.status, a.code, "%s", r.Text)
	if r.Err != nil {
		answer = answer.WithCause(r.Err)
	}
	if r.Field != "" {
		answer = answer.WithFields(chassis.Field("/"+r.Field, "%s", r.Text))
	}
	return answer
}

// malformed makes a 422 the 400 that the contract names.
func malformed(err error) error {
	var e *chassis.Error
	if errors.As(err, &e) && e.HTTPStatus() == http.StatusUnprocessableEntity {
		return chassis.BadRequest("%s", e.ProblemDetail()).WithFields(e.Fields()...)
	}
	return err
}

// check passes while the broker can be used, and warns while one of its nodes is away.
func (f *service) check(context.Context) chassis.CheckResult {
	if err := f.Branch.Up(); err != nil {
		return chassis.Failed(err)
	}
	if c := f.Branch.Cluster(); c != nil {
		if gone := c.Missing(); len(gone) > 0 {
			return chassis.Warned(fmt.Errorf("nodes of the broker cannot be reached: %s; another one, and nothing is written", strings.Join(gone, ", ")))
		}
		if late := c.Behind(); len(late) > 0 {
			return chassis.Warned(fmt.Errorf("this node has not caught up with %s; until then it stands in for no other", strings.Join(late, ", ")))
		}
		return chassis.Passed(fmt.Sprintf("connected; %d nodes", len(c.Peers)))
	}
	return chassis.Passed("connected")
}

// down reports whether err means that nothing runs that could be asked.
func down(err error) bool {
	return errors.Is(err, branch.ErrNotRunning) || errors.Is(err, supervise.ErrStopped) || errors.Is(err, supervise.ErrFailed)
}
