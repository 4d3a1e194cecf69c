//go:build conformance

package mcpserver_test

import (
	"strings"
	"testing"
)

// TestConformance_BUG18: a handler can say that a capability is missing, which mcp-go alone cannot (MCP-20, MCP-26, BUG-18): the status
// and the error are ours, whatever else the handler returned.
func TestConformance_BUG18(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	c := s.client(t, s.site(t), "alice").era(true)
	r := c.tool("1", "test_missing_capability", "{}", "")
	if m := r.last(t); r.status != 400 || m.Error == nil || m.Error.Code != -32021 || !strings.Contains(string(m.Error.Data), `"sampling":{}`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	body, header := c.call("2", "test_missing_capability", "{}", "")
	body = strings.Replace(body, `clientCapabilities":{}`, `clientCapabilities":{"sampling":{}}`, 1)
	if m := c.post(body, header...).last(t); m.Result == nil || m.Result.Content[0].Text != "ok" {
		t.Errorf("declared: %+v", m)
	}
}

// TestConformance_BUG19: a state that travels by the client is signed, and one that is not ours does nothing (MCP-25, BUG-19).
func TestConformance_BUG19(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	c := s.client(t, s.site(t), "alice").era(true)
	const tool = "test_input_required_result_tampered_state"
	asked := c.tool("1", tool, "{}", "")
	_, state, _ := strings.Cut(asked.body, `"requestState":"`)
	state, _, _ = strings.Cut(state, `"`)
	if !strings.Contains(asked.body, "input_required") || state == "" {
		t.Fatalf("%d %s", asked.status, asked.body)
	}
	for name, tc := range map[string]struct {
		state string
		ok    bool
	}{"ours": {state, true}, "changed": {"x" + state, false}, "unsigned": {"s1", false}} {
		body, header := c.call("2", tool, "{}", "")
		body = strings.Replace(body, `"arguments":{}`, `"arguments":{},"inputResponses":{"confirm":{"action":"accept","content":{"ok":true}}},"requestState":"`+tc.state+`"`, 1)
		if m := c.post(body, header...).last(t); (m.Result != nil && !m.Result.IsError) != tc.ok {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
