package mcpserver

import (
	"context"
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/tools"
)

// recovered turns a panic into a [PanicError] (MCP-18). Its type and stack go to the log; its value only at debug level, for it may hold
// anything, a prompt too.
func (p *pipeline) recovered(next handler) handler {
	return func(ctx context.Context, c *call) (res tools.Result, err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			log := p.log.With(zap.String("call_id", c.id), zap.String("tool", c.tool.Name))
			log.Error("tool call panicked", zap.String("type", fmt.Sprintf("%T", v)), zap.ByteString("stack", debug.Stack()))
			log.Debug("tool call panicked with", zap.String("value", fmt.Sprint(v)))
			res, err = tools.Result{}, &PanicError{}
		}()
		return next(ctx, c)
	}
}
