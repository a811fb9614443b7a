package storage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
)

const (
	// positionWait is how long a read waits for what its client has written.
	positionWait = 5 * time.Second
	// maxPositions is how many positions one read may wait for.
	maxPositions = 64
	// maxReason is the longest reason in a header, in bytes.
	maxReason = 300
	// headerIncomplete says that this node lacks records that others have, and why.
	headerIncomplete = "X-Incomplete"
)

// positioned makes a read wait for the positions that its client names, and say when this
// node lacks records.
func (f *service) positioned(r *chassis.Route) {
	r.Params = append(r.Params[:len(r.Params):len(r.Params)], chassis.Param{
		Name: headerPosition, In: "header", Example: "0:1234",
		Doc: "What a write was answered with, several with commas: the answer is given once this node has it, " +
			"or after " + positionWait.String() + " is 503 `not_applied`. So a client reads what it has written, whichever node it asks.",
	})
	read := r.Handler
	r.Handler = func(w http.ResponseWriter, req *http.Request) error {
		if err := f.reached(req); err != nil {
			return err
		}
		if err := f.Branch.Incomplete(); err != nil {
			w.Header().Set(headerIncomplete, line(err))
		}
		return read(w, req)
	}
}

// line is an error as one line of a header.
func line(err error) string {
	printable := func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}
	text := strings.Map(printable, err.Error())
	return text[:min(len(text), maxReason)]
}

// reached waits for the positions of a request.
func (f *service) reached(r *http.Request) error {
	text := strings.Join(r.Header.Values(headerPosition), ",")
	if text == "" {
		return nil
	}
	all := strings.Split(text, ",")
	if len(all) > maxPositions {
		return chassis.BadRequest("%s has more than %d positions", headerPosition, maxPositions).WithCode("bad_position")
	}
	ctx, cancel := context.WithTimeout(r.Context(), positionWait)
	defer cancel()
	for _, one := range all {
		shard, seq, ok := parsePosition(strings.TrimSpace(one))
		if !ok {
			return chassis.BadRequest("%s must be shard:sequence, as a write was answered", headerPosition).WithCode("bad_position")
		}
		at, err := f.Branch.Reached(ctx, "", shard, seq)
		switch {
		case err == nil:
		case errors.Is(err, branch.ErrNoShard):
			return chassis.BadRequest("%s: %s", headerPosition, err.Error()).WithCode("unknown_shard")
		case errors.Is(err, branch.ErrNeverReached):
			return chassis.Unavailable(30*time.Second, "this node does not get to %d:%d by itself: %s", shard, seq, err.Error()).WithCode("journal_fault").WithCause(err)
		case r.Context().Err() != nil:
			return r.Context().Err()
		case ctx.Err() != nil:
			return chassis.Unavailable(time.Second, "this node has shard %d of the journal up to %d, and did not get to %d within %v", shard, at, seq, positionWait).WithCode("not_applied")
		default:
			return unasked(err)
		}
	}
	return nil
}
