package tools_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// saveBlue saves a graph under a name, with one input of its own.
func saveBlue(name, rest string) string {
	return fmt.Sprintf(`{"name":%q,"title":"Blue","graph":%s,"inputs":[{"name":"breadth","node":"1","input":"width","label":"How wide","min":64,"max":256}]%s}`, name, blue, rest)
}

// What is saved is found, checked and run by its name, with its own inputs and bounds, and no others.
func TestSaveWorkflow(t *testing.T) {
	t.Parallel()
	var saved *library.Library
	h := newHouse(t, emulator.Options{}, withLibrary(t, &saved))
	r := h.must(t, "ann", "save_workflow", saveBlue("my-blue", ""))
	if !strings.Contains(r.Text, `"saved":"my-blue","replaced":false`) {
		t.Errorf("%s", r.Text)
	}
	entry, err := saved.Get("my-blue")
	if err != nil || len(entry.Inputs) != 1 || entry.Inputs[0].Kind != "integer" {
		t.Fatalf("%+v, %v", entry, err)
	}
	if got := h.offers(t, "ann", "my-blue"); len(got) != 1 || got[0].Name != "breadth" || fmt.Sprint(got[0].Default) != "96" {
		t.Errorf("offers %+v", got)
	}
	made := h.must(t, "ann", "run_workflow", `{"workflow":"my-blue","inputs":{"breadth":128},"wait_seconds":60}`)
	if !strings.Contains(made.Text, "128×64") {
		t.Errorf("%s", made.Text)
	}
	for _, inputs := range []string{`{"breadth":257}`, `{"breadth":63}`, `{"width":128}`, `{"height":128}`} {
		if err := firstOf(h.call(t.Context(), t, callerOf("ann"), "run_workflow", `{"workflow":"my-blue","inputs":`+inputs+`}`)); len(fieldsOf(err)) != 1 {
			t.Errorf("%s: %v", inputs, err)
		}
	}
}

// Nothing is replaced unless that is said.
func TestSaveWorkflow_overwrite(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, withLibrary(t, nil))
	h.must(t, "ann", "save_workflow", saveBlue("a", ""))
	if err := firstOf(h.call(t.Context(), t, callerOf("ann"), "save_workflow", saveBlue("a", `,"overwrite":false`))); !errors.Is(err, library.ErrExists) {
		t.Errorf("%v", err)
	}
	if r := h.must(t, "bob", "save_workflow", saveBlue("a", `,"overwrite":true`)); !strings.Contains(r.Text, `"replaced":true`) {
		t.Errorf("%s", r.Text)
	}
}

// A template in the editor's format is saved as the graph that it stands for, with the inputs that are found in it.
func TestSaveWorkflow_fromTheEditor(t *testing.T) {
	t.Parallel()
	var saved *library.Library
	h := newHouse(t, emulator.Options{}, withLibrary(t, &saved))
	data := h.template(t, "turn_and_frame")
	h.must(t, "ann", "save_workflow", fmt.Sprintf(`{"name":"framed","graph":%s}`, data))
	entry, err := saved.Get("framed")
	if err != nil || !strings.Contains(string(entry.Graph), "class_type") {
		t.Fatalf("%s, %v", entry.Graph, err)
	}
	id := pictureOf(t, h.must(t, "ann", "run_workflow", `{"graph":`+blue+`,"wait_seconds":60}`))
	r := h.must(t, "ann", "run_workflow", fmt.Sprintf(`{"workflow":"framed","inputs":{"image":%q},"wait_seconds":60}`, id))
	if !strings.Contains(r.Text, "128×160") { // 96×64, turned, and 32 on each side
		t.Errorf("%s", r.Text)
	}
}

// template is a file as the emulator serves it.
func (h *house) template(t *testing.T, name string) string {
	t.Helper()
	data, err := h.client.Template(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What could never run, or what the rules of safety forbid, is not kept; nor is an input that the graph does not have.
func TestSaveWorkflow_refused(t *testing.T) {
	t.Parallel()
	var saved *library.Library
	h := newHouse(t, emulator.Options{}, withLibrary(t, &saved))
	var faults *tools.GraphFaultsError
	for name, graph := range map[string]string{
		"a link to nothing": strings.Replace(blue, `["1",0]`, `["9",0]`, 1),
		"an address":        `{"1":{"class_type":"LoadImage","inputs":{"image":"http://x/y.png"}},"2":{"class_type":"SaveImage","inputs":{"images":["1",3],"filename_prefix":"x"}}}`,
	} {
		if err := firstOf(h.call(t.Context(), t, callerOf("ann"), "save_workflow", `{"name":"bad","graph":`+graph+`}`)); !errors.As(err, &faults) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for input, field := range map[string]string{
		`{"name":"a","node":"7","input":"width"}`:                                          "inputs.0.input",
		`{"name":"a","node":"1","input":"depth"}`:                                          "inputs.0.input",
		`{"name":"a","node":"2","input":"images"}`:                                         "inputs.0.input",
		`{"name":"a","node":"1","input":"width","min":20000}`:                              "inputs.0.input",
		`{"name":"a","node":"1","input":"width","min":9,"max":8}`:                          "inputs.0.min",
		`{"name":"a","node":"1","input":"width","options":["no"]}`:                         "inputs.0.input",
		`{"name":"a","node":"1","input":"width"},{"name":"a","node":"1","input":"height"}`: "inputs.1.name",
	} {
		err := firstOf(h.call(t.Context(), t, callerOf("ann"), "save_workflow", fmt.Sprintf(`{"name":"bad","graph":%s,"inputs":[%s]}`, blue, input)))
		if !slices.Equal(fieldsOf(err), []string{field}) {
			t.Errorf("%s: %v", input, err)
		}
	}
	if list, err := saved.List(); err != nil || len(list) != 0 {
		t.Errorf("saved %v, %v", list, err)
	}
	off := newHouse(t, emulator.Options{}, nil)
	if err := firstOf(off.call(t.Context(), t, callerOf("ann"), "save_workflow", saveBlue("a", ""))); !errors.Is(err, tools.ErrNoLibrary) {
		t.Errorf("without a folder: %v", err)
	}
}

// A workflow that asks for a scope is not there for callers who lack it.
func TestSavedWorkflow_scopes(t *testing.T) {
	t.Parallel()
	var saved *library.Library
	h := newHouse(t, emulator.Options{}, withLibrary(t, &saved))
	entry := library.Entry{Name: "ours", Graph: []byte(blue), Sheet: library.Sheet{Scopes: []policy.Scope{policy.Operate}}}
	if err := saved.Save(entry, false); err != nil {
		t.Fatal(err)
	}
	var denied *policy.DeniedError
	if err := firstOf(h.call(t.Context(), t, callerOf("ann"), "run_workflow", `{"workflow":"ours"}`)); !errors.As(err, &denied) || denied.Decision.Rule != "scope:operate" {
		t.Errorf("%v", err)
	}
	admin := callerOf("root")
	admin.Principal = auth.Principal{Name: "root", Role: policy.Admin, Scopes: policy.ScopesOf(policy.Admin)}
	if err := firstOf(h.call(t.Context(), t, admin, "run_workflow", `{"workflow":"ours","wait_seconds":60}`)); err != nil {
		t.Errorf("%v", err)
	}
	var unknown *tools.WorkflowUnknownError
	if err := firstOf(h.call(t.Context(), t, callerOf("ann"), "run_workflow", `{"workflow":"our"}`)); !errors.As(err, &unknown) || slices.Contains(unknown.Close, "ours") {
		t.Errorf("similar names: %v", err)
	}
	if r := h.must(t, "ann", "list_workflows", `{}`); strings.Contains(r.Text, `"ours"`) {
		t.Errorf("%s", r.Text)
	}
}

// WORKFLOWS__AS_TOOLS: a saved workflow is a tool, with arguments of its own that are held to their bounds.
func TestSavedWorkflow_asTool(t *testing.T) {
	t.Parallel()
	var saved *library.Library
	open := withLibrary(t, &saved)
	least, most := 64.0, 256.0
	for _, e := range []library.Entry{
		{Name: "blue", Graph: []byte(blue), Sheet: library.Sheet{Description: "A blue one.", Inputs: []library.Input{
			{Name: "breadth", Node: "1", Input: "width", Label: "How wide", Min: &least, Max: &most},
			{Name: "prefix", Node: "2", Input: "filename_prefix", Required: true},
		}}},
		{Name: "bare", Graph: []byte(blue)},
		{Name: "clash", Graph: []byte(blue), Sheet: library.Sheet{Inputs: []library.Input{{Name: "wait_seconds", Node: "1", Input: "width"}}}},
	} {
		if err := saved.Save(e, false); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t, emulator.Options{}, func(c *jobs.Config, e *tools.Env) {
		open(c, e)
		e.Settings.WorkflowTools = true
	})
	var names []string
	for _, tool := range h.list {
		if name, ok := strings.CutPrefix(tool.Name, policy.SavedTool); ok {
			names = append(names, name)
			compile(t, tool.Schema)
		}
	}
	if !slices.Equal(names, []string{"bare", "blue"}) {
		t.Errorf("tools %v", names)
	}
	own := find(t, h.list, "workflow_blue")
	if own.Scope != policy.WorkflowRun || own.Toolset != "workflows" || !own.Waits || !strings.Contains(own.Description, "A blue one.") {
		t.Errorf("%+v", own)
	}
	schema := compile(t, own.Schema)
	for args, ok := range map[string]bool{
		`{"prefix":"x","breadth":128,"seed":5,"wait_seconds":9}`: true, `{"breadth":128}`: false, `{"prefix":"x","breadth":257}`: false,
		`{"prefix":"x","breadth":"128"}`: false, `{"prefix":"x","height":64}`: false, `{"prefix":1}`: false,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(args))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); (err == nil) != ok {
			t.Errorf("%s: %v", args, err)
		}
	}
	if r := h.must(t, "ann", "workflow_blue", `{"prefix":"x","breadth":128,"wait_seconds":60}`); !strings.Contains(r.Text, "128×64") {
		t.Errorf("%s", r.Text)
	}
	if r := h.must(t, "ann", "workflow_bare", `{"inputs":{},"seed":1,"wait_seconds":60}`); !strings.Contains(r.Text, "96×64") {
		t.Errorf("%s", r.Text)
	}
	if _, err := own.Decode([]byte(`{"prefix":"x","extra":1}`)); err == nil {
		t.Error("an argument that there is not")
	}
	if r := h.must(t, "ann", "list_workflows", `{}`); !strings.Contains(r.Text, `"tool":"workflow_blue"`) || strings.Contains(r.Text, "workflow_clash") {
		t.Errorf("%s", r.Text)
	}
}
