package mcpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
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

// FuzzStdio sends a line to a whole server: no crash, no hang, every answer is JSON with an id that was asked with, the next request is
// served, and each refusal is on the record once.
func FuzzStdio(f *testing.F) {
	for _, seed := range []string{
		initializeMessage, callLine("1", "status", `{}`), callLine("1", "generate", `{"prompt":"x"}`), callLine("1", "nothing", `{}`), callLine(`"a"`, "generate", `{"prompt":5}`),
		`{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"comfygate://images/abc"}}`, `{"jsonrpc":"2.0","id":4,"method":"completion/complete","params":{"ref":{"type":"ref/prompt"}}}`, `x`,
		`{"jsonrpc":"2.0","id":5,"method":"notifications/cancelled","params":{"requestId":"init"}}`, `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"status"}}`,
	} {
		f.Add(seed)
	}
	s := newSet(f, []tools.Tool{makeTool("generate", &work{}), readTool("status", &work{})}, func(s *set) {
		s.cfg.Log, s.cfg.Images = nopLog(), shelf{}
	})
	ctx := auth.NewContext(context.WithoutCancel(f.Context()), person("local", policy.Operator))
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n") || strings.Contains(line, `"end"`) || strings.Contains(line, `"init"`) {
			t.Skip("several lines, or the ids of the requests around it")
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var out bytes.Buffer
		in := strings.NewReader(initializeMessage + "\n" + line + "\n" + `{"jsonrpc":"2.0","id":"end","method":"ping"}` + "\n")
		began := time.Now()
		if err := s.server.ServeStdio(ctx, in, &out); err != nil || time.Since(began) > patience/2 {
			t.Fatalf("%q: %v after %v", line, err, time.Since(began))
		}
		recordedOnce(t, line, s.record.take())
		id, _, _, _, _ := mcpserver.ReadEnvelope([]byte(strings.TrimSpace(line)))
		ended := false
		for answer := range strings.Lines(out.String()) {
			ended = answered(t, line, answer, `"init"`, `"end"`, id) == `"end"` || ended
		}
		if !ended {
			t.Fatalf("%q: the next request was not served: %q", line, out.String())
		}
	})
}

// take empties the log and returns what stood in it.
func (r *record) take() []audit.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// answered checks that an answer is JSON and carries one of the ids, or none, and returns it.
func answered(t *testing.T, message, answer string, ids ...string) string {
	t.Helper()
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		t.Fatalf("%q is answered %q: %v", message, answer, err)
	}
	said := func(id string) (v any) { _ = json.Unmarshal([]byte(id), &v); return v } // "&" may come as "\u0026"
	if got := said(string(m.ID)); got != nil && !slices.ContainsFunc(ids, func(id string) bool { return got == said(id) }) {
		t.Fatalf("%q is answered %q, of another id than %q", message, answer, ids)
	}
	return string(m.ID)
}

// recordedOnce checks what one message left on the record: a refused one its decision, once; a call that ran one outcome, and before that
// at most its intent; everything else nothing.
func recordedOnce(t *testing.T, message string, records []audit.Record) {
	t.Helper()
	_, method, _, _, code := mcpserver.ReadEnvelope([]byte(strings.TrimSpace(message)))
	ends, protocol := 0, 0
	for _, r := range records {
		if r.CallID == "" || r.CallID != records[0].CallID {
			t.Fatalf("%q leaves records of several calls: %+v", message, records)
		}
		if r.Kind != audit.Intent {
			ends++
		}
		if r.Rule == "protocol" {
			protocol++
		}
	}
	blank := strings.TrimSpace(message) == "" // of which stdio says nothing
	switch want := (method == "tools/call" || method == "resources/read"); {
	case len(records) > 2 || ends > 1 || protocol > 1 || protocol == 1 && len(records) > 1:
		t.Fatalf("%q leaves %+v", message, records)
	case code != 0 && protocol != 1 && !blank:
		t.Fatalf("%q is refused and not recorded: %+v", message, records)
	case !want && code == 0 && len(records) > protocol:
		t.Fatalf("%q is no call and leaves %+v", message, records)
	case method == "tools/call" && code == 0 && ends != 1 && hasID(message):
		t.Fatalf("%q is a call and leaves %+v", message, records)
	}
}

func hasID(message string) bool {
	id, _, _, _, _ := mcpserver.ReadEnvelope([]byte(strings.TrimSpace(message)))
	return id != ""
}

// FuzzHTTP posts a message in a session: no crash, every answer is JSON or events of it, with the id that was asked with, each refusal is on
// the record once, and the session is still served.
func FuzzHTTP(f *testing.F) {
	for _, seed := range []string{
		initializeMessage, callLine("1", "status", `{}`), callLine("1", "generate", `{"prompt":"x"}`), callLine("1", "nothing", `{}`), `{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"comfygate://images/abc"}}`, `{"jsonrpc":"2.0","id":4,"method":"logging/setLevel","params":{"level":5}}`, `[]`,
		`{"jsonrpc":"2.0","id":5,"method":"notifications/cancelled","params":{"requestId":1}}`, `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"status"}}`,
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
		w := post(body, session, version, method)
		records := s.record.take()
		if w.Code == http.StatusOK && strings.Contains(w.Body.String(), `"result"`) {
			recordedOnce(t, body, records)
		} else if len(records) > 2 || len(records) == 2 && records[1].Rule == "protocol" {
			t.Fatalf("%q leaves %+v", body, records)
		}
		if w.Code == http.StatusOK && w.Header().Get("Mcp-Session-Id") != "" { // it opened a session of its own
			s.server.Forget(w.Header().Get("Mcp-Session-Id"))
		}
		id, _, _, _, code := mcpserver.ReadEnvelope([]byte(body))
		if code != 0 && (w.Code < 400 || len(records) != 1) {
			t.Fatalf("%q must be refused and recorded once: %d %s, %+v", body, w.Code, w.Body, records)
		}
		for line := range strings.Lines(w.Body.String()) {
			if line = strings.TrimPrefix(strings.TrimSpace(line), "data: "); strings.HasPrefix(line, "{") {
				answered(t, body, line, id)
			}
		}
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		if w := post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, session, "", ""); w.Code != http.StatusOK {
			t.Fatalf("after %q: %d %s", body, w.Code, w.Body)
		}
		s.server.Forget(session)
	})
}
