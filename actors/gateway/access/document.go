package access

import (
	"encoding/base64"
	"time"

	"github.com/marketprism/marketprism/internal/identity"
)

// User is somebody who logs in with a password. Times are UTC.
type User struct {
	// Name is 1 to 64 of a-z, 0-9 and . _ - @ +, beginning with a letter or digit.
	Name     string        `json:"name"`
	Role     identity.Role `json:"role"`
	Disabled bool          `json:"disabled"`
	// Hash of the password, in the PHC form of Argon2id.
	Hash    string    `json:"hash"`
	Created time.Time `json:"created"`
	// Changed is when the password was set: logins before it are over.
	Changed time.Time `json:"changed"`
}

// Key is an API key; the key itself is known to its owner only.
type Key struct {
	ID     string           `json:"id"`     // 16 hex digits, part of the key
	Name   string           `json:"name"`   // what it is for
	Hash   string           `json:"sha256"` // of the whole key, hex
	Role   identity.Role    `json:"role"`
	Scopes []identity.Scope `json:"scopes"`
	// Owner is who made it, as KIND:SUBJECT. It lives on without them.
	Owner   string    `json:"owner"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero is never
	// Used is when it was last, to the minute; zero is never. It is kept apart.
	Used time.Time `json:"-"`
}

// session is a login.
type session struct {
	ID     string `json:"id"`
	User   string `json:"user"`
	Secret []byte `json:"secret"` // of the MACs of its refresh tokens
	// Renewal is the number of the refresh token that is good.
	Renewal uint32    `json:"renewal"`
	Created time.Time `json:"created"`
	Renewed time.Time `json:"renewed"`
	Expires time.Time `json:"expires"`
	Address string    `json:"address"`
	// Ended says why it is over; "" while it is not. It is kept until it expires, so
	// that its tokens are known when they come again.
	Ended string `json:"ended,omitempty"`
}

// signing is a key of HS256.
type signing struct {
	ID      string    `json:"id"`
	Secret  []byte    `json:"secret"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"` // of the last token that it signed
}

// used is when an API key was last.
type used struct {
	At time.Time `json:"at"`
}

// Beginnings of the documents' keys.
const (
	userPrefix    = "user."
	sessionPrefix = "session."
	keyPrefix     = "apikey."
	usedPrefix    = "used."
	signingPrefix = "signing."
)

// userKey is where a user is: names may hold what keys may not.
func userKey(name string) string {
	return userPrefix + base64.RawURLEncoding.EncodeToString([]byte(name))
}
