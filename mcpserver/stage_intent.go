package mcpserver

import (
	"context"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/tools"
)

// intent makes durable what is about to be done, or nothing is done (fail closed). Tools that only read need none: their outcome suffices.
func (p *pipeline) intent(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		if err := ctx.Err(); err != nil {
			return tools.Result{}, context.Cause(ctx) // nobody waits any more, so nothing is begun
		}
		if c.tool.Hints.ReadOnly {
			return next(ctx, c)
		}
		r := p.base(ctx, c)
		r.Kind = audit.Intent
		// Detached: a caller who goes now must not leave it unknown whether the record is there.
		owed, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.bounds.Owed)
		defer cancel()
		write := p.audit.Append
		if c.cancels() {
			write = p.audit.AppendReserved
		}
		if err := write(owed, r); err != nil {
			return tools.Result{}, err
		}
		c.intended = true
		return next(ctx, c)
	}
}
