package mcpserver

import (
	"context"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/tools"
)

// identify names the call and its caller. A context without a principal gives one that may do nothing.
func (p *pipeline) identify(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		c.id = p.newID()
		c.principal, _ = auth.FromContext(ctx)
		if c.notify == nil {
			c.notify = func(tools.Progress) {}
		}
		return next(ctx, c)
	}
}
