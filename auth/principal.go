// Package auth tells who is calling: it turns credentials into a [Principal].
package auth

import (
	"context"
	"slices"

	"github.com/comfygate/comfygate/policy"
)

// A Principal is an authenticated caller. It is immutable.
type Principal struct {
	Name   string         // also the owner of everything the caller makes
	Method string         // how it was told: stdio, token, basic, loopback, anonymous
	Role   policy.Role    // what it may do at most
	Scopes []policy.Scope // what its role and token leave of that; sorted
	// Token are the scopes that the caller's token leaves of any role; nil leaves all.
	Token []policy.Scope
}

// Under returns p in another role, which has scopes, narrowed by p's token.
func (p Principal) Under(role policy.Role, scopes []policy.Scope) Principal {
	p.Role, p.Scopes = role, scopes
	if p.Token != nil {
		p.Scopes = slices.DeleteFunc(slices.Clone(scopes), func(s policy.Scope) bool { return !slices.Contains(p.Token, s) })
	}
	return p
}

// Can reports whether p may act under scope.
func (p Principal) Can(scope policy.Scope) bool {
	return slices.Contains(p.Scopes, scope)
}

type principalKey struct{}

// NewContext returns a context that carries p.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the principal that [NewContext] put into ctx.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}
