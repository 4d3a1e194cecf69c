package policy

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// Ids of the rules, as decisions and audit records name them.
const (
	RuleNone      = "none" // there are no rules; that denies
	RuleAllow     = "default"
	RulePrincipal = "principal"
	RuleTool      = "tool"
	RuleDisabled  = "tool-disabled"
	RuleRole      = "role"
	RuleScope     = "scope"
	RuleModels    = "models"
	RuleNodeCount = "node-count"
	RuleModules   = "node-modules"
	RuleClasses   = "node-classes"
	RuleSize      = "size"
	RulePixels    = "pixels"
	RuleWork      = "work"
)

// Decide judges a request. Every rule may deny and none can allow what another denies; what no rule denies, and only
// that, is allowed. The rules are asked in a fixed order, cheapest first, and the first denial is the verdict.
func (r *Rules) Decide(req Request) Decision {
	if r == nil || r.hash == "" {
		return Decision{Rule: RuleNone, Reason: "no policy is loaded"}
	}
	for _, rule := range []func(*Request) *Decision{
		r.principal, r.tool, r.scope, r.models, r.nodes, r.size,
	} {
		if d := rule(&req); d != nil {
			return *d
		}
	}
	return Decision{Allowed: true, Rule: RuleAllow}
}

func deny(rule, reason string, args ...any) *Decision {
	return &Decision{Rule: rule, Reason: fmt.Sprintf(reason, args...)}
}

func (r *Rules) principal(req *Request) *Decision {
	switch {
	case req.Principal == "":
		return deny(RulePrincipal, "the caller is not known")
	case slices.Contains(r.cfg.DeniedPrincipals, req.Principal):
		return deny(RulePrincipal, "the operator has denied this caller")
	}
	return nil
}

func (r *Rules) tool(req *Request) *Decision {
	scope, known := toolScopes()[req.Tool]
	switch {
	case !known:
		return deny(RuleTool, "there is no rule for the tool %s", quoted(req.Tool))
	case slices.Contains(r.cfg.DisabledTools, req.Tool):
		return deny(RuleDisabled, "the operator has switched off %s", req.Tool)
	case req.Scope != scope:
		return deny(RuleTool, "%s needs the scope %s", req.Tool, scope)
	}
	return nil
}

// scope asks role and scopes alike: a token's scopes narrow its role and never widen it.
func (*Rules) scope(req *Request) *Decision {
	role := ScopesOf(req.Role)
	switch {
	case role == nil:
		return deny(RuleRole, "the caller has no role")
	case !slices.Contains(role, req.Scope):
		return deny(RuleRole, "the role %s does not hold the scope %s", req.Role, req.Scope)
	case !slices.Contains(req.Scopes, req.Scope):
		return deny(RuleScope, "the caller does not hold the scope %s", req.Scope)
	}
	return nil
}

func (r *Rules) models(req *Request) *Decision {
	for _, m := range req.Models {
		if !r.AllowModel(m.Kind, m.Name) {
			return deny(RuleModels, "a model of this request is not available") // the same words for each: SC-52
		}
	}
	return nil
}

func (r *Rules) nodes(req *Request) *Decision {
	if len(req.Nodes) > r.cfg.MaxNodes {
		return deny(RuleNodeCount, "the graph has %d nodes; at most %d are allowed", len(req.Nodes), r.cfg.MaxNodes)
	}
	for _, n := range req.Nodes {
		switch {
		case !allowedModule(n.Module):
			return deny(RuleModules, "node %s: the class %s is not one of ComfyUI's own", quoted(n.ID), quoted(n.Class))
		case n.API || deniedClass(n.Class):
			return deny(RuleClasses, "node %s: the class %s is not allowed", quoted(n.ID), quoted(n.Class))
		}
	}
	return nil
}

func (r *Rules) size(req *Request) *Decision {
	if req.Width < 0 || req.Height < 0 || req.Count < 0 || req.Steps < 0 || req.Pixels < 0 {
		return deny(RuleSize, "sizes, counts and steps cannot be negative")
	}
	pixels := max(req.Pixels, product(int64(req.Width), int64(req.Height), int64(max(req.Count, 1))))
	if pixels > r.cfg.MaxPixels {
		return deny(RulePixels, "width × height × count is over the bound of %d pixels", r.cfg.MaxPixels)
	}
	if product(pixels, int64(req.Steps)) > r.cfg.MaxWork {
		return deny(RuleWork, "width × height × count × steps is over the bound of %d", r.cfg.MaxWork)
	}
	return nil
}

// product multiplies numbers that are not negative; what passes an int64 counts as the largest one (T32).
func product(factors ...int64) int64 {
	p := uint64(1)
	for _, f := range factors {
		hi, lo := bits.Mul64(p, uint64(max(f, 0)))
		p = lo
		if hi != 0 || lo > math.MaxInt64 {
			p = math.MaxInt64
		}
	}
	return int64(p)
}

// quoted makes a word of the caller's safe to show: printable, and short.
func quoted(word string) string {
	const most = 60
	if runes := []rune(word); len(runes) > most {
		word = string(runes[:most]) + "…"
	}
	return strconv.Quote(word)
}
