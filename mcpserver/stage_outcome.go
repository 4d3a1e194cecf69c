package mcpserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// outcome makes exactly one record of how the call ended durable, whatever happened inside and whether or not the caller is still
// there. Without it the result is withheld (AUD-03). While the log cannot be written no call is let in, reads neither; only cancelling
// may, on the reserve.
func (p *pipeline) outcome(next handler) handler {
	return func(ctx context.Context, c *call) (res tools.Result, err error) {
		if cause := p.audit.Healthy(); cause != nil && !c.cancels() {
			return tools.Result{}, fmt.Errorf("%w: %w", audit.ErrUnwritable, cause)
		}
		returned := false
		defer func() {
			if err != nil {
				err = &told{error: err, fault: p.explain(c, err)}
			}
			ended := err
			if !returned {
				ended = errPanicked
			}
			if lost := p.record(ctx, c, res, ended); lost != nil {
				p.log.Error("outcome could not be recorded", zap.String("call_id", c.id), zap.Error(lost))
				res, err = tools.Result{}, fmt.Errorf("%w: %w", audit.ErrUnwritable, lost)
			}
		}()
		res, err = next(ctx, c)
		returned = true
		return res, err
	}
}

// record writes what is owed: the caller may have gone, the record is due all the same.
func (p *pipeline) record(ctx context.Context, c *call, res tools.Result, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.bounds.Owed)
	defer cancel()
	r := p.base(ctx, c)
	r.Kind = audit.Outcome
	r.DurationMS = time.Since(c.arrived).Milliseconds()
	r.JobID, r.Outputs = res.JobID, res.Outputs
	switch {
	case err != nil:
		r.Status, r.Code = "error", Explain(err).Code
	case res.Accepted:
		r.Status = "accepted"
	default:
		r.Status = "ok"
	}
	if rule := deniedBy(err); rule != "" {
		r.Kind, r.Status, r.Decision, r.Rule = audit.DecisionK, "denied", "deny", rule
		return p.denials.Denied(ctx, r)
	}
	if c.intended || c.cancels() {
		return p.audit.AppendReserved(ctx, r)
	}
	return p.audit.Append(ctx, r)
}

// base is what the records of one call have in common.
func (p *pipeline) base(ctx context.Context, c *call) audit.Record {
	r := audit.Record{
		CallID: c.id, Principal: c.principal.Name, Method: c.principal.Method, Transport: c.transport, Session: c.session,
		Tool: c.tool.Name, Params: c.params, PolicyHash: cmp.Or(c.decision.Policy, p.policy.Hash()), Rule: c.decision.Rule,
	}
	if c.decision.Allowed {
		r.Decision = "allow"
	}
	if c.via != "" {
		r.Detail = map[string]string{"via": c.via}
	}
	if id := traceID(ctx); id != "" {
		if r.Detail == nil {
			r.Detail = map[string]string{}
		}
		r.Detail["trace"] = id
	}
	if c.plan != nil {
		r.Cost = c.plan.Cost().Work
	}
	return r
}

// deniedBy names the rule or limit that refused a call, or is empty for every other end.
func deniedBy(err error) string {
	if e, ok := errors.AsType[*policy.DeniedError](err); ok {
		return e.Decision.Rule
	}
	if e, ok := errors.AsType[*limits.RateError](err); ok {
		return "limit:" + e.Limit
	}
	if e, ok := errors.AsType[*limits.QueueFullError](err); ok {
		return "limit:" + e.Limit
	}
	if e, ok := errors.AsType[*limits.BudgetError](err); ok {
		return "limit:" + e.Limit
	}
	if e, ok := errors.AsType[*limits.BusyError](err); ok {
		return "limit:" + e.Limit
	}
	return ""
}

// paramsOf is what a plan lets the record keep: texts that are only to be known again become digests (AUD-12).
func (p *pipeline) paramsOf(principal string, plan tools.Plan) map[string]any {
	params := maps.Clone(plan.Record())
	for key, v := range params {
		if text, ok := v.(tools.Digest); ok {
			params[key] = p.audit.Digest(principal, string(text))
		}
	}
	return params
}

// single records each refusal by itself: what [Config.Denials] is when none is given.
type single struct{ audit Audit }

func (s single) Denied(ctx context.Context, r audit.Record) error { return s.audit.Append(ctx, r) }
