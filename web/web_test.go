package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
	"github.com/comfygate/comfygate/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second // the machine may be busy

// A record is an audit log in memory.
type record struct {
	mu   sync.Mutex
	list []audit.Record
}

func (r *record) Append(_ context.Context, rec audit.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, rec)
	return nil
}

func (r *record) AppendReserved(ctx context.Context, rec audit.Record) error {
	return r.Append(ctx, rec)
}
func (*record) Healthy() error               { return nil }
func (*record) Digest(string) map[string]any { return nil }

func (r *record) events(name string) (list []audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.list {
		if rec.Name == name {
			list = append(list, rec)
		}
	}
	return list
}

type yes struct{}

func (yes) Decide(policy.Request) policy.Decision {
	return policy.Decision{Allowed: true, Rule: "test"}
}
func (yes) Hash() string                         { return "" }
func (yes) Take(string, limits.Class, int) error { return nil }
func (yes) Refund(string, limits.Class, int)     {}

type places struct{}

func (places) Take(string) (func(), error) { return func() {}, nil }

// A plan is a tool's arguments and plan in one.
type plan struct {
	run func(ctx context.Context) error
}

func (p plan) Resolve(context.Context, tools.Caller) (tools.Plan, error) { return p, nil }
func (plan) Policy() policy.Request                                      { return policy.Request{} }
func (plan) Cost() tools.Cost                                            { return tools.Cost{Tokens: 1} }
func (plan) Record() map[string]any                                      { return nil }

func (p plan) Run(ctx context.Context, _ tools.Caller, release func()) (tools.Result, error) {
	release()
	return tools.Result{Text: "done"}, p.run(ctx)
}

func tool(name string, run func(ctx context.Context) error) tools.Tool {
	return tools.Tool{
		Name: name, Description: "A tool of the tests.", Scope: policy.JobRead, Class: limits.Status, Hints: tools.Hints{ReadOnly: true},
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false}`),
		Decode: func(json.RawMessage) (tools.Args, error) { return plan{run}, nil },
	}
}

// A house is a server that listens, with everything around it.
type house struct {
	auth    auth.Config
	web     web.Config
	mcp     mcpserver.Config
	record  *record
	server  *web.Server
	url     string
	addr    string
	served  chan error
	clients *http.Client
}

// open starts a server on a free loopback port. change has the last word on its configuration.
func open(t *testing.T, change func(*house)) *house {
	t.Helper()
	h := &house{record: &record{}, served: make(chan error, 1), clients: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
	h.auth = auth.Config{Loopback: true}
	h.mcp = mcpserver.Config{
		Name: "comfygate", Version: "0.0.0-test", Policy: yes{}, Limiter: yes{}, Places: places{}, Audit: h.record, Log: zap.NewNop(),
		Tools: []tools.Tool{tool("status", func(context.Context) error { return nil })},
	}
	h.web = web.Config{Audit: h.record, SSE: true, Log: zap.NewNop()}
	if change != nil {
		change(h)
	}
	who, err := auth.New(h.auth)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := mcpserver.New(h.mcp)
	if err != nil {
		t.Fatal(err)
	}
	h.web.MCP, h.web.Auth = srv, who
	if h.server, err = web.New(h.web); err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	h.url = "http://" + h.addr
	go func() { h.served <- h.server.Serve(context.WithoutCancel(t.Context()), ln) }()
	t.Cleanup(func() {
		h.clients.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := h.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-h.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return h
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	res, err := h.clients.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test's
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// TestSec_SC10_routes walks the route table: every route but the public ones demands a principal, in every state of credentials.
func TestSec_SC10_routes(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.auth = auth.Config{Token: config.NewSecret("good"), Username: "u", Password: config.NewSecret("p")}
		h.web.Links = links{}
	})
	public := map[string]bool{"/healthz": true, "/.well-known/security.txt": true, "/images/{token}": true}
	routes := h.server.Routes()
	if len(routes) != 6 {
		t.Errorf("%d routes", len(routes))
	}
	for _, r := range routes {
		if r.Public != public[r.Pattern] {
			t.Errorf("%s is public: %v", r.Pattern, r.Public)
		}
		path := strings.Replace(r.Pattern, "{token}", "x", 1)
		for state, tc := range map[string]struct {
			header []string
			ok     bool
		}{
			"none":  {nil, false},
			"wrong": {[]string{"Authorization", "Bearer bad"}, false},
			"empty": {[]string{"Authorization", "Bearer"}, false},
			"right": {[]string{"Authorization", "Bearer good"}, true},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut} {
				if tc.ok && path == "/sse" && method == http.MethodGet {
					continue // a stream
				}
				got := h.do(t, method, path, "", tc.header...)
				refused := got.status == http.StatusUnauthorized || got.status == http.StatusTooManyRequests
				if refused == (tc.ok || r.Public) {
					t.Errorf("%s %s with credentials %s: %d", method, path, state, got.status)
				}
				if got.status == http.StatusUnauthorized && len(got.header.Values("WWW-Authenticate")) != 2 {
					t.Errorf("%s %s: challenge %q", method, path, got.header.Values("WWW-Authenticate"))
				}
			}
		}
	}
	if got := h.do(t, http.MethodGet, "/nowhere", ""); got.status != http.StatusNotFound {
		t.Errorf("an unknown path: %d", got.status)
	}
}

// TestSec_SC10_failures: failed sign-ins are on the record, the eleventh is refused unseen, and says when to come again.
func TestSec_SC10_failures(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.auth = auth.Config{Token: config.NewSecret("good"), Failures: limits.NewAuthFailures(10)}
	})
	for i := range 10 {
		if got := h.do(t, http.MethodPost, "/mcp", initialize, "Authorization", "Bearer bad"); got.status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i+1, got.status)
		}
	}
	got := h.do(t, http.MethodPost, "/mcp", initialize, "Authorization", "Bearer good")
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("11th: %d %v", got.status, got.header)
	}
	events := h.record.events("auth.failure")
	if len(events) != 11 || events[10].Code != "RATE_LIMITED" || events[0].Detail["address"] != "127.0.0.1" {
		t.Errorf("%d events, %+v", len(events), events)
	}
	for _, e := range events { // T24
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "bad") || strings.Contains(text, "good") {
			t.Errorf("a token is on the record: %s", text)
		}
	}
	if got := h.do(t, http.MethodGet, "/healthz", ""); got.status != http.StatusOK {
		t.Errorf("health: %d", got.status)
	}
}

// TestSec_SC12_hosts: Host and Origin on every path and method (T01, T02, T03, MCP-01, MCP-02, MCP-04, BUG-04).
func TestSec_SC12_hosts(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.AllowedHosts = []string{"Pictures.example", "ported.example:8443"}
		h.web.AllowedOrigins = []string{"https://App.example", "http://ported.example:8080"}
		h.web.PublicURL = "https://public.example/base"
	})
	for _, tc := range []struct {
		host, origin string
		ok           bool
	}{
		{h.addr, "", true},
		{"localhost", "", true},
		{"LOCALHOST:7861", "", true},
		{"127.0.0.1", "", true},
		{"127.9.9.9:1", "", true},
		{"[::1]:7861", "", true},
		{"[::1]", "", true},
		{"pictures.example", "", true},
		{"PICTURES.EXAMPLE:7861", "", true},
		{"ported.example:8443", "", true},
		{"ported.example", "", false},
		{"public.example", "", true},
		{"evil.example", "", false},
		{"localhost.evil.example", "", false},
		{"127.0.0.1.evil.example", "", false},
		{"192.168.1.5", "", false}, // an address, but on a loopback listener
		{"10.0.0.1:7861", "", false},
		{h.addr, "https://app.example", true},
		{h.addr, "HTTPS://APP.EXAMPLE", true},
		{h.addr, "http://app.example", false},
		{h.addr, "https://app.example:8443", false},
		{h.addr, "http://ported.example:8080", true},
		{h.addr, "https://public.example", true},
		{h.addr, "http://localhost:3000", true},
		{h.addr, "http://127.0.0.1", true},
		{h.addr, "https://[::1]:9", true},
		{h.addr, "null", false},
		{h.addr, "https://evil.example", false},
		{h.addr, "http://localhost.evil.example", false},
		{h.addr, "http://localhost@evil.example", false},
		{h.addr, "http://127.0.0.1.evil.example", false},
		{h.addr, "file://", false},
		{h.addr, "localhost", false},
		{"evil.example", "http://localhost", false},
	} {
		for _, at := range []struct{ method, path string }{
			{http.MethodPost, "/mcp"}, {http.MethodDelete, "/mcp"}, {http.MethodPost, "/sse"}, {http.MethodPost, "/message"}, {http.MethodGet, "/message"}, {http.MethodGet, "/healthz"},
		} {
			header := []string{"Host", tc.host}
			if tc.origin != "" {
				header = append(header, "Origin", tc.origin)
			}
			got := h.do(t, at.method, at.path, "", header...)
			if (got.status != http.StatusForbidden) != tc.ok {
				t.Errorf("%s %s, Host %s, Origin %q: %d", at.method, at.path, tc.host, tc.origin, got.status)
			}
			if got.status == http.StatusForbidden && (!strings.Contains(got.body, `"error"`) || strings.Contains(got.body, `"id"`)) {
				t.Errorf("body %s", got.body)
			}
			if allow := got.header.Get("Access-Control-Allow-Origin"); allow == "*" || !tc.ok && allow != "" || tc.ok && allow != tc.origin {
				t.Errorf("Origin %q is told that %q may", tc.origin, allow)
			}
		}
	}
	two := h.do(t, http.MethodPost, "/mcp", initialize, "Origin", "https://app.example", "Origin", "https://evil.example")
	if two.status != http.StatusForbidden {
		t.Errorf("two origins: %d", two.status)
	}
	for _, name := range []string{"Content-Type", "Authorization", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id", "Last-Event-ID"} {
		got := h.do(t, http.MethodOptions, "/mcp", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", name)
		if got.status != http.StatusNoContent || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), name) || got.header.Get("Vary") != "Origin" {
			t.Errorf("preflight for %s: %d %v", name, got.status, got.header)
		}
	}
	if got := h.do(t, http.MethodOptions, "/mcp", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"); got.status != http.StatusForbidden {
		t.Errorf("a stranger's preflight: %d", got.status)
	}
}

// TestWeb_config: rules that cannot be meant end the start.
func TestWeb_config(t *testing.T) {
	t.Parallel()
	good := func() web.Config {
		who, err := auth.New(auth.Config{Loopback: true})
		if err != nil {
			t.Fatal(err)
		}
		return web.Config{MCP: idle{}, Auth: who, Audit: &record{}, Log: zap.NewNop()}
	}
	for name, change := range map[string]func(*web.Config){
		"no MCP":        func(c *web.Config) { c.MCP = nil },
		"no auth":       func(c *web.Config) { c.Auth = nil },
		"no audit":      func(c *web.Config) { c.Audit = nil },
		"no log":        func(c *web.Config) { c.Log = nil },
		"any origin":    func(c *web.Config) { c.AllowedOrigins = []string{"*"} },
		"null origin":   func(c *web.Config) { c.AllowedOrigins = []string{"null"} },
		"origin a host": func(c *web.Config) { c.AllowedOrigins = []string{"app.example"} },
		"origin a path": func(c *web.Config) { c.AllowedOrigins = []string{"https://app.example/x"} },
		"any host":      func(c *web.Config) { c.AllowedHosts = []string{"*"} },
		"host a URL":    func(c *web.Config) { c.AllowedHosts = []string{"https://x.example"} },
		"public no URL": func(c *web.Config) { c.PublicURL = "public.example" },
	} {
		cfg := good()
		change(&cfg)
		if _, err := web.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := web.New(good()); err != nil {
		t.Error(err)
	}
}

// idle serves nothing.
type idle struct{}

func (idle) Streamable() http.Handler      { return http.NotFoundHandler() }
func (idle) SSE() http.Handler             { return http.NotFoundHandler() }
func (idle) Message() http.Handler         { return http.NotFoundHandler() }
func (idle) Drain(context.Context) error   { return nil }
func (idle) CloseSessions(context.Context) {}

// TestWeb_openListener: on other addresses any IP literal is a Host, names must be listed.
func TestWeb_openListener(t *testing.T) {
	t.Parallel()
	who, err := auth.New(auth.Config{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := web.New(web.Config{MCP: idle{}, Auth: who, Audit: &record{}, AllowedHosts: []string{"pc.example"}, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	handler := srv.Handler()
	for host, want := range map[string]int{"192.168.1.5:7861": 200, "[fd00::1]": 200, "localhost": 200, "pc.example": 200, "evil.example": 403} {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+"/healthz", nil)
		r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 168, 1, 5), Port: 7861})))
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d", host, w.Code)
		}
		r.Header.Set("Origin", "http://localhost") // a page on the visitor's machine is no friend of another's server
		w = httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%s with a loopback Origin: %d", host, w.Code)
		}
	}
}

// TestSec_SC23_proxies: X-Forwarded-For counts from trusted proxies only, and of it the right-most hop that is none of them.
func TestSec_SC23_proxies(t *testing.T) {
	t.Parallel()
	who, err := auth.New(auth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	srv, err := web.New(web.Config{MCP: idle{}, Auth: who, Audit: &record{}, TrustedProxies: trusted, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"}, // forged
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"}, // 1.1.1.1 is anybody's claim
		{"10.0.0.1:1", []string{"1.1.1.1", "198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1", []string{"<script>"}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"[fd00::1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tc.peer
		r.Header["X-Forwarded-For"] = tc.forwarded
		if got := srv.Client(r); got.String() != tc.want {
			t.Errorf("%s via %q is %s, want %s", tc.peer, tc.forwarded, got, tc.want)
		}
	}
}

// TestWeb_T15_headers: what goes with every answer.
func TestWeb_T15_headers(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for _, path := range []string{"/healthz", "/mcp", "/nowhere", "/.well-known/security.txt"} {
		got := h.do(t, http.MethodGet, path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if v := got.header.Get(name); v != want {
				t.Errorf("%s: %s is %q", path, name, v)
			}
		}
	}
	if got := h.do(t, http.MethodGet, "/healthz", ""); got.body != "{\"status\":\"ok\"}\n" {
		t.Errorf("health says %q", got.body)
	}
	if got := h.do(t, http.MethodPost, "/healthz", ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.status)
	}
}

// TestSec_SC02_securityText: both fields, the second in the future.
func TestSec_SC02_securityText(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.web.Built = time.Now().AddDate(0, -6, 0) })
	got := h.do(t, http.MethodGet, "/.well-known/security.txt", "")
	fields := make(map[string]string)
	for line := range strings.Lines(got.body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		fields[name] = value
	}
	expires, err := time.Parse(time.RFC3339, fields["Expires"])
	if err != nil || !expires.After(time.Now()) || expires.After(time.Now().AddDate(1, 0, 0)) {
		t.Errorf("Expires %q", fields["Expires"])
	}
	if fields["Contact"] != "https://github.com/comfygate/comfygate/security/advisories/new" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q %v", got.body, got.header)
	}
}

// links knows one token.
type links struct{}

var pictureBytes = bytes.Repeat([]byte("picture "), 10_000)

func (links) Open(token string) (io.ReadSeekCloser, images.Image, error) {
	if token != "good-token" {
		return nil, images.Image{}, fmt.Errorf("%w at /home/secret", images.ErrLink)
	}
	im := images.Image{ID: strings.Repeat("a", 26), Format: images.WebP, SHA256: "abc", Bytes: int64(len(pictureBytes)), Made: time.Now()}
	return closer{bytes.NewReader(pictureBytes)}, im, nil
}

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// TestWeb_pictures: a signed link is its own credential; what it gives can be nothing but a picture.
func TestWeb_pictures(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.auth, h.web.Links = auth.Config{Token: config.NewSecret("x")}, links{} })
	got := h.do(t, http.MethodGet, "/images/good-token", "")
	if got.status != http.StatusOK || got.body != string(pictureBytes) {
		t.Fatalf("%d, %d bytes", got.status, len(got.body))
	}
	for name, want := range map[string]string{
		"Content-Type": "image/webp", "X-Content-Type-Options": "nosniff", "Content-Disposition": `inline; filename="` + strings.Repeat("a", 26) + `.webp"`,
		"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "cross-origin", "ETag": `"abc"`,
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if part := h.do(t, http.MethodGet, "/images/good-token", "", "Range", "bytes=8-15"); part.status != http.StatusPartialContent || part.body != "picture " {
		t.Errorf("a range: %d %q", part.status, part.body)
	}
	if head := h.do(t, http.MethodHead, "/images/good-token", ""); head.status != http.StatusOK || head.header.Get("Content-Length") != fmt.Sprint(len(pictureBytes)) {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	for _, path := range []string{"/images/bad", "/images/good-token%00", "/images/" + strings.Repeat("x", 5000), "/images/..%2f..%2fetc%2fpasswd"} {
		if got := h.do(t, http.MethodGet, path, ""); got.status != http.StatusNotFound || strings.Contains(got.body, "secret") {
			t.Errorf("%.40s: %d %s", path, got.status, got.body)
		}
	}
	if got := h.do(t, http.MethodPost, "/images/good-token", "{}"); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.status)
	}
	if without := open(t, nil); without.do(t, http.MethodGet, "/images/good-token", "").status != http.StatusNotFound {
		t.Error("links where there are none")
	}
}

// TestWeb_T05_body: too large a body is refused before a byte of it is read, and within 100 ms; a chunked one at the limit (MCP-03).
func TestWeb_T05_body(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.web.RequestBytes, h.mcp.Bounds.RequestBytes = 1000, 1000 })
	conn := h.dial(t)
	began := time.Now()
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n")
	res := conn.response(t)
	if res.StatusCode != http.StatusRequestEntityTooLarge || time.Since(began) > patience/2 {
		t.Errorf("%d after %v", res.StatusCode, time.Since(began))
	}
	conn = h.dial(t)
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n%s\r\n", strings.Repeat(" ", 1001))
	if res := conn.response(t); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %d", res.StatusCode)
	}
}

// A wire is a raw connection.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func (h *house) dial(t *testing.T) *wire {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // a test's
	return &wire{conn, bufio.NewReader(conn)}
}

func (w *wire) response(t *testing.T) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close() //nolint:errcheck // a test's
	return res
}

// ends reports whether the other side closes the connection.
func (w *wire) ends() bool {
	_, err := io.Copy(io.Discard, w.r)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestWeb_T12_slow: headers and bodies that trickle are cut off, idle connections end, connections and headers are bounded.
func TestWeb_T12_slow(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.HeaderTimeout, h.web.BodyTimeout, h.web.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
		h.web.HeaderBytes = 8 << 10
	})
	slow := h.dial(t)
	fmt.Fprintf(slow, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
	if !slow.ends() {
		t.Error("a slow header is waited for")
	}
	body := h.dial(t)
	fmt.Fprintf(body, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	if res := body.response(t); res.StatusCode != http.StatusBadRequest || !body.ends() {
		t.Errorf("a slow body: %d", res.StatusCode)
	}
	idle := h.dial(t)
	fmt.Fprintf(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if res := idle.response(t); res.StatusCode != http.StatusOK || !idle.ends() {
		t.Error("an idle connection is kept")
	}
	large := h.dial(t)
	fmt.Fprintf(large, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 16<<10))
	if res := large.response(t); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: %d", res.StatusCode)
	}
}

// TestWeb_bodyThenLongCall: the time a body may take does not end the call that it asks for.
func TestWeb_bodyThenLongCall(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.BodyTimeout = 50 * time.Millisecond
		h.mcp.Tools = []tools.Tool{tool("slow", func(ctx context.Context) error {
			select {
			case <-time.After(300 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})}
	})
	session := h.do(t, http.MethodPost, "/mcp", initialize).header.Get("Mcp-Session-Id")
	got := h.do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}`, "Mcp-Session-Id", session)
	if got.status != http.StatusOK || !strings.Contains(got.body, "done") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestWeb_T12_connections: at most so many at once; the next is served when one has gone.
func TestWeb_T12_connections(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.web.Connections = 2 })
	ask := func(w *wire) { fmt.Fprintf(w, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") }
	one, two, three := h.dial(t), h.dial(t), h.dial(t)
	for _, w := range []*wire{one, two} {
		ask(w)
		w.response(t)
	}
	ask(three)
	if err := three.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := three.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a third connection is served: %v", err)
	}
	one.Close() //nolint:errcheck // a test's
	if err := three.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	three.r.Reset(three.Conn)
	if res := three.response(t); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

// TestWeb_clientStopsReading: who does not read holds nothing for good.
func TestWeb_clientStopsReading(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.Links, h.web.WriteTimeout = bigLinks{}, 100*time.Millisecond
	})
	w := h.dial(t)
	fmt.Fprintf(w, "GET /images/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
	time.Sleep(300 * time.Millisecond) // and reads nothing meanwhile
	n, err := io.Copy(io.Discard, w.r)
	if n >= big || err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

const big = 256 << 20

type bigLinks struct{}

func (bigLinks) Open(string) (io.ReadSeekCloser, images.Image, error) {
	return closer{io.NewSectionReader(zeros{}, 0, big)}, images.Image{ID: "x", Format: images.PNG}, nil
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestWeb_MCP30_shutdown: with open streams of every kind and a running call, the way down is in order and in time (BUG-11).
func TestWeb_MCP30_shutdown(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}), make(chan struct{})
	h := open(t, func(h *house) {
		h.mcp.Tools = []tools.Tool{tool("slow", func(ctx context.Context) error {
			close(began)
			select {
			case <-finish:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})}
	})
	session := h.do(t, http.MethodPost, "/mcp", initialize).header.Get("Mcp-Session-Id")
	var streams []*wire
	for _, head := range []string{
		"GET /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: " + session + "\r\n\r\n",
		"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		w := h.dial(t)
		io.WriteString(w, head) //nolint:errcheck // read below
		if res, err := http.ReadResponse(w.r, nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", res, err)
		}
		streams = append(streams, w)
	}
	answer := make(chan reply, 1)
	go func() {
		answer <- h.do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}`, "Mcp-Session-Id", session)
	}()
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- h.server.Shutdown(ctx) }()
	for { // nobody gets in any more
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
		if err != nil {
			break
		}
		conn.Close() //nolint:errcheck // a test's
		time.Sleep(time.Millisecond)
	}
	close(finish)
	if got := <-answer; !strings.Contains(got.body, "done") {
		t.Errorf("the running call: %s", got.body)
	}
	h.clients.CloseIdleConnections()
	if err := <-down; err != nil {
		t.Error(err)
	}
	for _, w := range streams {
		if !w.ends() {
			t.Error("a stream goes on")
		}
	}
}

// TestWeb_MCP30_bounded: a call that does not end is cut off when the time is over, with its outcome recorded.
func TestWeb_MCP30_bounded(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	h := open(t, func(h *house) {
		h.mcp.Tools = []tools.Tool{tool("endless", func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return context.Cause(ctx)
		})}
	})
	session := h.do(t, http.MethodPost, "/mcp", initialize).header.Get("Mcp-Session-Id")
	w := h.dial(t)
	body := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"endless"}}`
	fmt.Fprintf(w, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s", session, len(body), body)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	at := time.Now()
	if err := h.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if d := time.Since(at); d > patience/2 {
		t.Errorf("took %v", d)
	}
	deadline := time.Now().Add(patience)
	for len(h.record.of("endless")) == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if list := h.record.of("endless"); len(list) != 1 || list[0].Code != "CANCELLED" {
		t.Errorf("records %+v", list)
	}
}

func (r *record) of(tool string) (list []audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.list {
		if rec.Tool == tool {
			list = append(list, rec)
		}
	}
	return list
}
