package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
)

const audience = "https://pictures.example.org/mcp"

// A provider is an identity provider whose every part can be made wrong (AUT-09).
type provider struct {
	*httptest.Server

	mu    sync.Mutex
	keys  []jose.JSONWebKey
	down  bool
	asked atomic.Int64 // for keys
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/a", "token_endpoint": p.URL + "/t"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		set := jose.JSONWebKeySet{}
		for _, k := range p.keys {
			set.Keys = append(set.Keys, k.Public())
		}
		p.send(w, set)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(w, v)
}

func (p *provider) send(w http.ResponseWriter, v any) {
	if p.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // whatever a test wants; the client may be gone
}

func (p *provider) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// key makes a key; only published ones can be looked up.
func (p *provider) key(t *testing.T, kid string, alg jose.SignatureAlgorithm, publish bool) jose.JSONWebKey {
	t.Helper()
	var private any
	var err error
	if alg == jose.ES256 {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	k := jose.JSONWebKey{Key: private, KeyID: kid, Algorithm: string(alg), Use: "sig"}
	if publish {
		p.mu.Lock()
		p.keys = append(p.keys, k)
		p.mu.Unlock()
	}
	return k
}

// claim is the content of a token that is good, but for what edit does.
func (p *provider) claim(edit func(map[string]any)) map[string]any {
	c := map[string]any{
		"iss": p.URL, "sub": "user-17", "aud": []string{audience}, "exp": time.Now().Add(time.Hour).Unix(),
		"iat": time.Now().Unix(), "scope": "openid image:generate job:read",
	}
	if edit != nil {
		edit(c)
	}
	return c
}

func sign(t *testing.T, k jose.JSONWebKey, typ string, c map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: k}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func resource(t *testing.T, cfg auth.OIDCConfig) *auth.Authenticator {
	t.Helper()
	cfg.Audience = []string{audience}
	o, err := auth.NewOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Config{OIDC: o, Metadata: "https://pictures.example.org/.well-known/oauth-protected-resource/mcp"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func present(t *testing.T, a *auth.Authenticator, token string) (auth.Principal, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.Request(r, netip.MustParseAddr("192.0.2.7"))
}

// T21: every bad token is refused, and the same is said of all of them (T28).
func TestOIDC_T21_badTokens(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	rsaKey, ecKey := p.key(t, "rsa", jose.RS256, true), p.key(t, "ec", jose.ES256, true)
	stranger := p.key(t, "rsa", jose.RS256, false) // another key under the same id
	public, err := x509.MarshalPKIXPublicKey(rsaKey.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "."
	body, err := json.Marshal(p.claim(nil))
	if err != nil {
		t.Fatal(err)
	}
	none += base64.RawURLEncoding.EncodeToString(body) + "."
	good := sign(t, rsaKey, "at+jwt", p.claim(nil))
	wrong := func(name string, v any) string {
		return sign(t, rsaKey, "at+jwt", p.claim(func(c map[string]any) {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}))
	}
	a := resource(t, auth.OIDCConfig{Issuer: p.URL})
	for name, token := range map[string]string{
		"alg none":               none,
		"HS256 with the RSA key": sign(t, jose.JSONWebKey{Key: public, KeyID: "rsa", Algorithm: string(jose.HS256)}, "at+jwt", p.claim(nil)),
		"PS256":                  sign(t, jose.JSONWebKey{Key: rsaKey.Key, KeyID: "rsa", Algorithm: string(jose.PS256)}, "at+jwt", p.claim(nil)),
		"a stranger's key":       sign(t, stranger, "at+jwt", p.claim(nil)),
		"unknown kid":            sign(t, p.key(t, "other", jose.RS256, false), "at+jwt", p.claim(nil)),
		"wrong iss":              wrong("iss", "https://evil.example"),
		"iss with a slash":       wrong("iss", p.URL+"/"),
		"wrong aud":              wrong("aud", "https://other.example.org/mcp"),
		"no aud":                 wrong("aud", nil),
		"expired":                wrong("exp", time.Now().Add(-time.Minute).Unix()),
		"no exp":                 wrong("exp", nil),
		"exp no number":          wrong("exp", "tomorrow"),
		"nbf in the future":      wrong("nbf", time.Now().Add(time.Hour).Unix()),
		"no sub":                 wrong("sub", nil),
		"sub of control signs":   wrong("sub", "a\nb"),
		"sub too long":           wrong("sub", strings.Repeat("x", 129)),
		"sub of a built-in":      wrong("sub", "local"),
		"typ of a logout token":  sign(t, rsaKey, "logout+jwt", p.claim(nil)),
		"no typ":                 sign(t, rsaKey, "", p.claim(nil)),
		"no JWT":                 "abc",
		"two parts":              strings.Join(strings.Split(good, ".")[:2], "."),
		"changed content":        strings.Split(good, ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"admin"}`)) + "." + strings.Split(good, ".")[2],
		"too long":               wrong("pad", strings.Repeat("x", 17<<10)),
	} {
		if who, err := present(t, a, token); !errors.Is(err, auth.ErrBadCredentials) || err.Error() != auth.ErrBadCredentials.Error() {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	for name, token := range map[string]string{
		"RS256": good, "ES256": sign(t, ecKey, "JWT", p.claim(nil)),
		"aud with a slash":   wrong("aud", audience+"/"),
		"aud among several":  wrong("aud", []string{"x", audience}),
		"typ with its class": sign(t, rsaKey, "application/at+jwt", p.claim(nil)),
	} {
		who, err := present(t, a, token)
		if err != nil || who.Name != "user-17" || who.Method != "oidc" || who.Role != policy.Operator || fmt.Sprint(who.Scopes) != "[image:generate job:read]" {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// T21, T28: before the provider's keys were ever needed, a token that none of them could have signed is as bad as it is later.
func TestOIDC_T28_beforeKeys(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	key := p.key(t, "rsa", jose.RS256, true)
	body, err := json.Marshal(p.claim(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"alg none": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + ".",
		"PS256":    sign(t, jose.JSONWebKey{Key: key.Key, KeyID: "rsa", Algorithm: string(jose.PS256)}, "at+jwt", p.claim(nil)),
		"expired":  sign(t, key, "at+jwt", p.claim(func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() })),
	} {
		if _, err := present(t, resource(t, auth.OIDCConfig{Issuer: p.URL}), token); !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T22: the provider is away, changes its keys, and is not driven by tokens that anybody makes up.
func TestOIDC_T22_provider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	first := p.key(t, "first", jose.RS256, true)
	a := resource(t, auth.OIDCConfig{Issuer: p.URL})
	token := sign(t, first, "at+jwt", p.claim(nil))
	if _, err := present(t, a, token); err != nil {
		t.Fatal(err)
	}
	p.setDown(true)
	if _, err := present(t, a, token); err != nil {
		t.Errorf("with the keys at hand: %v", err)
	}
	p.setDown(false)
	second := p.key(t, "second", jose.RS256, true)
	if _, err := present(t, a, sign(t, second, "at+jwt", p.claim(nil))); err != nil {
		t.Errorf("after the keys were changed: %v", err)
	}
	before := p.asked.Load()
	stranger := p.key(t, "first", jose.RS256, false)
	forged := sign(t, stranger, "at+jwt", p.claim(nil))
	for i := range 200 {
		stranger.KeyID = fmt.Sprint("flood", i)
		for _, bad := range []string{sign(t, stranger, "at+jwt", p.claim(nil)), forged} {
			if _, err := present(t, a, bad); !errors.Is(err, auth.ErrBadCredentials) {
				t.Fatal(err)
			}
		}
		if i == 0 {
			stranger = p.key(t, "x", jose.ES256, false) // quicker to sign with
		}
	}
	if n := p.asked.Load() - before; n > 3 {
		t.Errorf("400 made-up tokens made %d requests for keys", n)
	}
}

// T22: at the start the provider may be away; that is told as what it is, and it is not asked at every call.
func TestOIDC_T22_awayAtStart(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.setDown(true)
	a := resource(t, auth.OIDCConfig{Issuer: p.URL})
	token := sign(t, p.key(t, "k", jose.RS256, true), "at+jwt", p.claim(nil))
	for range 3 {
		if _, err := present(t, a, token); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("while it is away: %v", err)
		}
	}
}

// AUT-06, SC-59: what a token's scopes leave of a role.
func TestOIDC_scopes(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	k := p.key(t, "k", jose.ES256, true)
	strict, loose := resource(t, auth.OIDCConfig{Issuer: p.URL}), resource(t, auth.OIDCConfig{Issuer: p.URL, AnyScope: true, Claim: "email"})
	with := func(name string, v any) string {
		return sign(t, k, "at+jwt", p.claim(func(c map[string]any) { delete(c, "scope"); c["email"] = "a@b.example"; c[name] = v }))
	}
	for name, tt := range map[string]struct {
		token  string
		strict string
	}{
		"scope":           {with("scope", "job:read  operate image:paint"), "[job:read]"}, // an operator does not hold operate
		"scp as a list":   {with("scp", []string{"job:read", "image:read"}), "[image:read job:read]"},
		"scp as a text":   {with("scp", "job:cancel"), "[job:cancel]"},
		"none of ours":    {with("scope", "openid"), "[]"},
		"none at all":     {with("x", 1), "[]"},
		"of another kind": {with("scope", 7), "[]"},
	} {
		who, err := present(t, strict, tt.token)
		if err != nil || fmt.Sprint(who.Scopes) != tt.strict {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		if admin := who.Under(policy.Admin, policy.ScopesOf(policy.Admin)); len(admin.Scopes) > len(policy.ScopesOf(policy.Admin))-1 {
			t.Errorf("%s: another role widens the token: %v", name, admin.Scopes)
		}
		if who, err = present(t, loose, tt.token); err != nil || who.Name != "a@b.example" || tt.strict == "[]" && len(who.Scopes) != len(policy.ScopesOf(policy.Operator)) {
			t.Errorf("%s, where scopes are not required: %+v, %v", name, who, err)
		}
	}
	if text, ok := strict.StepUp(auth.Principal{Method: "oidc"}, []policy.Scope{policy.ImageRead, policy.JobRead}); !ok ||
		text != `Bearer realm="comfygate", error="insufficient_scope", scope="image:read job:read", resource_metadata="https://pictures.example.org/.well-known/oauth-protected-resource/mcp"` {
		t.Errorf("T23: the challenge is %q", text)
	}
	if _, ok := strict.StepUp(auth.Principal{Method: "token"}, nil); ok {
		t.Error("a caller without provider is sent to it")
	}
	if c := strict.Challenges(auth.ErrNoCredentials); !strings.Contains(c[0], "resource_metadata=") || !strings.Contains(c[0], "scope=") {
		t.Errorf("T20: %v", c)
	}
}

func TestNewOIDC_refuses(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"":                         "is no address",
		"login.example.org":        "is no address",
		"http://login.example.org": "must be https",
		"https://a:b@example.org":  "is no address",
		"https://example.org/?a=b": "is no address",
	} {
		if _, err := auth.NewOIDC(auth.OIDCConfig{Issuer: issuer, Audience: []string{"x"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	if _, err := auth.NewOIDC(auth.OIDCConfig{Issuer: "https://example.org"}); err == nil || !strings.Contains(err.Error(), "OIDC_AUDIENCE") {
		t.Errorf("without an audience: %v", err)
	}
}
