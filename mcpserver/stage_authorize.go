package mcpserver

import (
	"context"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// authorize judges the plan: the very one that will run (POL-07).
func (p *pipeline) authorize(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		req := c.plan.Policy()
		req.Principal, req.Role, req.Scopes = c.principal.Name, c.principal.Role, c.principal.Scopes
		req.Tool, req.Scope = c.tool.Name, c.tool.Scope
		req.Method, req.Transport, req.Now = c.principal.Method, c.transport, c.arrived.Unix()
		req.Args, req.Cost = c.doc, c.plan.Cost().Work
		if c.decision = p.policy.Decide(ctx, req); !c.decision.Allowed {
			return tools.Result{}, &policy.DeniedError{Decision: c.decision}
		}
		return next(ctx, c)
	}
}
