package mcpserver

import (
	"context"
	"fmt"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// scope asks whether the caller may use the tool at all: tools/list shows only what this lets pass, and here it is asked again (T29, SC-59).
func (*pipeline) scope(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		if !c.principal.Can(c.tool.Scope) {
			c.decision = policy.Decision{
				Rule:   "scope:" + string(c.tool.Scope),
				Reason: fmt.Sprintf("the tool %s needs the scope %s, which you do not have", c.tool.Name, c.tool.Scope),
			}
			return tools.Result{}, &policy.DeniedError{Decision: c.decision}
		}
		return next(ctx, c)
	}
}
