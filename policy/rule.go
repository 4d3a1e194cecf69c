package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/policy/condition"
)

// Ids that a policy file's rules may not take besides those of the built-in guards.
const (
	// RuleNoMatch denies what no rule of the file allows.
	RuleNoMatch = "no-match"
	// RuleConstraint denies a graph for a value of an input.
	RuleConstraint = "node-inputs"
)

// A rule is a compiled [RuleFile].
type rule struct {
	id     string
	allow  bool
	tools  []string // globs; empty: all
	roles  []Role   // empty: all
	when   *condition.Condition
	reason string
}

// rule checks and compiles one rule of f.
func (f *File) rule(text RuleFile, language *condition.Language) (*rule, []error) {
	r := &rule{id: text.ID, allow: text.Effect == Allow, tools: text.Tools, roles: text.Roles, reason: text.Reason}
	var faults []error
	if !plainID(text.ID) {
		faults = append(faults, errors.New("a rule needs an id of letters, digits, dots, - and _, which records and callers will read"))
	}
	if slices.Contains(builtIn(), text.ID) {
		faults = append(faults, errors.New("this id is that of a built-in guard; take another"))
	}
	if text.Effect != Allow && text.Effect != Deny {
		faults = append(faults, fmt.Errorf("effect: %s is neither allow nor deny", quoted(text.Effect)))
	}
	for _, glob := range text.Tools {
		if !someTool(glob) {
			faults = append(faults, fmt.Errorf("tools: no tool is called %s; the tools are %s", quoted(glob), listed(Tools())))
		}
	}
	for _, role := range text.Roles {
		if f.scopesOf(role) == nil {
			faults = append(faults, fmt.Errorf("roles: there is no role %s", quoted(string(role))))
		}
	}
	if len(text.Reason) > 300 {
		faults = append(faults, errors.New("reason: more than 300 characters"))
	}
	if text.When != "" {
		var err error
		if r.when, err = language.Compile(text.When); err != nil {
			faults = append(faults, fmt.Errorf("when: %w", err))
		}
	}
	return r, faults
}

func builtIn() (ids []string) {
	for _, g := range Guards() {
		ids = append(ids, g.ID)
	}
	return ids
}

// someTool reports whether a glob names a tool there is, or tools that saved workflows make.
func someTool(glob string) bool {
	return validGlob(glob) && (strings.HasPrefix(glob, SavedTool) || slices.ContainsFunc(Tools(), func(tool string) bool { return globbed(glob, tool) }))
}

// concerns reports whether r speaks of a tool called under a role.
func (r *rule) concerns(tool string, role Role) bool {
	return (len(r.tools) == 0 || slices.ContainsFunc(r.tools, func(glob string) bool { return globbed(glob, tool) })) &&
		(len(r.roles) == 0 || slices.Contains(r.roles, role))
}

// indexed prepares the rules of every tool and role there is, so that a decision asks few of many.
func (c *compiled) indexed() {
	roles := []Role{Viewer, Operator, Admin}
	for name := range c.file.Roles {
		roles = append(roles, Role(name))
	}
	for _, tool := range Tools() {
		for _, role := range roles {
			c.index[use{tool, role}] = c.concerning(tool, role)
		}
	}
}

// A use is a tool called under a role.
type use struct {
	tool string
	role Role
}

func (c *compiled) concerning(tool string, role Role) (out []*rule) {
	for _, r := range c.rules {
		if r.concerns(tool, role) {
			out = append(out, r)
		}
	}
	return out
}

// A Verdict is what one rule says of a request.
type Verdict struct {
	Rule, Effect, When string
	Applies            bool   // its condition holds
	Problem            string // why that could not be told, which denies
}

// ask evaluates the rules that concern req in their order and tells each verdict to see, until see returns false.
func (c *compiled) ask(ctx context.Context, req *Request, see func(*rule, bool, error) bool) {
	rules, prepared := c.index[use{req.Tool, req.Role}]
	if !prepared {
		rules = c.concerning(req.Tool, req.Role)
	}
	facts := &facts{req: req}
	for _, r := range rules {
		holds, err := true, error(nil)
		if r.when != nil {
			holds, err = r.when.Holds(ctx, facts.lookup)
		}
		if !see(r, holds, err) {
			return
		}
	}
}

// decide lets the file's rules judge: a denial wins over every allowance, and what none allows is denied (POL-01).
func (c *compiled) decide(ctx context.Context, req *Request) Decision {
	verdict := Decision{Rule: RuleNoMatch, Reason: "no rule of the policy allows this"}
	c.ask(ctx, req, func(r *rule, holds bool, err error) bool {
		switch {
		case err != nil:
			verdict = Decision{Rule: r.id, Reason: "whether this rule applies could not be told, and that denies"}
		case !holds || r.allow && verdict.Allowed:
		case r.allow:
			verdict = Decision{Allowed: true, Rule: r.id}
		default:
			verdict = Decision{Rule: r.id, Reason: r.reason}
			if verdict.Reason == "" {
				verdict.Reason = "the policy does not allow this"
			}
		}
		return verdict.Allowed || verdict.Rule == RuleNoMatch
	})
	return verdict
}

// Explain returns what every rule that concerns req says of it, in order, and the decision. Without a policy file there are no verdicts,
// only the built-in guards' decision (POL-04).
func (r *Rules) Explain(ctx context.Context, req Request) ([]Verdict, Decision) {
	d := r.Decide(ctx, req)
	if r == nil || r.file == nil {
		return nil, d
	}
	var out []Verdict
	r.file.ask(ctx, &req, func(rule *rule, holds bool, err error) bool {
		v := Verdict{Rule: rule.id, Effect: Deny, Applies: holds && err == nil}
		if rule.allow {
			v.Effect = Allow
		}
		if rule.when != nil {
			v.When = rule.when.String()
		}
		if err != nil {
			v.Problem = err.Error()
		}
		out = append(out, v)
		return true
	})
	return out, d
}
