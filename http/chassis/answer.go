package chassis

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// statusClientGone is what logs and metrics show for a request whose client
// left before the answer; it is never sent.
const statusClientGone = 499

// defaultRetry is the Retry-After of a 429 or 503 that names none.
const defaultRetry = time.Second

// WriteError answers r with the problem that err is. It decides by behaviour,
// looking through wrapped errors, in this order:
//
//	HTTPStatus() int            that status (400..599); detail is ProblemDetail(),
//	                            else, below 500 only, the error's own text
//	*http.MaxBytesError         413
//	context.DeadlineExceeded    503 + Retry-After
//	context.Canceled            503 while the server drains, else nothing: the client left
//	Timeout() or Temporary()    503 + Retry-After
//	anything else               500, saying nothing of err
//
// RetryAfter() time.Duration sets Retry-After; ProblemCode() string the code.
// If the answer has begun already, the connection is aborted (by a panic with
// http.ErrAbortHandler), so that no client takes a part for the whole. err is
// logged with the access log's line of this request.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	c := callFrom(r.Context())
	if c != nil {
		c.err = err
		if c.inner.status != 0 {
			c.aborted = true
			panic(http.ErrAbortHandler)
		}
		if c.left(r, err) {
			c.inner.status = statusClientGone
			panic(http.ErrAbortHandler)
		}
	}
	p, after := problemOf(err)
	p.RequestID = RequestID(r.Context())
	if p.Status == http.StatusUnauthorized {
		w.Header()["Www-Authenticate"] = headerBearer // RFC 9110, 15.5.2: a 401 says what would do
	}
	if after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
	}
	writeProblem(w, r, p)
}

// problemOf maps err to its problem and Retry-After (0 for none).
func problemOf(err error) (Problem, time.Duration) {
	status, code, detail := classify(err)
	p := Problem{Status: status, Code: code, Detail: detail, Errors: []FieldError{}}
	var coded interface{ ProblemCode() string }
	if errors.As(err, &coded) && coded.ProblemCode() != "" {
		p.Code = coded.ProblemCode()
	}
	var fields interface{ Fields() []FieldError }
	if errors.As(err, &fields) && len(fields.Fields()) > 0 {
		p.Errors = fields.Fields()
	}
	var retry interface{ RetryAfter() time.Duration }
	var after time.Duration
	if errors.As(err, &retry) {
		after = retry.RetryAfter()
	}
	if after <= 0 && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
		after = defaultRetry
	}
	return p, after
}

func classify(err error) (status int, code, detail string) {
	var chosen interface{ HTTPStatus() int }
	if errors.As(err, &chosen) {
		status = chosen.HTTPStatus()
		if status >= 400 && status <= 599 {
			return status, defaultCode(status), shown(err, status)
		}
		return internalProblem()
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		e := TooLarge(tooLong.Limit)
		return e.status, e.code, e.detail
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, "deadline_exceeded", "the request did not finish within its deadline; try again, or ask for less"
	}
	if errors.Is(err, context.Canceled) {
		return http.StatusServiceUnavailable, "cancelled", "the request was cancelled by the server, which is stopping; try again"
	}
	var timeout interface{ Timeout() bool }
	var temporary interface{ Temporary() bool }
	if errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &temporary) && temporary.Temporary() {
		return http.StatusServiceUnavailable, "unavailable", "something that this request needs does not answer now; try again"
	}
	return internalProblem()
}

func internalProblem() (int, string, string) {
	return http.StatusInternalServerError, "internal", "an internal error; the log has it under this request_id"
}

// shown is the text of err that a client may see.
func shown(err error, status int) string {
	var detailed interface{ ProblemDetail() string }
	if errors.As(err, &detailed) && detailed.ProblemDetail() != "" {
		return detailed.ProblemDetail()
	}
	if status < http.StatusInternalServerError {
		return err.Error()
	}
	if status == http.StatusInternalServerError {
		_, _, detail := internalProblem()
		return detail
	}
	return http.StatusText(status)
}

func defaultCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad_request"
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusConflict:
		return "conflict"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	case http.StatusUnprocessableEntity:
		return "invalid_field"
	case http.StatusTooManyRequests:
		return "too_many_requests"
	case http.StatusInternalServerError:
		return "internal"
	case http.StatusNotImplemented:
		return "not_implemented"
	case http.StatusServiceUnavailable:
		return "unavailable"
	}
	return "http_" + strconv.Itoa(status)
}

func writeProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	p.Type = "urn:marketprism:problem:" + p.Code
	p.Title = http.StatusText(p.Status)
	if p.Title == "" {
		p.Title = "Error"
	}
	p.Error = p.Detail
	body, err := json.Marshal(p)
	if err != nil { // strings and ints only: cannot fail
		panic(err)
	}
	h := w.Header()
	h.Del("Content-Encoding")
	h.Del("Etag")
	h["Cache-Control"] = headerNoStore
	h["Content-Type"] = headerProblem
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		w.Write(body) //nolint:errcheck // the client may be gone; nobody is left to tell
	}
}
