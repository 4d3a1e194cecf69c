package config

import (
	"errors"
	"strings"
)

// identityTable says how callers over HTTP are known, besides tokens and passwords in the environment.
func identityTable(c *Config) []setting {
	h, a := &c.HTTP, &c.Auth
	return []setting{
		{
			name: "HTTP__TLS_CERT", value: filePath(&h.TLSCert), unset: "no TLS: a proxy in front does it, or nobody else listens",
			doc: "Certificate of the listener, with those between it and its authority, as PEM. It is read again when it changes.",
		},
		{
			name: "HTTP__TLS_KEY", value: filePath(&h.TLSKey),
			doc: "File with the certificate's private key, as PEM.",
		},
		{
			name: "HTTP__TLS_CLIENT_CA", value: filePath(&h.TLSClientCA),
			doc: "Authorities of client certificates, as PEM. Every connection then needs one.",
		},
		{
			name: "AUTH__CERTIFICATES", value: texts(&a.Certificates, "names with principals such as `DNS:anna.example.org=anna`", certificate),
			doc: "Whose a client certificate is, by a name in it: `URI:…`, `DNS:…` or `EMAIL:…`.",
		},
		{
			name: "AUTH__TOKEN_STORE", value: filePath(&a.TokenStore), unset: "`tokens.yaml` in the data folder",
			doc: "File of the tokens that `comfygate token create` makes. It holds digests only and is read again when it changes.",
		},
		{
			name: "AUTH__OIDC_ISSUER", value: text(&a.OIDC.Issuer, "an https address, as the tokens' iss has it"),
			doc: "OpenID provider whose access tokens let callers in.",
		},
		{
			name: "AUTH__OIDC_AUDIENCE", value: texts(&a.OIDC.Audience, "addresses or names", nonEmpty), unset: "the public URL and `/mcp`",
			doc: "Whom the provider's tokens are for: one of these must be their aud.",
		},
		{
			name: "AUTH__OIDC_CLAIM", value: text(&a.OIDC.Claim, "a name").checked(nonEmpty), def: "sub",
			doc: "Claim of a token that names the principal.",
		},
		{
			name: "AUTH__OIDC_REQUIRE_SCOPES", value: boolean(&a.OIDC.RequireScopes), def: "true",
			doc: "Whether a token without any of comfygate's scopes may do nothing. Set it to false for providers that cannot give them out.",
		},
		{
			name: "AUTH__OIDC_CA", value: filePath(&a.OIDC.CA), unset: "the system's authorities",
			doc: "Authorities of the provider's certificate, as PEM.",
		},
	}
}

func nonEmpty(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" {
		return "", errors.New("is empty")
	}
	return s, nil
}

// certificate takes NAME=principal; auth judges the name.
func certificate(s string) (string, error) {
	san, name, ok := cutLast(s, "=")
	if !ok || !strings.Contains(san, ":") {
		return "", errors.New("an item is no name with its principal")
	}
	_, err := principal(name)
	return s, err
}

// cutLast is [strings.Cut] at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// CertificateOwners are the items of AUTH__CERTIFICATES: name in a certificate → principal.
func (a Auth) CertificateOwners() map[string]string {
	owners := make(map[string]string, len(a.Certificates))
	for _, item := range a.Certificates {
		san, name, _ := cutLast(item, "=")
		owners[san] = name
	}
	return owners
}
