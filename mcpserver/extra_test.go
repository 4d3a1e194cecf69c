//go:build !conformance

package mcpserver_test

import (
	"strings"
	"testing"
)

// TestConformance_MCP33: the fixtures of the official suite, which make conformance runs on this very stack, are in no ordinary build.
func TestConformance_MCP33(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	c := s.client(t, s.site(t), "alice").initialize()
	if r := c.ask("tools/list", "{}"); len(r.last(t).Result.Tools) != 0 || strings.Contains(r.body, "test_") {
		t.Errorf("tools: %s", r.body)
	}
	for _, method := range []string{"prompts/list", "resources/list", "logging/setLevel"} {
		if m := c.ask(method, `{"level":"info"}`).last(t); m.Error == nil || m.Error.Code != -32601 {
			t.Errorf("%s: %+v", method, m)
		}
	}
}
