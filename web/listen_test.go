//go:build conformance

package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWeb_MCP30_listen: a stream of subscriptions/listen, which the product itself never leaves open, does not hold up the way down (BUG-11).
func TestWeb_MCP30_listen(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	body := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{"Content-Type": "application/json", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"} {
		req.Header.Set(name, v)
	}
	res, err := h.clients.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test's
	first := make([]byte, 14)
	if _, err := res.Body.Read(first); err != nil || string(first) != "event: message" {
		t.Fatalf("%q %v", first, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := h.server.Shutdown(ctx); err != nil || time.Since(began) > patience/4 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
