package mcpserver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/tools"
)

// observe writes one line of log for each call: sizes, times and codes, never arguments. Reads that went well are told at debug level only.
func (p *pipeline) observe(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		who := []zap.Field{
			zap.String("call_id", c.id), zap.String("tool", c.tool.Name), zap.String("principal", c.principal.Name),
			zap.String("transport", c.transport), zap.Int("arguments_bytes", len(c.raw)),
		}
		p.log.Debug("tool call began", who...)
		res, err := next(ctx, c)
		code := "ok"
		if err != nil {
			code = Explain(err).Code
		}
		traced(ctx, c, code)
		if p.observed != nil {
			p.observed(Ended{Principal: c.principal.Name, Tool: c.tool.Name, Code: code, Rule: deniedBy(err), Took: time.Since(c.arrived)})
		}
		level := zap.InfoLevel
		if err == nil && c.tool.Hints.ReadOnly { // agents poll; the record has these too
			level = zap.DebugLevel
		}
		if line := p.log.Check(level, "tool call finished"); line != nil {
			line.Write(append(who, zap.String("code", code), zap.String("job_id", res.JobID),
				zap.Int("pictures", len(res.Pictures)), zap.Duration("duration", time.Since(c.arrived)))...)
		}
		if err != nil && code != "INVALID_PARAMETER" && code != "INVALID_PROMPT" { // whose texts quote arguments
			p.log.Debug("tool call failed", zap.String("call_id", c.id), zap.Error(err))
		}
		return res, err
	}
}
