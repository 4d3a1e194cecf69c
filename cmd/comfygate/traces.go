package main

import (
	"context"
	"fmt"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// openTraces sends traces of calls to a collector, where one is configured. A collector that is away costs nothing but the traces: they wait
// in a bounded queue, and are then dropped.
func (h *house) openTraces(ctx context.Context) (trace.Tracer, error) {
	o := h.cfg.OTel
	if !o.Enabled {
		return nil, nil
	}
	to, err := url.Parse(o.Endpoint)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, usageError{fmt.Errorf("COMFYGATE_OTEL__ENDPOINT: %q is no address such as http://127.0.0.1:4318", o.Endpoint)}
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(to.JoinPath("v1/traces").String()))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", o.ServiceName), attribute.String("service.version", version))),
	)
	h.later("traces", func(ctx context.Context) error {
		if err := provider.Shutdown(ctx); err != nil { // the collector is away: that is no failure of ours
			h.log.Warn("traces", zap.Error(err))
		}
		return nil
	})
	return provider.Tracer("comfygate"), nil
}
