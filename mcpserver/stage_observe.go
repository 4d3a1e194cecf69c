package mcpserver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/tools"
)

// observe writes one line of log for each call: sizes, times and codes, never arguments.
func (p *pipeline) observe(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		log := p.log.With(zap.String("call_id", c.id), zap.String("tool", c.tool.Name), zap.String("principal", c.principal.Name))
		log.Debug("tool call began", zap.String("transport", c.transport), zap.Int("arguments_bytes", len(c.raw)))
		res, err := next(ctx, c)
		code := "ok"
		if err != nil {
			code = Explain(err).Code
		}
		log.Info("tool call finished",
			zap.String("transport", c.transport), zap.String("code", code), zap.String("job_id", res.JobID),
			zap.Int("pictures", len(res.Pictures)), zap.Duration("duration", time.Since(c.arrived)))
		if err != nil && code != "INVALID_PARAMETER" && code != "INVALID_PROMPT" { // whose texts quote arguments
			log.Debug("tool call failed", zap.Error(err))
		}
		return res, err
	}
}
