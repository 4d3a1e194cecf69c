package mcpserver_test

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"testing"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// TestPlain_answersAsTheLibrary: a call that is served without mcp-go's core reads like one that goes through it, which a parameter that no
// tool call has makes it do.
func TestPlain_answersAsTheLibrary(t *testing.T) {
	t.Parallel()
	rich := tools.Result{
		Text: "made <one> & \"two\"", Note: "a note", Pictures: []tools.Picture{{Data: []byte("bytes"), MIME: "image/png"}},
		Links: []tools.Link{{URI: "comfygate://images/x", Name: "x.png", MIME: "image/png", Size: 5, Title: "X"}}, Structured: map[string]any{"n": 1},
	}
	structured := readTool("structured", &work{run: func(context.Context, tools.Caller) (tools.Result, error) { return rich, nil }})
	structured.Output = json.RawMessage(`{"type":"object"}`)
	s := newSet(t, []tools.Tool{
		makeTool("generate", &work{run: func(context.Context, tools.Caller) (tools.Result, error) { return rich, nil }}),
		readTool("status", &work{}),
		structured,
		readTool("failing", &work{run: func(context.Context, tools.Caller) (tools.Result, error) {
			return tools.Result{}, &tools.Fault{Code: "NO_OUTPUT", Message: "nothing \x1b[31mthere", Suggestions: []string{"try <again>"}}
		}}),
	}, nil)
	web := s.client(t, s.site(t), "alice").initialize()
	pipe := s.stdio(t, person("local", policy.Operator)).initialize()
	line := func(text string) string {
		pipe.send(text)
		return <-pipe.lines
	}
	ids := regexp.MustCompile(`call_id\\":\\"[a-z2-7]{26}`)
	same := func(name, transport, plain, whole string) {
		t.Helper()
		var x, y any
		for _, r := range []struct {
			text string
			to   *any
		}{{plain, &x}, {whole, &y}} {
			if err := json.Unmarshal([]byte(ids.ReplaceAllString(r.text, "")), r.to); err != nil {
				t.Fatalf("%s over %s: %v in %q", name, transport, err, r.text)
			}
		}
		if !reflect.DeepEqual(x, y) {
			t.Errorf("%s over %s:\n%s\nthrough mcp-go:\n%s", name, transport, plain, whole)
		}
	}
	for name, params := range map[string]string{
		"pictures and links": `"name":"generate","arguments":{"prompt":"a fox"}`,
		"a text":             `"name":"status","arguments":{}`,
		"no arguments":       `"name":"status"`,
		"null":               `"name":"status","arguments":null`,
		"a list":             `"name":"status","arguments":[1]`,
		"structured":         `"name":"structured","arguments":{}`,
		"a failure":          `"name":"failing","arguments":{}`,
		"faults":             `"name":"generate","arguments":{"width":1,"height":"x"}`,
		"twice":              `"name":"status","arguments":{"a":1,"a":2}`,
		"unknown":            `"name":"stat\u0075s","arguments":{},"_meta":{"x":1}`,
		"no such tool":       `"name":"statuss","arguments":{}`,
	} {
		for _, id := range []string{`1`, `"one"`} {
			plain := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{` + params + `}}`
			whole := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{` + params + `,"level":"info"}}`
			same(name, "http", web.post(plain).body, web.post(whole).body)
			same(name, "stdio", line(plain), line(whole))
		}
	}
}
