package main

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/policy/live"
)

// A roster remembers in which role each principal called last, so that the limits know whose role's limits to hold: they know callers by
// name only, because one name has one budget, whatever it comes with. It is bounded, and safe for concurrent use.
type roster struct {
	policy *live.Policy
	roles  *lru.Cache[string, policy.Role]
}

func newRoster(rules *live.Policy) (*roster, error) {
	const most = 65_536
	roles, err := lru.New[string, policy.Role](most)
	if err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	return &roster{policy: rules, roles: roles}, nil
}

// seen is told of each call's principal.
func (r *roster) seen(p auth.Principal) { r.roles.Add(p.Name, p.Role) }

// own are the limits that the policy in force gives a principal.
func (r *roster) own(principal string) policy.Limits {
	role, _ := r.roles.Get(principal)
	return r.policy.Current().Limits(principal, role)
}

// jobsAtOnce tells how many jobs an owner may have at ComfyUI, where the policy says.
func (r *roster) jobsAtOnce(owner string) (int, bool) {
	n := r.own(owner).JobsAtOnce
	if n == nil {
		return 0, false
	}
	return *n, true
}

// A guard is every limit in force.
type guard struct {
	roster  *roster
	rates   *limits.Limiter
	places  *limits.Places
	budgets *limits.Budgets
	calls   *limits.Calls
}

func newGuard(cfg config.Config, rules *live.Policy) (g guard, err error) {
	if g.roster, err = newRoster(rules); err != nil {
		return guard{}, err
	}
	own := g.roster.own
	g.rates, err = limits.New(limits.Config{
		GeneratePerMinute: orOff(cfg.RateLimit.GeneratePerMinute),
		Burst:             cfg.RateLimit.Burst,
		GlobalPerMinute:   orOff(cfg.RateLimit.GlobalPerMinute),
		StatusPerMinute:   orOff(cfg.RateLimit.StatusPerMinute),
		Own:               own,
	})
	if err != nil {
		return guard{}, usageError{fmt.Errorf("COMFYGATE_RATELIMIT__*: %w", err)}
	}
	l := cfg.Limits
	g.places = limits.NewPlaces(l.Pending, l.PendingPerPrincipal).WithOwn(own)
	if g.budgets, err = limits.NewBudgets(limits.BudgetConfig{PerHour: float64(l.BudgetPerHour), PerDay: float64(l.BudgetPerDay), Own: own}); err != nil {
		return guard{}, err
	}
	g.calls = limits.NewCalls(l.Calls, l.CallsPerPrincipal)
	return g, nil
}

// orOff translates a setting's `off`, which is 0, into the limiter's.
func orOff(rate int) int {
	if rate == 0 {
		return limits.Off
	}
	return rate
}
