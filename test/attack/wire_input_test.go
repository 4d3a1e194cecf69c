package attack_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

func inputWires() map[string]wire {
	return map[string]wire{"T30": fuzzedArguments, "T31": unknownArguments, "T32": numbers, "T33": paths, "T36": prompts, "T37": embeddings, "T38": integers, "T50": bursts}
}

// A schema is what the fuzzer reads of one.
type schema struct {
	Type       string            `json:"type"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Enum       []any             `json:"enum"`
	Minimum    *float64          `json:"minimum"`
	Maximum    *float64          `json:"maximum"`
	MaxLength  int               `json:"maxLength"`
	Examples   []any             `json:"examples"`
}

type listed struct {
	Name        string `json:"name"`
	InputSchema schema `json:"inputSchema"`
}

// listed are the tools as they are offered.
func (c *caller) listed() []listed {
	c.t.Helper()
	var tools []listed
	for _, raw := range read(c.ask("tools/list", "{}")).messages[0].Result.Tools {
		var l listed
		if err := json.Unmarshal(raw, &l); err != nil {
			c.t.Fatal(err)
		}
		tools = append(tools, l)
	}
	return tools
}

// hostile are values that fit nowhere, or should not.
func hostile() []any {
	return []any{
		nil, true, -1, 0, 1e308, -1e308, 9007199254740993, "", " ", "null", "-1", "1e999", strings.Repeat("A", 20_000), "\x1b[31mred", "a\nb\rc", "\u202eevil", "\u200b",
		"../../etc/passwd", "{{1337*1337}}", "${1337*1337}", "<script>alert(1)</script>", "'; DROP TABLE jobs;--", "%s%s%n", "$(id)", "`id`", "\r\nX-Injected: 1",
		[]any{},
		map[string]any{},
		[]any{[]any{[]any{}}},
		map[string]any{"__proto__": map[string]any{"x": 1}},
		map[string]any{"$ref": "#"},
	}
}

// fitting makes a value that a schema takes, mostly.
func (s schema) fitting(r *rand.Rand, depth int) any {
	switch {
	case len(s.Enum) > 0:
		return s.Enum[r.IntN(len(s.Enum))]
	case len(s.Examples) > 0 && r.IntN(2) == 0:
		return s.Examples[r.IntN(len(s.Examples))]
	}
	switch s.Type {
	case "boolean":
		return r.IntN(2) == 0
	case "integer", "number":
		low, high := -1e6, 1e6
		if s.Minimum != nil {
			low = *s.Minimum
		}
		if s.Maximum != nil {
			high = *s.Maximum
		}
		edges := []float64{low, high, low - 1, high + 1, (low + high) / 2}
		return edges[r.IntN(len(edges))]
	case "array":
		n, list := r.IntN(12), []any{}
		for range n {
			if s.Items != nil && depth > 0 {
				list = append(list, s.Items.fitting(r, depth-1))
			}
		}
		return list
	case "object":
		return s.object(r, depth-1)
	}
	return strings.Repeat("x", r.IntN(min(s.MaxLength, 200)+2))
}

// object makes arguments: some fit, some are hostile, some are not there.
func (s schema) object(r *rand.Rand, depth int) map[string]any {
	in := make(map[string]any)
	bad := hostile()
	for name, p := range s.Properties {
		switch r.IntN(4) {
		case 0:
		case 1:
			in[name] = bad[r.IntN(len(bad))]
		default:
			in[name] = p.fitting(r, max(depth, 0))
		}
	}
	for name, most := range map[string]float64{"width": 64, "height": 64, "steps": 2} {
		if n, ok := in[name].(float64); ok && n > most && n <= 2048 {
			in[name] = most // what is taken must not be the whole suite's work
		}
	}
	if _, waits := s.Properties["wait_seconds"]; waits {
		in["wait_seconds"] = 0
	}
	return in
}

func fuzzedArguments(t *testing.T, f *field) {
	const seed, each = 7, 8
	calls := times(400, 100)
	r := rand.New(rand.NewPCG(seed, seed))
	tools := f.main.someone(t).listed()
	var c *caller
	answered := make(map[string]int)
	for i := range calls {
		if i%each == 0 {
			c = f.main.someone(t)
		}
		tool := tools[i%len(tools)]
		in := tool.InputSchema.object(r, 3)
		out := c.call(tool.Name, in)
		if out.status != http.StatusOK && out.status != http.StatusBadRequest {
			t.Errorf("seed %d, call %d, %s %.300v: %s", seed, i, tool.Name, in, out.answer)
		}
		if out.fault.Code == "?" || out.fault.Code != "" && (out.fault.Message == "" || out.fault.CallID == "") {
			t.Errorf("seed %d, call %d, %s: no proper fault: %s", seed, i, tool.Name, out.answer)
		}
		answered[out.fault.Code]++
	}
	if answered["INVALID_PARAMETER"] < calls/10 {
		t.Errorf("few calls were looked at: %v", answered)
	}
}

func unknownArguments(t *testing.T, f *field) {
	for _, tool := range f.main.someone(t).listed() {
		c := f.main.someone(t)
		c.refused(tool.Name, args{"no_such_argument": 1}, "INVALID_PARAMETER")
		for name := range tool.InputSchema.Properties {
			c.refused(tool.Name, args{strings.ToUpper(name[:1]) + name[1:]: "x"}, "INVALID_PARAMETER")
			break
		}
	}
}

func numbers(t *testing.T, f *field) {
	for i, arguments := range []string{
		`"width":1e999`, `"width":NaN`, `"width":Infinity`, `"width":-64`, `"width":0`, `"width":2049`, `"width":4294967296,"height":4294967296`,
		`"width":9223372036854775807`, `"width":18446744073709551616`, `"width":512.5`, `"width":"512"`, `"width":0x200`, `"width":1e3`,
		`"count":1000000000`, `"count":-1`, `"steps":9223372036854775807`, `"cfg":1e400`, `"cfg":-1e400`,
	} {
		c := f.main.someone(t)
		out := c.raw("generate", `{"prompt":"number`+fmt.Sprint(i)+`","height":64,`+arguments+`}`)
		if arguments == `"width":1e3` {
			continue // a number as good as 1000: what it means is for the grid to say
		}
		c.isRefused(arguments, out)
		if len(f.main.comfy.posted(t, fmt.Sprint("number", i))) > 0 {
			t.Errorf("%s reached ComfyUI", arguments)
		}
	}
	c := f.main.someone(t)
	picture := c.picture("a cat")
	for _, factor := range []string{"1e308", "-2", "0", "1e-300"} {
		c.isRefused("factor "+factor, c.raw("upscale", `{"image":"`+picture+`","factor":`+factor+`}`))
	}
}

// spellings are ways out of a folder.
func spellings() []string {
	return []string{
		"../../etc/passwd", `..\..\windows\win.ini`, "/etc/passwd", `C:\x.safetensors`, `\\host\share\x.safetensors`, "//host/x.safetensors",
		"%2e%2e%2fetc%2fpasswd", "%252e%252e%252f", "..%2f..%2fx", "..%5c..%5cx", "a/../../b.safetensors", "x.safetensors/../../../y", "CON", "x.png [output]",
		"file:///etc/passwd", "....//....//etc/passwd",
	}
}

func paths(t *testing.T, f *field) {
	places := []func(s string) (string, args){
		func(s string) (string, args) { return "generate", args{"prompt": "path", "model": s} },
		func(s string) (string, args) {
			return "generate", args{"prompt": "path", "family": "sd15", "loras": []any{args{"name": s, "strength": 1}}}
		},
		func(s string) (string, args) { return "get_image", args{"image": s} },
		func(s string) (string, args) { return "upload_image", args{"path": s} },
		func(s string) (string, args) { return "run_workflow", args{"workflow": s} },
		func(s string) (string, args) { return "run_workflow", args{"graph": loading(s)} },
		func(s string) (string, args) {
			return "save_workflow", args{"name": s, "title": "x", "description": "x", "graph": plain()}
		},
	}
	for _, s := range some(spellings()) {
		c := f.main.someone(t)
		for _, place := range places {
			tool, in := place(s)
			out := c.refused(tool, in)
			if strings.Contains(out.text, "root:") {
				t.Errorf("%s %v: %s", tool, in, out.answer)
			}
		}
		if a := c.send(http.MethodGet, "/images/"+strings.NewReplacer("/", "%2f", `\`, "%5c", " ", "%20").Replace(s), ""); a.status < http.StatusBadRequest {
			t.Errorf("/images/%s: %s", s, a)
		}
	}
	if len(f.main.comfy.posted(t, "path")) > 0 {
		t.Error("a graph with such a name reached ComfyUI")
	}
}

// prompts compares the graphs that ComfyUI gets for texts that try to be more.
func prompts(t *testing.T, f *field) {
	shape := func(g map[string]node) string {
		classes := make(map[string]int)
		for _, n := range g {
			classes[n.Class]++
		}
		return fmt.Sprint(classes)
	}
	plainText := "a plain cat"
	first := f.main.someone(t)
	first.must("generate", small(plainText))
	want := f.main.comfy.posted(t, plainText)
	if len(want) == 0 {
		t.Fatal("the graph of a plain prompt is not found")
	}
	for i, text := range []string{
		`"}},"99":{"class_type":"SaveImage","inputs":{"filename_prefix":"../x`, `\"}},{"class_type":"LoadImage"`, `{{ .Secret }} {{1337*1337}}`, `%prompt% ${PATH} $(id) ` + "`id`",
		`</prompt><script>alert(1)</script>`, `["4",0]`, `{"__value__":["4",0]}`, "%date:yyyy%/../../x", `a & "b" < c > 'd' \ e`,
	} {
		c := f.main.someone(t)
		c.must("generate", small(text))
		graphs := f.main.comfy.posted(t, text)
		if len(graphs) != 1 {
			t.Errorf("prompt %d is in %d graphs as it was written", i, len(graphs))
			continue
		}
		if got := shape(graphs[0]); got != shape(want[0]) {
			t.Errorf("prompt %d makes the graph %s, a plain one %s", i, got, shape(want[0]))
		}
	}
}

func embeddings(t *testing.T, f *field) {
	for i, name := range []string{"../../secret", "/etc/passwd", "evil.pt", `..\x`} {
		c := f.main.someone(t)
		text := fmt.Sprintf("cat %d, (embedding:%s:1.2)", i, name)
		out := c.call("generate", small(text))
		if out.ok() {
			t.Errorf("%q: taken", text)
		}
		if len(f.main.comfy.posted(t, text)) > 0 {
			t.Errorf("%q reached ComfyUI", text)
		}
	}
}

func integers(t *testing.T, f *field) {
	c := f.main.someone(t)
	for _, seed := range []string{"-2", "18446744073709551616", "1.5", `"7"`, "1e30", "true", "[7]"} {
		c.isRefused("seed "+seed, c.raw("generate", `{"prompt":"seed","width":64,"height":64,"steps":1,"seed":`+seed+`}`))
	}
	c = f.main.someone(t)
	for _, seed := range []string{"0", "1", "9007199254740993", "9223372036854775807", "18446744073709551615"} { // past 2⁵³ a float would round it
		out := c.raw("generate", `{"prompt":"seed","width":64,"height":64,"steps":1,"seed":`+seed+`}`)
		if !out.ok() || !strings.Contains(out.text, seed) {
			t.Errorf("seed %s: %s", seed, out.answer)
		}
	}
}

// bursts lets each of three at once ask for one more than the burst.
func bursts(t *testing.T, f *field) {
	const burst = 10
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := f.main.someone(t)
			passed := 0
			for range burst + 3 {
				out := c.raw("generate", `{"prompt":""}`) // counts, and is quickly refused
				switch out.fault.Code {
				case "RATE_LIMITED":
					if out.fault.RetryAfterMS <= 0 {
						t.Errorf("no time to wait: %s", out.answer)
					}
				default:
					passed++
				}
			}
			if passed < burst || passed > burst+1 { // one may have come back meanwhile
				t.Errorf("%d passed, want %d", passed, burst)
			}
		})
	}
}
