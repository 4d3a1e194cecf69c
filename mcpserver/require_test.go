package mcpserver_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// TestEnvelope_MCP07: what mcp-go would read as something else than was judged here is refused on every transport, recorded once, and no
// tool hears of it (BUG-16): it takes keys in any case, and the last of two.
func TestEnvelope_MCP07(t *testing.T) {
	t.Parallel()
	ran := make(chan struct{}, 100)
	w := &work{run: func(context.Context, tools.Caller) (tools.Result, error) {
		ran <- struct{}{}
		return tools.Result{Text: "ran"}, nil
	}}
	s := newSet(t, []tools.Tool{readTool("status", w)}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	l := listen(t, s.client(t, ts, "alice"))
	l.ask(initializeMessage)
	p := s.stdio(t, local()).initialize()
	recorded := 0
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","params":{"name":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"status"}}`,
		`{"jsonrpc":"2.0","ID":1,"method":"tools/call","params":{"name":"status"}}`,
		`{"JsonRPC":"2.0","id":1,"method":"tools/call","params":{"name":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status","Arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status","_META":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other","name":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status","n\u0061me":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status","_meta":{},"_meta":{}}}`,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call","params":{"name":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"params":{"name":"status"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status"}} {}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status","uri":"a\u0000b"}}`,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"status\",\"uri\":\"\xff\"}}",
	} {
		if r := c.post(body); r.status != http.StatusBadRequest || r.last(t).Error == nil {
			t.Errorf("http: %s: %d %s", body, r.status, r.body)
		}
		if r := l.send(body); r.status != http.StatusBadRequest || r.last(t).Error == nil {
			t.Errorf("sse: %s: %d %s", body, r.status, r.body)
		}
		if m := p.ask(body); m.Error == nil {
			t.Errorf("stdio: %s: %+v", body, m)
		}
		if recorded += 3; s.record.count() != recorded {
			t.Errorf("%s: %d records, want %d", body, s.record.count(), recorded)
			recorded = s.record.count()
		}
	}
	if len(ran) > 0 {
		t.Errorf("a tool ran %d times", len(ran))
	}
}

// TestHTTP_MCP10_heap: what 2,000 sessions held is given back when they have been idle for long enough (BUG-23); mcp-go alone would keep
// 20 MiB of it. Not parallel: it measures the whole heap.
func TestHTTP_MCP10_heap(t *testing.T) { //nolint:paralleltest // measures the process
	const sessions, slack = 2000, 4 << 20
	s := newSet(t, nil, func(s *set) { s.cfg.Log, s.cfg.Bounds.Idle = nopLog(), time.Hour })
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what finalizers let go
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	open := func() (n int) { n, _, _, _ = s.server.Open(); return n }
	ctx := auth.NewContext(context.WithoutCancel(t.Context()), person("alice", policy.Operator))
	begin := func(n int) {
		for range n {
			r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(initializeMessage)).WithContext(ctx)
			r.Header.Set("Content-Type", "application/json")
			s.server.Streamable().ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	begin(10) // whatever is made once
	before := heap()
	begin(sessions)
	if n := open(); n != sessions+10 {
		t.Fatalf("%d sessions", n)
	}
	held := heap() - before
	s.server.Age(time.Hour)
	waitFor(t, "idle sessions to end", func() bool { return open() == 0 })
	if left := heap() - before; left > slack || held < slack {
		t.Errorf("%d sessions held %d KiB, of which %d are left", sessions, held>>10, left>>10)
	}
}

// TestHTTP_MCP23_ownDecoder: arguments are checked here and not by mcp-go: the answer is a tool's error that names every fault at once, so
// that a model can correct itself, and the call is on the record.
func TestHTTP_MCP23_ownDecoder(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		s := newSet(t, []tools.Tool{makeTool("generate", &work{})}, nil)
		f := s.client(t, s.site(t), "alice").era(modern).tool("1", "generate", `{"promt":"x","width":"512","cfg":99}`, "").last(t).fault(t)
		for _, want := range []string{"prompt", "promt", "width", "cfg"} {
			if !strings.Contains(f.Message, want) {
				t.Errorf("%q does not name %s", f.Message, want)
			}
		}
		if got := s.record.kinds(); !slices.Equal(got, []string{"outcome error INVALID_PARAMETER"}) || s.rates.spent() != 1 {
			t.Errorf("records %q, %d tokens", got, s.rates.spent())
		}
	})
}

// TestHTTP_MCP25_MCP26_asksNothing: this server asks nothing of its clients, so no state travels by them that could be forged, and nothing
// is asked that was not declared (BUG-19): answers to questions that were never put are passed over, whatever state they carry.
func TestHTTP_MCP25_MCP26_asksNothing(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	c := s.client(t, s.site(t), "alice").era(true)
	body, header := c.call("1", "status", "{}", "")
	for _, more := range []string{
		`"requestState":"forged"`, `"inputResponses":{"confirm":{"action":"accept","content":{"ok":true}}},"requestState":"forged.00"`,
	} {
		r := c.post(strings.Replace(body, `"arguments":{}`, `"arguments":{},`+more, 1), header...)
		if m := r.last(t); m.Result == nil || m.Result.IsError || m.Result.Content[0].Text != "done" || strings.Contains(r.body, "input_required") {
			t.Errorf("%s: %d %s", more, r.status, r.body)
		}
	}
	able := strings.Replace(initializeMessage, `"capabilities":{}`, `"capabilities":{"sampling":{},"elicitation":{},"roots":{"listChanged":true}}`, 1)
	p := s.stdio(t, local())
	if m := p.ask(able); m.Error != nil {
		t.Fatalf("%+v", m)
	}
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if m := p.ask(callLine("1", "status", `{}`)); m.Method != "" || m.Result == nil { // the next message is the answer, no question
		t.Errorf("%+v", m)
	}
}

// TestTool_MCP34_names: a tool's name still fits when a client puts its own prefix before it, and instructions and descriptions are not cut.
func TestTool_MCP34_names(t *testing.T) {
	t.Parallel()
	newServer := func(tool tools.Tool) error {
		s := newSet(t, nil, nil)
		s.cfg.Tools = []tools.Tool{tool}
		_, err := mcpserver.New(s.cfg)
		return err
	}
	for length, ok := range map[int]bool{1: true, 112: true, 113: false, 128: false} {
		if err := newServer(readTool(strings.Repeat("n", length), &work{})); (err == nil) != ok {
			t.Errorf("%d characters: %v", length, err)
		}
	}
	for length, ok := range map[int]bool{2048: true, 2049: false} {
		tool := readTool("status", &work{})
		tool.Description = strings.Repeat("x", length)
		if err := newServer(tool); (err == nil) != ok {
			t.Errorf("a description of %d: %v", length, err)
		}
	}
}

// TestSSE_modern: HTTP+SSE is a pair of endpoints, and what is said over it is the client's choice, as over stdio. Two official clients ask
// server/discover there and go on in 2026-07-28: it is served, and a call is cancelled as on any connection, by its notification.
func TestSSE_modern(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", progressing(3)), makeTool("upscale", g.work())}, nil)
	ts := s.site(t)
	l := listen(t, s.client(t, ts, "alice")) // and no initialize
	modern := func(id, method, params string) string {
		if params != "" {
			params += ","
		}
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + params +
			`"_meta":{"progressToken":"tok","io.modelcontextprotocol/protocolVersion":"` + modernVersion + `","io.modelcontextprotocol/clientCapabilities":{}}}}`
	}
	if m := l.ask(modern("1", "server/discover", "")); m.Result == nil || m.Result.Instructions != "Test." {
		t.Errorf("discover: %+v", m)
	}
	l.send(modern("2", "tools/call", `"name":"generate","arguments":{"prompt":"x"}`))
	steps(t, 3, func() message { return receive(t, "an event", l.events) })
	l.send(modern("3", "tools/call", `"name":"upscale","arguments":{"prompt":"x"}`))
	receive(t, "the call", g.began)
	if r := l.send(modern("4", "notifications/cancelled", `"requestId":3`)); r.status != http.StatusBadRequest { // as a request it would wait for an answer
		t.Errorf("cancelled as a request: %d %s", r.status, r.body)
	}
	l.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`)
	if err := receive(t, "the call's end", g.ended); err == nil {
		t.Error("not cancelled")
	}
	if m := l.ask(strings.Replace(modern("5", "tools/list", ""), modernVersion, "2099-01-01", 1)); m.Error == nil || m.Error.Code != -32022 {
		t.Errorf("a version that does not exist: %+v", m)
	}
}

// TestHTTP_MCP05_idIsFree: who has an answer may use its id again, and cancel what it then names: nothing of an answer is out while its id
// still counts, neither as JSON nor as events.
func TestHTTP_MCP05_idIsFree(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", progressing(3))}, nil)
	ts := s.site(t)
	c := s.client(t, ts, "alice").initialize()
	for token, kind := range map[string]string{"": "application/json", "tok": "text/event-stream"} {
		body, header := c.call("7", "generate", `{"prompt":"x"}`, token)
		w := &watchedWriter{plainWriter: plainWriter{header: make(http.Header)}, saw: func() int { _, _, _, n := s.server.Open(); return n }}
		req := c.request(t.Context(), http.MethodPost, "/mcp", body, header...)
		s.server.Streamable().ServeHTTP(w, req.WithContext(auth.NewContext(req.Context(), person("alice", policy.Operator))))
		if got := w.header.Get("Content-Type"); got != kind || !strings.Contains(w.body.String(), `"result"`) {
			t.Fatalf("%s: %s", got, w.body.String())
		}
		if w.running != 0 {
			t.Errorf("%s: the id still counts when the answer is written", kind)
		}
	}
}

// A watchedWriter notes how many requests are being served when the answer is written.
type watchedWriter struct {
	plainWriter
	saw     func() int
	running int
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"result"`)) {
		w.running = w.saw()
	}
	return w.body.Write(b)
}

func (*watchedWriter) Flush() {}

// TestHTTP_MCP10_inUse: a session that is found idle is closed to its client before anything else ends it, so that no request is let into
// half a session, where it would be refused unrecorded.
func TestHTTP_MCP10_inUse(t *testing.T) {
	t.Parallel()
	if entered := mcpserver.EnterWhileEnding(); entered {
		t.Error("a request is let into a session that is being ended")
	}
}

// TestTool_unknown: a tool that is not there is told in one sentence, with the one that was meant, or with those that the caller may use.
func TestTool_unknown(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", &work{}), readTool("status", &work{}), readTool("list_models", &work{})}, nil)
	ts := s.site(t)
	eras(t, func(t *testing.T, modern bool) {
		t.Helper()
		for name, want := range map[string]string{
			"nope":           "Tool not found: there is no nope; there are generate, list_models, status.",
			"Generate":       "Tool not found: there is no Generate; did you mean generate?",
			"list_model":     "Tool not found: there is no list_model; did you mean list_models?",
			"generate_image": "Tool not found: there is no generate_image; did you mean generate?",
		} {
			r := s.client(t, ts, "alice").era(modern).tool("7", name, `{}`, "")
			if m := r.last(t); r.status != http.StatusOK || m.Error == nil || m.Error.Code != -32602 || m.Error.Message != want || string(m.ID) != "7" {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
		viewer := s.client(t, ts, "viewer").era(modern).tool("7", "generat", `{}`, "").last(t)
		if want := "Tool not found: there is no generat; there are list_models, status."; viewer.Error == nil || viewer.Error.Message != want {
			t.Errorf("a viewer reads %+v", viewer.Error)
		}
	})
	if m := s.stdio(t, local()).initialize().ask(callLine("1", "stats", `{}`)); m.Error == nil || m.Error.Message != "Tool not found: there is no stats; did you mean status?" {
		t.Errorf("stdio: %+v", m.Error)
	}
}

// TestErrors_bounds: each bound of a picture is told with what helps against it: max_side only where somebody looks at one.
func TestErrors_bounds(t *testing.T) {
	t.Parallel()
	for what, want := range map[string][2]string{
		"width":          {"made a picture whose width is 9, where 8 was asked for", "Leave width and height out"},
		"height":         {"made a picture whose height is 9, where 8 was asked for", "Leave width and height out"},
		"bytes":          {"bytes is 9; 8 is allowed", "max_side"},
		"pixels":         {"pixels is 9; 8 is allowed", "fewer pixels"},
		"side":           {"side is 9; 8 is allowed", "fewer pixels"},
		"memory bytes":   {"memory bytes is 9; 8 is allowed", "fewer pixels"},
		"aspect":         {"aspect is 9; 8 is allowed", "less long and narrow"},
		"frames":         {"frames is 9; 8 is allowed", "still picture"},
		"scans":          {"scans is 9; 8 is allowed", "plain PNG or JPEG"},
		"metadata bytes": {"metadata bytes is 9; 8 is allowed", "plain PNG or JPEG"},
	} {
		f := mcpserver.Explain(&images.BoundsError{What: what, Got: 9, Max: 8})
		advice := strings.Join(f.Suggestions, " ")
		if f.Code != "IMAGE_OUT_OF_BOUNDS" || !strings.Contains(f.Message, want[0]) || !strings.Contains(advice, want[1]) || strings.Contains(advice, "max_side") != (what == "bytes") {
			t.Errorf("%s: %s %q %q", what, f.Code, f.Message, advice)
		}
	}
}

// TestHTTP_MCP29: headers that name another revision than the message are refused; with the setting, for the proxy that is known to send
// them so, the message is served as what it says, and nothing but the revision is forgiven.
func TestHTTP_MCP29(t *testing.T) {
	t.Parallel()
	for _, aligned := range []bool{false, true} {
		s := newSet(t, []tools.Tool{readTool("status", &work{})}, func(s *set) {
			s.cfg.AlignHeaders, s.cfg.Images = aligned, shelf{"alice/" + pictureID: []byte("picture")}
		})
		c := s.client(t, s.site(t), "alice").era(true)
		meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion + `","io.modelcontextprotocol/clientCapabilities":{}}`
		proxied := []string{"Mcp-Protocol-Version", legacyVersion} // and none of the others
		for name, body := range map[string]string{
			"call": `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status",` + meta + `}}`,
			"read": `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"comfygate://images/` + pictureID + `",` + meta + `}}`,
			"list": `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`,
		} {
			r := c.post(body, proxied...)
			if m := r.last(t); aligned && (r.status != http.StatusOK || m.Result == nil) || !aligned && (r.status != http.StatusBadRequest || m.Error == nil || m.Error.Code != -32020) {
				t.Errorf("aligned %v, %s: %d %s", aligned, name, r.status, r.body)
			}
		}
		body, good := c.call("1", "status", "{}", "")
		for name, tc := range map[string]struct {
			header []string
			code   int
		}{
			"another tool":    {append(slices.Clone(good), "Mcp-Name", "generate"), -32020},
			"no version":      {append(slices.Clone(good), "Mcp-Protocol-Version", ""), -32020},
			"unknown version": {append(slices.Clone(good), "Mcp-Protocol-Version", "2099-01-01"), -32022},
		} {
			if r := c.post(body, tc.header...); r.status != http.StatusBadRequest || r.last(t).Error.Code != tc.code {
				t.Errorf("aligned %v, %s: %d %s", aligned, name, r.status, r.body)
			}
		}
	}
}
