package mcpserver

import (
	"context"

	"github.com/comfygate/comfygate/tools"
)

// resolve turns the arguments into the whole of what the call would do, and takes note of what the record keeps of it.
func (p *pipeline) resolve(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		plan, err := c.args.Resolve(ctx, c.caller())
		if err != nil {
			return tools.Result{}, err
		}
		if plan == nil {
			return tools.Result{}, errNoPlan
		}
		c.plan, c.params = plan, p.paramsOf(c.principal.Name, plan)
		return next(ctx, c)
	}
}
