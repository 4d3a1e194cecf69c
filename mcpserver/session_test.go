package mcpserver_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/tools"
)

// TestHTTP_MCP08_foreignSession: an id that is another's, unknown, ended or missing opens nothing, and a stranger's stream hears nothing
// (MCP-06, BUG-02, BUG-03).
func TestHTTP_MCP08_foreignSession(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", progressing(5))}, nil)
	ts := s.site(t)
	alice := s.client(t, ts, "alice").initialize()
	ended := s.client(t, ts, "mallory").initialize()
	if r := ended.do(ended.request(t.Context(), http.MethodDelete, "/mcp", "")); r.status != http.StatusOK {
		t.Fatalf("DELETE: %d %s", r.status, r.body)
	}
	flipped := []byte(alice.session)
	flipped[3] ^= 1
	for name, tc := range map[string]struct {
		id   string
		want int
	}{
		"none":         {"", http.StatusBadRequest},
		"garbage":      {"garbage", http.StatusNotFound},
		"well-formed":  {"mcp-session-00000000-0000-4000-8000-000000000009", http.StatusNotFound},
		"another's":    {alice.session, http.StatusNotFound},
		"one bit off":  {string(flipped), http.StatusNotFound},
		"ended":        {ended.session, http.StatusNotFound},
		"with padding": {alice.session + "=", http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				mallory := s.client(t, ts, "mallory")
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				body := ""
				if method == http.MethodPost {
					body = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
				}
				if r := mallory.do(mallory.request(ctx, method, "/mcp", body, "Mcp-Session-Id", tc.id)); r.status != tc.want {
					t.Errorf("%d %s, want %d", r.status, r.body, tc.want)
				}
			})
		}
	}
	t.Cleanup(func() {
		if r := alice.ask("tools/list", "{}"); r.status != http.StatusOK {
			t.Errorf("alice's session was harmed: %d %s", r.status, r.body)
		}
	})
}

// TestHTTP_MCP08_bound: an id is bound twice, by its MAC and by the table; either alone keeps a stranger out.
func TestHTTP_MCP08_bound(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	ts := s.site(t)
	for name, id := range map[string]string{
		"made for another": s.server.Plant("mallory", "alice"),
		"another's":        s.server.Plant("alice", "mallory"),
	} {
		c := s.client(t, ts, "mallory")
		c.session = id
		if r := c.ask("tools/list", "{}"); r.status != http.StatusNotFound {
			t.Errorf("%s: %d", name, r.status)
		}
	}
	c := s.client(t, ts, "mallory")
	c.session = s.server.Plant("mallory", "mallory")
	if r := c.ask("tools/list", "{}"); r.status != http.StatusOK {
		t.Errorf("his own: %d", r.status)
	}
}

// TestHTTP_MCP09_caps: sessions and streams are bounded, for each and in all.
func TestHTTP_MCP09_caps(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) {
		s.cfg.Bounds.Sessions, s.cfg.Bounds.OwnSessions = 5, 3
		s.cfg.Bounds.Streams, s.cfg.Bounds.OwnStreams = 3, 2
	})
	ts := s.site(t)
	open := func(user string) reply { return s.client(t, ts, user).post(initializeMessage) }
	for i, want := range []int{200, 200, 200, 429} {
		if r := open("alice"); r.status != want || want == 429 && r.header.Get("Retry-After") == "" {
			t.Errorf("alice's session %d: %d", i+1, r.status)
		}
	}
	bob := s.client(t, ts, "bob").initialize()
	if open("bob").status != 200 || open("carol").status != 429 {
		t.Error("the total is not held")
	}
	if r := bob.do(bob.request(t.Context(), http.MethodDelete, "/mcp", "")); r.status != http.StatusOK || open("bob").status != 200 {
		t.Error("an ended session still counts")
	}
	var ends []func()
	for i, tc := range []struct {
		user string
		want int
	}{{"bob", 200}, {"bob", 200}, {"bob", 429}, {"carol", 200}, {"carol", 429}} {
		status, end := s.client(t, ts, tc.user).stream("/sse")
		if ends = append(ends, end); status != tc.want {
			t.Errorf("stream %d: %d, want %d", i+1, status, tc.want)
		}
	}
	for _, end := range ends {
		end()
	}
	waitFor(t, "the streams to end", func() bool {
		_, streams, conns, _ := s.server.Open()
		return streams+conns == 0
	})
	if status, end := s.client(t, ts, "carol").stream("/sse"); status != 200 {
		t.Error("no room although all have ended")
	} else {
		end()
	}
}

// stream opens a stream and returns its status and how to end it.
func (c *client) stream(path string) (status int, end func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	res, err := c.http.Do(c.request(ctx, http.MethodGet, path, "")) //nolint:bodyclose // closed below, elsewhere
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, func() {
		cancel()
		res.Body.Close() //nolint:errcheck // a test's
	}
}

// TestHTTP_MCP10_idle: a session that nobody uses ends, one with a stream does not (BUG-23).
func TestHTTP_MCP10_idle(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.cfg.Bounds.Idle = 50 * time.Millisecond })
	ts := s.site(t)
	for range 20 {
		s.client(t, ts, "alice").initialize()
	}
	waitFor(t, "idle sessions to end", func() bool {
		sessions, _, _, _ := s.server.Open()
		return sessions == 0
	})
	kept := s.client(t, ts, "alice")
	var end func()
	waitFor(t, "a stream that is opened in time", func() (ok bool) {
		var status int
		kept.session = ""
		kept.initialize()
		status, end = kept.stream("/mcp")
		return status == http.StatusOK
	})
	time.Sleep(200 * time.Millisecond) // several times what ends an idle session
	if r := kept.ask("tools/list", "{}"); r.status != http.StatusOK {
		t.Errorf("a session with a stream was ended: %d", r.status)
	}
	end()
	waitFor(t, "it to end", func() bool {
		sessions, streams, _, _ := s.server.Open()
		return sessions+streams == 0
	})
	if r := kept.ask("tools/list", "{}"); r.status != http.StatusNotFound {
		t.Errorf("an ended session answers %d", r.status)
	}
}

// TestHTTP_MCP13_methods: which method means what, in each era (T11).
func TestHTTP_MCP13_methods(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	for _, tc := range []struct {
		method, path string
		header       []string
		want         int
		allow        string
	}{
		{http.MethodPut, "/mcp", nil, 405, "GET, POST, DELETE"},
		{http.MethodHead, "/mcp", nil, 405, "GET, POST, DELETE"},
		{http.MethodOptions, "/mcp", nil, 405, "GET, POST, DELETE"},
		{http.MethodGet, "/mcp", []string{"Mcp-Protocol-Version", modernVersion}, 405, "POST"},
		{http.MethodDelete, "/mcp", []string{"Mcp-Protocol-Version", modernVersion}, 405, "POST"},
		{http.MethodPost, "/sse", nil, 405, "GET"},
		{http.MethodGet, "/message", nil, 405, "POST"},
		{http.MethodGet, "/mcp", []string{"Mcp-Protocol-Version", "1999-01-01"}, 400, ""},
	} {
		r := c.do(c.request(t.Context(), tc.method, tc.path, "", tc.header...))
		if r.status != tc.want || r.header.Get("Allow") != tc.allow {
			t.Errorf("%s %s %v: %d, Allow %q", tc.method, tc.path, tc.header, r.status, r.header.Get("Allow"))
		}
	}
	modern := s.client(t, ts, "alice").era(true)
	for method, want := range map[string]struct{ status, code int }{
		"no/such":   {404, -32601},
		"tasks/get": {404, -32601}, // BUG-22
		"ping":      {404, -32601},
	} {
		if r := modern.ask(method, "{}"); r.status != want.status || r.last(t).Error.Code != want.code {
			t.Errorf("modern %s: %d %s", method, r.status, r.body)
		}
	}
	for _, method := range []string{"tasks/list", "tasks/cancel", "tasks/result"} {
		if r := c.ask(method, `{"taskId":"x"}`); r.status != 404 || r.last(t).Error.Code != -32601 {
			t.Errorf("legacy %s: %d %s", method, r.status, r.body)
		}
	}
}

// TestHTTP_MCP28_lists: the same list for every connection of the same authorization, and no tool that it may not use (SC-59).
func TestHTTP_MCP28_lists(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", &work{}), readTool("status", &work{})}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	first := c.ask("tools/list", "{}")
	if again := s.client(t, ts, "bob").initialize().ask("tools/list", "{}"); again.body != first.body {
		t.Errorf("another list:\n%s\n%s", first.body, again.body)
	}
	if n := len(first.last(t).Result.Tools); n != 2 {
		t.Errorf("%d tools", n)
	}
	viewer := s.client(t, ts, "viewer").era(true)
	m := viewer.ask("tools/list", "{}").last(t)
	if len(m.Result.Tools) != 1 || m.Result.Tools[0]["name"] != "status" || m.Result.TTL != 60000 || m.Result.CacheScope != "private" {
		t.Errorf("viewer's list: %+v", m.Result)
	}
	if f := viewer.tool("1", "generate", `{"prompt":"x"}`, "").last(t).fault(t); f.Code != "POLICY_DENIED" || !strings.Contains(f.Message, "scope:image:generate") {
		t.Errorf("a tool that is not in the list: %+v", f)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"decision denied POLICY_DENIED"}) {
		t.Errorf("records %q", got)
	}
}
