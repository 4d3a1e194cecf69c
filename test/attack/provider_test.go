package attack_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	public    = "https://pictures.example.org"
	audience  = public + "/mcp"
	otherSite = "https://other.example.org/mcp" // who is asked for a token with the scope below is asked for one for there
	abroad    = "abroad"
)

// A provider is a real OpenID provider of which everybody is a service account that gets JWTs.
type provider struct {
	issuer string
	key    *rsa.PrivateKey // its own, for tokens that only it could have made
	kid    string
	tokens *words // all that it gave
}

type accounts struct{ *storage.Storage }

func (a accounts) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := a.Storage.ClientCredentials(ctx, "sid1", secret)
	return account{c, id}, err
}

func (accounts) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return request{id, scopes}, nil
}

func (accounts) GetPrivateClaimsFromScopes(_ context.Context, _, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(scopes, " ")}, nil
}

type account struct {
	op.Client

	id string
}

func (a account) GetID() string                     { return a.id }
func (account) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// request is one for a token.
type request struct {
	who    string
	scopes []string
}

func (r request) GetSubject() string  { return r.who }
func (r request) GetScopes() []string { return r.scopes }

func (r request) GetAudience() []string {
	if slices.Contains(r.scopes, abroad) {
		return []string{otherSite}
	}
	return []string{audience}
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	issuer := srv.URL + "/"
	users := accounts{storage.NewStorage(storage.NewUserStore(issuer))}
	made, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("test")), CryptoKeyId: "key1"}, users, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	handler = made
	k, err := users.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	private, ok := k.Key().(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("the provider signs with a %T", k.Key())
	}
	return &provider{issuer, private, k.ID(), &words{}}
}

// token signs somebody in.
func (p *provider) token(t *testing.T, who string, scopes ...string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {who}, "client_secret": {"verysecret"}, "scope": {strings.Join(scopes, " ")}}
	resp, err := http.PostForm(p.issuer+"oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("no token: %s, %v", resp.Status, err)
	}
	p.tokens.add(got.Token)
	return got.Token
}
