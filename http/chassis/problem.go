package chassis

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Problem is the body of every error answer: RFC 9457 problem+json, with
// "error" repeated at the top for older clients.
type Problem struct {
	Type      string       `json:"type" doc:"urn:marketprism:problem:<code>; stable" required:"true"`
	Title     string       `json:"title" doc:"the status in words" required:"true"`
	Status    int          `json:"status" minimum:"400" maximum:"599" required:"true" doc:"the HTTP status"`
	Code      string       `json:"code" doc:"what went wrong, stable, for programs" required:"true"`
	Detail    string       `json:"detail" doc:"what went wrong, for people" required:"true"`
	RequestID string       `json:"request_id" doc:"the X-Request-Id of this request" required:"true"`
	Errors    []FieldError `json:"errors" doc:"one entry for each refused field; empty when none is to blame" required:"true"`
	Error     string       `json:"error" doc:"same as detail" required:"true"`
}

// FieldError names one refused input.
type FieldError struct {
	In string `json:"in" enum:"body,query,path,header" required:"true" doc:"where the input was"`
	// Pointer is an RFC 6901 JSON pointer into the body ("" is the whole of
	// it), or "/" and the parameter's name.
	Pointer string `json:"pointer" doc:"JSON pointer into the body, or / and the parameter's name" required:"true"`
	Message string `json:"message" required:"true" doc:"what is allowed"`
}

// Field returns an error at a pointer of the body.
func Field(pointer, format string, args ...any) FieldError {
	return FieldError{In: "body", Pointer: pointer, Message: fmt.Sprintf(format, args...)}
}

// Error is an error that knows its answer. Its text is shown to the client; a
// cause is logged and never shown.
type Error struct {
	status int
	code   string
	detail string
	fields []FieldError
	after  time.Duration
	cause  error
}

// NewError returns an error that is answered with status (400..599) and code.
func NewError(status int, code, format string, args ...any) *Error {
	return &Error{status: status, code: code, detail: fmt.Sprintf(format, args...)}
}

// BadRequest is 400: the request is malformed as a whole.
func BadRequest(format string, args ...any) *Error {
	return NewError(http.StatusBadRequest, "bad_request", format, args...)
}

// Unauthorized is 401: nobody says who sends the request, or not rightly.
func Unauthorized(format string, args ...any) *Error {
	return NewError(http.StatusUnauthorized, "unauthorized", format, args...)
}

// Forbidden is 403.
func Forbidden(format string, args ...any) *Error {
	return NewError(http.StatusForbidden, "forbidden", format, args...)
}

// NotFound is 404.
func NotFound(format string, args ...any) *Error {
	return NewError(http.StatusNotFound, "not_found", format, args...)
}

// Conflict is 409.
func Conflict(format string, args ...any) *Error {
	return NewError(http.StatusConflict, "conflict", format, args...)
}

// TooLarge is 413; limit is what would have been accepted, in bytes.
func TooLarge(limit int64) *Error {
	return NewError(http.StatusRequestEntityTooLarge, "too_large", "the body is larger than the %d bytes that are accepted here", limit)
}

// Unprocessable is 422: the request is well formed, but fields are invalid.
func Unprocessable(fields ...FieldError) *Error {
	e := &Error{status: http.StatusUnprocessableEntity, code: "invalid_field", fields: fields}
	e.detail = describe(fields)
	return e
}

// TooMany is 429 with Retry-After.
func TooMany(after time.Duration, format string, args ...any) *Error {
	e := NewError(http.StatusTooManyRequests, "too_many_requests", format, args...)
	e.after = after
	return e
}

// Unavailable is 503 with Retry-After.
func Unavailable(after time.Duration, format string, args ...any) *Error {
	e := NewError(http.StatusServiceUnavailable, "unavailable", format, args...)
	e.after = after
	return e
}

// NotImplemented is 501: documented, and not there yet.
func NotImplemented(what string) *Error {
	return NewError(http.StatusNotImplemented, "not_implemented", "%s is not implemented in this version", what)
}

// WithCode returns a copy of e with another code.
func (e *Error) WithCode(code string) *Error {
	c := *e
	c.code = code
	return &c
}

// WithFields returns a copy that blames these inputs.
func (e *Error) WithFields(fields ...FieldError) *Error {
	c := *e
	c.fields = fields
	return &c
}

// WithCause returns a copy of e that wraps cause, which is logged and not shown.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.detail + ": " + e.cause.Error()
	}
	return e.detail
}

func (e *Error) Unwrap() error { return e.cause }

// HTTPStatus is the status of the answer.
func (e *Error) HTTPStatus() int { return e.status }

// ProblemCode is the stable code of the answer.
func (e *Error) ProblemCode() string { return e.code }

// ProblemDetail is the text that the client may see.
func (e *Error) ProblemDetail() string { return e.detail }

// RetryAfter is when trying again may help; 0 is not said.
func (e *Error) RetryAfter() time.Duration { return e.after }

// Fields are the refused inputs.
func (e *Error) Fields() []FieldError { return e.fields }

// Under returns err with every body pointer in it moved below prefix ("/3" for
// the fourth element of an array); an error without body pointers gets one
// that names prefix. Only an Error below 500 is changed.
func Under(prefix string, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.status >= http.StatusInternalServerError {
		return err
	}
	c := *e
	if err != error(e) { //nolint:errorlint // what was wrapped around e is kept for the log
		c.cause = err
	}
	c.fields = slices.Clone(e.fields)
	if len(c.fields) == 0 {
		c.fields = []FieldError{{In: "body", Pointer: prefix, Message: e.detail}}
	} else {
		for i := range c.fields {
			if c.fields[i].In == "body" {
				c.fields[i].Pointer = prefix + c.fields[i].Pointer
			}
		}
	}
	c.detail = describe(c.fields)
	return &c
}

// describe renders fields as one sentence: the first three, and how many more.
func describe(fields []FieldError) string {
	if len(fields) == 0 {
		return "the request holds an invalid field"
	}
	var b strings.Builder
	for i, f := range fields {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(fields)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		switch {
		case f.In != "body":
			fmt.Fprintf(&b, "%s parameter %s ", f.In, strings.TrimPrefix(f.Pointer, "/"))
		case f.Pointer != "":
			b.WriteString(f.Pointer)
			b.WriteByte(' ')
		default:
			b.WriteString("the body ")
		}
		b.WriteString(f.Message)
	}
	return b.String()
}
