package main

import (
	"net/http"
	"strings"
	"testing"
)

// SC-11: behind a proxy everybody comes from this machine, so a listener of this machine's own lets in nobody without a credential: it does
// not start without one, and it does not open when the last one is taken back.
func TestSec_SC11_behindProxy(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]string{
		"public address": "COMFYGATE_HTTP__PUBLIC_URL=https://gate.example.com", "proxy": "COMFYGATE_HTTP__TRUSTED_PROXIES=127.0.0.1/32",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, embedded, env)
			if text := w.serveOnce(t, true); !strings.Contains(text, "comfygate token create") {
				t.Errorf("it says %s", text)
			}
			token := strings.TrimSpace(w.run(t, "token", "create", "ada").out)
			s := w.http(t)
			status := func() int {
				return s.get(t, http.MethodPost, "/mcp", hello, "Authorization", "Bearer "+token).StatusCode
			}
			if got := status(); got != http.StatusOK {
				t.Fatalf("with the token: %d", got)
			}
			w.run(t, "token", "revoke", strings.Split(token, "_")[1]).ok(t)
			eventually(t, "the token is taken back", func() bool { return status() == http.StatusUnauthorized })
			if res := s.get(t, http.MethodPost, "/mcp", hello); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("with nothing, when there is no token any more: %s", res.Status)
			}
		})
	}
	s := newWorld(t, embedded, "COMFYGATE_HTTP__PUBLIC_URL=http://127.0.0.1:7861").http(t)
	if res := s.get(t, http.MethodPost, "/mcp", hello); res.StatusCode != http.StatusOK {
		t.Errorf("at this machine's own address: %s", res.Status)
	}
}
