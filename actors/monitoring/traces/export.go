package traces

import (
	"context"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Exporter sends spans to an OTLP collector, in batches on a goroutine of its own. A
// batch that cannot be sent is tried again for a while and then lost; a queue that is
// full drops spans.
type Exporter struct {
	batches   sdk.SpanProcessor
	resources map[string]*resource.Resource
	version   string
	node      string
}

// endpoint reads the address of a collector; "" is none.
func endpoint(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none is a setting too
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("found %q: want http://host:4318 or https://host", text)
	}
	return u, nil
}

// NewExporter connects when it has something to send. nil without an endpoint.
// services are those whose spans come.
func NewExporter(ctx context.Context, c Config, node, version string, services []string) (*Exporter, error) {
	u, err := endpoint(c.Endpoint)
	if err != nil || u == nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.JoinPath("v1", "traces").String()))
	if err != nil {
		return nil, fmt.Errorf("exporting traces to %s: %w", c.Endpoint, err)
	}
	e := &Exporter{batches: sdk.NewBatchSpanProcessor(exporter), resources: map[string]*resource.Resource{}, node: node, version: version}
	for _, s := range services {
		e.resources[s] = e.resource(s)
	}
	return e, nil
}

func (e *Exporter) resource(service string) *resource.Resource {
	return resource.NewSchemaless(
		attribute.String("service.name", service), attribute.String("service.namespace", "marketprism"),
		attribute.String("service.version", e.version), attribute.String("host.name", e.node),
	)
}

// Export queues a span.
func (e *Exporter) Export(s Span) { e.batches.OnEnd(e.otel(s)) }

// otel is a span in OpenTelemetry's form.
func (e *Exporter) otel(s Span) sdk.ReadOnlySpan {
	r := e.resources[s.Service]
	if r == nil {
		r = e.resource(s.Service)
	}
	parent := trace.SpanContext{}
	if s.Parent != [8]byte{} {
		parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.TraceID, SpanID: s.Parent, TraceFlags: trace.FlagsSampled, Remote: s.Remote})
	}
	stub := tracetest.SpanStub{
		Name:        s.Name,
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.TraceID, SpanID: s.ID, TraceFlags: trace.FlagsSampled}),
		Parent:      parent,
		SpanKind:    map[Kind]trace.SpanKind{Server: trace.SpanKindServer, Client: trace.SpanKindClient, Internal: trace.SpanKindInternal}[s.Kind],
		StartTime:   s.Start, EndTime: s.Start.Add(s.Took), Resource: r,
		Attributes: []attribute.KeyValue{attribute.String("marketprism.request_id", s.Request)},
	}
	if s.Code != 0 {
		stub.Attributes = append(stub.Attributes, attribute.Int("http.response.status_code", s.Code))
	}
	if s.Resource != "" {
		stub.Attributes = append(stub.Attributes, attribute.String("url.path", s.Resource))
	}
	if s.Failed {
		stub.Status = sdk.Status{Code: codes.Error, Description: s.Error}
	}
	return stub.Snapshot()
}

// Close sends what waits, as long as ctx lasts.
func (e *Exporter) Close(ctx context.Context) error {
	if err := e.batches.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}
