package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"

	"github.com/comfygate/comfygate/policy"
)

// ErrUnavailable says that tokens cannot be checked at present: the identity provider does not answer. It is nobody's fault who asks.
var ErrUnavailable = errors.New("tokens cannot be checked at present; try again in a few seconds")

// OIDCConfig of an [OIDC]. Issuer and Audience are required.
type OIDCConfig struct {
	Issuer   string   // AUTH__OIDC_ISSUER, exactly as the tokens' iss has it; https, or http on this machine
	Audience []string // AUTH__OIDC_AUDIENCE: one of these must be in a token's aud (AUT-01)
	Claim    string   // AUTH__OIDC_CLAIM: the claim that names the principal; default sub
	// AnyScope is AUTH__OIDC_REQUIRE_SCOPES=false: a token without any scope of ours may do what its role may.
	AnyScope bool
	CA       *x509.CertPool // authorities of the provider's certificate; nil: the system's
}

// Bounds of what is believed of tokens and their provider.
const (
	maxJWT        = 16 << 10
	maxProvider   = 1 << 20         // bytes of a document of the provider's
	providerTime  = 5 * time.Second // for one of them
	providerPause = 5 * time.Second // between tries to find the provider
	keysPause     = 10 * time.Second
	keysBurst     = 3
)

// An OIDC checks access tokens of one OpenID provider as an OAuth 2.1 resource server (AUT-01, AUT-03). The provider is looked for when the
// first token comes and may be away at the start. It is safe for concurrent use.
type OIDC struct {
	cfg    OIDCConfig
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	keys     *keySet
	tried    time.Time
}

// NewOIDC checks cfg. It connects to nothing.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	issuer, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || issuer.Host == "" || issuer.User != nil || issuer.RawQuery != "" || issuer.Fragment != "":
		return nil, errors.New("AUTH__OIDC_ISSUER is no address such as https://login.example.org/realms/studio")
	case issuer.Scheme != "https" && (issuer.Scheme != "http" || !loopbackHost(issuer.Hostname())):
		return nil, errors.New("AUTH__OIDC_ISSUER must be https: whoever stands between could make tokens of their own")
	case len(cfg.Audience) == 0 || slices.Contains(cfg.Audience, ""):
		return nil, errors.New("AUTH__OIDC_AUDIENCE is missing, and HTTP__PUBLIC_URL from which it would follow: say whom the tokens are for")
	}
	if cfg.Claim == "" {
		cfg.Claim = "sub"
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: cfg.CA, MinVersion: tls.VersionTLS12},
		ResponseHeaderTimeout: providerTime, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
	}
	return &OIDC{cfg: cfg, client: &http.Client{
		Transport: short{transport}, Timeout: providerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// short cuts what a provider answers.
type short struct{ http.RoundTripper }

func (s short) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxProvider), resp.Body}
	}
	return resp, err
}

// claims are what a principal is made of.
type claims struct {
	name   string
	scopes []policy.Scope // nil: its role's
}

// verify checks a token and returns what it says. Its errors are [ErrBadCredentials], whatever was wrong (T28), and [ErrUnavailable].
func (o *OIDC) verify(ctx context.Context, raw string) (claims, error) {
	if len(raw) > maxJWT || !accessToken(raw) {
		return claims{}, ErrBadCredentials
	}
	verifier, keys, err := o.ready(ctx)
	if err != nil {
		return claims{}, err
	}
	token, err := verifier.Verify(ctx, raw)
	switch {
	case err != nil && keys.none(): // nothing could be checked
		return claims{}, ErrUnavailable
	case err != nil:
		return claims{}, ErrBadCredentials
	}
	if !slices.ContainsFunc(token.Audience, func(aud string) bool {
		return slices.Contains(o.cfg.Audience, strings.TrimSuffix(aud, "/")) || slices.Contains(o.cfg.Audience, aud)
	}) {
		return claims{}, ErrBadCredentials
	}
	var all map[string]any
	if err := token.Claims(&all); err != nil {
		return claims{}, ErrBadCredentials
	}
	name, _ := all[o.cfg.Claim].(string)
	if !subjectForm.MatchString(name) {
		return claims{}, ErrBadCredentials
	}
	c := claims{name: name, scopes: scopesIn(all)}
	if len(c.scopes) == 0 && o.cfg.AnyScope {
		c.scopes = nil
	}
	return c, nil
}

// subjectForm is what a provider may call a principal: it stands in records.
var subjectForm = regexp.MustCompile(`^[!-~]{1,128}$`)

// scopesIn returns those scopes of ours that a token has, never nil: in scope, parted by spaces, or in scp.
func scopesIn(all map[string]any) []policy.Scope {
	var words []string
	for _, name := range []string{"scope", "scp"} {
		switch v := all[name].(type) {
		case string:
			words = append(words, strings.Fields(v)...)
		case []any:
			for _, x := range v {
				if s, ok := x.(string); ok {
					words = append(words, s)
				}
			}
		}
	}
	known := policy.ScopesOf(policy.Admin)
	return slices.DeleteFunc(known, func(s policy.Scope) bool { return !slices.Contains(words, string(s)) })
}

// accessToken reports whether raw has the form of a signed JWT that calls itself a token (typ, RFC 9068).
func accessToken(raw string) bool {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return false
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return false
	}
	var header struct {
		Typ string `json:"typ"`
	}
	if json.Unmarshal(data, &header) != nil {
		return false
	}
	typ := strings.TrimPrefix(strings.ToLower(header.Typ), "application/")
	return typ == "at+jwt" || typ == "jwt"
}

// ready finds the provider, unless it was just tried in vain.
func (o *OIDC) ready(ctx context.Context) (*oidc.IDTokenVerifier, *keySet, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, o.keys, nil
	}
	if !o.tried.IsZero() && time.Since(o.tried) < providerPause {
		return nil, nil, ErrUnavailable
	}
	o.tried = time.Now()
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), o.client) // whoever asks first may leave; the next one needs it too
	provider, err := oidc.NewProvider(ctx, o.cfg.Issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%w)", ErrUnavailable, err)
	}
	var found struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&found); err != nil || found.Keys == "" {
		return nil, nil, fmt.Errorf("%w: the provider names no keys", ErrUnavailable)
	}
	o.keys = &keySet{url: found.Keys, client: o.client, fetch: rate.NewLimiter(rate.Every(keysPause), keysBurst)}
	o.verifier = oidc.NewVerifier(o.cfg.Issuer, o.keys, &oidc.Config{
		SkipClientIDCheck:    true, // the audience is ours, not a client's, and checked by us
		SupportedSigningAlgs: algorithms,
	})
	return o.verifier, o.keys, nil
}
