package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/identity"
)

// Errors of an order about a stream.
var (
	// ErrNoStream: no plan has a stream of that name.
	ErrNoStream = errors.New("no such stream")
	// ErrDrained: the node is being emptied, or is empty by order.
	ErrDrained = errors.New("the node is to have nothing")
	// ErrCannot: the node does not run the stream's market.
	ErrCannot = errors.New("the node does not run the market")
)

// PinOrder asks that a stream is collected by a node.
type PinOrder struct {
	Stream, Node string
	By, Reason   string
	Until        time.Time // zero: until it is taken back
}

// Pin is such an order, as it stands.
type Pin struct {
	Stream string     `json:"stream" required:"true" doc:"exchange/market/symbol"`
	Node   string     `json:"node" required:"true" doc:"where it is to be"`
	By     string     `json:"by,omitempty" doc:"who ordered it"`
	Reason string     `json:"reason,omitempty" doc:"as given with the order; absent when none was"`
	Since  time.Time  `json:"since" required:"true" doc:"when it was ordered"`
	Until  *time.Time `json:"until" required:"true" doc:"when it ends by itself; null: when it is taken back"`
	Held   bool       `json:"held" required:"true" doc:"the plan has the stream there; else the node is away, drains, cannot, or has no room"`
}

// toMove is the body of an order to move a stream.
type toMove struct {
	Node   string `json:"node" required:"true" maxLength:"200" doc:"where it is to be"`
	For    string `json:"for" maxLength:"40" doc:"for how long it is to stay there, such as 2h; without it, until unpin"`
	Reason string `json:"reason" maxLength:"300" doc:"for the audit log, and for whoever looks"`
}

// movedTo is the answer to an order about a stream.
type movedTo struct {
	Success   bool       `json:"success" required:"true"`
	Message   string     `json:"message" required:"true" doc:"what comes of it, for people"`
	Stream    string     `json:"stream" required:"true" doc:"exchange/market/symbol"`
	Node      string     `json:"node" required:"true" doc:"where it is to be; empty for unpin"`
	Action    string     `json:"action" enum:"move,unpin" required:"true"`
	Until     *time.Time `json:"until" required:"true" doc:"when the order ends by itself; null: when it is taken back"`
	Timestamp time.Time  `json:"timestamp" required:"true"`
}

func (f *service) moveRoutes() []chassis.Route {
	stream := chassis.Param{Name: "id", In: "path", Doc: "The stream, as exchange/market/symbol.", Example: "binance/spot/BTC-USDT"}
	return []chassis.Route{
		{Method: http.MethodPost, Path: base + "cluster/streams/{id}/move", ID: "moveStream", Tag: tag, Summary: "Have a node collect a stream",
			Description: "The stream goes there without a hole, and stays, however the others are placed, until `for` is over or `unpin`. " +
				"While the node is away, drains or has no room, it is placed as any other. It answers at once; `GET cluster` says how far it is. " +
				"Refused: a stream or a node that there is not (404), a node that is being emptied or does not run the market (409). Needs the role operator. Audited.",
			Params: []chassis.Param{stream}, Request: toMove{}, Responses: []chassis.Response{{Body: movedTo{}}}, Handler: f.move},
		{Method: http.MethodPost, Path: base + "cluster/streams/{id}/unpin", ID: "unpinStream", Tag: tag, Summary: "Let a stream be placed as any other",
			Description: "It stays where it is until something is a reason to move it. One that is not pinned stays as it is. Needs the role operator. Audited.",
			Params:      []chassis.Param{stream}, Request: why{}, Optional: true, Accepts: []string{"*/*"}, Responses: []chassis.Response{{Body: movedTo{}}}, Handler: f.unpin},
	}
}

// longestPin bounds the time that an order is given for.
const longestPin = 366 * 24 * time.Hour

func (f *service) move(w http.ResponseWriter, r *http.Request) error {
	stream, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	var asked toMove
	if err := chassis.Decode(r, &asked); err != nil {
		return err
	}
	o := PinOrder{Stream: stream, Node: asked.Node, Reason: asked.Reason}
	if asked.For != "" {
		d, err := time.ParseDuration(asked.For)
		if err != nil || d <= 0 || d > longestPin {
			return chassis.Unprocessable(chassis.FieldError{In: "body", Pointer: "/for", Message: "want a duration above zero, up to a year, such as 2h"})
		}
		o.Until = time.Now().Add(d).UTC().Truncate(time.Millisecond)
	}
	return f.act(w, r, o, "move", func(by string) error {
		o.By = by
		return f.Source.Move(r.Context(), o)
	})
}

func (f *service) unpin(w http.ResponseWriter, r *http.Request) error {
	stream, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	var asked why
	if err := chassis.DecodeOptional(r, &asked); err != nil {
		return err
	}
	o := PinOrder{Stream: stream, Reason: asked.Reason}
	return f.act(w, r, o, "unpin", func(string) error { return f.Source.Unpin(r.Context(), stream) })
}

// act gives an order about a stream, and audits it whatever comes of it.
func (f *service) act(w http.ResponseWriter, r *http.Request, o PinOrder, action string, do func(by string) error) error {
	p := facade.Sender(r)
	outcome, target := audit.Failed, o.Stream
	if o.Node != "" {
		target += " to " + o.Node
	}
	var err error
	if p.RoleAt(f.Service) < identity.Operator {
		outcome = audit.Refused
		err = chassis.Forbidden("this needs the role operator at %s; yours is %s", f.Service, p.RoleAt(f.Service)).WithCode("role_needed")
	} else {
		err = refusedMove(do(p.Subject), o)
	}
	f.audit(r, facade.Act("stream."+action, target, o.Reason, outcome, err))
	if err != nil {
		return err
	}
	a := movedTo{Success: true, Message: fmt.Sprintf("%s goes to %s, and stays there", o.Stream, o.Node), Stream: o.Stream, Node: o.Node, Action: action, Timestamp: time.Now().UTC()}
	if action == "unpin" {
		a.Message = o.Stream + " is placed as any other"
	}
	if !o.Until.IsZero() {
		a.Until = &o.Until
	}
	return chassis.WriteJSON(w, r, http.StatusOK, a)
}

func refusedMove(err error, o PinOrder) error {
	switch {
	case errors.Is(err, ErrNoStream):
		return chassis.NotFound("no stream %.200q in the plan; GET %scluster lists those there are", o.Stream, base).WithCode("unknown_stream")
	case errors.Is(err, ErrDrained):
		return chassis.Conflict("%s is being emptied: `undrain` it first, or name another node", o.Node).WithCode("node_drained")
	case errors.Is(err, ErrCannot):
		return chassis.Conflict("%s does not run the market of %s: its settings do not enable it", o.Node, o.Stream).WithCode("node_cannot")
	}
	return refusal(err, o.Node)
}
