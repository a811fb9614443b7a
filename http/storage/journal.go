package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
)

// Bounds of a wait for the reader.
const (
	defaultWait = 2 * time.Second
	maxWait     = 30 * time.Second
)

// adoptTimeout bounds an adoption: it goes through everything that a journal holds.
const adoptTimeout = 30 * time.Minute

type standingAnswer struct {
	success
	Data      branch.Standing `json:"data" required:"true"`
	Timestamp time.Time       `json:"timestamp" required:"true"`
}

type adoption struct {
	AcceptLoss bool `json:"accept_loss" required:"true" doc:"true: what was acknowledged behind the store's position, and is in no journal, is given up and marked"`
}

type adoptionAnswer struct {
	success
	Message   string            `json:"message" required:"true"`
	Shards    []branch.Adoption `json:"shards" required:"true" doc:"by number"`
	Timestamp time.Time         `json:"timestamp" required:"true"`
}

type appliedAnswer struct {
	success
	Journal string `json:"journal_id" required:"true" doc:"of the journal that the position is of"`
	Shard   int    `json:"shard" required:"true" doc:"its number, from 0"`
	Applied uint64 `json:"applied" required:"true" doc:"up to where queries see everything"`
	Reached bool   `json:"reached" required:"true" doc:"false: not within the wait"`
}

func (f *service) journalRoutes() []chassis.Route {
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "journal", ID: "journalStanding", Tag: tagAdmin,
			Summary: "Whether the journal and the store belong together", Responses: []chassis.Response{{Body: standingAnswer{}}}, Handler: f.standing,
		},
		{
			Method: http.MethodPost, Path: base + "journal/adopt", ID: "journalAdopt", Tag: tagAdmin,
			Summary: "Join a foreign or older journal to the store",
			Description: "What the journal holds and the store lacks is stored, the journal goes on behind the store's position, " +
				"and what may be lost is marked in the gap ledger and told. It can be repeated.",
			Request: adoption{}, Responses: []chassis.Response{{Body: adoptionAnswer{}}, {Status: http.StatusConflict, Doc: "they cannot be joined"}},
			Timeout: adoptTimeout, Handler: f.adopt,
		},
		{
			Method: http.MethodGet, Path: base + "applied", ID: "applied", Tag: tagAdmin,
			Summary: "Wait until queries see a position of the journal",
			Params: []chassis.Param{
				{Name: "position", Required: true, Doc: "shard:sequence, as " + headerPosition + " gives it.", Example: "0:1234"},
				{Name: "journal", Required: true, Doc: "Id of the journal that the position is of."},
				{Name: "stored", Type: false, Default: false, Doc: "Wait until it is in the store itself, where other nodes that share it see it too, and not only in this node's memory."},
				{Name: "wait", Default: "2s", Doc: "How long to wait, at most 30s."},
			},
			Responses: []chassis.Response{{Body: appliedAnswer{}}, {Status: http.StatusConflict, Doc: "the store reads another journal, or cannot read on"}},
			Timeout:   maxWait + 10*time.Second, Handler: f.applied,
		},
	}
}

func (f *service) standing(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Standing(r.Context())
	if err != nil {
		return unasked(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, standingAnswer{succeeded, found, f.Now()})
}

// unasked is the answer when the journal cannot be asked.
func unasked(err error) error {
	return chassis.Unavailable(5*time.Second, "the journal does not answer").WithCode("journal_away").WithCause(err)
}

func (f *service) adopt(w http.ResponseWriter, r *http.Request) error {
	var body adoption
	if err := chassis.Decode(r, &body); err != nil {
		return err
	}
	if !body.AcceptLoss {
		return chassis.Unprocessable(chassis.Field("/accept_loss", "must be true: see GET %sjournal for what is at stake", base))
	}
	// A client that leaves does not stop it half way.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), adoptTimeout)
	defer cancel()
	done, err := f.Branch.Adopt(ctx)
	switch {
	case errors.Is(err, branch.ErrNotAdoptable):
		return chassis.Conflict("%s", err.Error()).WithCode("not_adoptable")
	case errors.Is(err, branch.ErrBusy):
		return err
	case err != nil:
		return chassis.Unavailable(5*time.Second, "it is not complete, and can be repeated: %s", err.Error()).WithCode("adoption_incomplete").WithCause(err)
	}
	joined := 0
	for _, a := range done {
		if a.Joined > 0 {
			joined++
		}
	}
	message := "the journal and the store belong together; nothing was to be done"
	if joined > 0 {
		message = "the journal and the store are joined again"
	}
	return chassis.WriteJSON(w, r, http.StatusOK, adoptionAnswer{succeeded, message, done, f.Now()})
}

func (f *service) applied(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	shard, seq, ok := parsePosition(q.Text("position", ""))
	if !ok {
		q.Refuse("position", "must be shard:sequence")
	}
	id := q.Text("journal", "")
	if id == "" {
		q.Refuse("journal", "is needed")
	}
	stored := q.Bool("stored", false)
	wait := defaultWait
	if q.Has("wait") {
		var err error
		if wait, err = time.ParseDuration(q.Text("wait", "")); err != nil || wait < 0 || wait > maxWait {
			q.Refuse("wait", "must be a duration up to %v", maxWait)
		}
	}
	if err := q.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	at, err := seq, error(nil)
	if stored {
		err = f.Branch.Stored(ctx, id, shard, seq)
	} else {
		at, err = f.Branch.Reached(ctx, id, shard, seq)
	}
	switch {
	case err == nil:
	case errors.Is(err, branch.ErrNoShard):
		return chassis.NotFound("%s", err.Error()).WithCode("unknown_shard")
	case errors.Is(err, branch.ErrNeverReached):
		return chassis.Conflict("%s", err.Error()).WithCode("journal_fault")
	case errors.Is(err, branch.ErrStandby):
		return chassis.Conflict("%s", err.Error()).WithCode("standby")
	case ctx.Err() != nil:
		if stored { // what is applied alone was not asked for
			at = 0
		}
	default:
		return unasked(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, appliedAnswer{succeeded, id, shard, at, err == nil})
}

func positionText(shard int, seq uint64) string { return fmt.Sprintf("%d:%d", shard, seq) }

// parsePosition reads shard:sequence.
func parsePosition(s string) (shard int, seq uint64, ok bool) {
	left, right, found := strings.Cut(s, ":")
	shard, err := strconv.Atoi(left)
	if !found || err != nil || shard < 0 {
		return 0, 0, false
	}
	seq, err = strconv.ParseUint(right, 10, 64)
	return shard, seq, err == nil
}
