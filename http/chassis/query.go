package chassis

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"github.com/go-chi/chi/v5"
)

// Query reads the query parameters of a request. What is wrong with them is
// collected; Err returns it all at once.
type Query struct {
	values  url.Values
	refused []FieldError
	err     error
}

// maxParam is the longest parameter value, in bytes; a cursor may be longer.
const (
	maxParam  = 256
	maxCursor = 1024
)

// QueryOf returns the query of r.
func QueryOf(r *http.Request) *Query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &Query{values: values}
	if err != nil {
		q.err = BadRequest("the query string is malformed: %s", clip(err.Error(), 100)).WithCode("malformed_query")
	}
	return q
}

// Err returns everything that was wrong with the parameters that were read.
func (q *Query) Err() error {
	if q.err != nil {
		return q.err
	}
	if len(q.refused) > 0 {
		return Unprocessable(q.refused...)
	}
	return nil
}

// Refuse notes that a parameter is not acceptable.
func (q *Query) Refuse(name, format string, args ...any) {
	q.refused = append(q.refused, FieldError{In: "query", Pointer: "/" + name, Message: fmt.Sprintf(format, args...)})
}

// Has reports whether the parameter is given, and not empty.
func (q *Query) Has(name string) bool { return q.values.Get(name) != "" }

// get returns the one value of a parameter, "" when absent or refused.
func (q *Query) get(name string, limit int) string {
	values := q.values[name]
	if len(values) == 0 {
		return ""
	}
	v := values[0]
	switch {
	case len(values) > 1:
		q.Refuse(name, "is given %d times", len(values))
	case len(v) > limit:
		q.Refuse(name, "must have at most %d bytes, has %d", limit, len(v))
	case !utf8.ValidString(v) || strings.ContainsFunc(v, isControl):
		q.Refuse(name, "must be plain UTF-8 text")
	default:
		return v
	}
	return ""
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// Text returns a parameter as it is, or def.
func (q *Query) Text(name, def string) string {
	if v := q.get(name, maxParam); v != "" {
		return v
	}
	return def
}

// OneOf returns a parameter that must be one of allowed, or def.
func (q *Query) OneOf(name, def string, allowed ...string) string {
	v := q.get(name, maxParam)
	if v == "" {
		return def
	}
	if !slices.Contains(allowed, v) {
		q.Refuse(name, "must be one of %s", strings.Join(allowed, ", "))
		return def
	}
	return v
}

// List returns a comma-separated parameter without its empty items.
func (q *Query) List(name string) []string {
	items := []string{}
	for item := range strings.SplitSeq(q.get(name, maxQuery), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Int returns a whole number within lo and hi, or def.
func (q *Query) Int(name string, def, lo, hi int) int {
	v := q.get(name, maxParam)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		q.Refuse(name, "must be a whole number within %d and %d", lo, hi)
		return def
	}
	return n
}

// Limit returns the page size of a list: limit within 1 and hi, or def.
func (q *Query) Limit(def, hi int) int { return q.Int("limit", def, 1, hi) }

// Float returns a finite number within lo and hi, or def.
func (q *Query) Float(name string, def, lo, hi float64) float64 {
	v := q.get(name, maxParam)
	if v == "" {
		return def
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) || f < lo || f > hi {
		q.Refuse(name, "must be a number within %v and %v", lo, hi)
		return def
	}
	return f
}

// Bool returns true or false (also 1 and 0), or def.
func (q *Query) Bool(name string, def bool) bool {
	switch v := q.get(name, maxParam); v {
	case "":
		return def
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	q.Refuse(name, "must be true or false")
	return def
}

// Time returns a time, as ParseTime reads it, or the zero time when absent.
func (q *Query) Time(name string) time.Time {
	v := q.get(name, maxParam)
	if v == "" {
		return time.Time{}
	}
	// An unescaped plus arrives as a space: 2024-01-01T00:00:00+08:00.
	if len(v) > 19 {
		v = v[:19] + strings.Replace(v[19:], " ", "+", 1)
	}
	t, err := ParseTime(v)
	if err != nil {
		q.Refuse(name, "%s", err.Error())
	}
	return t
}

// Range returns a half-open span of time, either end zero when absent, and
// refuses one that runs backwards.
func (q *Query) Range(from, to string) (start, end time.Time) {
	start, end = q.Time(from), q.Time(to)
	if !start.IsZero() && !end.IsZero() && end.Before(start) {
		q.Refuse(to, "must not be before %s", from)
	}
	return start, end
}

// Cursor decodes the cursor parameter, as made by EncodeCursor for the same
// scope, into what position points to. It reports whether there is one.
func (q *Query) Cursor(scope string, position any) bool {
	v := q.get("cursor", maxCursor)
	if v == "" {
		return false
	}
	if err := decodeCursor(scope, v, position); err != nil {
		q.Refuse("cursor", "is not a cursor of this list; start without one")
		return false
	}
	return true
}

// EncodeCursor returns the opaque text of a position in a list. scope names the
// list and whatever narrows it, so that a cursor is not taken to another list.
func EncodeCursor(scope string, position any) (string, error) {
	payload, err := json.Marshal(position)
	if err != nil {
		return "", fmt.Errorf("encoding a cursor: %w", err)
	}
	sealed := binary.BigEndian.AppendUint32(nil, cursorSum(scope, payload))
	return base64.RawURLEncoding.EncodeToString(append(sealed, payload...)), nil
}

func decodeCursor(scope, text string, position any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(sealed) < 4 || binary.BigEndian.Uint32(sealed) != cursorSum(scope, sealed[4:]) {
		return fmt.Errorf("the checksum differs")
	}
	return json.Unmarshal(sealed[4:], position)
}

// cursorSum tells accidents from cursors; it is no signature, and a position
// grants nothing that the list itself does not.
func cursorSum(scope string, payload []byte) uint32 {
	var h xxhash.Digest
	h.Reset()
	h.WriteString(scope)
	h.Write([]byte{0})
	h.Write(payload)
	return uint32(h.Sum64()) // the lower half is enough
}

// PathParam returns a path parameter, unescaped: 1 to 128 bytes of UTF-8
// without control characters. It may hold an escaped slash (BTC%2FUSDT), never
// a climbing segment.
func PathParam(r *http.Request, name string) (string, error) {
	v := chi.URLParam(r, name)
	if r.URL.RawPath != "" {
		plain, err := url.PathUnescape(v)
		if err != nil {
			return "", badParam(name, "is badly escaped")
		}
		v = plain
	}
	switch {
	case v == "":
		return "", badParam(name, "must not be empty")
	case len(v) > 128:
		return "", badParam(name, "must have at most 128 bytes")
	case !utf8.ValidString(v) || strings.ContainsFunc(v, isControl):
		return "", badParam(name, "must be plain UTF-8 text")
	}
	return v, nil
}

func badParam(name, message string) error {
	e := BadRequest("path parameter %s %s", name, message).WithCode("bad_path")
	e.fields = []FieldError{{In: "path", Pointer: "/" + name, Message: message}}
	return e
}
