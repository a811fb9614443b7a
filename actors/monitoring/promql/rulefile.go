package promql

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// Group is a group of rules as its file has it.
type Group struct {
	Name     string
	Interval time.Duration // 0: the default
	Offset   time.Duration // how far before its time a group looks
	Limit    int           // most alerts, or series, of a rule; 0 is no limit
	Rules    []Rule
}

// Rule is one rule: Alert is set, or Record.
type Rule struct {
	Record, Alert      string
	Expr               string // in the usual form
	For, KeepFiringFor time.Duration
	Labels             map[string]string // the group's included
	Annotations        map[string]string
}

// Name is what the rule is called.
func (r Rule) Name() string {
	if r.Alert != "" {
		return r.Alert
	}
	return r.Record
}

// ParseRules reads a file of rules in Prometheus' format. Every fault has its line
// and column.
func ParseRules(content []byte) ([]Group, []error) {
	p := newParser()
	file, errs := rulefmt.Parse(content, false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		return nil, errs
	}
	groups := make([]Group, 0, len(file.Groups))
	for _, g := range file.Groups {
		group := Group{Name: g.Name, Interval: time.Duration(g.Interval), Limit: g.Limit}
		if g.QueryOffset != nil {
			group.Offset = time.Duration(*g.QueryOffset)
		}
		for _, r := range g.Rules {
			group.Rules = append(group.Rules, Rule{
				Record: r.Record, Alert: r.Alert, Expr: canonical(p, r.Expr), For: time.Duration(r.For), KeepFiringFor: time.Duration(r.KeepFiringFor),
				Labels: merged(g.Labels, r.Labels), Annotations: merged(nil, r.Annotations),
			})
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// canonical is the form that Prometheus shows an expression in.
func canonical(p parser.Parser, expr string) string {
	parsed, err := p.ParseExpr(expr)
	if err != nil { // it was parsed a moment ago
		return expr
	}
	return parsed.String()
}

// merged are the labels of a group and those of a rule, which go before.
func merged(group, rule map[string]string) map[string]string {
	out := make(map[string]string, len(group)+len(rule))
	for _, each := range []map[string]string{group, rule} {
		for name, value := range each {
			out[name] = value
		}
	}
	return out
}

// Duration is a span of time as Prometheus writes it: 5m, 1h30m, 15d.
type Duration = model.Duration

// ParseDuration reads a duration as PromQL has it, or a number of seconds.
func ParseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		ns := seconds * float64(time.Second)
		if !(ns < math.MaxInt64 && ns > math.MinInt64) { // also what is no number
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", text)
		}
		return time.Duration(ns), nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("cannot parse %q to a valid duration", text)
	}
	return time.Duration(d), nil
}
