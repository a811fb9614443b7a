package monitoring

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/actors/monitoring/logs"
	"github.com/marketprism/marketprism/http/chassis"
)

// Logs are the last log lines; *logs.Ring has them.
type Logs interface {
	Last(f *logs.Filter, limit int) []logs.Entry
	After(seq uint64, f *logs.Filter, limit int) (found []logs.Entry, next, missed uint64)
	Bounds() (first, last uint64)
	Subscribe() (wake <-chan struct{}, cancel func())
}

const tagLogs = "logs and traces"

// Bounds of what one answer shows.
const (
	shownLines = 200
	maxLines   = 10_000
	liveLines  = 500 // of one write to a follower
)

type logAnswer struct {
	Logs      []logs.Entry `json:"logs" required:"true" doc:"oldest first"`
	Count     int          `json:"count" required:"true" doc:"of this answer"`
	First     uint64       `json:"first_seq" required:"true" doc:"of the oldest line that is kept; 0 when there is none"`
	Last      uint64       `json:"last_seq" required:"true" doc:"of the newest line that is kept"`
	Timestamp time.Time    `json:"timestamp" required:"true"`
}

// missedLines tells a follower of a hole.
type missedLines struct {
	Missed uint64 `json:"missed"`
}

func (f *service) logRoutes() []chassis.Route {
	if f.Logs == nil {
		return nil
	}
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "logs", ID: "logs", Tag: tagLogs,
		Summary: "Log lines of every actor and service: the last ones, or live as server-sent events",
		Description: "With `Accept: text/event-stream`, or `follow=true`, lines are sent as they come, beginning behind `after` or `Last-Event-ID`, or " +
			"with the last `limit` ones. An event `missed` tells of lines that were forgotten before they could be sent.",
		Params: []chassis.Param{
			{Name: "service", Example: "data-storage-service"}, {Name: "node"},
			{Name: "level", Default: "info", Enum: []string{"debug", "info", "warn", "error"}, Doc: "The least severe level."},
			{Name: "actor", Doc: "Its id; with everything below it.", Example: "root/collector"},
			{Name: "trace_id"}, {Name: "request_id"}, {Name: "exchange"}, {Name: "symbol"},
			{Name: "q", Doc: "Text in the message or in the fields; case does not matter."},
			{Name: "from", Doc: "Time from which on."}, {Name: "to", Doc: "Time before which."},
			{Name: "before", Type: uint64(0), Doc: "Only lines with a lower number: to go back from the first of an answer."},
			{Name: "after", Type: uint64(0), Doc: "Only lines with a higher number, the oldest ones first."},
			{Name: "limit", Type: 0, Default: shownLines, Min: 1, Max: maxLines},
			{Name: "follow", Type: false, Default: false},
		},
		Responses: []chassis.Response{{Body: logAnswer{}}, {Media: chassis.MediaEvents, Body: ""}},
		Live:      true, Handler: f.logs,
	}}
}

func (f *service) logs(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	limit := q.Limit(shownLines, maxLines)
	filter := logs.Filter{
		Service: q.Text("service", ""), Node: q.Text("node", ""), Actor: q.Text("actor", ""), TraceID: q.Text("trace_id", ""),
		RequestID: q.Text("request_id", ""), Exchange: q.Text("exchange", ""), Symbol: q.Text("symbol", ""), Text: q.Text("q", ""),
		From: q.Time("from"), To: q.Time("to"),
	}
	filter.Level = map[string]zapcore.Level{
		"debug": zapcore.DebugLevel, "info": zapcore.InfoLevel, "warn": zapcore.WarnLevel, "error": zapcore.ErrorLevel,
	}[q.OneOf("level", "info", "debug", "info", "warn", "error")]
	filter.Before = bound(q, "before")
	after, given := sequence(q, r)
	follow := q.Bool("follow", strings.Contains(r.Header.Get("Accept"), chassis.MediaEvents))
	if err := q.Err(); err != nil {
		return err
	}
	if follow {
		return f.followLogs(w, r, &filter, after, given, limit)
	}
	out := logAnswer{Timestamp: f.Now()}
	out.First, out.Last = f.Logs.Bounds()
	if given {
		out.Logs, _, _ = f.Logs.After(after, &filter, limit)
	} else {
		out.Logs = f.Logs.Last(&filter, limit)
	}
	out.Count = len(out.Logs)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// bound reads an optional sequence number.
func bound(q *chassis.Query, name string) uint64 {
	text := q.Text(name, "")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.Refuse(name, "must be a sequence number")
	}
	return n
}

// followLogs sends lines until the client leaves or the server drains.
func (f *service) followLogs(w http.ResponseWriter, r *http.Request, filter *logs.Filter, after uint64, given bool, limit int) error {
	wake, cancel := f.Logs.Subscribe()
	defer cancel()
	s, err := chassis.NewEvents(w, r)
	if err != nil {
		return err
	}
	if !given {
		_, after = f.Logs.Bounds()
		for _, e := range f.Logs.Last(filter, limit) {
			after = max(after, e.Seq)
			if err := s.Send(strconv.FormatUint(e.Seq, 10), "log", e); err != nil {
				return err
			}
		}
	}
	beat := time.NewTicker(f.Beat)
	defer beat.Stop()
	for {
		if after, err = f.sendLogs(s, filter, after); err != nil {
			return err
		}
		select {
		case <-wake:
		case <-beat.C:
			if err := s.Beat(); err != nil {
				return err
			}
		case <-r.Context().Done():
			return nil
		}
	}
}

// sendLogs sends what is behind a number, and returns the last one that was looked at.
func (f *service) sendLogs(s *chassis.Events, filter *logs.Filter, after uint64) (uint64, error) {
	for {
		found, next, missed := f.Logs.After(after, filter, liveLines)
		if missed > 0 {
			if err := s.Send("", "missed", missedLines{missed}); err != nil {
				return next, err
			}
		}
		for i := range found {
			if err := s.Send(strconv.FormatUint(found[i].Seq, 10), "log", found[i]); err != nil {
				return next, err
			}
		}
		if after = next; len(found) < liveLines {
			return after, nil
		}
	}
}
