package main

import (
	"cmp"
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"slipway/internal/deploy"
)

// sendTimeout is for sending a trace at the end: a collector that does not answer must not hold a deploy up.
const sendTimeout = 5 * time.Second

// tracing is the trace of one run: a span for the command, and one below it for each step of a deploy.
// The zero value traces nothing.
type tracing struct {
	provider *sdktrace.TracerProvider
	sent     *sending
	tracer   trace.Tracer
	ctx      context.Context // with the span of the command
	command  trace.Span
	step     trace.Span
	name     deploy.Step
}

// sending keeps the error of an exporter, which the SDK only logs.
type sending struct {
	sdktrace.SpanExporter
	err error
}

func (s *sending) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.err = s.SpanExporter.ExportSpans(ctx, spans)
	return s.err
}

// start starts the trace of a command that builds or deploys, where OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT names a collector for OTLP over HTTP. TRACEPARENT names the span of a
// pipeline that it belongs to.
func (t *tracing) start(c *cobra.Command, args []string) error {
	wanted := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	switch c.Name() {
	case "build", "deploy", "rollback", "delete":
	default:
		return nil
	}
	if wanted == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(c.Context())
	if err != nil {
		return err
	}
	about := resource.NewSchemaless(attribute.String("service.name", "slipway"),
		attribute.String("service.version", version))
	t.sent = &sending{SpanExporter: exporter}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithBatcher(t.sent), sdktrace.WithResource(about))
	t.tracer = t.provider.Tracer("slipway")
	parent := propagation.TraceContext{}.Extract(c.Context(),
		propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT")})
	name := strings.TrimSpace(c.CommandPath() + " " + strings.Join(args, " "))
	t.ctx, t.command = t.tracer.Start(parent, name)
	return nil
}

// note adds an event to the span of its step. A step ends where the next one starts.
func (t *tracing) note(e deploy.Event) {
	if t.provider == nil {
		return
	}
	at := trace.WithTimestamp(e.Time)
	if t.step == nil || t.name != e.Step {
		if t.step != nil {
			t.step.End(at)
		}
		t.name = e.Step
		_, t.step = t.tracer.Start(t.ctx, string(e.Step), at)
	}
	if e.Step == deploy.Failure {
		t.step.SetStatus(codes.Error, e.Message)
	}
	about := []attribute.KeyValue{}
	if e.Ref != nil {
		about = append(about, attribute.String("object", e.Ref.String()))
	}
	t.step.AddEvent(e.Message, at, trace.WithAttributes(about...))
}

// end sends the trace.
func (t *tracing) end(ctx context.Context, failed error) error {
	if t.provider == nil {
		return nil
	}
	if t.step != nil {
		t.step.End()
	}
	if failed != nil {
		t.command.SetStatus(codes.Error, brief(failed.Error()))
	}
	t.command.End()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	return cmp.Or(t.provider.Shutdown(ctx), t.sent.err)
}
