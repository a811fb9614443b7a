package audit

import (
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/identity"
)

// Outcomes of what somebody did.
const (
	Done    = "done"
	Refused = "refused" // not allowed, or not with these credentials
	Failed  = "failed"
)

// Entry is one thing that somebody did, or tried to do.
type Entry struct {
	// Sequence is the entry's number in the log, from 1; set by [Log.Recent].
	Sequence uint64 `json:"sequence,omitempty" doc:"number in the log, from 1"`
	// Time is set by [Log.Record] if it is zero.
	Time      time.Time `json:"time"`
	Principal string    `json:"principal" doc:"who, as KIND:SUBJECT; for a failed login the name that was tried"`
	Role      string    `json:"role,omitempty" doc:"that it had; none, or absent, when it had none"`
	Action    string    `json:"action" doc:"what, in words between dots, such as auth.login, user.add, actor.restart"`
	Target    string    `json:"target,omitempty" doc:"on what: a user, a key, an actor, a stream; absent for none"`
	Outcome   string    `json:"outcome" doc:"done, refused (not allowed) or failed"`
	Detail    string    `json:"detail,omitempty" doc:"more, for people, never a secret; absent when there is none"`
	RequestID string    `json:"request_id,omitempty" doc:"the X-Request-Id of the request; absent for none"`
	TraceID   string    `json:"trace_id,omitempty" doc:"32 hex digits; absent for none"`
	Address   string    `json:"address,omitempty" doc:"the client's, without port; absent where it is not known"`
	Node      string    `json:"node,omitempty" doc:"where it was done"`
}

// By makes an entry of what a principal did.
func By(p identity.Principal, action, target string) Entry {
	return Entry{Principal: p.String(), Role: p.Role.String(), Action: action, Target: target, Outcome: Done}
}

// Of returns e with the outcome that err is, nil being done.
func (e Entry) Of(err error) Entry {
	if err != nil {
		e.Outcome, e.Detail = Failed, err.Error()
	}
	return e
}

// maxText bounds every text of an entry, in bytes.
const maxText = 512

func (e *Entry) clip() {
	for _, s := range []*string{&e.Principal, &e.Role, &e.Action, &e.Target, &e.Outcome, &e.Detail, &e.RequestID, &e.TraceID, &e.Address, &e.Node} {
		if len(*s) > maxText {
			*s = strings.ToValidUTF8((*s)[:maxText], "")
		}
	}
}

// Filter says which entries are wanted; zero fields want all.
type Filter struct {
	Principal string
	// Action is the whole of it, or its beginning up to a dot: user matches user.add.
	Action  string
	Target  string
	Outcome string
	// From and To bound the time; To is exclusive.
	From, To time.Time
	// Before wants entries of a lower sequence: the cursor of the page before.
	Before uint64
	// Limit is the most that are returned; 0 is 100, above 1000 is 1000.
	Limit int
}

func (f Filter) matches(e Entry) bool {
	return (f.Principal == "" || f.Principal == e.Principal) &&
		(f.Action == "" || f.Action == e.Action || strings.HasPrefix(e.Action, f.Action+".")) &&
		(f.Target == "" || f.Target == e.Target) &&
		(f.Outcome == "" || f.Outcome == e.Outcome) &&
		(f.From.IsZero() || !e.Time.Before(f.From)) &&
		(f.To.IsZero() || e.Time.Before(f.To))
}

func (f Filter) limit() int {
	switch {
	case f.Limit <= 0:
		return 100
	case f.Limit > 1000:
		return 1000
	}
	return f.Limit
}
