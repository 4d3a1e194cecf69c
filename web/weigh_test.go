package web_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/tools"
)

// SC-55: large requests are let in while there is memory for them, the rest waits and is then refused with the time to come again; small ones
// are not held up, nor is another principal by one who takes all it may, and strangers take nothing.
func TestWeigh_SC55(t *testing.T) {
	t.Parallel()
	began, end := make(chan struct{}, 8), make(chan struct{})
	h := open(t, func(h *house) {
		h.auth = auth.Config{Token: config.NewSecret("good"), Username: "u", Password: config.NewSecret("p")}
		h.web.RequestBytes, h.mcp.Bounds.RequestBytes, h.web.BodyBytes, h.web.BodyWait = 200_000, 200_000, 800_000, 100*time.Millisecond
		h.mcp.Tools = []tools.Tool{
			tool("slow", func(context.Context) error { began <- struct{}{}; <-end; return nil }),
			tool("quick", func(context.Context) error { return nil }),
		}
	})
	as := map[string][]string{"token": {"Authorization", "Bearer good"}, "basic": {"Authorization", "Basic dTpw"}, "nobody": nil}
	sessions := map[string]string{}
	for who := range as {
		sessions[who] = h.do(t, http.MethodPost, "/mcp", initialize, as[who]...).header.Get("Mcp-Session-Id")
	}
	call := func(who, name string, chunked bool) reply {
		t.Helper()
		body := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"` + name + `"}` + strings.Repeat(" ", 190_000) + `}`
		if name == "quick" {
			body = strings.ReplaceAll(body, "  ", "")
		}
		return h.sendChunked(t, body, chunked, append([]string{"Mcp-Session-Id", sessions[who]}, as[who]...)...)
	}
	done := make(chan reply, 8)
	slow := func(who string, chunked bool) {
		go func() { done <- call(who, "slow", chunked) }()
		<-began
	}
	slow("token", false)
	slow("token", true) // its weight is not told, so it is the heaviest there may be
	for name, got := range map[string]reply{
		"one more":                call("token", "slow", false),
		"one that says no length": call("token", "slow", true),
	} {
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := call("nobody", "slow", false); got.status != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", got.status)
	}
	if got := call("token", "quick", true); got.status != http.StatusOK {
		t.Errorf("a small one: %d %s", got.status, got.body)
	}
	slow("basic", false)
	slow("basic", false) // all of it is taken
	close(end)
	for range 4 {
		if got := <-done; got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := call("token", "slow", true); got.status != http.StatusOK {
		t.Errorf("when there is memory again: %d", got.status)
	}
}

// sendChunked posts to /mcp, and hides the body's length if it is to.
func (h *house) sendChunked(t *testing.T, body string, hide bool, header ...string) reply {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	if hide {
		r = struct{ io.Reader }{r}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/mcp", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := h.clients.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test's
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}
