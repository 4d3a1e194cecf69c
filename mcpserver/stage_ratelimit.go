package mcpserver

import (
	"context"

	"github.com/comfygate/comfygate/tools"
)

// rateLimit spends one token of the tool's class before any work, whatever becomes of the call (SC-58). A server that closes has none.
func (p *pipeline) rateLimit(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		if p.closing() {
			return tools.Result{}, errClosing
		}
		if err := p.limiter.Take(c.principal.Name, c.tool.Class, 1); err != nil {
			return tools.Result{}, err
		}
		return next(ctx, c)
	}
}
