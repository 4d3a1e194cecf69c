package mcpserver_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/tools"
)

// TestSec_SC24_SC27_SC28_badArguments: at least one bad value for every field, each refused by name with its bound and a value that works (SC-24, SC-27, SC-28, T31, T32, T38).
func TestSec_SC24_SC27_SC28_badArguments(t *testing.T) {
	t.Parallel()
	tool := makeTool("generate", &work{})
	for name, tc := range map[string]struct {
		args string
		code string
		want []string // all of these stand in the message
	}{
		"required":                {`{}`, "INVALID_PROMPT", []string{`prompt: is required; for example "a red fox in snow"`}},
		"empty":                   {`{"prompt":""}`, "INVALID_PROMPT", []string{`prompt: has 0 characters, fewer than 1; use "a red fox in snow"`}},
		"too long":                {`{"prompt":"` + strings.Repeat("x", 51) + `"}`, "INVALID_PROMPT", []string{"prompt: has 51 characters, more than 50; use at most 50"}},
		"too small":               {`{"prompt":"x","width":56}`, "DIMENSION_ERROR", []string{"width: 56 is less than 64; use 64 or more, for example 1024"}},
		"zero":                    {`{"prompt":"x","width":0}`, "DIMENSION_ERROR", []string{"width: 0 is less than 64"}},
		"negative":                {`{"prompt":"x","width":-8}`, "DIMENSION_ERROR", []string{"width: -8 is less than 64"}},
		"too large":               {`{"prompt":"x","height":2056}`, "DIMENSION_ERROR", []string{"height: 2056 is more than 2048; use 2048 or less"}},
		"off the grid":            {`{"prompt":"x","width":1023}`, "DIMENSION_ERROR", []string{"width: 1023 is not a multiple of 8; use 1024"}},
		"off the grid at the end": {`{"prompt":"x","width":2047}`, "DIMENSION_ERROR", []string{"width: 2047 is not a multiple of 8; use 2048"}},
		"off the grid below":      {`{"prompt":"x","width":65}`, "DIMENSION_ERROR", []string{"width: 65 is not a multiple of 8; use 64"}},
		"fraction":                {`{"prompt":"x","width":512.5}`, "DIMENSION_ERROR", []string{"width: is a number, must be an integer; use 1024"}},
		"string":                  {`{"prompt":"x","width":"512"}`, "DIMENSION_ERROR", []string{"width: is a string, must be an integer; use 1024"}},
		"boolean":                 {`{"prompt":"x","width":true}`, "DIMENSION_ERROR", []string{"width: is a boolean, must be an integer"}},
		"null":                    {`{"prompt":"x","width":null}`, "DIMENSION_ERROR", []string{"width: is null, must be an integer"}},
		"huge":                    {`{"prompt":"x","width":1e9}`, "DIMENSION_ERROR", []string{"width: 1000000000 is more than 2048"}},
		"2^63":                    {`{"prompt":"x","width":9223372036854775808}`, "DIMENSION_ERROR", []string{"width: 9223372036854775808 is more than 2048"}},
		"both axes":               {`{"prompt":"x","width":1,"height":1}`, "DIMENSION_ERROR", []string{"width: 1 is", "height: 1 is"}},
		"NaN":                     {`{"prompt":"x","cfg":NaN}`, "INVALID_PARAMETER", []string{"expected a value"}},
		"infinity":                {`{"prompt":"x","cfg":1e999}`, "INVALID_PARAMETER", []string{"number out of range"}},
		"a number of a gigabyte":  {`{"prompt":"x","cfg":1e999999999}`, "INVALID_PARAMETER", []string{"number out of range"}},
		"many digits":             {`{"prompt":"x","seed":` + strings.Repeat("9", 41) + `}`, "INVALID_PARAMETER", []string{"more than 40 characters"}},
		"cfg":                     {`{"prompt":"x","cfg":0.5}`, "INVALID_PARAMETER", []string{"cfg: 0.5 is less than 1; use 1 or more, for example 7"}},
		"seed":                    {`{"prompt":"x","seed":18446744073709551616}`, "INVALID_PARAMETER", []string{"seed: 18446744073709551616 is more than 18446744073709551615"}},
		"enum":                    {`{"prompt":"x","format":"gif"}`, "INVALID_PARAMETER", []string{`format: "gif" is not one of the values; use "png", "jpeg", "webp"`}},
		"pattern":                 {`{"prompt":"x","aspect_ratio":"16x9"}`, "INVALID_PARAMETER", []string{`aspect_ratio: "16x9" is not of the form`, `use "16:9"`}},
		"items":                   {`{"prompt":"x","loras":[{"name":"a"},{"name":"b"},{"name":"c"}]}`, "INVALID_PARAMETER", []string{"loras: has 3 entries, more than 2; use at most 2"}},
		"inside an item":          {`{"prompt":"x","loras":[{"strength":3}]}`, "INVALID_PARAMETER", []string{`loras.0.name: is required; for example "film.safetensors"`, "loras.0.strength: 3 is more than 2"}},
		"unknown inside an item":  {`{"prompt":"x","loras":[{"name":"a","strenth":1}]}`, "INVALID_PARAMETER", []string{"loras.0.strenth: is not known; did you mean strength?"}},
		"unknown":                 {`{"prompt":"x","promt":"y"}`, "INVALID_PARAMETER", []string{"promt: is not known; did you mean prompt?"}},
		"unknown, nothing near":   {`{"prompt":"x","zzz":1}`, "INVALID_PARAMETER", []string{"zzz: is not known; known are aspect_ratio, cfg, format"}},
		"case":                    {`{"prompt":"x","PROMPT":"y"}`, "INVALID_PARAMETER", []string{"PROMPT: is not known; did you mean prompt?"}},
		"twice":                   {`{"prompt":"x","prompt":"y"}`, "INVALID_PROMPT", []string{"prompt: is given twice; give it once"}},
		"twice inside":            {`{"prompt":"x","loras":[{"name":"a","name":"b"}]}`, "INVALID_PARAMETER", []string{"loras.0.name: is given twice"}},
		"escaped twice":           {`{"prompt":"x","\u0070rompt":"y"}`, "INVALID_PROMPT", []string{"prompt: is given twice"}},
		"trailing data":           {`{"prompt":"x"} {}`, "INVALID_PARAMETER", []string{"unexpected data"}},
		"not an object":           {`["x"]`, "INVALID_PARAMETER", []string{"must be an object"}},
		"lone surrogate":          {`{"prompt":"\ud800"}`, "INVALID_PARAMETER", []string{"lone surrogate"}},
		"NUL":                     {`{"prompt":"a\u0000b"}`, "INVALID_PARAMETER", []string{"NUL"}},
		"depth":                   {`{"prompt":"x","loras":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "INVALID_PARAMETER", []string{"more than 64 levels"}},
		"all at once": {
			`{"width":63,"height":"512","cfg":0.5,"format":"gif","nope":1}`, "INVALID_PARAMETER",
			[]string{"prompt: is required", "width: 63 is less than 64", "height: is a string", "cfg: 0.5", "format: ", "nope: is not known"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mcpserver.CheckArguments(tool, tc.args)
			if _, ok := errors.AsType[*mcpserver.ArgumentsError](err); !ok {
				t.Fatalf("error %v", err)
			}
			f := mcpserver.Explain(err)
			if f.Code != tc.code {
				t.Errorf("code %s, want %s", f.Code, tc.code)
			}
			for _, part := range tc.want {
				if !strings.Contains(f.Message, part) {
					t.Errorf("%q is not in %q", part, f.Message)
				}
			}
		})
	}
}

// TestArguments_good: what is allowed passes, byte for byte where it matters.
func TestArguments_good(t *testing.T) {
	t.Parallel()
	tool := makeTool("generate", &work{})
	for args, want := range map[string]string{
		`{"prompt":"x"}`: "",
		`{"prompt":"x","seed":18446744073709551615}`: "", // 2^64 − 1, exact
		`{"prompt":"x","seed":9007199254740993}`:     "", // 2^53 + 1
		`{"prompt":"a & \"b\" <c> \u00e4"}`:          "",
		`{"prompt":"x","width":64,"height":2040}`:    "",
		`{"prompt":"x","width":512.0}`:               `{"prompt":"x","width":512}`,
		`{"prompt":"x","width":5.12e2}`:              `{"prompt":"x","width":512}`,
		`{"prompt":"x","seed":-1}`:                   "",
		`{"prompt":"x","cfg":7.5}`:                   "",
	} {
		raw, err := mcpserver.CheckArguments(tool, args)
		if want == "" {
			want = args
		}
		if err != nil || raw != want {
			t.Errorf("%s: %s, %v", args, raw, err)
		}
	}
	status := readTool("status", &work{})
	for _, args := range []string{"", "null", " {} ", "{}"} {
		if _, err := mcpserver.CheckArguments(status, args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestArguments_many: a flood of faults is cut, and long values are not echoed.
func TestArguments_many(t *testing.T) {
	t.Parallel()
	args := make(map[string]any)
	for i := range 500 {
		args[strings.Repeat("k", 1+i%7)+strings.Repeat("ü", i)] = 1
	}
	args["format"] = strings.Repeat("secret wish ", 20)
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	_, err = mcpserver.CheckArguments(makeTool("generate", &work{}), string(raw))
	f := mcpserver.Explain(err)
	if !strings.HasSuffix(f.Message, " more.") || len(f.Message) > 10_000 || strings.Contains(f.Message, "secret wish secret") {
		t.Errorf("%d characters: %.300s", len(f.Message), f.Message)
	}
}

// TestTool_refused: a definition that clients could not live with never comes to serve (MCP-21, MCP-22, MCP-34, MCP-36).
func TestTool_refused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*tools.Tool){
		"name":           func(t *tools.Tool) { t.Name = "make a picture" },
		"no description": func(t *tools.Tool) { t.Description = "" },
		"long":           func(t *tools.Tool) { t.Description = strings.Repeat("x", 2049) },
		"no decoder":     func(t *tools.Tool) { t.Decode = nil },
		"in headers": func(t *tools.Tool) {
			t.Schema = json.RawMessage(`{"type":"object","properties":{"a":{"x-mcp-header":"A"}}}`)
		},
		"not JSON": func(t *tools.Tool) { t.Schema = json.RawMessage(`{`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSet(t, nil, nil)
			bad := makeTool("generate", &work{})
			change(&bad)
			s.cfg.Tools = []tools.Tool{bad}
			if _, err := mcpserver.New(s.cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
	s := newSet(t, nil, nil)
	s.cfg.Tools = []tools.Tool{makeTool("generate", &work{}), makeTool("generate", &work{})}
	if _, err := mcpserver.New(s.cfg); err == nil {
		t.Error("two of one name accepted")
	}
}

// TestTool_badSchema: a schema that does not compile lets nothing through; mcp-go would check nothing then (BUG-15).
func TestTool_badSchema(t *testing.T) {
	t.Parallel()
	bad := makeTool("generate", &work{})
	for _, schema := range []string{`{"type":"no such type"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"https://example.org/schema.json"}`, `[]`} {
		bad.Schema, bad.Waits = json.RawMessage(schema), false
		if _, err := mcpserver.CheckArguments(bad, `{"prompt":"x"}`); err == nil || mcpserver.Explain(err).Code != "INTERNAL" {
			t.Errorf("%s: %v", schema, err)
		}
		if err := mcpserver.Schema(bad); err == nil {
			t.Errorf("%s compiles", schema)
		}
	}
}
