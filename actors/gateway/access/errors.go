package access

import (
	"errors"
	"fmt"
	"time"
)

// What a Desk refuses with. None says which of name, password, signature or expiry
// was wrong.
var (
	// ErrNoCredential: none was shown.
	ErrNoCredential = errors.New("no credential")
	// ErrCredential: one was shown that is not right, or not any more.
	ErrCredential = errors.New("the credential is not valid")
	// ErrBusy: as many passwords wait to be hashed as may.
	ErrBusy = errors.New("too many logins at once")
	// ErrNotReady: the users are not known yet.
	ErrNotReady = errors.New("users are not loaded yet")
	// ErrExists: a user or API key of this name is there already.
	ErrExists = errors.New("exists already")
	// ErrUnknown: there is no such user or key.
	ErrUnknown = errors.New("there is none such")
	// ErrLastAdmin: nobody could administer the system any more.
	ErrLastAdmin = errors.New("the last enabled administrator must stay one")
)

// ThrottledError says that too many logins have failed.
type ThrottledError struct{ After time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed logins; try again in %v", e.After.Round(time.Second))
}

// FieldError says that an input is not allowed.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

func field(name, format string, args ...any) error {
	return &FieldError{name, fmt.Sprintf(format, args...)}
}
