package mcpserver

import (
	"context"
	"log/slog"
	"slices"

	"go.uber.org/zap"
)

// bridge hands mcp-go's own lines to zap, all at debug level: they name sessions and quote errors.
type bridge struct {
	log   *zap.Logger
	attrs []slog.Attr
}

func sdkLogger(log *zap.Logger) *slog.Logger {
	return slog.New(bridge{log: log.Named("mcp-go")})
}

func (b bridge) Enabled(context.Context, slog.Level) bool {
	return b.log.Core().Enabled(zap.DebugLevel)
}

func (b bridge) Handle(_ context.Context, r slog.Record) error {
	fields := []zap.Field{zap.String("level_there", r.Level.String()), zap.String("text", clean(r.Message, 200))}
	add := func(a slog.Attr) bool {
		fields = append(fields, zap.String(a.Key, clean(a.Value.String(), 300)))
		return true
	}
	for _, a := range b.attrs {
		add(a)
	}
	r.Attrs(add)
	b.log.Debug("protocol library", fields...)
	return nil
}

func (b bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	b.attrs = append(slices.Clip(b.attrs), attrs...)
	return b
}

func (b bridge) WithGroup(string) slog.Handler { return b }
