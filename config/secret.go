package config

import (
	"fmt"
	"io"
)

const redacted = "[redacted]"

// Secret is a setting that is never printed, logged or served: every way of
// formatting or marshalling it yields "[redacted]" (or nothing when it is
// empty). A variable NAME that sets it has a twin NAME_FILE, which names a file
// that holds it.
type Secret string

// Reveal returns the secret itself, for the one place that needs it. The engine
// treats every string type with this method as a secret.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText serves JSON, YAML and zap's reflection.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
