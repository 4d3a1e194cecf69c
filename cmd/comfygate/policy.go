package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/policy/live"
)

// policySettings are the bounds that a policy file can only narrow.
func policySettings(cfg config.Config) policy.Config {
	return policy.Config{
		ModelExtensions:   cfg.Policy.ModelExtensions,
		UpscaleExtensions: cfg.Policy.UpscaleExtensions,
		ModelAllow:        cfg.Policy.ModelAllow,
		ModelDeny:         cfg.Policy.ModelDeny,
		DisabledTools:     cfg.Policy.DisabledTools,
		DeniedPrincipals:  cfg.Policy.DeniedPrincipals,
		MaxNodes:          cfg.Limits.GraphNodes,
		MaxPixels:         cfg.Limits.JobPixels,
		MaxWork:           cfg.Limits.WorkUnits,
		MaxVideoPixels:    cfg.Limits.VideoPixels,
		MaxVideoWork:      cfg.Limits.VideoWorkUnits,
	}
}

// newRules returns the policy as it stands now, for commands that end soon.
func newRules(cfg config.Config) (*policy.Rules, error) {
	p, err := openPolicy(cfg, nil, nil)
	if err != nil {
		return nil, err
	}
	return p.Current(), nil
}

func openPolicy(cfg config.Config, changed func(was, is *policy.Rules), rejected func(error)) (*live.Policy, error) {
	p, err := live.Open(live.Config{Settings: policySettings(cfg), File: cfg.Policy.File, Changed: changed, Rejected: rejected})
	if err != nil {
		return nil, usageError{fmt.Errorf("COMFYGATE_POLICY__*: %w", err)}
	}
	if err := oneOfRoles(cfg, p.Current()); err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

// oneOfRoles refuses roles that are told in two places, of which one would win in silence.
func oneOfRoles(cfg config.Config, rules *policy.Rules) error {
	if _, told := rules.RoleOf(""); told && len(cfg.Auth.Roles) > 0 {
		return errors.New("COMFYGATE_AUTH__ROLES and the policy file's principals both say who has which role; keep one of the two")
	}
	return nil
}

// openPolicy reads the policy; from then on it is followed.
func (h *house) openPolicy(ctx context.Context) (err error) {
	h.policy, err = openPolicy(h.cfg, func(was, is *policy.Rules) {
		h.log.Info("policy changed", zap.String("was", was.Hash()), zap.String("is", is.Hash()))
		h.event(ctx, audit.Record{Name: audit.PolicyChanged, PolicyHash: is.Hash(), Detail: map[string]string{"was": was.Hash()}})
	}, func(error) {
		h.event(ctx, audit.Record{Name: audit.PolicyRejected, PolicyHash: h.policy.Hash()})
	})
	if err == nil && h.cfg.Policy.File != "" {
		h.follow(ctx, followed{"policy", h.policy.Reload})
	}
	return err
}

// event records what happened to the house itself.
func (h *house) event(ctx context.Context, r audit.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), owed)
	defer cancel()
	r.Kind = audit.Event
	if err := h.record.Append(ctx, r); err != nil {
		h.log.Warn("event not recorded", zap.String("event", r.Name), zap.Error(err))
	}
}
