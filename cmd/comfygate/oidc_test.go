package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/comfygate/comfygate/audit"
)

// accounts are the storage of a real OpenID provider whose service accounts get JWTs for the audience that they are to be for.
type accounts struct {
	*storage.Storage

	audience string
}

func (a accounts) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := a.Storage.ClientCredentials(ctx, id, secret)
	return jwtClient{c}, err
}

func (a accounts) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	req, err := a.Storage.ClientCredentialsTokenRequest(ctx, id, scopes)
	return forUs{req, a.audience}, err
}

func (accounts) GetPrivateClaimsFromScopes(_ context.Context, _, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(scopes, " "), "email": "robot@example.org"}, nil
}

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

type forUs struct {
	op.TokenRequest

	audience string
}

func (f forUs) GetAudience() []string { return []string{f.audience} }

// openIDProvider starts one and returns its issuer and a way to get a token with scopes. With an authority it speaks TLS.
func openIDProvider(t *testing.T, audience string, ca *authority) (issuer string, token func(scopes ...string) string) {
	t.Helper()
	var handler http.Handler
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	ask := new(http.Client)
	if ca == nil {
		srv.Start()
	} else {
		ca.server(t)
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.pair(t, "server")}, MinVersion: tls.VersionTLS12}
		srv.StartTLS()
		ask = ca.client(t, "")
	}
	issuer = srv.URL + "/"
	users := accounts{storage.NewStorage(storage.NewUserStore(issuer)), audience}
	provider, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("test")), CryptoKeyId: "key1"}, users, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	handler = provider
	return issuer, func(scopes ...string) string {
		t.Helper()
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"sid1"}, "client_secret": {"verysecret"}, "scope": {strings.Join(scopes, " ")}}
		resp, err := ask.PostForm(issuer+"oauth/token", form)
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
		return got.Token
	}
}

// TestOIDC_AUT09: an agent signs in with a real OpenID provider's token, is told where to get one, and what one lacks (T20, T23, T24, AUT-01).
func TestOIDC_AUT09(t *testing.T) {
	t.Parallel()
	const public = "https://pictures.example.org"
	issuer, token := openIDProvider(t, public+"/mcp", nil)
	w := newWorld(t, embedded, "COMFYGATE_AUTH__OIDC_ISSUER="+issuer, "COMFYGATE_HTTP__PUBLIC_URL="+public)
	s := w.http(t)

	var doc struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	for _, path := range []string{"", "/mcp"} {
		status, body := get(t, s.url+"/.well-known/oauth-protected-resource"+path)
		err := json.Unmarshal([]byte(body), &doc)
		if status != http.StatusOK || err != nil || doc.Resource != public+"/mcp" || !slices.Equal(doc.Servers, []string{issuer}) || !slices.Contains(doc.Scopes, "image:generate") || slices.Contains(doc.Scopes, "operate") {
			t.Errorf("metadata %+v, %v", doc, err)
		}
	}
	status, challenge := post(t, s.url, "", `{}`)
	if status != http.StatusUnauthorized || !strings.Contains(challenge, `resource_metadata="`+public+`/.well-known/oauth-protected-resource/mcp"`) || !strings.Contains(challenge, `scope="`) {
		t.Errorf("without a token: %d, %s", status, challenge)
	}
	if status, challenge := post(t, s.url, "made.up.token", `{}`); status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("with a made-up token: %d, %s", status, challenge)
	}

	full := token("image:generate", "image:read", "job:read")
	a := s.streamable(t, "Authorization", "Bearer "+full)
	a.picture(t, "a cat")
	if tools := a.tools(t); slices.Contains(tools, "run_workflow") || !slices.Contains(tools, "generate") {
		t.Errorf("offered with three scopes: %v", tools)
	}

	reading := token("job:read")
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate","arguments":{"prompt":"x"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}}}`
	status, challenge = post(t, s.url, reading, call, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "generate")
	if status != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope", scope="image:generate job:read"`) || !strings.Contains(challenge, "resource_metadata=") {
		t.Errorf("T23: %d, %s", status, challenge)
	}
	s.bury(t)
	w.whole(t)
	denied := 0
	for _, r := range w.records(t) {
		if r.Rule == "scope:image:generate" && r.Kind == audit.DecisionK && r.Principal == "sid1" && r.Method == "oidc" {
			denied++
		}
	}
	if denied != 1 {
		t.Errorf("the refusal for want of a scope is recorded %d times", denied)
	}
	if log := s.err.String(); strings.Contains(log, full) || strings.Contains(log, reading) {
		t.Error("T24: a token is in the log")
	}
}

// TestOIDC_settings: a provider behind an authority of the house's own, another audience and claim, and one that cannot give out our scopes.
func TestOIDC_settings(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	issuer, token := openIDProvider(t, "studio", ca)
	set := func(more ...string) *world {
		return newWorld(t, append(more, embedded, "COMFYGATE_AUTH__OIDC_ISSUER="+issuer, "COMFYGATE_AUTH__OIDC_CA="+ca.path("ca.pem"),
			"COMFYGATE_AUTH__OIDC_AUDIENCE=other,studio")...)
	}
	plain := token("openid")

	w := set("COMFYGATE_AUTH__OIDC_REQUIRE_SCOPES=false", "COMFYGATE_AUTH__OIDC_CLAIM=email", "COMFYGATE_AUTH__ROLES=robot@example.org=viewer")
	s := w.http(t)
	a := s.streamable(t, "Authorization", "Bearer "+plain)
	a.must(t, "status", nil)
	a.refused(t, "generate", args{"prompt": "a cat"}, "POLICY_DENIED")
	s.bury(t)
	if !slices.ContainsFunc(w.records(t), func(r audit.Record) bool { return r.Principal == "robot@example.org" && r.Tool == "status" }) {
		t.Error("the claim does not name the principal")
	}

	s = set().http(t)
	if tools := s.streamable(t, "Authorization", "Bearer "+plain).tools(t); len(tools) > 0 {
		t.Errorf("a token without scopes is offered %v", tools)
	}
	s = newWorld(t, embedded, "COMFYGATE_AUTH__OIDC_ISSUER="+issuer, "COMFYGATE_AUTH__OIDC_AUDIENCE=studio").http(t)
	if status, _ := post(t, s.url, plain, `{}`); status != http.StatusServiceUnavailable {
		t.Errorf("with an authority that is not known: %d", status)
	}
	s = newWorld(t, embedded, "COMFYGATE_AUTH__OIDC_ISSUER="+issuer, "COMFYGATE_AUTH__OIDC_CA="+ca.path("ca.pem"), "COMFYGATE_AUTH__OIDC_AUDIENCE=other").http(t)
	if status, _ := post(t, s.url, plain, `{}`); status != http.StatusUnauthorized {
		t.Errorf("with a token for somebody else: %d", status)
	}
}

// post sends a message to /mcp and returns status and challenge.
func post(t *testing.T, base, token, body string, header ...string) (status int, challenge string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, base+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range pairs(header) {
		req.Header.Set(name, value)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // the status tells
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate")
}

// TestTokens_AUT04: a token that is made while the server runs lets in, within its scopes, until it is taken back.
func TestTokens_AUT04(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_HTTP__AUTH_FAILURES_PER_MINUTE=1000")
	first := w.run(t, "token", "create", "anna")
	if first.code != exitOK || !strings.HasPrefix(first.out, "cg_") || !strings.Contains(first.err, "cannot be printed again") {
		t.Fatalf("%+v", first)
	}
	s := w.http(t)
	if status, _ := post(t, s.url, "", `{}`); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	s.streamable(t, "Authorization", "Bearer "+strings.TrimSpace(first.out)).picture(t, "a cat")

	viewer := w.run(t, "token", "create", "vera", "--role", "viewer", "--expires", "12h", "--from", "127.0.0.0/8")
	late := strings.TrimSpace(viewer.out)
	lets := func(token string, want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("the token gives %d", want), func() bool {
			status, _ := post(t, s.url, token, `{}`)
			return status == want
		})
	}
	lets(late, http.StatusBadRequest) // it may speak, and says nothing that makes sense
	a := s.streamable(t, "Authorization", "Bearer "+late)
	a.refused(t, "generate", args{"prompt": "a cat"}, "POLICY_DENIED")
	list := w.run(t, "token", "list")
	if !strings.Contains(list.out, "LAST USED") || !strings.Contains(list.out, "vera") || !strings.Contains(list.out, "127.0.0.0/8") || strings.Contains(list.out, late) {
		t.Errorf("list: %s", list.out)
	}
	id := strings.Split(late, "_")[1]
	if out := w.run(t, "token", "revoke", id); out.code != exitOK {
		t.Errorf("revoke: %+v", out)
	}
	lets(late, http.StatusUnauthorized)
	if out := w.run(t, "token", "revoke", id); out.code != exitUsage || !strings.Contains(out.err, "token list") {
		t.Errorf("revoked again: %+v", out)
	}
	for want, args := range map[string][]string{
		"neither a time":      {"--expires", "soon"},
		"is over":             {"--expires", "2020-01-31"},
		"is no network":       {"--from", "home"},
		"does not hold":       {"--role", "viewer", "--scopes", "image:generate"},
		"must be one of":      {"--role", "boss"},
		"does not hold image": {"--scopes", "image:paint"},
	} {
		if out := w.run(t, append([]string{"token", "create", "eve"}, args...)...); out.code != exitUsage || !strings.Contains(out.err, want) {
			t.Errorf("%v: %+v", args, out)
		}
	}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.make(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// make writes NAME.pem and NAME.key.
func (a *authority) make(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{a.path(name + ".pem"): {Type: "CERTIFICATE", Bytes: der}, a.path(name + ".key"): {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// server makes a certificate of this machine's, server.pem, in place of the one before.
func (a *authority) server(t *testing.T) *x509.Certificate {
	t.Helper()
	cert, _ := a.make(t, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return cert
}

func (a *authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// client is an HTTP client with a certificate, or none.
func (a *authority) client(t *testing.T, name string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if name != "" {
		cfg.Certificates = []tls.Certificate{a.pair(t, name)}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
}

// TestMTLS_AUT05: over TLS a certificate tells who calls; without one there is no connection.
func TestMTLS_AUT05(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	first := ca.server(t)
	client1 := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	ca.make(t, "anna", &x509.Certificate{DNSNames: []string{"anna.example.org"}, ExtKeyUsage: client1})
	ca.make(t, "eve", &x509.Certificate{DNSNames: []string{"eve.example.org"}, ExtKeyUsage: client1})
	w := newWorld(t, embedded,
		"COMFYGATE_HTTP__TLS_CERT="+ca.path("server.pem"), "COMFYGATE_HTTP__TLS_KEY="+ca.path("server.key"),
		"COMFYGATE_HTTP__TLS_CLIENT_CA="+ca.path("ca.pem"), "COMFYGATE_AUTH__CERTIFICATES=DNS:anna.example.org=anna")
	s := w.http(t)
	s.url = "https" + strings.TrimPrefix(s.url, "http")
	c, err := client.NewStreamableHttpClient(s.url+"/mcp", transport.WithHTTPBasicClient(ca.client(t, "anna")))
	if err != nil {
		t.Fatal(err)
	}
	a := s.connect(t, c)
	a.picture(t, "a cat")
	resp, err := ca.client(t, "eve").Post(s.url+"/mcp", "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // the status tells
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a certificate of nobody: %d", resp.StatusCode)
	}
	if resp, err := ca.client(t, "").Get(s.url + "/healthz"); err == nil {
		_ = resp.Body.Close() // it should not be
		t.Error("a connection without a certificate")
	}
	shown := func() *x509.Certificate {
		t.Helper()
		c := ca.client(t, "anna")
		resp, err := c.Get(s.url + "/healthz")
		if err != nil {
			return nil // the files are being written
		}
		_ = resp.Body.Close() // the connection tells
		c.CloseIdleConnections()
		return resp.TLS.PeerCertificates[0]
	}
	if got := shown(); got == nil || !got.Equal(first) {
		t.Error("the certificate is not the one that is set")
	}
	second := ca.server(t)
	eventually(t, "the renewed certificate is shown", func() bool { got := shown(); return got != nil && got.Equal(second) })
	a.end(t)
	found := false
	for _, r := range w.records(t) {
		found = found || r.Principal == "anna" && r.Method == "mtls"
	}
	if !found {
		t.Error("nothing is recorded of anna")
	}
}
