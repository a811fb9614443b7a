package promql

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/template"

	upstream "github.com/prometheus/prometheus/promql"
)

// QueryFunc answers the queries of a template.
type QueryFunc func(ctx context.Context, expr string, at time.Time) ([]Sample, error)

// Template is what the labels and annotations of an alert are made from.
type Template struct {
	Alert          string
	Labels         map[string]string // of the series
	Value          float64
	ExternalLabels map[string]string
	ExternalURL    *url.URL
	At             time.Time
	Query          QueryFunc
}

// definitions are the variables that Prometheus offers besides.
const definitions = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

// Expand fills in a text. With a fault in it, the text says so instead, and the fault
// is returned as well.
func (t Template) Expand(ctx context.Context, text string) (string, error) {
	external := t.ExternalURL
	if external == nil {
		external = &url.URL{}
	}
	data := template.AlertTemplateData(t.Labels, t.ExternalLabels, external.String(), upstream.Sample{F: t.Value})
	query := func(ctx context.Context, expr string, at time.Time) (upstream.Vector, error) {
		found, err := t.Query(ctx, expr, at)
		if err != nil {
			return nil, err
		}
		v := make(upstream.Vector, len(found))
		for i, s := range found {
			v[i] = upstream.Sample{Metric: s.Labels, T: s.T, F: s.V}
		}
		return v, nil
	}
	expander := template.NewTemplateExpander(ctx, definitions+text, "__alert_"+t.Alert, data, model.TimeFromUnixNano(t.At.UnixNano()), query, external, nil)
	out, err := expander.Expand()
	if err != nil {
		return fmt.Sprintf("<error expanding template: %s>", err), err
	}
	return out, nil
}
