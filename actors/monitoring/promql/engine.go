package promql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	upstream "github.com/prometheus/prometheus/promql"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// MaxPoints is the most points that a range query gives a series.
const MaxPoints = 11_000

// Engine answers queries. It is safe for concurrent use.
type Engine struct {
	config  Config
	engine  *upstream.Engine
	parser  parser.Parser
	source  storage.Queryable
	metrics *metrics
}

type metrics struct {
	queries *prometheus.CounterVec
	seconds prometheus.Histogram
}

// New makes an engine over a store: a *series.Store. The subqueries without a step
// take every.
func New(c Config, source storage.Queryable, every time.Duration, reg prometheus.Registerer) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("queries: %w", err)
	}
	m := &metrics{queries: catalogue.NewCounterVec(catalogue.Queries), seconds: catalogue.NewHistogram(catalogue.QuerySeconds)}
	if err := catalogue.Register(reg, m.queries, m.seconds); err != nil {
		return nil, fmt.Errorf("query metrics: %w", err)
	}
	p := newParser()
	return &Engine{
		config: c, parser: p, source: source, metrics: m,
		engine: upstream.NewEngine(upstream.EngineOpts{
			MaxSamples: c.MaxSamples, Timeout: c.Timeout, ActiveQueryTracker: make(slots, c.Concurrency), LookbackDelta: c.Lookback,
			NoStepSubqueryIntervalFn: func(int64) int64 { return every.Milliseconds() },
			EnableAtModifier:         true, EnableNegativeOffset: true, Parser: p,
		}),
	}, nil
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// slots bound the queries that run at a time.
type slots chan struct{}

// GetMaxConcurrent implements upstream.QueryTracker.
func (s slots) GetMaxConcurrent() int { return cap(s) }

// Insert implements upstream.QueryTracker: it waits for a slot.
func (s slots) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case s <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Delete implements upstream.QueryTracker.
func (s slots) Delete(int) { <-s }

// Close implements upstream.QueryTracker.
func (s slots) Close() error { return nil }

// Instant evaluates an expression at one time. Error: an *Error.
func (e *Engine) Instant(ctx context.Context, expr string, at time.Time, lookback time.Duration) (Result, error) {
	return e.run(ctx, expr, func() (upstream.Query, error) {
		return e.engine.NewInstantQuery(ctx, e.source, options(lookback), expr, at)
	})
}

// Range evaluates an expression at start, and every step after it, up to end. Error:
// an *Error.
func (e *Engine) Range(ctx context.Context, expr string, start, end time.Time, step, lookback time.Duration) (Result, error) {
	switch {
	case end.Before(start):
		return Result{}, Bad("invalid parameter %q: end timestamp must not be before start time", "end")
	case step <= 0:
		return Result{}, Bad("invalid parameter %q: zero or negative query resolution step widths are not accepted. Try a positive integer", "step")
	case end.Sub(start)/step > MaxPoints:
		return Result{}, Bad("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	return e.run(ctx, expr, func() (upstream.Query, error) {
		return e.engine.NewRangeQuery(ctx, e.source, options(lookback), expr, start, end, step)
	})
}

func options(lookback time.Duration) upstream.QueryOpts {
	return upstream.NewPrometheusQueryOpts(false, lookback, nil)
}

func (e *Engine) run(ctx context.Context, expr string, prepare func() (upstream.Query, error)) (Result, error) {
	begin := time.Now()
	result, err := e.evaluate(ctx, expr, prepare)
	e.metrics.seconds.Observe(time.Since(begin).Seconds())
	outcome := "success"
	var failed *Error
	if errors.As(err, &failed) {
		outcome = string(failed.Kind)
	}
	e.metrics.queries.WithLabelValues(outcome).Inc()
	return result, err
}

func (e *Engine) evaluate(ctx context.Context, expr string, prepare func() (upstream.Query, error)) (Result, error) {
	q, err := prepare()
	if err != nil {
		if f := failure(err); f.Kind == Canceled || f.Kind == Timeout {
			return Result{}, f
		}
		return Result{}, &Error{BadData, fmt.Errorf("invalid parameter %q: %w", "query", err)}
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return Result{}, failure(res.Err)
	}
	out, err := resultOf(res.Value)
	if err != nil {
		return Result{}, &Error{Internal, err}
	}
	out.Warnings, out.Infos = res.Warnings.AsStrings(expr, 10, 10)
	return out, nil
}

// Vector evaluates an expression whose result is a vector, or a scalar, which is a
// sample without labels: what a rule may be. Error: an *Error.
func (e *Engine) Vector(ctx context.Context, expr string, at time.Time) ([]Sample, error) {
	r, err := e.Instant(ctx, expr, at, 0)
	switch {
	case err != nil:
		return nil, err
	case r.Type == Vector:
		return r.Vector, nil
	case r.Type == Scalar:
		return []Sample{{Point: r.Scalar}}, nil
	}
	return nil, &Error{Execution, errors.New("rule result is not a vector or scalar")}
}
