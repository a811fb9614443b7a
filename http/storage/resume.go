package storage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Resumer makes the server of a store go on with a table that it has suspended.
type Resumer interface {
	Resume(ctx context.Context, kind market.Kind) (reason string, err error)
}

// resumeAnswer is the answer of tables/{table}/resume.
type resumeAnswer struct {
	success
	Message   string    `json:"message" required:"true"`
	Table     string    `json:"table" required:"true"`
	Suspended bool      `json:"was_suspended" required:"true" doc:"whether the server had suspended the table"`
	Reason    string    `json:"reason,omitempty" doc:"what the server said of it"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) resumeRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodPost, Path: base + "tables/{table}/resume", ID: "resumeTable", Tag: tagAdmin,
		Summary: "Make the server go on with a suspended table",
		Description: "For hot records in a QuestDB server, which suspends a table when it cannot write it: it goes on taking rows and shows none of them. " +
			"Maintenance resumes such a table by itself; this does it now. A table that is not suspended is left alone.",
		Params:  []chassis.Param{{Name: "table", In: "path", Doc: "Name of a table, or the kind of its records.", Example: "trades"}},
		Request: map[string]any{}, Accepts: []string{"*/*"}, Optional: true,
		Responses: []chassis.Response{{Body: resumeAnswer{}}}, Handler: f.resumeTable,
	}}
}

func (f *service) resumeTable(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "table")
	if err != nil {
		return err
	}
	kind, ok := market.ParseKind(name)
	if !ok || kind.Table() == "" {
		return chassis.NotFound("there is no table %q", clip(name)).WithCode("unknown_table")
	}
	reason, err := f.Branch.Resume(r.Context(), kind)
	if errors.Is(err, persistence.ErrNoServer) {
		return chassis.Conflict("the hot records are in files of this node, and no server suspends their tables").WithCode("no_server")
	}
	if err != nil {
		return err
	}
	answer := resumeAnswer{succeeded, "the table was not suspended", kind.Table(), false, "", f.Now()}
	if reason != "" {
		answer.Message, answer.Suspended, answer.Reason = "the server goes on with the table", true, reason
	}
	return chassis.WriteJSON(w, r, http.StatusOK, answer)
}
