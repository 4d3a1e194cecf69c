package mcpserver

import (
	"context"
	"slices"
	"sync"

	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// admit reserves what the plan costs: room to run, the rate tokens beside the first, its work, and a place in the queue. All of it is given
// back when the call does not come to run.
func (p *pipeline) admit(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		if p.exhausted != nil && c.tool.Class == limits.Generate {
			if err := p.exhausted(); err != nil {
				return tools.Result{}, err
			}
		}
		leave, err := p.enter(c)
		if err != nil {
			return tools.Result{}, err
		}
		defer leave()
		c.release = func() {}
		var taken []func()
		defer func() {
			if c.started {
				return
			}
			for _, giveBack := range slices.Backward(taken) {
				giveBack()
			}
		}()
		for _, take := range []func(*call) (giveBack func(), err error){p.takeTokens, p.takeWork, p.takePlace} {
			giveBack, err := take(c)
			if err != nil {
				return tools.Result{}, err
			}
			taken = append(taken, giveBack)
		}
		return next(ctx, c)
	}
}

// enter finds room for a call to run. What takes work away always may: cancelling, and operators, of whom there are few.
func (p *pipeline) enter(c *call) (leave func(), err error) {
	if p.calls == nil || c.cancels() || c.tool.Scope == policy.Operate {
		return func() {}, nil
	}
	return p.calls.Enter(c.principal.Name, c.quick())
}

// quick reports whether the call only looks, and waits for nothing.
func (c *call) quick() bool {
	waits := c.tool.Waits && c.doc["job_id"] != nil && c.tool.wait(c.doc) > 0
	return c.tool.Class == limits.Status && c.tool.Hints.ReadOnly && !waits
}

func (p *pipeline) takeTokens(c *call) (giveBack func(), err error) {
	n := c.plan.Cost().Tokens - 1
	if n < 1 {
		return func() {}, nil
	}
	return func() { p.limiter.Refund(c.principal.Name, c.tool.Class, n) }, p.limiter.Take(c.principal.Name, c.tool.Class, n)
}

// takeWork charges the estimate (LIM-03). Who ends the job settles it.
func (p *pipeline) takeWork(c *call) (giveBack func(), err error) {
	work := c.plan.Cost().Work
	if p.budgets == nil || work == 0 {
		return func() {}, nil
	}
	charge, err := p.budgets.Charge(c.principal.Name, work)
	if err != nil {
		return nil, err
	}
	c.settle = charge.Settle
	return func() { charge.Settle(0) }, nil
}

func (p *pipeline) takePlace(c *call) (giveBack func(), err error) {
	if !c.plan.Cost().Place {
		return func() {}, nil
	}
	release, err := p.places.Take(c.principal.Name)
	if err != nil {
		return nil, err
	}
	c.release = sync.OnceFunc(release) // a plan that panicked may have given it back already
	return c.release, nil
}
