package broker

import (
	"context"
	"errors"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// Branch is the broker; *broker.Handle is one.
type Branch interface {
	// Up says whether the broker is usable, and if not, why.
	Up() error
	Status(ctx context.Context) (branch.Status, error)
	Streams(ctx context.Context) ([]branch.StreamStatus, error)
}

// Options are what the façade stands on.
type Options struct {
	Branch Branch
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
		routes = append(routes, f.routes(prefix)...)
		routes = append(routes, later(prefix)...)
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
	}
}

// later are the routes that come with clients of the broker.
func later(prefix string) []chassis.Route {
	return []chassis.Route{
		facade.Later(http.MethodPost, prefix+"streams", tag, "Making a stream"),
		facade.Later(http.MethodDelete, prefix+"streams/{name}", tag, "Removing a stream"),
		facade.Later(http.MethodPost, prefix+"publish", tag, "Publishing a message"),
		facade.Later(http.MethodPost, prefix+"publish/{subject}", tag, "Publishing a message as it is"),
		facade.Later(http.MethodPost, prefix+"request/{subject}", tag, "Asking for a reply"),
		facade.Later(http.MethodGet, prefix+"subscribe", tag, "Following a subject"),
		facade.Later(http.MethodPost, prefix+"tasks", tag, "Queuing a task"),
		facade.Later(http.MethodGet, prefix+"dlq", tag, "Listing dead letters"),
		facade.Later(http.MethodPost, prefix+"dlq/{id}/replay", tag, "Replaying a dead letter"),
		facade.Later(http.MethodGet, prefix+"stats", tag, "Counting messages by stream"),
	}
}

// answered gives the branch's own errors their answers.
func answered(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		switch {
		case errors.Is(err, branch.ErrNotRunning):
			return chassis.Unavailable(time.Second, "the message broker is not running at the moment").WithCode("restarting").WithCause(err)
		case errors.Is(err, branch.ErrBusy):
			return chassis.Unavailable(time.Second, "the message broker has more requests than it can take at the moment").WithCode("busy").WithCause(err)
		}
		return err
	}
}

// check passes while the broker can be used.
func (f *service) check(context.Context) chassis.CheckResult {
	if err := f.Branch.Up(); err != nil {
		return chassis.Failed(err)
	}
	return chassis.Passed("connected")
}

// down reports whether err means that nothing runs that could be asked.
func down(err error) bool {
	return errors.Is(err, branch.ErrNotRunning) || errors.Is(err, supervise.ErrStopped) || errors.Is(err, supervise.ErrFailed)
}
