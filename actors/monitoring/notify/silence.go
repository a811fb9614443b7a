package notify

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// SilenceState is where a silence stands.
type SilenceState string

// The states of a silence.
const (
	SilencePending SilenceState = "pending" // begins later
	SilenceActive  SilenceState = "active"
	SilenceExpired SilenceState = "expired"
)

// Bounds of a silence.
const (
	maxSilenceMatchers = 64
	maxSilenceText     = 2048
)

// Silence mutes the alerts that all its matchers match, for a time.
type Silence struct {
	ID        string    `json:"id"`
	Matchers  Matchers  `json:"matchers"`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at"`
	UpdatedAt time.Time `json:"updated_at"`
	CreatedBy string    `json:"created_by"`
	Comment   string    `json:"comment"`
}

// State is where the silence stands at a time.
func (s *Silence) State(now time.Time) SilenceState {
	switch {
	case !now.Before(s.EndsAt):
		return SilenceExpired
	case now.Before(s.StartsAt):
		return SilencePending
	}
	return SilenceActive
}

// Mutes reports whether an alert with these labels is muted at a time.
func (s *Silence) Mutes(ls alert.Labels, now time.Time) bool {
	return s.State(now) == SilenceActive && s.Matchers.Match(ls)
}

// ErrInvalidSilence is wrapped by what is wrong with a silence.
var ErrInvalidSilence = errors.New("the silence is not valid")

// check judges a silence that is to be kept.
func (s *Silence) check(now time.Time) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalidSilence, fmt.Sprintf(format, args...))
	}
	switch {
	case len(s.Matchers) == 0 || len(s.Matchers) > maxSilenceMatchers:
		return bad("it needs 1 to %d matchers", maxSilenceMatchers)
	case !slices.ContainsFunc(s.Matchers, func(m Matcher) bool { return !m.takes("") }):
		return bad("at least one matcher must not match an absent label, or everything would be muted")
	case s.CreatedBy == "" || len(s.CreatedBy) > maxSilenceText:
		return bad("it needs a creator")
	case s.Comment == "" || len(s.Comment) > maxSilenceText:
		return bad("it needs a comment of at most %d bytes", maxSilenceText)
	case !s.EndsAt.After(s.StartsAt):
		return bad("it must end after it starts")
	case !s.EndsAt.After(now):
		return bad("its end is past")
	}
	return nil
}

// sameMatchers says whether two silences mute the same.
func (s *Silence) sameMatchers(other *Silence) bool {
	return slices.EqualFunc(s.Matchers, other.Matchers, func(a, b Matcher) bool {
		return a.Name == b.Name && a.Op == b.Op && a.Value == b.Value
	})
}
