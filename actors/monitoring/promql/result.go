package promql

import (
	"fmt"

	"github.com/prometheus/prometheus/promql/parser"

	upstream "github.com/prometheus/prometheus/promql"

	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// Labels name a series.
type Labels = series.Labels

// Type is what a result is.
type Type string

// The types.
const (
	Scalar Type = "scalar"
	String Type = "string"
	Vector Type = "vector"
	Matrix Type = "matrix"
)

// Point is a value at a time.
type Point struct {
	T int64 // Unix milliseconds
	V float64
}

// Sample is one element of a vector.
type Sample struct {
	Labels Labels
	Point
}

// Series is one element of a matrix.
type Series struct {
	Labels Labels
	Points []Point
}

// Result is what a query gives; Type says which field is set.
type Result struct {
	Type   Type
	Scalar Point // of a scalar; the time of a string
	Text   string
	Vector []Sample
	Matrix []Series

	Warnings, Infos []string
}

// resultOf copies a value out of the engine's memory.
func resultOf(v parser.Value) (Result, error) {
	switch v := v.(type) {
	case upstream.Scalar:
		return Result{Type: Scalar, Scalar: Point{v.T, v.V}}, nil
	case upstream.String:
		return Result{Type: String, Scalar: Point{T: v.T}, Text: v.V}, nil
	case upstream.Vector:
		r := Result{Type: Vector, Vector: make([]Sample, 0, len(v))}
		for _, s := range v {
			if s.H != nil {
				return Result{}, fmt.Errorf("%s is a native histogram", s.Metric)
			}
			r.Vector = append(r.Vector, Sample{s.Metric, Point{s.T, s.F}})
		}
		return r, nil
	case upstream.Matrix:
		r := Result{Type: Matrix, Matrix: make([]Series, 0, len(v))}
		for _, s := range v {
			if len(s.Histograms) > 0 {
				return Result{}, fmt.Errorf("%s is a native histogram", s.Metric)
			}
			points := make([]Point, len(s.Floats))
			for i, p := range s.Floats {
				points[i] = Point{p.T, p.F}
			}
			r.Matrix = append(r.Matrix, Series{s.Metric, points})
		}
		return r, nil
	}
	return Result{}, fmt.Errorf("the engine gave a %T", v)
}
