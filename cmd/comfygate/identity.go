package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/web"
)

// An identity is everything by which callers over HTTP are known.
type identity struct {
	who   *auth.Authenticator
	store *auth.Store
	certs *web.Certificates // nil: plain HTTP
	oidc  *auth.OIDC        // nil: none
}

// openIdentity reads it. It connects to nothing: a provider may be away at the start.
func openIdentity(cfg config.Config, loopback bool) (*identity, error) {
	id := &identity{}
	var err error
	if id.store, err = auth.OpenStore(tokenStore(cfg)); err != nil {
		return nil, fmt.Errorf("COMFYGATE_AUTH__TOKEN_STORE: %w", err)
	}
	if cfg.HTTP.TLSCert != "" {
		if id.certs, err = web.OpenCertificates(cfg.HTTP.TLSCert, cfg.HTTP.TLSKey, cfg.HTTP.TLSClientCA); err != nil {
			return nil, fmt.Errorf("COMFYGATE_HTTP__TLS_*: %w", err)
		}
	}
	if cfg.Auth.OIDC.Issuer != "" {
		if id.oidc, err = openOIDC(cfg); err != nil {
			return nil, err
		}
	}
	id.who, err = auth.New(auth.Config{
		Token: cfg.HTTP.Token, Tokens: cfg.Auth.Tokens, Username: cfg.HTTP.Username, Password: cfg.HTTP.Password,
		Store: id.store, OIDC: id.oidc, Certificates: cfg.Auth.CertificateOwners(), Metadata: metadataURL(cfg),
		Roles: roles(cfg), Loopback: loopback, Open: cfg.HTTP.AllowUnauthenticated,
		Failures: limits.NewAuthFailures(cfg.HTTP.AuthFailuresPerMinute),
	})
	return id, err
}

// follow reads what changes while the program runs.
func (id *identity) follow(ctx context.Context, h *house) {
	files := []followed{{"tokens", id.store.Reload}, {"uses of tokens", func() error { return id.store.WriteUsed(false) }}}
	h.later("uses of tokens", func(context.Context) error { return id.store.WriteUsed(true) })
	if id.certs != nil {
		files = append(files, followed{"certificates", id.certs.Reload})
	}
	h.follow(ctx, files...)
}

func openOIDC(cfg config.Config) (*auth.OIDC, error) {
	c := auth.OIDCConfig{
		Issuer: cfg.Auth.OIDC.Issuer, Audience: audiences(cfg), Claim: cfg.Auth.OIDC.Claim, AnyScope: !cfg.Auth.OIDC.RequireScopes,
	}
	if file := cfg.Auth.OIDC.CA; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("COMFYGATE_AUTH__OIDC_CA: %w", err)
		}
		c.CA = x509.NewCertPool()
		if !c.CA.AppendCertsFromPEM(pem) {
			return nil, errors.New("COMFYGATE_AUTH__OIDC_CA: there is no certificate in the file")
		}
	}
	o, err := auth.NewOIDC(c)
	if err != nil {
		return nil, fmt.Errorf("COMFYGATE_%w", err)
	}
	return o, nil
}

// audiences are whom tokens may be for: what is configured, or else this server's own address.
func audiences(cfg config.Config) []string {
	if len(cfg.Auth.OIDC.Audience) > 0 || cfg.HTTP.PublicURL == "" {
		return cfg.Auth.OIDC.Audience
	}
	return []string{cfg.HTTP.PublicURL + "/mcp"}
}

// protected is what the world is told of the provider; nil where there is none.
func protected(cfg config.Config) *web.Resource {
	if cfg.Auth.OIDC.Issuer == "" {
		return nil
	}
	scopes := policy.ScopesOf(policy.Operator) // operate is not asked for by a client that asks for all (AUT-06)
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	slices.Sort(words)
	return &web.Resource{
		Resource: audiences(cfg)[0], Servers: []string{cfg.Auth.OIDC.Issuer}, Scopes: words, Methods: []string{"header"}, Name: "comfygate",
	}
}

func metadataURL(cfg config.Config) string {
	if cfg.HTTP.PublicURL == "" {
		return ""
	}
	return cfg.HTTP.PublicURL + web.MetadataPath + "/mcp"
}

// tokenStore is where the tokens of `comfygate token` are.
func tokenStore(cfg config.Config) string {
	if cfg.Auth.TokenStore != "" {
		return cfg.Auth.TokenStore
	}
	return filepath.Join(cfg.Storage.Dir, "tokens.yaml")
}

// challenge sends callers whose token lacks scopes to their provider, where they have one.
func (h *house) challenge(who auth.Principal, need []policy.Scope) (string, bool) {
	if h.identity == nil {
		return "", false
	}
	return h.identity.who.StepUp(who, need)
}
