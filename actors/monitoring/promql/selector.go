package promql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/prometheus/common/model"
)

// Selection says which series, in [From, To], are meant: those that one of the
// selectors selects, or all when there is none.
type Selection struct {
	From, To  time.Time
	Selectors []string // as in match[]: {job="x"}
	Limit     int      // most that are answered; 0 is no limit
}

// Found is what a selection holds.
type Found[T any] struct {
	All []T
	// Truncated: there are more than the limit.
	Truncated bool
}

// Format returns an expression in the usual form. Error: an *Error.
func (e *Engine) Format(expr string) (string, error) {
	parsed, err := e.parser.ParseExpr(expr)
	if err != nil {
		return "", Bad("invalid parameter %q: %w", "query", err)
	}
	return parsed.Pretty(0), nil
}

// Series lists the labels of the series of a selection. Error: an *Error.
func (e *Engine) Series(ctx context.Context, s Selection) (Found[Labels], error) {
	if len(s.Selectors) == 0 {
		return Found[Labels]{}, Bad("no match[] parameter provided")
	}
	var all []Labels
	err := e.each(s, func(q storage.Querier, m []*labels.Matcher) error {
		set := q.Select(ctx, true, &storage.SelectHints{Start: s.From.UnixMilli(), End: s.To.UnixMilli(), Func: "series"}, m...)
		for set.Next() {
			all = append(all, set.At().Labels())
		}
		return set.Err()
	})
	slices.SortFunc(all, labels.Compare)
	return limited(slices.CompactFunc(all, labels.Equal), s.Limit), err
}

// LabelNames lists the names of labels of a selection. Error: an *Error.
func (e *Engine) LabelNames(ctx context.Context, s Selection) (Found[string], error) {
	return e.names(s, func(q storage.Querier, m []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(ctx, nil, m...)
		return names, err
	})
}

// LabelValues lists the values of a label of a selection. Error: an *Error.
func (e *Engine) LabelValues(ctx context.Context, name string, s Selection) (Found[string], error) {
	if !model.UTF8Validation.IsValidLabelName(name) {
		return Found[string]{}, Bad("invalid label name: %q", name)
	}
	return e.names(s, func(q storage.Querier, m []*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(ctx, name, nil, m...)
		return values, err
	})
}

func (e *Engine) names(s Selection, ask func(storage.Querier, []*labels.Matcher) ([]string, error)) (Found[string], error) {
	all := map[string]bool{}
	err := e.each(s, func(q storage.Querier, m []*labels.Matcher) error {
		names, err := ask(q, m)
		for _, n := range names {
			all[n] = true
		}
		return err
	})
	return limited(slices.Sorted(maps.Keys(all)), s.Limit), err
}

func limited[T any](all []T, limit int) Found[T] {
	if limit > 0 && len(all) > limit {
		return Found[T]{all[:limit], true}
	}
	if all == nil {
		all = []T{}
	}
	return Found[T]{All: all}
}

// each calls f for every selector, or once without matchers.
func (e *Engine) each(s Selection, f func(storage.Querier, []*labels.Matcher) error) error {
	selectors, err := Selectors(s.Selectors)
	if err != nil {
		return err
	}
	q, err := e.source.Querier(s.From.UnixMilli(), s.To.UnixMilli())
	if err != nil {
		return &Error{Internal, err}
	}
	defer q.Close() //nolint:errcheck // it holds nothing
	if len(selectors) == 0 {
		selectors = [][]*labels.Matcher{nil}
	}
	for _, m := range selectors {
		if err := f(q, m); err != nil {
			return failure(err)
		}
	}
	return nil
}

// Selectors reads selectors; each must have a matcher that not every series meets.
// Error: an *Error.
func Selectors(texts []string) ([][]*labels.Matcher, error) {
	sets, err := newParser().ParseMetricSelectors(texts)
	if err != nil {
		return nil, Bad("invalid parameter %q: %w", "match[]", err)
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, Bad("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}

// ParseLabels reads the labels of a series: name{label="value"}, or braces alone.
func ParseLabels(text string) (Labels, error) {
	l, err := newParser().ParseMetric(text)
	if err != nil {
		return Labels{}, fmt.Errorf("labels %q: %w", text, err)
	}
	return l, nil
}

// Value is a value of a series in a test, or that there is none.
type Value struct {
	V       float64
	Omitted bool
}

// ParseSeries reads a series with its values as tests of rules have it:
// name{label="value"} 1 2+1x3 _ stale.
func ParseSeries(text string) (Labels, []Value, error) {
	l, values, err := newParser().ParseSeriesDesc(text)
	if err != nil {
		return Labels{}, nil, err
	}
	out := make([]Value, len(values))
	for i, v := range values {
		if v.Histogram != nil {
			return Labels{}, nil, fmt.Errorf("native histograms are not kept: %s", text)
		}
		out[i] = Value{v.Value, v.Omitted}
	}
	return l, out, nil
}
