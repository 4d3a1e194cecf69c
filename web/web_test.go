package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// TestSec_SC10_routes walks the route table: every route but the public ones demands a principal, in every state of credentials, and
// a refusal says how to sign in (MCP-11, BUG-25).
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
		h.web.AllowedOrigins = []string{"https://App.example", "http://ported.example:8080", "vscode-file://vscode-app"}
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
		{h.addr, "vscode-file://vscode-app", true}, // programs that are made of web pages have schemes of their own
		{h.addr, "vscode-file://localhost", false},
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

// links knows two tokens.
type links struct{}

var pictureBytes = bytes.Repeat([]byte("picture "), 10_000)

func (links) Open(token string) (io.ReadSeekCloser, images.Served, error) {
	served := images.Served{Name: strings.Repeat("a", 26) + ".webp", Type: "image/webp", Picture: true, SHA256: "abc", Bytes: int64(len(pictureBytes)), Made: time.Now()}
	switch token {
	case "good-token":
	case "video-token":
		served.Name, served.Type, served.Picture = "v.mp4", "video/mp4", false
	default:
		return nil, images.Served{}, fmt.Errorf("%w at /home/secret", images.ErrLink)
	}
	return closer{bytes.NewReader(pictureBytes)}, served, nil
}

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// TestWeb_pictures: a signed link is its own credential; what it gives can be nothing but a picture, or a file to save.
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
	video := h.do(t, http.MethodGet, "/images/video-token", "") // IMG-04: what is no picture is saved, never shown
	for name, want := range map[string]string{
		"Content-Type": "video/mp4", "X-Content-Type-Options": "nosniff", "Content-Disposition": `attachment; filename="v.mp4"`,
		"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
	} {
		if v := video.header.Get(name); v != want {
			t.Errorf("a file's %s is %q, want %q", name, v, want)
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
