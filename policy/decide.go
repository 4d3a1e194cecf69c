package policy

import (
	"context"
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

// Decide judges a request. The built-in guards are asked first, in a fixed order, cheapest first; each may deny and none can allow
// what another denies. Where there is a policy file its rules are asked then. Ctx bounds the conditions of these; its end denies.
func (r *Rules) Decide(ctx context.Context, req Request) Decision {
	if r == nil || r.hash == "" {
		return Decision{Rule: RuleNone, Reason: "no policy is loaded"}
	}
	d := r.judge(ctx, &req)
	d.Policy = r.hash
	return d
}

func (r *Rules) judge(ctx context.Context, req *Request) Decision {
	for _, guard := range []func(*Request) *Decision{
		r.principal, r.tool, r.scope, r.models, r.nodes, r.size,
	} {
		if d := guard(req); d != nil {
			return *d
		}
	}
	if r.file != nil {
		return r.file.decide(ctx, req)
	}
	return Decision{Allowed: true, Rule: RuleAllow}
}

// Offers reports whether a principal might be allowed to call a tool, whatever its arguments: of req it reads principal, role, scopes, tool
// and scope. Lists of tools show what it lets pass; a call is judged by [Rules.Decide] (T29).
func (r *Rules) Offers(req Request) bool {
	if r == nil || r.hash == "" || r.principal(&req) != nil || r.tool(&req) != nil || r.scope(&req) != nil {
		return false
	}
	if r.file == nil {
		return true
	}
	allowed := false
	for _, rule := range r.file.concerning(req.Tool, req.Role) {
		if !rule.allow && rule.when == nil {
			return false
		}
		allowed = allowed || rule.allow
	}
	return allowed
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
	scope := ScopeOf(req.Tool)
	switch {
	case scope == "":
		return deny(RuleTool, "there is no rule for the tool %s", quoted(req.Tool))
	case slices.Contains(r.cfg.DisabledTools, req.Tool):
		return deny(RuleDisabled, "the operator has switched off %s", req.Tool)
	case req.Scope != scope:
		return deny(RuleTool, "%s needs the scope %s", req.Tool, scope)
	}
	return nil
}

// scope asks role and scopes alike: a token's scopes narrow its role and never widen it.
func (r *Rules) scope(req *Request) *Decision {
	role := r.ScopesOf(req.Role)
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
		switch r.class(n) {
		case granted:
		case foreign:
			return deny(RuleModules, "node %s: the class %s is not one of ComfyUI's own", quoted(n.ID), quoted(n.Class))
		case refused:
			return deny(RuleClasses, "node %s: the class %s is not allowed", quoted(n.ID), quoted(n.Class))
		}
		if d := r.inputs(&n); d != nil {
			return d
		}
	}
	return nil
}

// What is thought of a class.
type standing int

const (
	granted standing = iota
	foreign          // of a module that is not ComfyUI's own
	refused
)

func (r *Rules) class(n Node) standing {
	var file NodesFile
	if r.file != nil {
		file = r.file.file.Nodes
	}
	named := func(globs []string, word string) bool {
		return slices.ContainsFunc(globs, func(glob string) bool { return globbed(glob, word) })
	}
	switch {
	case named(file.Deny, n.Class):
		return refused
	case n.Module != "" && named(file.Allow, n.Class):
		return granted
	case n.Module != "" && named(file.Modules, n.Module):
		if deniedClass(n.Class) {
			return refused
		}
		return granted
	case !allowedModule(n.Module):
		return foreign
	case n.API || deniedClass(n.Class):
		return refused
	}
	return granted
}

// inputs holds a node to the file's constraints.
func (r *Rules) inputs(n *Node) *Decision {
	if r.file == nil {
		return nil
	}
	for i := range r.file.constraints {
		if input, problem := r.file.constraints[i].denies(n); problem != "" {
			return deny(RuleConstraint, "node %s: the input %s of %s %s", quoted(n.ID), quoted(input), quoted(n.Class), problem)
		}
	}
	return nil
}

func (r *Rules) size(req *Request) *Decision {
	if req.Width < 0 || req.Height < 0 || req.Count < 0 || req.Frames < 0 || req.Steps < 0 || req.Pixels < 0 {
		return deny(RuleSize, "sizes, counts and steps cannot be negative")
	}
	count := int64(max(req.Count, 1))
	one := product(int64(req.Width), int64(req.Height))
	pixels := max(req.Pixels, product(one, count))
	if req.Frames > 1 {
		return r.video(max(one, pixels/count), pixels, int64(req.Steps))
	}
	if pixels > r.cfg.MaxPixels {
		return deny(RulePixels, "width × height × count is over the bound of %d pixels", r.cfg.MaxPixels)
	}
	if product(pixels, int64(req.Steps)) > r.cfg.MaxWork {
		return deny(RuleWork, "width × height × count × steps is over the bound of %d", r.cfg.MaxWork)
	}
	return nil
}

// video bounds what makes videos: models of these take many frames at once for what pictures would take, so all together have bounds of
// their own, and each frame that of pictures.
func (r *Rules) video(frame, pixels, steps int64) *Decision {
	if frame > r.cfg.MaxPixels {
		return deny(RulePixels, "width × height of one frame is over the bound of %d pixels", r.cfg.MaxPixels)
	}
	if pixels > r.cfg.MaxVideoPixels {
		return deny(RulePixels, "width × height × frames is over the bound of %d pixels", r.cfg.MaxVideoPixels)
	}
	if product(pixels, steps) > r.cfg.MaxVideoWork {
		return deny(RuleWork, "width × height × frames × steps is over the bound of %d", r.cfg.MaxVideoWork)
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
