package tools_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

func TestAll_namesWhatIsMissing(t *testing.T) {
	t.Parallel()
	full := newBench(t, nil).env
	for name, change := range map[string]func(*tools.Env){
		"Jobs":      func(e *tools.Env) { e.Jobs = nil },
		"Pictures":  func(e *tools.Env) { e.Pictures = nil },
		"Server":    func(e *tools.Env) { e.Server = nil },
		"Catalog":   func(e *tools.Env) { e.Catalog = nil },
		"Rules":     func(e *tools.Env) { e.Rules = nil },
		"Rates":     func(e *tools.Env) { e.Rates = nil },
		"Places":    func(e *tools.Env) { e.Places = nil },
		"Explain":   func(e *tools.Env) { e.Explain = nil },
		"MaxWidth":  func(e *tools.Env) { e.Settings.MaxWidth = 2056 }, // SC-27: no setting raises the cap
		"MaxHeight": func(e *tools.Env) { e.Settings.MaxHeight = 63 },
		"bound":     func(e *tools.Env) { e.Settings.MaxSteps = -1 },
	} {
		env := full
		change(&env)
		if _, err := tools.All(env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// published is a tool as a client sees it.
type published struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Annotations map[string]bool `json:"annotations"`
	Schema      json.RawMessage `json:"inputSchema"`
	Output      json.RawMessage `json:"outputSchema,omitempty"`
}

func publish(t *testing.T, tool tools.Tool) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	hints := map[string]bool{
		"readOnlyHint": tool.Hints.ReadOnly, "destructiveHint": tool.Hints.Destructive, "idempotentHint": tool.Hints.Idempotent,
		"openWorldHint": tool.Hints.OpenWorld,
	}
	if err := enc.Encode(published{tool.Name, tool.Title, tool.Description, hints, tool.Schema, tool.Output}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// T44: a change of what clients see is a change of these files.
func TestCatalog_T44_golden(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("testdata", "tools")
	left, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range newBench(t, nil).list {
		file := filepath.Join(dir, tool.Name+".json")
		left = slices.DeleteFunc(left, func(f string) bool { return f == file })
		var got bytes.Buffer
		if err := json.Indent(&got, publish(t, tool), "", "  "); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is not what %s says; look at the difference, then run go test ./tools -update", tool.Name, file)
		}
	}
	if len(left) > 0 {
		t.Errorf("no tools of these names: %v", left)
	}
}

// D05, E17: agents pay for every byte of tools/list in every conversation.
func TestCatalog_budget(t *testing.T) {
	t.Parallel()
	const each, all = 4_500, 25_000
	sum := 0
	for _, tool := range newBench(t, nil).list {
		n := len(publish(t, tool))
		if sum += n; n > each {
			t.Errorf("%s takes %d bytes, want at most %d", tool.Name, n, each)
		}
	}
	if sum > all {
		t.Errorf("the tools take %d bytes, want at most %d", sum, all)
	}
	t.Logf("%d bytes", sum)
}

// MCP-22, MCP-34, E18.
func TestCatalog_MCP22_definitions(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		scope policy.Scope
		hints tools.Hints
		waits bool
		class string
	}{
		"generate":       {policy.ImageGenerate, tools.Hints{OpenWorld: true}, true, "generate"},
		"upscale":        {policy.ImageGenerate, tools.Hints{OpenWorld: true}, true, "generate"},
		"status":         {policy.JobRead, tools.Hints{ReadOnly: true, Idempotent: true, OpenWorld: true}, true, "status"},
		"cancel":         {policy.JobCancel, tools.Hints{Destructive: true, Idempotent: true, OpenWorld: true}, false, "status"},
		"get_image":      {policy.ImageRead, tools.Hints{ReadOnly: true, Idempotent: true}, false, "status"},
		"upload_image":   {policy.ImageUpload, tools.Hints{}, false, "status"},
		"list_workflows": {policy.WorkflowRead, tools.Hints{ReadOnly: true, Idempotent: true, OpenWorld: true}, false, "status"},
		"check_workflow": {policy.WorkflowRead, tools.Hints{ReadOnly: true, Idempotent: true, OpenWorld: true}, false, "status"},
		"describe_nodes": {policy.WorkflowRead, tools.Hints{ReadOnly: true, Idempotent: true, OpenWorld: true}, false, "status"},
		"run_workflow":   {policy.WorkflowRun, tools.Hints{OpenWorld: true}, true, "generate"},
		"save_workflow":  {policy.WorkflowWrite, tools.Hints{Destructive: true, Idempotent: true, OpenWorld: true}, false, "status"},
		"manage_queue":   {policy.Operate, tools.Hints{Destructive: true, OpenWorld: true}, false, "status"},
		"list_models":    {policy.ModelRead, tools.Hints{ReadOnly: true, Idempotent: true, OpenWorld: true}, false, "status"},
	}
	list := newBench(t, nil).list
	if len(list) != len(want) {
		t.Errorf("%d tools, want %d", len(list), len(want))
	}
	for _, tool := range list {
		w, toolset := want[tool.Name], "images"
		if strings.HasSuffix(tool.Name, "_workflow") || strings.HasPrefix(string(w.scope), "workflow:") {
			toolset = "workflows"
		}
		if w.scope == policy.Operate {
			toolset = "operations"
		}
		if tool.Scope != w.scope || tool.Hints != w.hints || tool.Waits != w.waits || string(tool.Class) != w.class || tool.Toolset != toolset {
			tool.Schema, tool.Output = nil, nil
			t.Errorf("%s: %+v", tool.Name, tool)
		}
		if !regexp.MustCompile(`^[a-z_]{1,30}$`).MatchString(tool.Name) || tool.Title == "" || tool.Description == "" || len(tool.Description) > 2048 {
			t.Errorf("%s: name, title or description do not suit", tool.Name)
		}
		// MCP-24: what may return a picture declares no output schema.
		if mayShow := slices.Contains([]string{"generate", "upscale", "status", "get_image", "upload_image", "run_workflow"}, tool.Name); mayShow == (tool.Output != nil) {
			t.Errorf("%s: output schema %s", tool.Name, tool.Output)
		}
		if tool.Output != nil {
			compile(t, tool.Output)
		}
	}
}

// eachProperty calls f with every property below a schema.
func eachProperty(t *testing.T, schema map[string]any, path string, f func(path string, property map[string]any)) {
	t.Helper()
	props, _ := schema["properties"].(map[string]any)
	for name, v := range props {
		property, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%s.%s is no schema", path, name)
		}
		at := strings.TrimPrefix(path+"."+name, ".")
		f(at, property)
		eachProperty(t, property, at, f)
		if items, ok := property["items"].(map[string]any); ok {
			if closed, ok := items["additionalProperties"].(bool); items["type"] == "object" && (!ok || closed) {
				t.Errorf("%s: its objects are open", at)
			}
			eachProperty(t, items, at, f)
		}
	}
}

func schemaOf(t *testing.T, tool tools.Tool) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(tool.Schema, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// C1.1, C1.3, SC-19, SC-29: every property is described and bounded, has an example that works, and none leads outside.
func TestCatalog_C11_properties(t *testing.T) {
	t.Parallel()
	outside := regexp.MustCompile(`url|host|port$|path|file|key|token|password|secret|credential`)
	for _, tool := range newBench(t, nil).list {
		doc := schemaOf(t, tool)
		if doc["additionalProperties"] != false || doc["type"] != "object" {
			t.Errorf("%s: its arguments are open", tool.Name)
		}
		if strings.Contains(string(tool.Schema), "$ref") {
			t.Errorf("%s: its schema refers elsewhere", tool.Name)
		}
		eachProperty(t, doc, "", func(path string, p map[string]any) {
			at := tool.Name + ": " + path
			if outside.MatchString(path) && at != "upload_image: path" { // which os.Root decides

				t.Errorf("%s: a name of something outside", at)
			}
			if text, _ := p["description"].(string); text == "" {
				t.Errorf("%s has no description", at)
			}
			switch p["type"] {
			case "string":
				if p["enum"] == nil && p["maxLength"] == nil {
					t.Errorf("%s: texts without a bound", at)
				}
			case "integer", "number":
				if p["minimum"] == nil || p["maximum"] == nil {
					t.Errorf("%s: numbers without bounds", at)
				}
			case "array":
				if p["maxItems"] == nil {
					t.Errorf("%s: a list without a bound", at)
				}
			case "object": // whose properties are the caller's to name
				if p["maxProperties"] == nil {
					t.Errorf("%s: an object without a bound", at)
				}
			case "boolean":
			default:
				t.Errorf("%s: type %v", at, p["type"])
			}
			examples, _ := p["examples"].([]any)
			if len(examples) == 0 {
				t.Errorf("%s has no example", at)
			}
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			check := compile(t, text)
			for _, example := range examples {
				if err := check.Validate(example); err != nil {
					t.Errorf("%s: the example %v does not work: %v", at, example, err)
				}
			}
			if def, ok := p["default"]; ok {
				if err := check.Validate(def); err != nil {
					t.Errorf("%s: the default %v does not work: %v", at, def, err)
				}
			}
		})
	}
}

// C1.3: bounds in force are in the schema.
func TestCatalog_C13_boundsOfSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) {
		e.Settings.MaxWidth, e.Settings.MaxHeight, e.Settings.MaxSteps, e.Settings.MaxBatch, e.Settings.MaxCFG = 1024, 768, 30, 2, 9
		e.Settings.MaxPromptChars, e.Settings.MaxNegativeChars = 100, 50
	})
	props, _ := schemaOf(t, b.tool(t, "generate"))["properties"].(map[string]any)
	for name, want := range map[string]float64{"width": 1024, "height": 768, "steps": 30, "count": 2, "cfg": 9} {
		if p, _ := props[name].(map[string]any); p["maximum"] != want {
			t.Errorf("%s: maximum %v, want %v", name, p["maximum"], want)
		}
	}
	for name, want := range map[string]float64{"prompt": 100, "negative_prompt": 50} {
		if p, _ := props[name].(map[string]any); p["maxLength"] != want {
			t.Errorf("%s: maxLength %v, want %v", name, p["maxLength"], want)
		}
	}
	if _, err := b.resolve(t, "generate", `{"prompt":"x","width":1032,"height":768}`); !slices.Contains(fieldsOf(err), "width") {
		t.Errorf("a width of 1032: %v", err)
	}
}
