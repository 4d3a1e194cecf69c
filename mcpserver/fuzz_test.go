package mcpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// FuzzDecodeArguments: whatever comes, the answer is arguments that encoding/json reads as the same object, or a refusal that names what
// is wrong and is fit to be shown.
func FuzzDecodeArguments(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":"x"}`, `{"prompt":"x","width":512.0,"seed":18446744073709551615}`, `{"prompt":"x","prompt":"y"}`, `{"PROMPT":"x"}`,
		`{"prompt":"\ud83d\ude00\u0041"}`, `{"prompt":"x","cfg":1e308}`, `{"prompt":"x","loras":[{"name":"a","strength":-0.0}]}`, `null`, ``, `[1]`, `{"prompt":5e-1}`,
	} {
		f.Add(seed)
	}
	tool := makeTool("generate", &work{})
	f.Fuzz(func(t *testing.T, args string) {
		raw, err := mcpserver.CheckArguments(tool, args)
		if err != nil {
			fault := mcpserver.Explain(err)
			if fault.Code == "INTERNAL" || fault.Message == "" || fault.Message != mcpserver.Clean(fault.Message, 1<<20) {
				t.Fatalf("%q: %+v", args, fault)
			}
			return
		}
		d := json.NewDecoder(strings.NewReader(raw))
		d.DisallowUnknownFields()
		var v struct {
			Prompt string
			Width  int
			Height int
			CFG    float64
			Seed   json.Number
			Format string
			Aspect string  `json:"aspect_ratio"`
			Wait   float64 `json:"wait_seconds"`
			LoRAs  []struct {
				Name     string
				Strength float64
			}
		}
		if err := d.Decode(&v); err != nil || v.Prompt == "" {
			t.Fatalf("%q passes as %q but reads as %+v, %v", args, raw, v, err)
		}
	})
}

// FuzzEnvelope: what is let in reads the same to encoding/json, which mcp-go uses; no key that folds into another, none twice.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		initializeMessage, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":[1,{"y":null}]},"_meta":{"progressToken":1}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}`, `{"jsonrpc":"2.0","id":"x","result":{}}`,
		`{"jsonrpc":"2.0","id":1,"METHOD":"x"}`, `{"jsonrpc":"2.0","\u0069d":1,"method":"ping"}`, `[]`, `{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, "{\"jſonrpc\":\"2.0\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, method, version, tool, code := mcpserver.ReadEnvelope(bytes.Clone(b))
		if code != 0 {
			return
		}
		var m struct {
			JSONRPC string
			ID      json.RawMessage
			Method  string
			Params  struct {
				Name any
				Meta map[string]any `json:"_meta"`
			}
		}
		d := json.NewDecoder(bytes.NewReader(b))
		if err := d.Decode(&m); err != nil {
			t.Skip("a kind of params that is nobody's")
		}
		name, _ := m.Params.Name.(string)
		theirs, _ := m.Params.Meta["io.modelcontextprotocol/protocolVersion"].(string)
		if m.JSONRPC != "2.0" || string(m.ID) != id || m.Method != method || tool != name || version != theirs {
			t.Fatalf("%q: read %q %q %q %q, they read %+v", b, id, method, tool, version, m)
		}
	})
}

// FuzzStdio sends a line to a whole server: no crash, no hang, the answer is JSON, and the next request is served.
func FuzzStdio(f *testing.F) {
	for _, seed := range []string{
		initializeMessage, callLine("1", "status", `{}`), callLine("1", "generate", `{"prompt":"x"}`), `{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"comfygate://images/abc"}}`, `{"jsonrpc":"2.0","id":4,"method":"completion/complete","params":{"ref":{"type":"ref/prompt"}}}`, `x`,
	} {
		f.Add(seed)
	}
	s := newSet(f, []tools.Tool{makeTool("generate", &work{}), readTool("status", &work{})}, func(s *set) {
		s.cfg.Log, s.cfg.Images = nopLog(), shelf{}
	})
	ctx := auth.NewContext(context.WithoutCancel(f.Context()), person("local", policy.Operator))
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, `"end"`) {
			t.Skip("the last request's own id")
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var out bytes.Buffer
		in := strings.NewReader(initializeMessage + "\n" + line + "\n" + `{"jsonrpc":"2.0","id":"end","method":"ping"}` + "\n")
		began := time.Now()
		if err := s.server.ServeStdio(ctx, in, &out); err != nil || time.Since(began) > patience/2 {
			t.Fatalf("%q: %v after %v", line, err, time.Since(began))
		}
		ended := false
		for answer := range strings.Lines(out.String()) {
			if !json.Valid([]byte(answer)) {
				t.Fatalf("%q is answered %q", line, answer)
			}
			ended = ended || strings.Contains(answer, `"id":"end"`)
		}
		if !ended {
			t.Fatalf("%q: the next request was not served: %q", line, out.String())
		}
	})
}

// FuzzHTTP posts a message in a session: no crash, the answer is JSON or events of it, at most one record, and the session is still served.
func FuzzHTTP(f *testing.F) {
	for _, seed := range []string{
		initializeMessage, callLine("1", "status", `{}`), callLine("1", "generate", `{"prompt":"x"}`), `{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"comfygate://images/abc"}}`, `{"jsonrpc":"2.0","id":4,"method":"logging/setLevel","params":{"level":5}}`, `[]`,
	} {
		f.Add(seed, "", "")
		f.Add(seed, modernVersion, "tools/call")
	}
	s := newSet(f, []tools.Tool{makeTool("generate", &work{}), readTool("status", &work{})}, func(s *set) { s.cfg.Log, s.cfg.Images = nopLog(), shelf{} })
	ctx := auth.NewContext(context.WithoutCancel(f.Context()), person("alice", policy.Operator))
	post := func(body, session, version, method string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body)).WithContext(ctx)
		for name, v := range map[string]string{"Content-Type": "application/json", "Mcp-Session-Id": session, "Mcp-Protocol-Version": version, "Mcp-Method": method} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		s.server.Streamable().ServeHTTP(w, r)
		return w
	}
	f.Fuzz(func(t *testing.T, body, version, method string) {
		session := post(initializeMessage, "", "", "").Header().Get("Mcp-Session-Id")
		defer func() {
			r := httptest.NewRequest(http.MethodDelete, "/mcp", nil).WithContext(ctx)
			r.Header.Set("Mcp-Session-Id", session)
			s.server.Streamable().ServeHTTP(httptest.NewRecorder(), r)
		}()
		before := s.record.count()
		w := post(body, session, version, method)
		if n := s.record.count() - before; n > 2 { // intent and outcome
			t.Errorf("%q leaves %d records", body, n)
		}
		for line := range strings.Lines(w.Body.String()) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
			if strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) {
				t.Fatalf("%q is answered %q", body, line)
			}
		}
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		if w := post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, session, "", ""); w.Code != http.StatusOK {
			t.Fatalf("after %q: %d %s", body, w.Code, w.Body)
		}
	})
}
