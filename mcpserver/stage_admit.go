package mcpserver

import (
	"context"
	"sync"

	"github.com/comfygate/comfygate/tools"
)

// admit reserves what the plan costs: the rate tokens beside the first, and a place in the queue. All of it is given back
// when the call does not come to run.
func (p *pipeline) admit(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		cost := c.plan.Cost()
		if n := cost.Tokens - 1; n > 0 {
			if err := p.limiter.Take(c.principal.Name, c.tool.Class, n); err != nil {
				return tools.Result{}, err
			}
			defer func() {
				if !c.started {
					p.limiter.Refund(c.principal.Name, c.tool.Class, n)
				}
			}()
		}
		c.release = func() {}
		if cost.Place {
			release, err := p.places.Take(c.principal.Name)
			if err != nil {
				return tools.Result{}, err
			}
			c.release = sync.OnceFunc(release) // a plan that panicked may have given it back already
			defer func() {
				if !c.started {
					c.release()
				}
			}()
		}
		return next(ctx, c)
	}
}
