// Package logging makes the program's logger: zap on a writer handed in, with every credential masked (SC-36).
// Only cmd imports it; all other packages take a *zap.Logger.
package logging

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/comfygate/comfygate/config"
)

// New returns a logger that writes to w what is as severe as level or more, as lines for people or as JSON. Each line is one write.
// Times are UTC. What r knows is masked at every level; that cannot be switched off.
func New(w io.Writer, level zapcore.Level, format string, r *config.Redactor) *zap.Logger {
	sink := zapcore.Lock(zapcore.AddSync(w))
	return zap.New(Mask(zapcore.NewCore(encoder(format), sink, level), r), zap.ErrorOutput(sink))
}

func encoder(format string) zapcore.Encoder {
	cfg := zapcore.EncoderConfig{
		TimeKey: "ts", LevelKey: "level", NameKey: "logger", MessageKey: "msg", StacktraceKey: "stack",
		EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
			enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
		},
		EncodeLevel:    zapcore.CapitalLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	if format == config.FormatJSON {
		return zapcore.NewJSONEncoder(cfg)
	}
	return zapcore.NewConsoleEncoder(cfg)
}
