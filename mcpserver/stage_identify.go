package mcpserver

import (
	"context"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/tools"
)

// caller returns who calls, in the role that the policy gives them. A context without a principal gives one that may do nothing.
func caller(ctx context.Context, rules Policy) auth.Principal {
	who, _ := auth.FromContext(ctx)
	if role, told := rules.RoleOf(who.Name); told && who.Name != "" {
		who = who.Under(role, rules.ScopesOf(role))
	}
	return who
}

// identify names the call and its caller.
func (p *pipeline) identify(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		c.id = p.newID()
		c.principal = caller(ctx, p.policy)
		if p.seen != nil {
			p.seen(c.principal)
		}
		if c.notify == nil {
			c.notify = func(tools.Progress) {}
		}
		return next(ctx, c)
	}
}
