package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var here = netip.MustParseAddr("192.0.2.7")

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func build(t *testing.T, cfg auth.Config) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(target string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func basic(user, pass string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(user, pass)
	return r.Header.Get("Authorization")
}

// TestSec_SC10_SC59_credentials: each kind of credential in each state (T20, T25, T28).
func TestSec_SC10_SC59_credentials(t *testing.T) {
	t.Parallel()
	all := build(t, auth.Config{
		Token:    config.NewSecret("house-token"),
		Tokens:   config.NewSecret("alice:" + sum("alice-token") + ", bob:" + sum("bob-token") + ":viewer,carol:" + strings.ToUpper(sum("carol-token")) + ":admin"),
		Username: "dora", Password: config.NewSecret("a:pass word"),
		Roles: map[string]policy.Role{"alice": policy.Admin, "token": policy.Viewer},
	})
	for name, tc := range map[string]struct {
		auth []string
		want string // name/method/role; empty is refused
		err  error
	}{
		"none":             {nil, "", auth.ErrNoCredentials},
		"house token":      {[]string{"Bearer house-token"}, "token/token/viewer", nil},
		"scheme in case":   {[]string{"bearer house-token"}, "token/token/viewer", nil},
		"listed, role map": {[]string{"Bearer alice-token"}, "alice/token/admin", nil},
		"listed, own role": {[]string{"Bearer bob-token"}, "bob/token/viewer", nil},
		"digest in caps":   {[]string{"Bearer carol-token"}, "carol/token/admin", nil},
		"basic":            {[]string{basic("dora", "a:pass word")}, "dora/basic/operator", nil},
		"wrong password":   {[]string{basic("dora", "a:pass word ")}, "", auth.ErrBadCredentials},
		"wrong user":       {[]string{basic("Dora", "a:pass word")}, "", auth.ErrBadCredentials},
		"empty password":   {[]string{basic("dora", "")}, "", auth.ErrBadCredentials},
		"wrong token":      {[]string{"Bearer house-toke"}, "", auth.ErrBadCredentials},
		"its digest":       {[]string{"Bearer " + sum("house-token")}, "", auth.ErrBadCredentials},
		"empty bearer":     {[]string{"Bearer "}, "", auth.ErrBadCredentials},
		"no scheme":        {[]string{"house-token"}, "", auth.ErrBadCredentials},
		"other scheme":     {[]string{"Digest house-token"}, "", auth.ErrBadCredentials},
		"empty header":     {[]string{""}, "", auth.ErrBadCredentials},
		"bad base64":       {[]string{"Basic %%%"}, "", auth.ErrBadCredentials},
		"two headers":      {[]string{"Bearer house-token", "Bearer alice-token"}, "", auth.ErrBadCredentials},
		"very long":        {[]string{"Bearer " + strings.Repeat("x", 20_000)}, "", auth.ErrBadCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request("/mcp")
			for _, v := range tc.auth {
				r.Header.Add("Authorization", v)
			}
			p, err := all.Request(r, here)
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			if got := p.Name + "/" + p.Method + "/" + string(p.Role); err == nil && got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			if err == nil && !slices.Equal(p.Scopes, policy.ScopesOf(p.Role)) {
				t.Errorf("scopes %v", p.Scopes)
			}
			if err != nil && (p.Name != "" || len(p.Scopes) > 0) {
				t.Errorf("a principal with an error: %+v", p)
			}
		})
	}
}

// TestAuth_query: a token in the URL is refused, a good header or not (MCP-11): it would stand in logs.
func TestAuth_query(t *testing.T) {
	t.Parallel()
	a := build(t, auth.Config{Token: config.NewSecret("house-token")})
	for _, target := range []string{"/mcp?token=house-token", "/mcp?access_token=x", "/mcp?API_KEY=x", "/mcp?a=1&Authorization=x"} {
		if _, err := a.Request(request(target, "Authorization", "Bearer house-token"), here); !errors.Is(err, auth.ErrQueryToken) {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := a.Request(request("/message?sessionId=x", "Authorization", "Bearer house-token"), here); err != nil {
		t.Error(err)
	}
}

// TestAuth_open: who needs no credential, and who he is then.
func TestAuth_open(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  auth.Config
		want string
	}{
		"loopback":                  {auth.Config{Loopback: true}, "local/loopback/operator"},
		"loopback, role":            {auth.Config{Loopback: true, Roles: map[string]policy.Role{"local": policy.Viewer}}, "local/loopback/viewer"},
		"loopback with credentials": {auth.Config{Loopback: true, Token: config.NewSecret("x")}, ""},
		"open":                      {auth.Config{Open: true}, "anonymous/anonymous/viewer"},
		"open with credentials":     {auth.Config{Open: true, Username: "a", Password: config.NewSecret("b")}, ""},
		"neither":                   {auth.Config{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := build(t, tc.cfg).Request(request("/mcp"), here)
			got := ""
			if err == nil {
				got = p.Name + "/" + p.Method + "/" + string(p.Role)
			}
			if got != tc.want {
				t.Errorf("%q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

func TestAuth_stdio(t *testing.T) {
	t.Parallel()
	a := build(t, auth.Config{Roles: map[string]policy.Role{"me": policy.Admin, auth.Anonymous: policy.Viewer}})
	if p := a.Stdio("me"); p.Name != "me" || p.Method != "stdio" || p.Role != policy.Admin || !p.Can(policy.Operate) {
		t.Errorf("%+v", p)
	}
	if p := a.Stdio(auth.Local); p.Role != policy.Operator || p.Can(policy.Operate) || !p.Can(policy.ImageGenerate) {
		t.Errorf("%+v", p)
	}
}

// TestSec_SC10_config: half a sign-in and whatever else cannot be meant ends the start, all faults at once, and no text repeats a secret.
func TestSec_SC10_config(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-canary"
	for name, tc := range map[string]struct {
		cfg  auth.Config
		want []string
	}{
		"no password":     {auth.Config{Username: "a"}, []string{"HTTP__PASSWORD is missing"}},
		"no user":         {auth.Config{Password: config.NewSecret(secret)}, []string{"HTTP__USERNAME is missing"}},
		"bad user":        {auth.Config{Username: "a b", Password: config.NewSecret(secret)}, []string{"HTTP__USERNAME"}},
		"anonymous user":  {auth.Config{Username: "anonymous", Password: config.NewSecret(secret)}, []string{"not anonymous"}},
		"token in clear":  {auth.Config{Tokens: config.NewSecret("a:" + secret)}, []string{"entry 1", "SHA-256", "64 hexadecimal"}},
		"no name":         {auth.Config{Tokens: config.NewSecret(secret)}, []string{"entry 1: write name:sha256hex"}},
		"bad name":        {auth.Config{Tokens: config.NewSecret("a/b:" + sum("x"))}, []string{"entry 1", "the name"}},
		"reserved name":   {auth.Config{Tokens: config.NewSecret("anonymous:" + sum("x") + ",token:" + sum("y"))}, []string{"entry 1", "entry 2"}},
		"twice":           {auth.Config{Tokens: config.NewSecret("a:" + sum("x") + ",a:" + sum("y"))}, []string{"entry 2: a is there twice"}},
		"bad role":        {auth.Config{Tokens: config.NewSecret("a:" + sum("x") + ":god")}, []string{"entry 1: the role"}},
		"empty entry":     {auth.Config{Tokens: config.NewSecret("a:" + sum("x") + ",")}, []string{"entry 2"}},
		"two roles":       {auth.Config{Tokens: config.NewSecret("a:" + sum("x") + ":viewer"), Roles: map[string]policy.Role{"a": policy.Admin}}, []string{"another role in AUTH__ROLES"}},
		"unknown role":    {auth.Config{Roles: map[string]policy.Role{"a": "god"}}, []string{"AUTH__ROLES", "viewer, operator or admin"}},
		"anonymous admin": {auth.Config{Roles: map[string]policy.Role{"anonymous": policy.Admin}}, []string{"anonymous is a viewer"}},
		"several at once": {auth.Config{Username: "a", Tokens: config.NewSecret("x"), Roles: map[string]policy.Role{"a": "god"}}, []string{"AUTH__TOKENS", "AUTH__ROLES", "HTTP__PASSWORD"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.New(tc.cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the secret is in %q", err)
			}
		})
	}
}

// TestSec_SC10_failures: failed sign-ins are counted, and after too many not even looked at; other addresses are served.
func TestSec_SC10_failures(t *testing.T) {
	t.Parallel()
	a := build(t, auth.Config{Token: config.NewSecret("good"), Failures: limits.NewAuthFailures(10)})
	try := func(header string, addr netip.Addr) error {
		r := request("/mcp")
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		_, err := a.Request(r, addr)
		return err
	}
	for i := range 30 { // a request without credentials guesses nothing
		if err := try("", here); !errors.Is(err, auth.ErrNoCredentials) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	for i := range 10 {
		if err := try("Bearer bad", here); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("guess %d: %v", i+1, err)
		}
	}
	for _, header := range []string{"Bearer bad", "Bearer good"} {
		limit, ok := errors.AsType[*limits.RateError](try(header, here))
		if !ok || limit.RetryAfter <= 0 || limit.RetryAfter > time.Minute {
			t.Errorf("11th guess, %s: %+v", header, limit)
		}
	}
	if err := try("Bearer good", netip.MustParseAddr("198.51.100.1")); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// TestAuth_challenges: what a 401 says (T20): scopes, and the second scheme where there is one; resource_metadata comes with OIDC only.
func TestAuth_challenges(t *testing.T) {
	t.Parallel()
	a := build(t, auth.Config{Token: config.NewSecret("x")})
	got := a.Challenges(auth.ErrNoCredentials)
	if len(got) != 1 || !strings.HasPrefix(got[0], `Bearer realm="comfygate", scope="image:generate image:read`) || strings.Contains(got[0], "error=") || strings.Contains(got[0], "resource_metadata") {
		t.Errorf("%q", got)
	}
	if got := a.Challenges(auth.ErrBadCredentials); !strings.Contains(got[0], `error="invalid_token"`) {
		t.Errorf("%q", got)
	}
	if got := a.Challenges(auth.ErrQueryToken); !strings.Contains(got[0], `error="invalid_request"`) {
		t.Errorf("%q", got)
	}
	b := build(t, auth.Config{Username: "a", Password: config.NewSecret("b")})
	if got := b.Challenges(auth.ErrNoCredentials); len(got) != 2 || !strings.HasPrefix(got[1], "Basic ") {
		t.Errorf("%q", got)
	}
}

// TestSec_SC10_T25_constantTime: credentials are compared in one place, in constant time, over digests of one length.
func TestSec_SC10_T25_constantTime(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "auth.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	calls, reveals := 0, 0
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			switch sel.Sel.Name {
			case "ConstantTimeCompare":
				calls++
			case "Reveal":
				reveals++
			}
		}
		return true
	})
	if calls != 1 {
		t.Errorf("%d calls of ConstantTimeCompare, want the one in equal", calls)
	}
	if reveals != 3 { // HTTP__TOKEN and HTTP__PASSWORD into digests, AUTH__TOKENS to be read
		t.Errorf("%d places reveal a secret", reveals)
	}
}
