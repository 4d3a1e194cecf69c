package mcpserver

import (
	"context"
	"strings"

	"github.com/mark3labs/mcp-go/tracing"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer hands mcp-go's spans to OpenTelemetry. Names of methods and tools go along, and nothing that a caller wrote: errors are told as
// codes by the pipeline, not as texts by mcp-go.
type tracer struct{ to trace.Tracer }

var kinds = map[tracing.SpanKind]trace.SpanKind{
	tracing.SpanKindServer: trace.SpanKindServer, tracing.SpanKindClient: trace.SpanKindClient, tracing.SpanKindInternal: trace.SpanKindInternal,
}

// Start implements [tracing.Tracer].
func (t tracer) Start(ctx context.Context, name string, kind tracing.SpanKind, attrs ...tracing.Attribute) (context.Context, tracing.Span) {
	ctx, s := t.to.Start(ctx, clean(name, 128), trace.WithSpanKind(kinds[kind]), trace.WithAttributes(attributes(attrs)...))
	return ctx, span{s}
}

type span struct{ trace.Span }

// SetAttributes implements [tracing.Span].
func (s span) SetAttributes(attrs ...tracing.Attribute) { s.Span.SetAttributes(attributes(attrs)...) }

// RecordError implements [tracing.Span]. An error's text may quote what a caller sent.
func (s span) RecordError(error) { s.Span.SetStatus(codes.Error, "") }

// SetStatus implements [tracing.Span], without the description for the same reason.
func (s span) SetStatus(code tracing.StatusCode, _ string) {
	switch code {
	case tracing.StatusOK:
		s.Span.SetStatus(codes.Ok, "")
	case tracing.StatusError:
		s.Span.SetStatus(codes.Error, "")
	case tracing.StatusUnset:
	}
}

// End implements [tracing.Span].
func (s span) End() { s.Span.End() }

// attributes keeps what is known to hold names only.
func attributes(attrs []tracing.Attribute) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		if strings.Contains(a.Key, "session") { // with it somebody else could speak
			continue
		}
		out = append(out, attribute.String(a.Key, clean(a.Value, 128)))
	}
	return out
}

// traced tells the call's span what came of the call, and its record which trace it belongs to.
func traced(ctx context.Context, c *call, code string) {
	s := trace.SpanFromContext(ctx)
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(
		attribute.String("comfygate.call_id", c.id), attribute.String("comfygate.code", code),
		attribute.String("comfygate.transport", c.transport),
	)
}

// traceID is the trace that ctx belongs to; empty where there is none.
func traceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}
