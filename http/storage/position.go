package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
	// headerStale says that an answer may be old, as a dictionary of structured fields
	// (https://www.rfc-editor.org/rfc/rfc9651): age in seconds, where it is known, and
	// reason.
	headerStale = "X-Stale"
)

// readHeaders are those of an answer to a read.
var readHeaders = map[string]string{
	headerPosition:   "what the answer reflects at least, as shard:sequence, several with commas: sent with a read of any node, it has that not be older",
	headerStale:      "the answer may lack what the journal has had for a while, such as at a node that is cut off: age=12.3 (seconds for which it is not known; absent when it is not since the start), reason=\"…\"",
	headerIncomplete: "why this node lacks records that others have",
}

// stale is in a list what headerStale is in the header.
type stale struct {
	Age    float64 `json:"age_seconds,omitempty" doc:"what was written longer ago is in the answer; absent when that is not known since the start"`
	Reason string  `json:"reason" required:"true" doc:"why it is not known whether the answer has all that was written since"`
}

type staleKey struct{}

// staleOf is what is said of answers to a request; nil when they are not old.
func staleOf(ctx context.Context) *stale {
	s, _ := ctx.Value(staleKey{}).(*stale)
	return s
}

// positioned makes a read wait for the positions that its client names, and say which it
// reflects, and when this node lacks records or may be behind.
func (f *service) positioned(r *chassis.Route) {
	r.Params = append(r.Params[:len(r.Params):len(r.Params)], chassis.Param{
		Name: headerPosition, In: "header", Example: "0:1234",
		Doc: "What a write was answered with, several with commas: the answer is given once this node has it, " +
			"or after " + positionWait.String() + " is 503 `not_applied`. So a client reads what it has written, whichever node it asks.",
	})
	r.Responses = slices.Clone(r.Responses)
	for i := range r.Responses {
		headers := maps.Clone(readHeaders)
		maps.Copy(headers, r.Responses[i].Headers)
		r.Responses[i].Headers = headers
	}
	read := r.Handler
	r.Handler = func(w http.ResponseWriter, req *http.Request) error {
		if err := f.reached(req); err != nil {
			return err
		}
		if err := f.Branch.Incomplete(); err != nil {
			w.Header().Set(headerIncomplete, line(err))
		}
		return read(w, f.reflects(w, req))
	}
}

// reflects says what an answer that is made from now on reflects.
func (f *service) reflects(w http.ResponseWriter, r *http.Request) *http.Request {
	now := f.Branch.Freshness()
	at := make([]string, len(now.Applied))
	for shard, seq := range now.Applied {
		at[shard] = positionText(shard, seq)
	}
	w.Header().Set(headerPosition, strings.Join(at, ","))
	if now.Stale == nil {
		return r
	}
	s := &stale{Age: now.Age.Seconds(), Reason: line(now.Stale)}
	text := `reason="` + strings.NewReplacer(`"`, "'", `\`, "/").Replace(s.Reason) + `"`
	if now.Age > 0 {
		text = fmt.Sprintf("age=%.1f, ", s.Age) + text
	}
	w.Header().Set(headerStale, text)
	return r.WithContext(context.WithValue(r.Context(), staleKey{}, s))
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
