package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxSubject is the longest subject that is accepted, in bytes.
const MaxSubject = 255

// ErrSubject: a subject that is none, or has wildcards where none may be. ErrReserved:
// one, or a stream, that is the program's own.
var (
	ErrSubject  = errors.New("malformed subject")
	ErrReserved = errors.New("one of the program's own")
)

// First tokens that are the program's own, and what of them clients may read.
var (
	reservedToWrite = []string{"journal", "scheduler", "audit", "md", "dlq", "_INBOX"}
	reservedToRead  = []string{"journal", "scheduler", "audit", "_INBOX"}
	reservedToKeep  = []string{"journal", "scheduler", "audit", "md", "_INBOX"}
)

// CheckPublished says whether clients may publish to a subject: 1 to 255 bytes of
// tokens between dots, without spaces and wildcards. Errors: ErrSubject, ErrReserved.
func CheckPublished(subject string) error { return check(subject, false, reservedToWrite) }

// CheckRead says whether clients may follow a subject, which may have the wildcards
// * and > anywhere but as its first token. Errors: ErrSubject, ErrReserved.
func CheckRead(subject string) error { return check(subject, true, reservedToRead) }

// CheckKept says whether a stream of clients may keep a subject, with wildcards as
// for CheckRead. Errors: ErrSubject, ErrReserved.
func CheckKept(subject string) error { return check(subject, true, reservedToKeep) }

// CheckName says whether clients may name a stream or consumer so: 1 to 64 bytes of
// letters, digits, - and _, and none of the program's. Errors: ErrSubject, ErrReserved.
func CheckName(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, notOfName) {
		return fmt.Errorf("%w: a name is 1 to 64 letters, digits, - and _, not %q", ErrSubject, name[:min(len(name), 64)])
	}
	if IsInternal(name) {
		return fmt.Errorf("%q is %w", name, ErrReserved)
	}
	return nil
}

// internal begin the names of the program's own streams: the journal, buckets, the
// scheduler's ledger, the audit log, the notices of dead letters. Most are in another account; at an
// external server with one, only the names keep clients away.
var internal = []string{"JOURNAL_", "KV_", "OBJ_", "SCHEDULER_", "AUDIT", NoticeStream}

// IsInternal reports whether a stream's name is the program's own.
func IsInternal(name string) bool {
	return slices.ContainsFunc(internal, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func notOfName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func check(subject string, wildcards bool, reserved []string) error {
	if err := checkTokens(subject, wildcards); err != nil {
		return err
	}
	first, _, _ := strings.Cut(subject, ".")
	if first == "*" || first == ">" || strings.HasPrefix(first, "$") {
		return fmt.Errorf("%q is %w: a first token of %q reaches it", subject, ErrReserved, first)
	}
	for _, r := range reserved {
		if first == r {
			return fmt.Errorf("%q is %w", subject, ErrReserved)
		}
	}
	return nil
}

// checkTokens checks the form of a subject.
func checkTokens(subject string, wildcards bool) error {
	switch {
	case subject == "":
		return fmt.Errorf("%w: it is empty", ErrSubject)
	case len(subject) > MaxSubject:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrSubject, len(subject), MaxSubject)
	case !utf8.ValidString(subject) || strings.ContainsFunc(subject, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("%w: it holds a space, a control character, or is not UTF-8", ErrSubject)
	}
	for rest, more := subject, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		switch {
		case token == "":
			return fmt.Errorf("%w: %q has an empty token", ErrSubject, subject)
		case token == ">" && more:
			return fmt.Errorf("%w: in %q > is not the last token", ErrSubject, subject)
		case !wildcards && strings.ContainsAny(token, "*>"):
			return fmt.Errorf("%w: %q has a wildcard", ErrSubject, subject)
		case wildcards && len(token) > 1 && strings.ContainsAny(token, "*>"):
			return fmt.Errorf("%w: in %q a wildcard is not a token of its own", ErrSubject, subject)
		}
	}
	return nil
}
