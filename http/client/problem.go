package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Error is an answer that says no: a problem document (RFC 9457), or what there is of one.
type Error struct {
	// Base is who said it, as scheme://host.
	Base string
	// Status is the HTTP status, 300 to 599.
	Status int
	// Code says what went wrong, for programs, and does not change; empty where the
	// answer is no problem document.
	Code string
	// Detail says it for people.
	Detail string
	// RequestID finds the request in the service's log.
	RequestID string
	// Fields are the inputs that are to blame; mostly none.
	Fields []FieldError
	// RetryAfter is how long the service wants to be left alone; 0 when it does not say.
	RetryAfter time.Duration
}

// FieldError is one input that was refused.
type FieldError struct {
	In      string `json:"in"`      // body, query, path or header
	Pointer string `json:"pointer"` // JSON pointer into the body, or / and the parameter's name
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answered %d: %s", e.Base, e.Status, e.Detail)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s %s", strings.TrimPrefix(f.Pointer, "/"), f.Message)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; try again in %g s", e.RetryAfter.Seconds())
	}
	return b.String()
}

// StatusOf is the HTTP status of an answer that said no, anywhere in err; 0 when there was
// no answer.
func StatusOf(err error) int {
	var said *Error
	if errors.As(err, &said) {
		return said.Status
	}
	return 0
}

// CodeOf is the code of an answer that said no, anywhere in err; empty without one.
func CodeOf(err error) string {
	var said *Error
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// maxRefusal is how much of an answer that says no is read, in bytes.
const maxRefusal = 64 << 10

// readError reads an answer that says no, and closes it.
func readError(res *http.Response) *Error {
	e := &Error{Base: baseURL(res.Request.URL), Status: res.StatusCode, RequestID: res.Header.Get("X-Request-Id")}
	defer res.Body.Close() // it is read as far as it counts
	var p struct {
		Code      string       `json:"code"`
		Detail    string       `json:"detail"`
		Message   string       `json:"message"` // of a service's own answer
		RequestID string       `json:"request_id"`
		Errors    []FieldError `json:"errors"`
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err == nil && json.Unmarshal(text, &p) == nil {
		e.Code, e.Detail, e.Fields = p.Code, p.Detail, p.Errors
		if e.Detail == "" {
			e.Detail = p.Message
		}
		if p.RequestID != "" {
			e.RequestID = p.RequestID
		}
	}
	if e.Detail == "" {
		e.Detail = http.StatusText(res.StatusCode)
	}
	e.RetryAfter = retryAfter(res.Header.Get("Retry-After"))
	return e
}

// retryAfter reads seconds, or a date (RFC 9110, 10.2.3); 0 for neither.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func baseURL(u *url.URL) string { return u.Scheme + "://" + u.Host }
