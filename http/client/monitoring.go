package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/url"
	"time"
)

// Monitoring is the monitoring-service: health, alerts, actors, logs, settings, and the
// nodes of the cluster.
type Monitoring struct{ c *Client }

// Overview is everything at a glance.
func (m *Monitoring) Overview(ctx context.Context) (o Overview, err error) {
	return o, m.c.call(ctx, get(MonitoringService, "/api/v1/overview", nil), &o)
}

// Services tells how each service is, by its name.
func (m *Monitoring) Services(ctx context.Context) (map[string]Health, error) {
	var answer struct {
		Services map[string]Health `json:"health_status"`
	}
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/services", nil), &answer)
	return answer.Services, err
}

// Alerts tells which alerts fire, and which did, at most so many of the latter; 0 is 100.
func (m *Monitoring) Alerts(ctx context.Context, limit int) (firing []Alert, past []PastAlert, err error) {
	var p parameters
	p.number("limit", limit)
	var answer struct {
		Active  []Alert     `json:"active_alerts"`
		History []PastAlert `json:"alert_history"`
	}
	err = m.c.call(ctx, get(MonitoringService, "/api/v1/alerts", p.Values), &answer)
	return answer.Active, answer.History, err
}

// Silences lists silences that are pending, active or expired; "" is all.
func (m *Monitoring) Silences(ctx context.Context, state string) ([]Silence, error) {
	var p parameters
	p.set("state", state)
	var answer struct {
		Silences []Silence `json:"silences"`
	}
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/silences", p.Values), &answer)
	return answer.Silences, err
}

// Silence is one silence.
func (m *Monitoring) Silence(ctx context.Context, id string) (s Silence, err error) {
	return s, m.c.call(ctx, get(MonitoringService, join("/api/v1/silences", id), nil), &s)
}

// CreateSilence mutes alerts for a time; with the ID of a silence, that is changed.
func (m *Monitoring) CreateSilence(ctx context.Context, s NewSilence) (Silence, error) {
	r, err := order(MonitoringService, http.MethodPost, "/api/v1/silences", s)
	if err != nil {
		return Silence{}, err
	}
	return m.silenced(ctx, r)
}

// ExpireSilence ends a silence.
func (m *Monitoring) ExpireSilence(ctx context.Context, id string) (Silence, error) {
	r, err := order(MonitoringService, http.MethodDelete, join("/api/v1/silences", id), nil)
	if err != nil {
		return Silence{}, err
	}
	return m.silenced(ctx, r)
}

func (m *Monitoring) silenced(ctx context.Context, r *request) (Silence, error) {
	var answer struct {
		Silence Silence `json:"silence"`
	}
	err := m.c.call(ctx, r, &answer)
	return answer.Silence, err
}

// Sample is one value of a series, at a time.
type Sample struct {
	Labels map[string]string
	Time   time.Time
	Value  Decimal // NaN, +Inf and -Inf too
}

// PromQL evaluates an expression at a time, the zero time for now, and returns the
// samples of its vector; that of a scalar has no labels.
func (m *Monitoring) PromQL(ctx context.Context, expression string, at time.Time) ([]Sample, error) {
	var p parameters
	p.set("query", expression)
	p.time("time", at)
	var answer struct {
		Data struct {
			Type   string          `json:"resultType"`
			Result json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := m.c.call(ctx, get(MonitoringService, "/api/v1/query", p.Values), &answer); err != nil {
		return nil, err
	}
	return samples(answer.Data.Type, answer.Data.Result)
}

// SettingFilter says which settings are listed.
type SettingFilter struct {
	Path    string // of one, or of what they are in; "" is all
	Changed bool   // only those that were given
}

// Settings lists the settings in force, in the order of the file, and the last time that
// the configuration was read again; nil for never.
func (m *Monitoring) Settings(ctx context.Context, f SettingFilter) ([]Setting, *Reload, error) {
	var p parameters
	p.set("path", f.Path)
	p.flag("changed", f.Changed)
	var answer struct {
		Settings []Setting `json:"settings"`
		Reload   *Reload   `json:"reload"`
	}
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/config", p.Values), &answer)
	return answer.Settings, answer.Reload, err
}

// AuditFilter says which entries are listed; what is zero is all.
type AuditFilter struct {
	Principal string // KIND:SUBJECT
	Action    string // the whole, or its beginning up to a dot
	Target    string
	Outcome   string // done, refused, failed
	From, To  time.Time
}

// Audit goes through who did what, the latest first.
func (m *Monitoring) Audit(ctx context.Context, f AuditFilter) iter.Seq2[AuditEntry, error] {
	var p parameters
	p.set("principal", f.Principal)
	p.set("action", f.Action)
	p.set("target", f.Target)
	p.set("outcome", f.Outcome)
	p.time("from", f.From)
	p.time("to", f.To)
	return list[AuditEntry](ctx, m.c, MonitoringService, "/api/v1/audit", p, "entries")
}

// LogFilter says which lines of the log are read; what is zero is all.
type LogFilter struct {
	Service, Node, Actor, Exchange, Symbol string
	Level                                  string // the least severe; "" is info
	TraceID, RequestID                     string
	Text                                   string // in the message or in the fields
	From, To                               time.Time
	Limit                                  int // 0 is 200
}

func (f *LogFilter) parameters() (p parameters) {
	for name, word := range map[string]string{
		"service": f.Service, "node": f.Node, "actor": f.Actor, "exchange": f.Exchange, "symbol": f.Symbol,
		"level": f.Level, "trace_id": f.TraceID, "request_id": f.RequestID, "q": f.Text,
	} {
		p.set(name, word)
	}
	p.time("from", f.From)
	p.time("to", f.To)
	p.number("limit", f.Limit)
	return p
}

// Logs are the last lines of the log, oldest first.
func (m *Monitoring) Logs(ctx context.Context, f LogFilter) ([]LogLine, error) {
	var answer struct {
		Logs []LogLine `json:"logs"`
	}
	p := f.parameters()
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/logs", p.Values), &answer)
	return answer.Logs, err
}

// Traces lists the last traces that were slow, or failed; 0 is 50 of them.
func (m *Monitoring) Traces(ctx context.Context, service string, failed bool, limit int) ([]Trace, error) {
	var p parameters
	p.set("service", service)
	p.flag("failed", failed)
	p.number("limit", limit)
	var answer struct {
		Traces []Trace `json:"traces"`
	}
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/traces", p.Values), &answer)
	return answer.Traces, err
}

// TraceSpans is one trace with its spans, by their start.
func (m *Monitoring) TraceSpans(ctx context.Context, id string) (t Trace, spans []TraceSpan, err error) {
	answer := struct {
		*Trace
		Tree []TraceSpan `json:"tree"`
	}{Trace: &t}
	err = m.c.call(ctx, get(MonitoringService, join("/api/v1/traces", id), nil), &answer)
	return t, answer.Tree, err
}

// Watch follows what a dashboard shows of topics, as events: snapshot has all values,
// diff what has changed, beat that nothing has. It is one connection, which ends when it
// says nothing for so long.
func (m *Monitoring) Watch(ctx context.Context, silence time.Duration, topics ...string) (*EventStream, error) {
	return m.c.events(ctx, get(MonitoringService, "/api/v1/ui/live", url.Values{"topics": {words(topics)}}), silence)
}

// samples reads a vector or a scalar of Prometheus' form.
func samples(kind string, result json.RawMessage) ([]Sample, error) {
	type point [2]json.RawMessage // time in seconds, value as text
	read := func(labels map[string]string, p point) (Sample, error) {
		s := Sample{Labels: labels}
		var seconds float64
		err := errors.Join(json.Unmarshal(p[0], &seconds), json.Unmarshal(p[1], (*string)(&s.Value)))
		s.Time = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
		return s, err
	}
	switch kind {
	case "vector":
		var rows []struct {
			Metric map[string]string `json:"metric"`
			Value  point             `json:"value"`
		}
		err := json.Unmarshal(result, &rows)
		out := make([]Sample, len(rows))
		for i := range rows {
			if err == nil {
				out[i], err = read(rows[i].Metric, rows[i].Value)
			}
		}
		return out, err
	case "scalar":
		var p point
		if err := json.Unmarshal(result, &p); err != nil {
			return nil, err
		}
		s, err := read(nil, p)
		return []Sample{s}, err
	}
	return nil, fmt.Errorf("the expression is a %s: want a vector or a scalar", kind)
}
