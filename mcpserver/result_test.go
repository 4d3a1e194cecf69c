package mcpserver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

const canary = "canary-3fb2"

// TestResult_MCP18_panic: a panic's value reaches no client on any transport, and the server goes on (BUG-12, MCP-19, BUG-17).
func TestResult_MCP18_panic(t *testing.T) {
	t.Parallel()
	boom := func(context.Context, tools.Caller) (tools.Result, error) { panic(canary) }
	fail := func(context.Context, tools.Caller) (tools.Result, error) {
		return tools.Result{}, fmt.Errorf("%s", canary)
	}
	s := newSet(t, []tools.Tool{makeTool("boom", &work{run: boom}), makeTool("fail", &work{run: fail})}, func(s *set) { s.cfg.Log = nopLog() })
	ts := s.site(t)
	check := func(name string, m message) {
		t.Helper()
		f := m.fault(t)
		raw, err := json.Marshal(m)
		if err != nil || f.Code != "INTERNAL" || len(f.CallID) != 26 || f.Retryable || strings.Contains(string(raw), canary) {
			t.Errorf("%s: %s", name, raw)
		}
	}
	for _, tool := range []string{"boom", "fail"} {
		legacy, modern := s.client(t, ts, "alice").era(false), s.client(t, ts, "alice").era(true)
		check("legacy", legacy.tool("1", tool, `{"prompt":"x"}`, "").last(t))
		check("modern", modern.tool("1", tool, `{"prompt":"x"}`, "").last(t))
		l := listen(t, s.client(t, ts, "alice"))
		l.ask(initializeMessage)
		check("sse", l.ask(strings.Replace(callLine("1", tool, `{"prompt":"x"}`), `"_meta":{"progressToken":"t1"}`, `"_meta":{}`, 1)))
		p := s.stdio(t, local()).initialize()
		check("stdio", p.ask(callLine("1", tool, `{"prompt":"x"}`)))
		check("stdio again", p.ask(callLine("2", tool, `{"prompt":"x"}`)))
	}
	if n := len(s.record.ofTool("boom")); n != 10 {
		t.Errorf("%d records of 5 calls", n)
	}
}

// TestResult_fault: the form of a tool's error, and what a trusted caller reads more.
func TestResult_fault(t *testing.T) {
	t.Parallel()
	w := &work{resolve: func(context.Context, tools.Caller) error { return unreachable(context.DeadlineExceeded) }}
	s := newSet(t, []tools.Tool{makeTool("generate", w)}, nil)
	ts := s.site(t)
	const there = "http://127.0.0.1:8188"
	stdio := s.stdio(t, local()).initialize().ask(callLine("1", "generate", `{"prompt":"x"}`)).fault(t)
	admin := s.client(t, ts, "admin").initialize().tool("1", "generate", `{"prompt":"x"}`, "").last(t).fault(t)
	alice := s.client(t, ts, "alice").initialize().tool("1", "generate", `{"prompt":"x"}`, "").last(t).fault(t)
	if !strings.Contains(stdio.Message, there) || !strings.Contains(admin.Message, there) || strings.Contains(alice.Message, there) {
		t.Errorf("stdio %q, admin %q, alice %q", stdio.Message, admin.Message, alice.Message)
	}
	if len(alice.Suggestions) != 2 || !alice.Retryable {
		t.Errorf("%+v", alice)
	}
	s = newSet(t, []tools.Tool{readTool("status", &work{})}, func(s *set) { s.rates.left = 0 })
	limited := s.client(t, s.site(t), "alice").initialize().tool("1", "status", `{}`, "").last(t).fault(t)
	if limited.Code != "RATE_LIMITED" || limited.RetryAfterMS != 1500 {
		t.Errorf("%+v", limited)
	}
}

// TestResult_MCP35_budget: what does not fit into a client's budget is left out, and the text says so.
func TestResult_MCP35_budget(t *testing.T) {
	t.Parallel()
	w := &work{run: func(context.Context, tools.Caller) (tools.Result, error) {
		res := tools.Result{Text: "four pictures", Links: []tools.Link{{URI: "comfygate://images/x", Name: "x.png", Title: "X", MIME: "image/png", Size: 5}}}
		for range 4 {
			res.Pictures = append(res.Pictures, tools.Picture{Data: bytes.Repeat([]byte("p"), 70_000), MIME: "image/webp"})
		}
		return res, nil
	}}
	s := newSet(t, []tools.Tool{makeTool("generate", w)}, nil)
	r := s.client(t, s.site(t), "alice").initialize().tool("1", "generate", `{"prompt":"x"}`, "")
	kinds := func(m message) (list []string) {
		for _, c := range m.Result.Content {
			list = append(list, c.Type)
		}
		return list
	}
	m := r.last(t)
	if got := kinds(m); !slices.Equal(got, []string{"text", "text", "image", "resource_link"}) || len(r.body) > 150_000 {
		t.Errorf("%q in %d bytes", got, len(r.body))
	}
	if text, note := m.Result.Content[0].Text, m.Result.Content[1].Text; text != "four pictures" || !strings.HasPrefix(note, "3 more previews") {
		t.Errorf("text %q, note %q", text, note)
	}
	m = s.stdio(t, local()).initialize().ask(strings.Replace(callLine("1", "generate", `{"prompt":"x"}`), `"_meta":{"progressToken":"t1"}`, `"_meta":{}`, 1))
	if got := kinds(m); !slices.Equal(got, []string{"text", "image", "image", "image", "image", "resource_link"}) {
		t.Errorf("stdio: %q", got)
	}
}

// TestResult_structured: with an output schema always (MCP-24), else as MCP__STRUCTURED says, and then not to a client that would drop the picture.
func TestResult_structured(t *testing.T) {
	t.Parallel()
	w := &work{run: func(context.Context, tools.Caller) (tools.Result, error) {
		return tools.Result{Text: "x", Structured: map[string]any{"id": "1"}}, nil
	}}
	plain, declared := readTool("status", w), readTool("list_models", w)
	declared.Output = json.RawMessage(`{"type":"object","properties":{"id":{"type":"string"}}}`)
	for mode, want := range map[mcpserver.Structured]map[string]bool{
		"":               {"status": false, "status claude-code": false, "list_models": true},
		mcpserver.Never:  {"status": false, "status claude-code": false, "list_models": true},
		mcpserver.Auto:   {"status": true, "status claude-code": false, "list_models": true},
		mcpserver.Always: {"status": true, "status claude-code": true, "list_models": true},
	} {
		s := newSet(t, []tools.Tool{plain, declared}, func(s *set) { s.cfg.Structured = mode })
		for what, sent := range want {
			name, clientName, _ := strings.Cut(what, " ")
			p := s.stdio(t, local())
			p.ask(strings.Replace(initializeMessage, `"name":"test"`, `"name":"`+clientName+`"`, 1))
			if m := p.ask(callLine("1", name, `{}`)); (m.Result.StructuredContent != nil) != sent {
				t.Errorf("mode %q, %s: %v", mode, what, m.Result.StructuredContent)
			}
		}
	}
	s := newSet(t, nil, nil)
	s.cfg.Structured = "sometimes"
	if _, err := mcpserver.New(s.cfg); err == nil {
		t.Error("a mode that is none was accepted")
	}
}

const pictureID = "abcdefghijklmnopqrstuvwxyz"

// TestResource_owner: a picture is read by its owner only; another's answers like one that is not there, on every transport and in
// both eras (MCP-20, MCP-40, T26).
func TestResource_owner(t *testing.T) {
	t.Parallel()
	data := []byte("\x89PNG picture")
	other := strings.Repeat("b", 26)
	s := newSet(t, nil, func(s *set) {
		s.cfg.Images = shelf{"alice/" + pictureID: data, "bob/" + other: data, "alice/" + strings.Repeat("c", 26): make([]byte, 2000), "alice/" + strings.Repeat("e", 26): []byte("video")}
		s.cfg.Bounds.ResourceBytes = 1000
	})
	ts := s.site(t)
	read := func(id string) string { return `{"uri":"comfygate://images/` + id + `"}` }
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		c := s.client(t, ts, "alice").era(modern)
		m := c.ask("resources/read", read(pictureID)).last(t)
		if m.Result == nil || len(m.Result.Contents) != 1 || m.Result.Contents[0].MIMEType != "image/png" ||
			m.Result.Contents[0].Blob != base64.StdEncoding.EncodeToString(data) {
			t.Fatalf("%+v", m)
		}
		m = c.ask("resources/read", `{"uri":"comfygate://files/`+strings.Repeat("e", 26)+`"}`).last(t)
		if m.Result == nil || m.Result.Contents[0].MIMEType != "video/mp4" || m.Result.Contents[0].URI != "comfygate://files/"+strings.Repeat("e", 26) {
			t.Errorf("a file: %+v", m)
		}
		notFound := map[bool]int{false: -32002, true: -32602}[modern]
		foreign, missing := c.ask("resources/read", read(other)).last(t), c.ask("resources/read", read(strings.Repeat("d", 26))).last(t)
		for _, m := range []message{foreign, missing} {
			if m.Error == nil || m.Error.Code != notFound || m.Error.Message != foreign.Error.Message || string(m.ID) != "1" {
				t.Errorf("not found: %+v", m.Error)
			}
		}
		if m := c.ask("resources/read", read(strings.Repeat("c", 26))).last(t); m.Error == nil || !strings.Contains(m.Error.Message, "bytes is 2000; 1000") {
			t.Errorf("too large: %+v", m.Error)
		}
		if m := c.ask("resources/read", read("../../etc/passwd")).last(t); m.Error == nil || m.Result != nil {
			t.Errorf("no id: %+v", m)
		}
		if m := c.ask("resources/templates/list", "{}"); !strings.Contains(m.body, "comfygate://images/{id}") || !strings.Contains(m.body, "comfygate://files/{id}") {
			t.Errorf("templates: %s", m.body)
		}
	})
	p := s.stdio(t, person("bob", policy.Operator)).initialize()
	line := func(id string) string {
		return `{"jsonrpc":"2.0","id":"r","method":"resources/read","params":` + read(id) + `}`
	}
	if m := p.ask(line(other)); m.Result == nil || len(m.Result.Contents) != 1 {
		t.Errorf("stdio: %+v", m)
	}
	if m := p.ask(line(pictureID)); m.Error == nil || m.Error.Code != -32002 || string(m.ID) != `"r"` {
		t.Errorf("stdio, another's: %+v", m)
	}
}

// TestResource_pipeline: reading a picture passes every stage: rate, scope, record.
func TestResource_pipeline(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.cfg.Images, s.rates.left = shelf{"alice/" + pictureID: []byte("x")}, 1 })
	c := s.client(t, s.site(t), "alice").initialize()
	params := `{"uri":"comfygate://images/` + pictureID + `"}`
	c.ask("resources/read", params)
	if m := c.ask("resources/read", params).last(t); m.Error == nil || !strings.Contains(string(m.Error.Data), "RATE_LIMITED") {
		t.Errorf("%+v", m)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"outcome ok", "decision denied RATE_LIMITED"}) {
		t.Errorf("records %q", got)
	}
	if r := s.record.records()[0]; r.Tool != "get_image" || r.Detail["via"] != "resources/read" || r.Params["image"] != pictureID {
		t.Errorf("record %+v", r)
	}
}

// TestSession_noPrincipal: a request that web did not authenticate is served nothing.
func TestSession_noPrincipal(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	for path, h := range map[string]http.Handler{"/mcp": s.server.Streamable(), "/sse": s.server.SSE(), "/message": s.server.Message()} {
		w := &plainWriter{header: make(http.Header)}
		h.ServeHTTP(w, (&client{t: t, base: "http://x"}).request(t.Context(), http.MethodPost, path, initializeMessage))
		if w.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, w.status)
		}
	}
}

// A plainWriter can do nothing but write.
type plainWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) WriteHeader(status int)      { w.status = status }
func (w *plainWriter) Write(b []byte) (int, error) { return w.body.Write(b) }

// TestDrain: running calls are waited for, within a bound, and new ones refused.
func TestDrain(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
	p := s.stdio(t, local()).initialize()
	p.send(callLine("1", "generate", `{"prompt":"x"}`))
	receive(t, "the call", g.began)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.server.Drain(ctx); err == nil {
		t.Error("did not wait")
	}
	if f := p.ask(callLine("2", "generate", `{"prompt":"x"}`)).fault(t); f.Code != "SHUTTING_DOWN" {
		t.Errorf("%+v", f)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.server.Drain(t.Context()) }()
	close(g.open)
	if err := receive(t, "the drain", drained); err != nil {
		t.Error(err)
	}
	p.next()
}

// TestProgress_increases: what does not go forward is not told, however late it comes.
func TestProgress_increases(t *testing.T) {
	t.Parallel()
	w := &work{run: func(_ context.Context, c tools.Caller) (tools.Result, error) {
		for _, done := range []float64{10, 5, 10, 0, 11} {
			c.Notify(tools.Progress{Done: done, Total: 20})
			time.Sleep(120 * time.Millisecond) // past the tenth of a second in which one is told
		}
		c.Notify(tools.Progress{Done: 3})
		return tools.Result{Text: "done"}, nil
	}}
	s := newSet(t, []tools.Tool{makeTool("generate", w)}, nil)
	p := s.stdio(t, local()).initialize()
	p.send(callLine("1", "generate", `{"prompt":"x"}`))
	for _, want := range []float64{10, 11} {
		if m := p.next(); m.Params.Progress != want {
			t.Errorf("step %v, want %v", m.Params.Progress, want)
		}
	}
	if m := p.next(); m.Result == nil {
		t.Errorf("%+v", m)
	}
}

// TestStream_clientStopsReading: who does not read his answer holds no goroutine for good.
func TestStream_clientStopsReading(t *testing.T) {
	t.Parallel()
	w := &work{run: func(context.Context, tools.Caller) (tools.Result, error) {
		return tools.Result{Text: strings.Repeat("x", 32<<20)}, nil
	}}
	s := newSet(t, []tools.Tool{readTool("status", w)}, func(s *set) {
		s.cfg.Bounds.Write, s.cfg.Bounds.WriteRate = 100*time.Millisecond, 1<<40
	})
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	body, _ := c.call("1", "status", `{}`, "")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(ts.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: x\r\nX-Test-User: alice\r\nContent-Type: application/json\r\nMcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
		c.session, len(body), body); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the call", func() bool { return s.record.count() == 1 })
	waitFor(t, "its request to end", func() bool { _, _, _, n := s.server.Open(); return n == 0 })
}
