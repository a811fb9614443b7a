package monitoring

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/http/chassis"
)

func (p *prometheus) query(r *http.Request) (found, error) {
	at, err := timeOf(r, "time", p.now())
	if err != nil {
		return found{}, err
	}
	return p.ask(r, func(ctx context.Context, expr string, lookback time.Duration) (promql.Result, error) {
		return p.Queries.Instant(ctx, expr, at, lookback)
	})
}

func (p *prometheus) queryRange(r *http.Request) (found, error) {
	var at [2]time.Time
	for i, name := range []string{"start", "end"} {
		if r.Form.Get(name) == "" {
			return found{}, promql.Bad("invalid parameter %q: cannot parse %q to a valid timestamp", name, "")
		}
		var err error
		if at[i], err = timeOf(r, name, time.Time{}); err != nil {
			return found{}, err
		}
	}
	step, err := durationOf(r, "step")
	if err != nil {
		return found{}, err
	}
	return p.ask(r, func(ctx context.Context, expr string, lookback time.Duration) (promql.Result, error) {
		return p.Queries.Range(ctx, expr, at[0], at[1], step, lookback)
	})
}

// ask runs a query with the parameters that both sorts have.
func (p *prometheus) ask(r *http.Request, run func(ctx context.Context, expr string, lookback time.Duration) (promql.Result, error)) (found, error) {
	limit, err := limitOf(r, "limit")
	if err != nil {
		return found{}, err
	}
	ctx := r.Context()
	if r.Form.Get("timeout") != "" {
		timeout, err := durationOf(r, "timeout")
		if err != nil {
			return found{}, err
		}
		if timeout <= 0 {
			return found{}, promql.Bad("invalid parameter %q: timeout must be positive, got %s", "timeout", timeout)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	lookback := time.Duration(0)
	if r.Form.Get("lookback_delta") != "" {
		if lookback, err = durationOf(r, "lookback_delta"); err != nil {
			return found{}, err
		}
	}
	result, err := run(ctx, r.Form.Get("query"), lookback)
	if err != nil {
		return found{}, err
	}
	f := found{warnings: result.Warnings, infos: result.Infos}
	if limit > 0 && (len(result.Vector) > limit || len(result.Matrix) > limit) {
		result.Vector, result.Matrix = result.Vector[:min(limit, len(result.Vector))], result.Matrix[:min(limit, len(result.Matrix))]
		f.warnings = append(f.warnings, truncated)
	}
	f.data = result
	return f, nil
}

const truncated = "results truncated due to limit"

func (p *prometheus) format(r *http.Request) (found, error) {
	text, err := p.Queries.Format(r.Form.Get("query"))
	return found{data: text}, err
}

func (p *prometheus) labels(r *http.Request) (found, error) {
	return selected(r, p.Queries.LabelNames)
}

func (p *prometheus) values(r *http.Request) (found, error) {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return found{}, promql.Bad("invalid label name: %w", err)
	}
	return selected(r, func(ctx context.Context, s promql.Selection) (promql.Found[string], error) {
		return p.Queries.LabelValues(ctx, name, s)
	})
}

func (p *prometheus) series(r *http.Request) (found, error) {
	return selected(r, func(ctx context.Context, s promql.Selection) (promql.Found[map[string]string], error) {
		all, err := p.Queries.Series(ctx, s)
		out := promql.Found[map[string]string]{All: make([]map[string]string, 0, len(all.All)), Truncated: all.Truncated}
		for _, l := range all.All {
			out.All = append(out.All, l.Map())
		}
		return out, err
	})
}

// selected answers what a selection of series holds.
func selected[T any](r *http.Request, ask func(context.Context, promql.Selection) (promql.Found[T], error)) (found, error) {
	s := promql.Selection{Selectors: r.Form["match[]"]}
	var err error
	if s.From, err = timeOf(r, "start", time.Unix(0, 0)); err != nil {
		return found{}, err
	}
	if s.To, err = timeOf(r, "end", endOfTime); err != nil {
		return found{}, err
	}
	if s.Limit, err = limitOf(r, "limit"); err != nil {
		return found{}, err
	}
	all, err := ask(r.Context(), s)
	if err != nil {
		return found{}, err
	}
	f := found{data: all.All}
	if all.Truncated {
		f.warnings = []string{truncated}
	}
	return f, nil
}

// endOfTime is behind every sample.
var endOfTime = time.UnixMilli(math.MaxInt64 / 2)

// timeOf reads Unix seconds or RFC 3339.
func timeOf(r *http.Request, name string, def time.Time) (time.Time, error) {
	text := r.Form.Get(name)
	if text == "" {
		return def, nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		whole, part := math.Modf(seconds)
		if !(math.Abs(whole) < 1e15) { // also what is no number
			return time.Time{}, promql.Bad("invalid parameter %q: cannot parse %q to a valid timestamp", name, text)
		}
		return time.Unix(int64(whole), int64(math.Round(part*1000)/1000*float64(time.Second))).UTC(), nil
	}
	// Clients that mean everything send the first or last moment that they know.
	switch text {
	case "-292273086-05-16T16:47:06Z":
		return time.Unix(0, 0), nil
	case "+292277025-08-18T07:12:54.999999999Z", "292277025-08-18T07:12:54.999999999Z":
		return endOfTime, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, promql.Bad("invalid parameter %q: invalid time value for '%s': cannot parse %q to a valid timestamp", name, name, text)
	}
	return at, nil
}

// durationOf reads seconds or a duration as PromQL has it.
func durationOf(r *http.Request, name string) (time.Duration, error) {
	d, err := promql.ParseDuration(r.Form.Get(name))
	if err != nil {
		return 0, promql.Bad("invalid parameter %q: %w", name, err)
	}
	return d, nil
}

func limitOf(r *http.Request, name string) (int, error) {
	text := r.Form.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, promql.Bad("invalid parameter %q: limit must be a non-negative number", name)
	}
	return n, nil
}
