package tools_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// traversals are names that lead elsewhere (SC-26).
func traversals() []string {
	return []string{
		"../x.safetensors", `..\\x.safetensors`, "/etc/passwd", `\\\\host\\share\\x.safetensors`, `C:\\x.safetensors`, "a/../../x.safetensors",
		"%2e%2e/x.safetensors", "%252e%252e/x", "..%2fx", "..%5cx", "x\\u0000.safetensors", "x.png [input]", "x.png [temp]",
	}
}

func quoted(names []string) (values []string) {
	for _, n := range names {
		values = append(values, `"`+n+`"`)
	}
	return values
}

// idFaults are values that are no id of ours.
func idFaults() []string {
	return []string{`""`, `"x"`, `7`, `null`, `"` + strings.Repeat("a", 27) + `"`, `"` + strings.Repeat("A", 26) + `"`, `"` + strings.Repeat("1", 26) + `"`}
}

// tinyGraph is one that the fake server takes.
const tinyGraph = `{"1":{"class_type":"EmptyLatentImage","inputs":{"width":64}}}`

// badValues has, for each argument of each tool, values that are refused. A new argument without a row fails the test.
func badValues() map[string]map[string][]string {
	dimension := []string{"63", "0", "-8", "2049", "2056", "1023", "512.5", `"512"`, "true", "null", "1e9", "9223372036854775808", "[512]"}
	wait := []string{"-1", "301", "0.5", `"45"`, "true", "null", "1e99"}
	model := append([]string{`""`, "7", "null", `["a"]`, `"` + strings.Repeat("x", 301) + `"`}, quoted(traversals())...)
	family := []string{`""`, `"../sdxl"`, `"SDXL"`, `"a b"`, "1", `"` + strings.Repeat("x", 61) + `"`}
	word := []string{`""`, `"a b"`, `"../euler"`, `"euler;"`, "1", `"` + strings.Repeat("x", 61) + `"`}
	return map[string]map[string][]string{
		"generate": {
			"prompt":          {`""`, `"   "`, `"\n\t"`, "7", "null", `["a"]`, `"` + strings.Repeat("x", 10_001) + `"`, `"a\u0000b"`, `"a\u001b[31mb"`},
			"negative_prompt": {"7", "null", `"` + strings.Repeat("x", 5_001) + `"`, `"\u0007"`},
			"preset":          {`""`, `"ultra"`, `"Quality"`, "1"},
			"width":           dimension,
			"height":          dimension,
			"aspect_ratio":    {`""`, `"16x9"`, `"0:1"`, `"16:9:1"`, `"100:1"`, "1.78", `"-1:2"`, `" 16:9"`},
			"model":           model,
			"family":          family,
			"loras": {
				`"a"`, `{}`, `[1]`, `[{}]`, `[{"name":"a","weight":1}]`, `[{"name":"a"},{"name":"a"}]`,
				"[" + strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, 9), ",") + "]",
			},
			"loras.name":     model,
			"loras.strength": {"-2.1", "2.1", `"1"`, "null", "1e9", "true"},
			"steps":          {"0", "-1", "101", "1.5", `"20"`, "true", "null"},
			"cfg":            {"0.9", "30.1", "-1", `"7"`, "null", "1e99", "true"},
			"guidance":       {"-0.1", "30.1", `"3"`, "null"},
			"sampler":        word,
			"scheduler":      word,
			"seed":           {"-2", "18446744073709551616", "1.5", `"1"`, "null", "true", "1e30"},
			"count":          {"0", "-1", "5", "1.5", `"1"`, "4096"},
			"format":         {`""`, `"gif"`, `"PNG"`, `"avif"`, "1"},
			"wait_seconds":   wait,
		},
		"upscale": {
			"image":        idFaults(),
			"factor":       {"1.4", "4.1", "0", "-2", `"2"`, "null", "1e9"},
			"width":        {"63", "0", "-64", "1e9", `"2048"`, "100.5", "null"},
			"height":       {"63", "0", "-64", "1e9", `"2048"`, "100.5", "null"},
			"model":        model,
			"detail":       {`"yes"`, "1", "null"},
			"wait_seconds": wait,
		},
		"status":    {"job_id": idFaults(), "wait_seconds": append([]string{"10"}, wait...)}, // 10 is fine, but not without a job
		"cancel":    {"job_id": idFaults()},
		"get_image": {"image": idFaults(), "max_side": {"63", "4097", "0", "-1", "64.5", `"512"`, "null"}, "format": {`""`, `"gif"`, `"PNG"`, "1"}},
		"upload_image": {
			"data": {
				`""`, `"abc"`, "7", "null", `["aaaa"]`, `"not base64!"`, `"iVBORw0KGgo"`, `"iVBORw0KGgo=="`, `"iVBO\nRw0KGgo="`, `"data:image/png,iVBORw0KGgo="`,
				`"data:;;;;base64,iVBORw0KGgo="`, `"https://example.org/x.png"`, `"` + strings.Repeat("A", 4<<20+4) + `"`, `"` + strings.Repeat("A", 4<<20+68) + `"`,
			},
			"path": {`""`, "7", "null", `["a.png"]`, `"` + strings.Repeat("x", 1025) + `"`, `"a.png"`}, // the last beside data
			"link": {`"yes"`, "1", "null", "true"},                                                     // likewise
			"name": {`""`, "7", "null", `"a\u0000b"`, `"a\u001b[31mb"`, `"a\u202eb"`, `"a\nb"`, `"` + strings.Repeat("x", 101) + `"`},
		},
		"list_workflows": {
			"search":    {`""`, "1", "null", `"` + strings.Repeat("x", 101) + `"`},
			"kind":      {`""`, `"Picture"`, `"mesh"`, "1"},
			"installed": {`"yes"`, "1", "null"},
			"limit":     {"0", "-1", "101", "1.5", `"5"`, "null"},
		},
		"check_workflow": {"workflow": workflowFaults(), "graph": graphFaults(), "inputs": valueFaults()},
		"run_workflow": {
			"workflow": workflowFaults(), "graph": graphFaults(), "inputs": valueFaults(),
			"seed":         {"-2", "18446744073709551616", "1.5", `"1"`, "null", "true", "1e30"},
			"wait_seconds": wait,
		},
		"save_workflow": {
			"name":        append([]string{`""`, `"A"`, `"a b"`, `"-a"`, `"ä"`, "1", "null", `"` + strings.Repeat("x", 49) + `"`}, quoted(traversals())...),
			"title":       {`""`, "1", "null", `"a\nb"`, `"a\u001b[31mb"`, `"a\u202eb"`, `"` + strings.Repeat("x", 121) + `"`},
			"description": {`""`, "1", "null", `"a\u0000b"`, `"` + strings.Repeat("x", 2001) + `"`},
			"graph":       {`"x"`, "1", "null", "[]", `[{"class_type":"SaveImage"}]`},
			"inputs": {
				`{}`, `"a"`, `[1]`, `[{}]`, `[{"name":"a","node":"1"}]`, `[{"name":"a","node":"1","input":"b","kind":"text"}]`,
				`[{"name":"a","node":"1","input":"x"},{"name":"a","node":"1","input":"y"}]`,
				"[" + strings.TrimSuffix(strings.Repeat(`{"name":"a","node":"1","input":"x"},`, 65), ",") + "]",
			},
			"inputs.name":        {`""`, `"A"`, `"a b"`, `"../a"`, "1", "null", `"` + strings.Repeat("x", 65) + `"`},
			"inputs.node":        {`""`, "1", "null", `"a\u0000"`, `"` + strings.Repeat("x", 101) + `"`},
			"inputs.input":       {`""`, "1", "null", `"a\u0000"`, `"` + strings.Repeat("x", 101) + `"`},
			"inputs.label":       {`""`, "1", `"a\nb"`, `"` + strings.Repeat("x", 101) + `"`},
			"inputs.description": {`""`, "1", `"a\u202eb"`, `"` + strings.Repeat("x", 501) + `"`},
			"inputs.min":         {`"1"`, "null", "1e99", "-1e99", "true"},
			"inputs.max":         {`"1"`, "null", "1e99", "-1e99", "true"},
			"inputs.options":     {`"a"`, `[1]`, `["` + strings.Repeat("x", 301) + `"]`, "[" + strings.TrimSuffix(strings.Repeat(`"a",`, 201), ",") + "]", `["a\u0000"]`},
			"inputs.required":    {`"yes"`, "1", "null"},
			"overwrite":          {`"yes"`, "1", "null"},
		},
		"describe_nodes": {
			"search": {`""`, "1", "null", `"` + strings.Repeat("x", 101) + `"`},
			"input":  {`""`, `"a b"`, `"../x"`, "1", `"` + strings.Repeat("x", 61) + `"`},
			"output": {`""`, `"a b"`, `"<x>"`, "1", `"` + strings.Repeat("x", 61) + `"`},
			"limit":  {"0", "-1", "51", "1.5", `"5"`, "null"},
		},
		"manage_queue": {
			"action":    {`""`, `"List"`, `"drop"`, `"clear"`, "1", "null", `["list"]`},
			"job_id":    append(idFaults(), `"`+jobID+`"`), // the last without interrupt
			"principal": {`""`, "1", "null", `["ann"]`, `"` + strings.Repeat("x", 257) + `"`, `"a\u0000"`, `"a\u202eb"`, `"a\nb"`},
		},
		"list_models": {
			"kind":   {`""`, `"Checkpoints"`, `"../loras"`, `"configs"`, "1"},
			"search": {`""`, "1", "null", `"` + strings.Repeat("x", 101) + `"`},
			"family": family,
			"limit":  {"0", "-1", "501", "1.5", `"5"`, "null"},
		},
	}
}

// workflowFaults are values that name no workflow: those that the schema refuses; the others are the server's to know.
func workflowFaults() []string {
	return []string{`""`, "7", "null", `["a"]`, `"` + strings.Repeat("x", 129) + `"`}
}

// graphFaults are values that are no graph: those that the schema refuses.
func graphFaults() []string { return []string{`"{}"`, "7", "null", "[]", `[[1]]`, "true"} }

// valueFaults are no inputs.
func valueFaults() []string {
	many := make([]string, 0, 101)
	for i := range 101 {
		many = append(many, fmt.Sprintf(`"a%d":1`, i))
	}
	return []string{`"a"`, "7", "null", "[]", "{" + strings.Join(many, ",") + "}"}
}

// complete are arguments that make a call whole.
func complete() map[string]string {
	return map[string]string{
		"generate": `"prompt":"a cat"`, "upscale": `"image":"` + imgID + `"`, "cancel": `"job_id":"` + jobID + `"`, "get_image": `"image":"` + imgID + `"`,
		"upload_image": `"data":"iVBORw0KGgo="`, "run_workflow": `"workflow":"none"`, "check_workflow": `"workflow":"none"`,
		"save_workflow": `"name":"a","graph":` + tinyGraph, "manage_queue": `"action":"list"`,
	}
}

// with is a whole call of tool with one value at path.
func with(tool, path, value string) string {
	if name, ok := strings.CutPrefix(path, "inputs."); ok {
		fields := fmt.Sprintf(`%q:%s`, name, value)
		for _, other := range []string{`"name":"a"`, `"node":"1"`, `"input":"width"`} {
			if !strings.HasPrefix(other, `"`+name+`":`) {
				fields += "," + other
			}
		}
		path, value = "inputs", "[{"+fields+"}]"
	}
	if name, ok := strings.CutPrefix(path, "loras."); ok {
		fields := fmt.Sprintf(`%q:%s`, name, value)
		if name != "name" {
			fields += `,"name":"detail.safetensors"`
		}
		path, value = "loras", "[{"+fields+"}]"
	}
	rest := complete()[tool]
	if tool == "save_workflow" && path == "name" {
		rest = `"graph":` + tinyGraph
	} else if tool == "save_workflow" && path == "graph" {
		rest = `"name":"a"`
	} else if tool != "save_workflow" && path == "graph" {
		rest = ""
	}
	if rest == "" || strings.HasPrefix(rest, `"`+path+`":`) {
		return fmt.Sprintf(`{%q:%s}`, path, value)
	}
	return fmt.Sprintf(`{%s,%q:%s}`, rest, path, value)
}

// SC-24, SC-26, SC-27, SC-28, SC-48, T30, T31: at least one bad value for every argument of every tool. Each is refused with the
// argument's name, and nothing reaches ComfyUI.
func TestArguments_SC48_badValues(t *testing.T) {
	t.Parallel()
	bad := badValues()
	b := newBench(t, nil)
	for _, tool := range b.list {
		rows := maps.Clone(bad[tool.Name])
		eachProperty(t, schemaOf(t, tool), "", func(path string, _ map[string]any) {
			values := rows[path]
			delete(rows, path)
			if len(values) == 0 {
				t.Errorf("%s: %s has no bad value in the table", tool.Name, path)
			}
			for _, value := range values {
				args := with(tool.Name, path, value)
				_, err := b.resolve(t, tool.Name, args)
				if err == nil {
					t.Errorf("%s accepts %.100s", tool.Name, args)
					continue
				}
				named := slices.ContainsFunc(fieldsOf(err), func(f string) bool {
					return f == path || strings.HasPrefix(f, path+".") || strings.HasPrefix(path, "loras.") && strings.HasPrefix(f, "loras") ||
						strings.HasPrefix(path, "inputs.") && strings.HasPrefix(f, "inputs")
				})
				if !named {
					t.Errorf("%s %.100s: the error does not name %s: %v", tool.Name, args, path, err)
				}
				if len(b.server.asked) > 0 {
					t.Errorf("%s %.100s: ComfyUI was asked for %v", tool.Name, args, b.server.asked)
				}
				if len(b.jobs.started) > 0 {
					t.Errorf("%s %.100s: a job was started", tool.Name, args)
				}
			}
		})
		if len(rows) > 0 {
			t.Errorf("%s has no arguments %v", tool.Name, slices.Sorted(maps.Keys(rows)))
		}
	}
}

// SC-28, T31: an unknown argument is refused, whatever its case.
func TestArguments_T31_unknown(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, tool := range b.list {
		for _, name := range []string{"Prompt", "JOB_ID", "comfyui_url", "__proto__", "extra"} {
			if _, err := b.resolve(t, tool.Name, with(tool.Name, name, `"x"`)); err == nil {
				t.Errorf("%s takes %s", tool.Name, name)
			}
			// Also where no schema stands before it.
			if _, err := tool.Decode([]byte(with(tool.Name, "extra", `"x"`))); err == nil {
				t.Errorf("%s decodes %s", tool.Name, name)
			}
		}
		if _, err := tool.Decode([]byte(`{} {}`)); err == nil {
			t.Errorf("%s decodes what follows the arguments", tool.Name)
		}
	}
}

// SC-28: all faults of a call at once, those of the schema and those of the meaning.
func TestArguments_SC28_allAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	_, err := b.resolve(t, "generate", `{"prompt":"","width":63,"steps":0}`)
	fields := fieldsOf(err)
	for _, want := range []string{"prompt", "width", "steps"} {
		if !slices.Contains(fields, want) {
			t.Errorf("%s is not named: %v", want, fields)
		}
	}
	_, err = b.resolve(t, "generate", `{"prompt":"a\u0001","negative_prompt":"b\u0002","width":512,"aspect_ratio":"1:1","loras":[{"name":"a"},{"name":"a"}]}`)
	if got, want := fieldsOf(err), []string{"prompt", "negative_prompt", "aspect_ratio", "loras.1.name"}; !slices.Equal(got, want) {
		t.Errorf("faults of %v, want %v", got, want)
	}
	_, err = b.resolve(t, "upscale", `{"image":"`+imgID+`","factor":2,"width":2048}`)
	if got := fieldsOf(err); !slices.Equal(got, []string{"factor"}) {
		t.Errorf("faults of %v", got)
	}
	var several workflow.FieldErrors
	if errors.As(err, &several) && (several[0].Problem == "" || several[0].Fits == "") {
		t.Errorf("the fault tells nothing: %+v", several[0])
	}
}

// SC-27: values at the bounds pass.
func TestArguments_SC27_goodValues(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann"}
	for _, args := range []string{
		`{"prompt":"x","width":64,"height":2048}`, `{"prompt":"x","width":2040,"height":2040}`, `{"prompt":" a\n b\t"}`, `{"prompt":"x","count":4}`,
		`{"prompt":"x","seed":0}`, `{"prompt":"x","seed":-1}`, `{"prompt":"x","steps":100,"cfg":30,"guidance":0}`, `{"prompt":"x","wait_seconds":300}`,
		`{"prompt":"` + strings.Repeat("ä", 10_000) + `","negative_prompt":"` + strings.Repeat("ö", 5_000) + `"}`,
		`{"prompt":"x","loras":[{"name":"a","strength":-2},{"name":"b"}],"format":"webp","preset":"draft","aspect_ratio":"9:16"}`,
	} {
		if _, err := b.resolve(t, "generate", args); err != nil {
			t.Errorf("%.80s: %v", args, err)
		}
	}
	for _, args := range []string{`{}`, `{"job_id":"` + jobID + `","wait_seconds":0}`} {
		if _, err := b.resolve(t, "status", args); err != nil {
			t.Errorf("status %s: %v", args, err)
		}
	}
}

// SC-32, T26: another's job or picture answers like one that is not there.
func TestArguments_T26_foreign(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	other := picture(64, 64)
	other.Owner, other.ID = "bob", strings.Repeat("b", 26)
	b.pictures.known[other.ID] = other
	b.jobs.known[strings.Repeat("b", 26)] = jobs.Job{ID: strings.Repeat("b", 26), Owner: "bob"}
	for tool, want := range map[string]error{"status": jobs.ErrNotFound, "cancel": jobs.ErrNotFound, "upscale": images.ErrNotFound, "get_image": images.ErrNotFound} {
		var texts []string
		for _, id := range []string{strings.Repeat("b", 26), strings.Repeat("c", 26)} {
			name := "job_id"
			if errors.Is(want, images.ErrNotFound) {
				name = "image"
			}
			_, err := b.resolve(t, tool, fmt.Sprintf(`{%q:%q}`, name, id))
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", tool, err, want)
				continue
			}
			texts = append(texts, err.Error())
		}
		if len(texts) == 2 && texts[0] != texts[1] {
			t.Errorf("%s: %q and %q tell them apart", tool, texts[0], texts[1])
		}
	}
}

// T30: whatever is sent, decoding answers, and a seed is exact or refused.
func FuzzDecode(f *testing.F) {
	b := newBench(f, nil)
	for tool, rows := range badValues() {
		for path, values := range rows {
			for _, value := range values {
				f.Add(tool, []byte(with(tool, path, value)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		for _, tool := range b.list {
			if tool.Name != name {
				continue
			}
			if args, err := tool.Decode(raw); err == nil && args == nil {
				t.Error("neither arguments nor an error")
			}
		}
	})
}
