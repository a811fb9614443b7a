package app

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/traces"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
)

// exportWithin bounds the sending of the last spans at a stop.
const exportWithin = 5 * time.Second

// openTraces makes what takes the spans of this process.
func (a *App) openTraces(ctx context.Context) error {
	cfg := a.cfg.Monitoring.Monitoring.Traces
	exporter, err := traces.NewExporter(ctx, cfg, a.node, a.options.Version, cluster.Services())
	if err != nil {
		return err
	}
	o := traces.Options{Config: cfg, Node: a.node, Registerer: a.registry}
	if exporter != nil {
		o.Export = exporter.Export
		ctx = context.WithoutCancel(ctx)
		a.closers = append(a.closers, func() error {
			ctx, cancel := context.WithTimeout(ctx, exportWithin)
			defer cancel()
			return exporter.Close(ctx)
		})
	}
	a.traces, err = traces.NewRecorder(o)
	return err
}

// spans gives the requests of every server to the recorder.
type spans struct{ recorder *traces.Recorder }

// Begin implements [chassis.Spans].
func (s spans) Begin(id [8]byte) { s.recorder.Begin(id) }

// End implements [chassis.Spans].
func (s spans) End(r chassis.Span) {
	span := traces.Span{
		TraceID: r.Trace.TraceID, ID: r.Trace.SpanID, Parent: r.Trace.ParentID, Kind: traces.Server, Service: r.Service,
		Name: r.Method + " " + r.Route, Start: r.Start, Took: r.Took, Code: r.Code, Request: r.RequestID, Endless: r.Live,
		Failed: r.Code >= 500 && r.Code != 501, Resource: r.Path,
	}
	if span.Failed && r.Err != nil {
		span.Error = r.Err.Error()
	}
	s.recorder.End(span)
}
