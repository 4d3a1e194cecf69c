package mcpserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comfygate/comfygate/tools"
)

// A gate is a tool that waits until it is opened or its caller ends it, and tells what happened.
type gate struct {
	began chan tools.Caller
	open  chan struct{}
	ended chan error // nil when it was opened, else the cause
}

func newGate() *gate {
	return &gate{began: make(chan tools.Caller, 100), open: make(chan struct{}), ended: make(chan error, 100)}
}

func (g *gate) work() *work {
	return &work{run: func(ctx context.Context, c tools.Caller) (tools.Result, error) {
		g.began <- c
		select {
		case <-g.open:
			g.ended <- nil
			return tools.Result{Text: "opened"}, nil
		case <-ctx.Done():
			g.ended <- context.Cause(ctx)
			return tools.Result{}, context.Cause(ctx)
		}
	}}
}

func receive[T any](tb testing.TB, what string, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		tb.Fatalf("waited for %s in vain", what)
	}
	panic("unreachable")
}

// progressing reports n steps and returns at once.
func progressing(n int) *work {
	return &work{run: func(_ context.Context, c tools.Caller) (tools.Result, error) {
		for i := range n {
			c.Notify(tools.Progress{Done: float64(i + 1), Total: float64(n), Message: "step"})
		}
		return tools.Result{Text: "done"}, nil
	}}
}

// eras runs a test for a client of each era.
func eras(t *testing.T, test func(t *testing.T, modern bool)) {
	t.Helper()
	for name, modern := range map[string]bool{"legacy": false, "modern": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, modern)
		})
	}
}

func (c *client) era(modern bool) *client {
	c.t.Helper()
	if c.modern = modern; modern {
		return c
	}
	return c.initialize()
}

// TestHTTP_MCP05_foreignCancel: nobody cancels another's call by its JSON-RPC id, whatever session or version he names (BUG-01).
func TestHTTP_MCP05_foreignCancel(t *testing.T) {
	t.Parallel()
	const id = "7"
	plain := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
	withMeta := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	attacks := map[string]struct {
		body   string
		header []string
	}{
		"no session":                       {plain, nil},
		"made-up session":                  {plain, []string{"Mcp-Session-Id", "mcp-session-00000000-0000-4000-8000-000000000001"}},
		"made-up session, modern header":   {withMeta, []string{"Mcp-Session-Id", "x", "Mcp-Protocol-Version", modernVersion, "Mcp-Method", "notifications/cancelled"}},
		"made-up session, modern _meta":    {withMeta, []string{"Mcp-Session-Id", "x"}},
		"no session, modern header and id": {withMeta, []string{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "notifications/cancelled"}},
		"own session":                      {plain, []string{"own", "yes"}},
		"victim's session":                 {plain, []string{"victim's", "yes"}},
	}
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		for name, a := range attacks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				g := newGate()
				s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
				ts := s.site(t)
				victim := s.client(t, ts, "alice").era(modern)
				got := make(chan reply, 1)
				body, header := victim.call(id, "generate", `{"prompt":"x"}`, "")
				req := victim.request(t.Context(), http.MethodPost, "/mcp", body, header...)
				var wg sync.WaitGroup
				wg.Go(func() { got <- victim.do(req) })
				defer wg.Wait()
				receive(t, "the call", g.began)

				mallory := s.client(t, ts, "mallory")
				header = a.header
				switch {
				case slices.Contains(header, "own"):
					header = []string{"Mcp-Session-Id", mallory.initialize().session}
				case slices.Contains(header, "victim's"):
					header = []string{"Mcp-Session-Id", victim.session}
				}
				r := mallory.post(a.body, header...)
				if r.status != http.StatusAccepted && r.status != http.StatusNotFound && r.status != http.StatusBadRequest {
					t.Errorf("attack answered %d %s", r.status, r.body)
				}
				close(g.open)
				if err := receive(t, "the end", g.ended); err != nil {
					t.Errorf("the victim's call ended by %v", err)
				}
				if m := receive(t, "the answer", got).last(t); m.Result == nil || m.Result.IsError {
					t.Errorf("answer %+v", m)
				}
			})
		}
	})
}

// TestHTTP_MCP05_ownCancel: a session cancels its own call, by the id as it was written, and the tool learns that it was meant.
func TestHTTP_MCP05_ownCancel(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	body, _ := c.call(`"7"`, "generate", `{"prompt":"x"}`, "")
	req := c.request(t.Context(), http.MethodPost, "/mcp", body)
	got := make(chan reply, 1)
	var wg sync.WaitGroup
	wg.Go(func() { got <- c.do(req) })
	defer wg.Wait()
	receive(t, "the call", g.began)
	c.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`) // 7 is another
	select {
	case err := <-g.ended:
		t.Fatalf("ended by another id: %v", err)
	default:
	}
	if r := c.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}`); r.status != http.StatusAccepted {
		t.Errorf("status %d", r.status)
	}
	if err := receive(t, "the end", g.ended); !errors.Is(err, tools.ErrCancelRequested) {
		t.Errorf("cause %v", err)
	}
	receive(t, "the answer", got)
	if _, _, _, running := s.server.Open(); running != 0 {
		t.Errorf("%d calls still noted", running)
	}
}

// TestHTTP_disconnect: a caller who goes ends the call, which learns that nobody asked for that.
func TestHTTP_disconnect(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		g := newGate()
		s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
		ts := s.site(t)
		c := s.client(t, ts, "alice").era(modern)
		body, header := c.call("7", "generate", `{"prompt":"x"}`, "")
		ctx, cancel := context.WithCancel(t.Context())
		req := c.request(ctx, http.MethodPost, "/mcp", body, header...)
		var wg sync.WaitGroup
		wg.Go(func() {
			if res, err := c.http.Do(req); err == nil {
				res.Body.Close() //nolint:errcheck // a test's
			}
		})
		receive(t, "the call", g.began)
		cancel()
		wg.Wait()
		if err := receive(t, "the end", g.ended); !errors.Is(err, tools.ErrCallerGone) {
			t.Errorf("cause %v", err)
		}
		waitFor(t, "the outcome", func() bool { return len(s.record.records()) == 2 })
		if got := s.record.kinds(); got[1] != "outcome error CANCELLED" {
			t.Errorf("records %q", got)
		}
	})
}

// TestHTTP_progressStaysOnItsStream: what belongs to one call leaves on its own stream, not on the session's others (BUG-08).
func TestHTTP_progressStaysOnItsStream(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", progressing(3))}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	ctx, cancel := context.WithCancel(t.Context())
	res, err := c.http.Do(c.request(ctx, http.MethodGet, "/mcp", "")) //nolint:bodyclose // closed below, elsewhere
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(res.Body)
		res.Body.Close() //nolint:errcheck // a test's
		heard <- string(b)
	}()
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			for i := range 10 {
				token := fmt.Sprintf("tok-%d-%d", k, i)
				r := c.tool(fmt.Sprint(k*100+i), "generate", `{"prompt":"x"}`, token)
				for _, m := range r.messages(t) {
					if m.Method == "notifications/progress" && m.Params.Token != token {
						t.Errorf("the stream of %s carries %v", token, m.Params.Token)
					}
				}
				if n := strings.Count(r.body, token); n < 2 { // the first step and the last
					t.Errorf("%s: %d of its steps on its stream", token, n)
				}
			}
		})
	}
	wg.Wait()
	cancel()
	if text := receive(t, "the session's stream", heard); strings.Contains(text, "progress") {
		t.Errorf("the session's stream heard %q", text)
	}
}

// TestHTTP_MCP14_lastProgress: 600 calls that return at once after three steps; the first and the last are never lost (BUG-07).
func TestHTTP_MCP14_lastProgress(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		s := newSet(t, []tools.Tool{makeTool("generate", progressing(3))}, nil)
		c := s.client(t, s.site(t), "alice").era(modern)
		for i := range 300 {
			list := c.tool(fmt.Sprint(i), "generate", `{"prompt":"x"}`, "tok").messages(t)
			steps(t, 3, func() (m message) {
				if len(list) > 0 {
					m, list = list[0], list[1:]
				}
				return m
			})
		}
	})
}

// TestHTTP_MCP15_coalesced: ten thousand steps become few, increasing, the last one there, none after the answer, none without a token
// (BUG-24).
func TestHTTP_MCP15_coalesced(t *testing.T) {
	t.Parallel()
	var late tools.Caller
	w := &work{run: func(_ context.Context, c tools.Caller) (tools.Result, error) {
		late = c
		until := time.Now().Add(350 * time.Millisecond)
		i := 0.0
		for time.Now().Before(until) {
			i++
			c.Notify(tools.Progress{Done: i, Message: "step \x1b[31m\u202e\n of many"})
			c.Notify(tools.Progress{Done: i - 5})
		}
		c.Notify(tools.Progress{Done: 1e9, Total: 1e9})
		return tools.Result{Text: "done"}, nil
	}}
	s := newSet(t, []tools.Tool{makeTool("generate", w)}, nil)
	c := s.client(t, s.site(t), "alice").initialize()
	began := time.Now()
	r := c.tool("1", "generate", `{"prompt":"x"}`, "tok")
	most := int(time.Since(began)/(100*time.Millisecond)) + 2 // the first and the last are free
	list := r.messages(t)
	steps := list[:len(list)-1]
	if len(steps) < 3 || len(steps) > most {
		t.Errorf("%d steps, want 3 to %d", len(steps), most)
	}
	last := 0.0
	for _, m := range steps {
		if m.Params.Progress <= last {
			t.Errorf("%v after %v", m.Params.Progress, last)
		}
		last = m.Params.Progress
	}
	if last != 1e9 || steps[0].Params.Message != "step of many" {
		t.Errorf("last %v, message %q", last, steps[0].Params.Message)
	}
	late.Notify(tools.Progress{Done: 2e9}) // after the answer: nothing to send it on
	if r := c.tool("2", "generate", `{"prompt":"x"}`, ""); strings.Contains(r.body, "progress") || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("without a token: %s", r.body)
	}
	body, header := c.call("3", "generate", `{"prompt":"x"}`, "tok")
	if r := c.post(body, append(header, "Accept", "application/json")...); r.header.Get("Content-Type") != "application/json" || strings.Contains(r.body, "progress") {
		t.Errorf("to a client that takes no event stream: %s", r.body)
	}
}

// TestHTTP_MCP16_streams: headers that keep proxies from holding streams back, and a sign of life (BUG-20).
func TestHTTP_MCP16_streams(t *testing.T) {
	t.Parallel()
	g := newGate()
	first := g.work().run
	w := &work{run: func(ctx context.Context, c tools.Caller) (tools.Result, error) {
		c.Notify(tools.Progress{Done: 1})
		return first(ctx, c)
	}}
	s := newSet(t, []tools.Tool{makeTool("generate", w)}, func(s *set) { s.cfg.Bounds.KeepAlive = 10 * time.Millisecond })
	c := s.client(t, s.site(t), "alice").initialize()
	body, _ := c.call("1", "generate", `{"prompt":"x"}`, "tok")
	for name, req := range map[string]*http.Request{
		"call": c.request(t.Context(), http.MethodPost, "/mcp", body),
		"GET":  c.request(t.Context(), http.MethodGet, "/mcp", ""),
		"SSE":  c.request(t.Context(), http.MethodGet, "/sse", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := c.http.Do(req.WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close() //nolint:errcheck // a test's
			h := res.Header
			if h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-cache" || h.Get("Access-Control-Allow-Origin") != "" { // BUG-06
				t.Errorf("header %v", h)
			}
			sc := bufio.NewScanner(res.Body)
			for sc.Scan() {
				if sc.Text() == ":" {
					return
				}
			}
			t.Error("no sign of life")
		})
	}
}

// TestHTTP_versions: the headers of the newest revision must say what the body says; a version that does not exist is refused (T09, T10, MCP-29).
func TestHTTP_versions(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").era(true)
	body, good := c.call("1", "status", "{}", "")
	if r := c.post(body, good...); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for name, tc := range map[string]struct {
		header []string
		code   int
	}{
		"version of another revision": {append(slices.Clone(good), "Mcp-Protocol-Version", legacyVersion), -32020},
		"no version header":           {append(slices.Clone(good), "Mcp-Protocol-Version", ""), -32020},
		"another method":              {append(slices.Clone(good), "Mcp-Method", "tools/list"), -32020},
		"another tool":                {append(slices.Clone(good), "Mcp-Name", "generate"), -32020},
		"no tool":                     {append(slices.Clone(good), "Mcp-Name", ""), -32020},
		"unknown version":             {append(slices.Clone(good), "Mcp-Protocol-Version", "2099-01-01"), -32022},
		"garbage version":             {append(slices.Clone(good), "Mcp-Protocol-Version", "x"), -32022},
	} {
		r := c.post(body, tc.header...)
		if m := r.last(t); r.status != 400 || m.Error == nil || m.Error.Code != tc.code || string(m.ID) != "1" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	legacy := s.client(t, ts, "alice").initialize()
	if r := legacy.post(`{"jsonrpc":"2.0","id":4,"method":"tools/list"}`, "Mcp-Protocol-Version", "2000-01-01"); r.status != 400 || r.last(t).Error.Code != -32022 {
		t.Errorf("legacy: %d %s", r.status, r.body)
	}
	for _, v := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		if r := legacy.post(`{"jsonrpc":"2.0","id":4,"method":"tools/list"}`, "Mcp-Protocol-Version", v); r.status != 200 {
			t.Errorf("%s: %d %s", v, r.status, r.body)
		}
	}
}

// TestHTTP_MCP03_bodies: size, kind and form of a body, before mcp-go reads it (BUG-05, T04, T05, T06, T08, T13).
func TestHTTP_MCP03_bodies(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, func(s *set) { s.cfg.Bounds.RequestBytes = 10_000 })
	c := s.client(t, s.site(t), "alice").initialize()
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	pad := func(n int) string { return list[:len(list)-1] + strings.Repeat(" ", n-len(list)) + "}" }
	for name, tc := range map[string]struct {
		body   io.Reader
		header []string
		status int
		code   int
	}{
		"at the limit":             {strings.NewReader(pad(10_000)), nil, 200, 0},
		"one byte more":            {strings.NewReader(pad(10_001)), nil, 413, -32600},
		"one byte more, chunked":   {io.MultiReader(strings.NewReader(pad(10_001))), nil, 413, -32600},
		"text/plain":               {strings.NewReader(list), []string{"Content-Type", "text/plain"}, 415, -32600},
		"no type":                  {strings.NewReader(list), []string{"Content-Type", ""}, 415, -32600},
		"with charset":             {strings.NewReader(list), []string{"Content-Type", "application/json; charset=utf-8"}, 200, 0},
		"depth":                    {strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + `}}`), nil, 400, -32700},
		"batch":                    {strings.NewReader("[" + list + "]"), nil, 400, -32600},
		"empty":                    {strings.NewReader(""), nil, 400, -32700},
		"trailing data":            {strings.NewReader(list + "{}"), nil, 400, -32700},
		"NUL":                      {strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"a\u0000"}}`), nil, 400, -32700},
		"bad UTF-8":                {strings.NewReader("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"\xff\"}}"), nil, 400, -32700},
		"METHOD":                   {strings.NewReader(`{"jsonrpc":"2.0","id":1,"METHOD":"tools/list"}`), nil, 400, -32600},
		"method twice":             {strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`), nil, 400, -32600},
		"another kind of version":  {strings.NewReader(`{"jsonrpc":"1.0","id":1,"method":"tools/list"}`), nil, 400, -32600},
		"a tool's name of control": {strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\u001b[31m"}}`), nil, 400, -32602},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := c.request(t.Context(), http.MethodPost, "/mcp", "", tc.header...)
			req.Body, req.ContentLength = io.NopCloser(tc.body), -1
			if r, ok := tc.body.(*strings.Reader); ok {
				req.ContentLength = int64(r.Len())
			}
			r := c.do(req)
			if r.status != tc.status {
				t.Fatalf("%d %s, want %d", r.status, r.body, tc.status)
			}
			if m := r.last(t); tc.code != 0 && (m.Error == nil || m.Error.Code != tc.code) {
				t.Errorf("%s, want code %d", r.body, tc.code)
			}
		})
	}
	t.Cleanup(func() { // each refusal is on the record once, by name of its reason
		for _, rec := range s.record.records() {
			if rec.Kind != "decision" || rec.Rule != "protocol" || rec.Code == "" || rec.Principal != "alice" || rec.CallID == "" {
				t.Errorf("record %+v", rec)
			}
		}
		if n := len(s.record.records()); n != 14 {
			t.Errorf("%d refusals recorded, want 14", n)
		}
	})
}

// TestHTTP_unreached: calls that reach no tool are on the record once (style.md 6.4.1), and the answer echoes nothing harmful.
func TestHTTP_unreached(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
		c := s.client(t, s.site(t), "alice").era(modern)
		if m := c.tool("1", "no_such_tool", `{}`, "").last(t); m.Error == nil || m.Error.Code != -32602 {
			t.Errorf("unknown tool: %+v", m)
		}
		body, header := c.call("2", "status", `{}`, "")
		body = strings.Replace(body, `"arguments":{}`, `"arguments":{},"task":"x"`, 1) // mcp-go can't parse it
		if m := c.post(body, header...).last(t); m.Error == nil {
			t.Errorf("unparsable: %+v", m)
		}
		r := s.record.records()
		if len(r) != 2 || r[0].Tool != "no_such_tool" || r[0].Rule != "tool:unknown" || r[0].Kind != "decision" || r[0].Principal != "alice" {
			t.Errorf("records %+v", r)
		}
	})
}

// TestHTTP_MCP27_noTasks: no capability says tasks, and a call that asks to be one is served as an ordinary call.
func TestHTTP_MCP27_noTasks(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice")
	m := c.post(initializeMessage).last(t)
	if _, ok := m.Result.Capabilities["tasks"]; ok || m.Result.Instructions != "Test." {
		t.Errorf("initialize: %+v", m.Result)
	}
	for _, name := range []string{"logging", "prompts", "completions", "resources"} { // MCP-17: nothing that is not there
		if _, ok := m.Result.Capabilities[name]; ok {
			t.Errorf("capability %s", name)
		}
	}
	c.initialize()
	r := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status","arguments":{},"task":{"ttl":1000}}}`)
	if m := r.last(t); m.Result == nil || m.Result.IsError || m.Result.Content[0].Text != "done" {
		t.Errorf("as a task: %s", r.body)
	}
}

// TestHTTP_MCP17_subscriptions: what is not delivered is not acknowledged (BUG-10): the stream ends at once, with an empty promise.
func TestHTTP_MCP17_subscriptions(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.cfg.Images = shelf{} })
	c := s.client(t, s.site(t), "alice").era(true)
	r := c.ask("subscriptions/listen", `{"notifications":{"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["comfygate://images/x"]}}`)
	if !strings.Contains(r.body, `"notifications":{}`) || strings.Contains(r.body, "comfygate://") || r.last(t).Result == nil {
		t.Errorf("%d %s", r.status, r.body)
	}
	if _, streams, _, _ := s.server.Open(); streams != 0 {
		t.Errorf("%d streams", streams)
	}
}

// TestHTTP_MCP21_list: every tool is in the list as it was defined, with all four hints (MCP-22, BUG-13, BUG-14).
func TestHTTP_MCP21_list(t *testing.T) {
	t.Parallel()
	declared := readTool("list_models", &work{})
	declared.Output = json.RawMessage(`{"type":"object"}`)
	s := newSet(t, []tools.Tool{makeTool("generate", &work{}), declared}, nil)
	list := s.client(t, s.site(t), "alice").initialize().ask("tools/list", "{}").last(t).Result.Tools
	if len(list) != 2 {
		t.Fatalf("%d tools", len(list))
	}
	for _, tool := range list {
		hints, ok := tool["annotations"].(map[string]any)
		for _, name := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
			if _, has := hints[name]; !has || !ok {
				t.Errorf("%s has no %s", tool["name"], name)
			}
		}
		schema, ok := tool["inputSchema"].(map[string]any)
		if !ok || schema["type"] != "object" || schema["additionalProperties"] != false || tool["title"] == "" || tool["description"] == "" {
			t.Errorf("tool %v", tool)
		}
		if _, has := tool["outputSchema"]; has != (tool["name"] == "list_models") {
			t.Errorf("%s has an output schema: %v", tool["name"], has)
		}
	}
}
