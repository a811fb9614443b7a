package gateway

import (
	"errors"
	"net/http"
	"slices"
	"time"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/http/chassis"
)

// serviceView is one service; its address is that of its best instance.
type serviceView struct {
	Host       string         `json:"host" required:"true" doc:"of the instance that is healthy, or else of the first; empty while there is none"`
	Port       int            `json:"port" required:"true" doc:"of that instance"`
	Health     string         `json:"health_endpoint" required:"true" doc:"path where that instance tells of its health"`
	Base       string         `json:"base_url" required:"true" doc:"of that instance"`
	LastCheck  *time.Time     `json:"last_health_check" doc:"null before the first probe"`
	Healthy    bool           `json:"healthy" required:"true" doc:"whether an instance takes requests"`
	Registered time.Time      `json:"registered_at" required:"true" doc:"when the service was first known"`
	Platform   bool           `json:"platform" required:"true" doc:"whether it is one of the program's own"`
	Instances  []instanceView `json:"instances" required:"true"`
}

type serviceList struct {
	Services  map[string]serviceView `json:"services" required:"true" doc:"by name"`
	Total     int                    `json:"total" required:"true"`
	Timestamp time.Time              `json:"timestamp" required:"true"`
}

// registerRequest is the body of a registration.
type registerRequest struct {
	Service string `json:"service_name" required:"true" maxLength:"63" doc:"letters, digits, dots, dashes, underscores; no reserved word" example:"my-service"`
	Host    string `json:"host" required:"true" maxLength:"253" doc:"IP address or name, in a network where services may register" example:"127.0.0.1"`
	Port    int    `json:"port" required:"true" minimum:"1" maximum:"65535" example:"9000" doc:"at which it answers"`
	Health  string `json:"health_endpoint" maxLength:"512" doc:"where it tells of its health; /health when absent" example:"/health"`
}

type registerAnswer struct {
	Success   bool      `json:"success" required:"true"`
	Message   string    `json:"message" required:"true"`
	TTL       float64   `json:"ttl_seconds" required:"true" doc:"register again within it, or pass the gateway's probes, to stay"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) serviceRoutes() []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "services", ID: "gatewayServices", Tag: tagOwn, Summary: "The services that requests can be sent to",
			Responses: []chassis.Response{{Body: serviceList{}}}, Handler: f.services},
		{Method: http.MethodPost, Path: base + "services", ID: "registerService", Tag: tagOwn, Summary: "Register an instance of a service",
			Description: "Idempotent; doing it again is its heartbeat. A target that does not answer is accepted and shown unhealthy. It is forgotten when neither a heartbeat comes nor a probe passes for ttl_seconds.",
			Request:     registerRequest{}, Responses: []chassis.Response{{Body: registerAnswer{}}}, Handler: f.register},
	}
}

func (f *service) services(w http.ResponseWriter, r *http.Request) error {
	out := serviceList{Services: map[string]serviceView{}, Timestamp: f.Now()}
	for _, u := range f.Branch.Upstreams() {
		v := serviceView{Health: "/health", Registered: u.Since, Platform: u.Platform, Instances: []instanceView{}}
		for _, i := range f.Branch.Figures(u).Instances {
			view := viewOf(i)
			v.Instances = append(v.Instances, view)
			takes := i.State == upstream.Healthy || i.State == upstream.Ejected
			if len(v.Instances) == 1 || takes && !v.Healthy {
				v.Host, v.Port, v.Health, v.Base, v.LastCheck = i.Host, i.Port, i.HealthPath, i.URL(), view.LastCheck
			}
			v.Healthy = v.Healthy || takes
		}
		out.Services[u.Service()] = v
	}
	out.Total = len(out.Services)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) register(w http.ResponseWriter, r *http.Request) error {
	var body registerRequest
	if err := chassis.Decode(r, &body); err != nil {
		return asBadRequest(err)
	}
	at := upstream.Address{Host: body.Host, Port: body.Port}
	heartbeat := f.runsAt(body.Service, at)
	err := f.Branch.Register(r.Context(), branch.Registration{Service: body.Service, Host: body.Host, Port: body.Port, HealthPath: body.Health})
	if !heartbeat {
		f.putDownAct(r, "service.register", body.Service+" at "+at.String(), err)
	}
	var invalid *branch.InvalidError
	switch {
	case errors.As(err, &invalid):
		return asBadRequest(chassis.Unprocessable(chassis.Field("/"+invalid.Field, "%s", invalid.Problem)))
	case errors.Is(err, branch.ErrDisabled):
		return chassis.Forbidden("registering services is turned off (api-gateway-service.gateway.registration)")
	case errors.Is(err, branch.ErrTooMany):
		return chassis.Conflict("as many services are registered as are allowed (api-gateway-service.gateway.registration.max)").WithCode("too_many_services")
	case err != nil:
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, registerAnswer{
		Success: true, Message: "the service " + body.Service + " is registered", TTL: f.Branch.Config().Registration.TTL.Seconds(), Timestamp: f.Now(),
	})
}

// runsAt says whether an instance is known.
func (f *service) runsAt(service string, at upstream.Address) bool {
	u := f.Branch.Upstream(service)
	return u != nil && slices.ContainsFunc(u.Instances(), func(i *upstream.Instance) bool { return i.String() == at.String() })
}

// asBadRequest answers an invalid field with 400, as this route always has.
func asBadRequest(err error) error {
	var e *chassis.Error
	if !errors.As(err, &e) || e.HTTPStatus() != http.StatusUnprocessableEntity {
		return err
	}
	return chassis.BadRequest("%s", e.ProblemDetail()).WithCode(e.ProblemCode()).WithFields(e.Fields()...)
}
