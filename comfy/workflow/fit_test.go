package workflow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// A step is one of a recorded scenario.
type step struct {
	Send, Method, Path string
	Note               string
	Status             int
	JSON               struct {
		Prompt json.RawMessage
		Nodes  map[string]struct {
			Errors []struct {
				Type  string
				Extra struct {
					Input string `json:"input_name"`
				} `json:"extra_info"`
			}
		} `json:"node_errors"`
	}
}

func scenario(t *testing.T, version, name string) []step {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", version, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Steps []json.RawMessage }
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var steps []step
	for _, raw := range doc.Steps {
		var s step
		_ = json.Unmarshal(raw, &s) // steps of other forms are of no interest
		steps = append(steps, s)
	}
	return steps
}

// What real servers took and refused, Fit takes and refuses, and where they name the input it names the same.
func TestFit_recorded(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		info := recorded(t, version)
		posts := 0
		for _, name := range []string{"validation-errors", "txt2img", "img2img", "inpaint", "upscale-model", "no-models"} {
			var sent step
			for _, s := range scenario(t, version, name) {
				switch {
				case s.Send == "http":
					sent = s
					continue
				case s.Status == 0 || len(sent.JSON.Prompt) == 0 || !strings.HasSuffix(sent.Path, "/prompt"):
					continue
				}
				posts++
				label := version + ", " + name + ", " + sent.Note
				g, err := workflow.ReadGraph(sent.JSON.Prompt)
				if err != nil {
					if s.Status != 400 || sent.Note != "class_type missing" && sent.Note != "inputs missing" {
						t.Errorf("%s: %v", label, err)
					}
					sent = step{}
					continue
				}
				faults := workflow.Fit(g, info)
				if sent.Note == "absent picture" {
					sent = step{}
					continue // only the server can know
				}
				if (len(faults) > 0) != (s.Status == 400) {
					t.Errorf("%s: answered %d, faults %+v", label, s.Status, faults)
				}
				for id, n := range s.JSON.Nodes {
					for _, e := range n.Errors {
						if strings.HasPrefix(e.Type, "exception") || e.Type == "dependency_cycle" {
							continue // which is where the server stumbled, not where the fault is
						}
						if !slices.ContainsFunc(faults, func(f workflow.Fault) bool { return f.Node == id && f.Input == e.Extra.Input }) {
							t.Errorf("%s: the server faults %s of node %s, Fit only %+v", label, e.Extra.Input, id, faults)
						}
					}
				}
				sent = step{}
			}
		}
		if posts < 20 {
			t.Errorf("%s: only %d recorded posts were looked at", version, posts)
		}
	}
}

func readGraph(tb testing.TB, text string) comfy.Graph {
	tb.Helper()
	g, err := workflow.ReadGraph([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// base is a graph that both servers take; %s is where a test breaks it.
const base = `{
"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny_sd3_random.safetensors"}},
"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox", "clip": ["4", 1]}},
"7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
"5": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
"3": {"class_type": "KSampler", "inputs": {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
  "seed": 18446744073709551615, "steps": 4, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}},
"8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
"9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "rec"}}}`

// SC-54, CLIENT-PROMPT-5: each way to break a graph is found, and named with what would fit.
func TestFit_SC54_mutations(t *testing.T) {
	t.Parallel()
	info := recorded(t, "v0.33.0")
	if faults := workflow.Fit(readGraph(t, base), info); len(faults) > 0 {
		t.Fatalf("the sound graph has faults: %+v", faults)
	}
	tests := map[string]struct {
		node, input string
		value       any // JSON, as read
		problem     string
		fits        string
	}{
		"dangling link":              {"8", "vae", comfy.Link{Node: "77"}, "not in the graph", "one of its nodes"},
		"slot out of range":          {"8", "vae", comfy.Link{Node: "4", Slot: 3}, "no output 3", "0 (MODEL), 1 (CLIP), 2 (VAE)"},
		"slot negative":              {"8", "vae", comfy.Link{Node: "4", Slot: -1}, "no output -1", "2 (VAE)"},
		"slot of a node of others":   {"8", "vae", comfy.Link{Node: "6", Slot: 1}, "no output 1", "0 (CONDITIONING)"},
		"link of a wrong type":       {"8", "vae", comfy.Link{Node: "4", Slot: 1}, "takes VAE, and is linked to CLIP", `such as ["4",2]`},
		"list that is no link":       {"8", "vae", []any{"4"}, "read as a link", "__value__"},
		"link by number":             {"8", "vae", []any{json.Number("4"), json.Number("2")}, "read as a link", "__value__"},
		"value for a link":           {"8", "vae", "ae.safetensors", "not a value", "output of type VAE"},
		"literal under its bound":    {"5", "width", json.Number("7"), "smaller than 16", "from 16 to 16384"},
		"literal over its bound":     {"3", "steps", json.Number("10001"), "larger than 10000", "from 1 to 10000"},
		"float over its bound":       {"3", "denoise", json.Number("1.01"), "larger than 1", "from 0 to 1"},
		"seed negative":              {"3", "seed", json.Number("-1"), "smaller than 0", "to 18446744073709551615"},
		"seed of 65 bits":            {"3", "seed", json.Number("18446744073709551616"), "larger than 18446744073709551615", ""},
		"seed as a huge float":       {"3", "seed", json.Number("1e300"), "larger", ""},
		"number that is none":        {"3", "steps", "many", "not a number", "whole number"},
		"fraction as a text":         {"3", "steps", "4.5", "not a number", "whole number"},
		"bool for a number":          {"3", "steps", true, "not a number", ""},
		"null":                       {"3", "cfg", nil, "not a number", ""},
		"null for a text":            {"6", "text", nil, "not a text", ""},
		"null for an option":         {"3", "sampler_name", nil, "none of the options", ""},
		"number for an option":       {"3", "sampler_name", json.Number("1"), "none of the options", ""},
		"bool for a model":           {"4", "ckpt_name", true, "none of the options", ""},
		"unknown option":             {"3", "scheduler", "karas", "none of the options", "karras"},
		"unknown option of many":     {"3", "sampler_name", "eular", "none of the options", "such as euler"},
		"unknown model":              {"4", "ckpt_name", "tiny.safetensors", "no such file", "tiny_sd3_random.safetensors"},
		"stray link to no node":      {"9", "extra", comfy.Link{Node: "x"}, "not in the graph", ""},
		"itself":                     {"3", "latent_image", comfy.Link{Node: "3"}, "circle: 3 (KSampler)", "one way"},
		"one that needs it":          {"5", "batch_size", comfy.Link{Node: "8"}, "circle: 3 (KSampler), 5 (EmptySD3LatentImage), 8 (VAEDecode)", ""},
		"text for a switch":          {"3", "denoise", "0.5", "", ""},
		"whole number as a text":     {"3", "steps", "5", "", ""},
		"go's own numbers":           {"3", "seed", uint64(1<<64 - 1), "", ""},
		"float without a fraction":   {"3", "steps", 5.0, "", ""},
		"unknown input":              {"9", "note", "ignored by the server", "", ""},
		"a list of values, wrapped":  {"3", "sampler_name", map[string]any{"__value__": []any{"a"}}, "", ""},
		"a value, wrapped":           {"3", "steps", map[string]any{"__value__": json.Number("0")}, "smaller than 1", ""},
		"a link as JSON has it":      {"8", "vae", []any{"4", json.Number("2")}, "", ""},
		"a picture of the input":     {"9", "images", comfy.Link{Node: "20"}, "not in the graph", ""},
		"a clip in place of a model": {"3", "model", comfy.Link{Node: "4", Slot: 1}, "takes MODEL", `["4",0]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGraph(t, base)
			g[tt.node].Inputs[tt.input] = tt.value
			var found []workflow.Fault
			for _, f := range workflow.Fit(g, info) {
				if strings.Contains(f.Problem, tt.problem) && strings.Contains(f.Fits, tt.fits) && f.Class != "" {
					found = append(found, f)
				}
			}
			if all := workflow.Fit(g, info); (tt.problem == "") != (len(all) == 0) || tt.problem != "" && len(found) == 0 {
				t.Errorf("faults: %+v", all)
			}
		})
	}
	for name, tt := range map[string]struct {
		edit    func(comfy.Graph)
		node    string
		problem string
	}{
		"unknown class":                {func(g comfy.Graph) { g["8"] = comfy.Node{ClassType: "VAEDecod", Inputs: g["8"].Inputs} }, "8", "no node of this class"},
		"unknown class, leads nowhere": {func(g comfy.Graph) { g["20"] = comfy.Node{ClassType: "Nope"} }, "20", "no node of this class"},
		"no output":                    {func(g comfy.Graph) { delete(g, "9") }, "", "no node of the graph gives a result"},
		"no nodes":                     {func(g comfy.Graph) { clear(g) }, "", "no nodes"},
		"input missing":                {func(g comfy.Graph) { delete(g["3"].Inputs, "seed") }, "3", "required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGraph(t, base)
			tt.edit(g)
			faults := workflow.Fit(g, info)
			if len(faults) == 0 || faults[0].Node != tt.node || !strings.Contains(faults[0].Problem, tt.problem) {
				t.Errorf("faults: %+v", faults)
			}
		})
	}
}

// Every fault is named in one go, in order, the same each time; what leads to no result does not matter.
func TestFit_everyFaultAtOnce(t *testing.T) {
	t.Parallel()
	g := readGraph(t, base)
	g["3"].Inputs["steps"] = json.Number("0")
	g["5"].Inputs["width"] = json.Number("1")
	delete(g["6"].Inputs, "clip")
	g["10"] = comfy.Node{ClassType: "KSampler", Inputs: map[string]any{"steps": "x"}} // leads nowhere
	var got []string
	for range 3 {
		got = nil
		for _, f := range workflow.Fit(g, recorded(t, "v0.3.64")) {
			got = append(got, f.Node+" "+f.Class+" "+f.Input+" "+f.Got)
		}
	}
	want := []string{"3 KSampler steps 0", "5 EmptySD3LatentImage width 1", "6 CLIPTextEncode clip "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// SC-54: a circle of ten thousand nodes, and a chain of as many, end in good time and overflow no stack.
func TestFit_SC54_deepGraphs(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for name, closed := range map[string]bool{"circle": true, "chain": false} {
		g := comfy.Graph{"0": {ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "1"}}}}
		for i := 1; i <= n; i++ {
			g[strconv.Itoa(i)] = comfy.Node{ClassType: "ImageInvert", Inputs: map[string]any{"image": comfy.Link{Node: strconv.Itoa(i + 1)}}}
		}
		last := comfy.Node{ClassType: "EmptyImage", Inputs: map[string]any{
			"width": json.Number("64"), "height": json.Number("64"), "batch_size": json.Number("1"), "color": json.Number("0"),
		}}
		if closed {
			last = comfy.Node{ClassType: "ImageInvert", Inputs: map[string]any{"image": comfy.Link{Node: "1"}}}
		}
		g[strconv.Itoa(n+1)] = last
		faults := workflow.Fit(g, recorded(t, "v0.33.0"))
		if closed && (len(faults) != 1 || !strings.Contains(faults[0].Problem, "9991 more")) || !closed && len(faults) > 0 {
			t.Errorf("%s: %+v", name, faults)
		}
	}
}

// Two circles are two faults.
func TestFit_circlesApart(t *testing.T) {
	t.Parallel()
	g := comfy.Graph{}
	for i, next := range []int{1, 2, 0, 4, 3} { // 0→1→2→0, 3→4→3
		g[strconv.Itoa(i)] = comfy.Node{ClassType: "ImageInvert", Inputs: map[string]any{"image": comfy.Link{Node: strconv.Itoa(next)}}}
	}
	g["8"] = comfy.Node{ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "0"}}}
	g["9"] = comfy.Node{ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "3"}}}
	var got []string
	for _, f := range workflow.Fit(g, recorded(t, "v0.33.0")) {
		got = append(got, f.Node+": "+f.Problem)
	}
	want := []string{
		"0: these nodes need each other in a circle: 0 (ImageInvert), 1 (ImageInvert), 2 (ImageInvert)",
		"3: these nodes need each other in a circle: 3 (ImageInvert), 4 (ImageInvert)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// CLIENT-GRAPH-2: an input that a later version brought is filled in; a model never is.
func TestFill_GRAPH2(t *testing.T) {
	t.Parallel()
	info := recorded(t, "v0.33.0")
	g := readGraph(t, base)
	for _, input := range []string{"seed", "steps", "cfg", "sampler_name", "denoise"} {
		delete(g["3"].Inputs, input)
	}
	delete(g["4"].Inputs, "ckpt_name")
	before := fmt.Sprint(g)
	filled := workflow.Fill(g, info)
	if fmt.Sprint(g) != before {
		t.Error("Fill changed what it was given")
	}
	got := filled["3"].Inputs
	for input, want := range map[string]any{
		"seed": json.Number("0"), "steps": json.Number("20"), "cfg": json.Number("8.0"), "sampler_name": "euler", "denoise": json.Number("1.0"), "scheduler": "simple",
	} {
		if got[input] != want {
			t.Errorf("%s is %v, want %v", input, got[input], want)
		}
	}
	faults := workflow.Fit(filled, info)
	if len(faults) != 1 || faults[0].Input != "ckpt_name" {
		t.Errorf("faults: %+v", faults)
	}
}

// SC-52: what policy denies is neither taken nor suggested.
func TestRestrict_SC52(t *testing.T) {
	t.Parallel()
	inv := at(files("checkpoints/secret.safetensors", "checkpoints/open.safetensors", "loras/secret.safetensors"), recorded(t, "v0.33.0"))
	seen := workflow.Restrict(inv.Info, func(_ policy.Kind, name string) bool { return !strings.HasPrefix(name, "secret") })
	g := readGraph(t, base)
	faultOf := func(name string) []workflow.Fault {
		g["4"].Inputs["ckpt_name"] = name
		return workflow.Fit(g, seen)
	}
	if f := faultOf("open.safetensors"); len(f) > 0 {
		t.Errorf("an allowed model is faulted: %+v", f)
	}
	denied, absent := faultOf("secret.safetensors"), faultOf("absent.safetensors")
	if len(denied) != 1 || len(absent) != 1 || denied[0].Problem != absent[0].Problem || strings.Contains(denied[0].Fits+absent[0].Fits, "secret") {
		t.Errorf("denied %+v, absent %+v", denied, absent)
	}
	if !slices.Contains(inv.Info.Classes["CheckpointLoaderSimple"].Input("ckpt_name").Options, "secret.safetensors") {
		t.Error("Restrict changed what it was given")
	}
	if !slices.Contains(seen.Classes["VAELoader"].Input("vae_name").Options, "pixel_space") ||
		!slices.Contains(seen.Classes["KSampler"].Input("sampler_name").Options, "euler") {
		t.Error("Restrict took away what is no model")
	}
}

// POL-07, T34: policy sees the graph as it is: every class with the module that the server tells, every model.
func TestNodesAndModels_POL07(t *testing.T) {
	t.Parallel()
	g := readGraph(t, `{
"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
"10": {"class_type": "LoraLoader", "inputs": {"lora_name": "sub\\b.safetensors", "model": ["1", 0], "clip": ["1", 1]}},
"2": {"class_type": "CLIPTextEncode", "inputs": {"text": "(embedding:easy:1.2), embedding:../evil embedding: x", "clip": ["10", 1]}},
"3": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "l.safetensors", "clip_name2": "t.safetensors", "type": "flux"}},
"4": {"class_type": "VAELoader", "inputs": {"vae_name": "pixel_space"}},
"5": {"class_type": "UNETLoader", "inputs": {"unet_name": ["6", 0]}},
"6": {"class_type": "EvilNode", "inputs": {"model_name": "x.ckpt", "title": "y.ckpt", "class_name": "cat"}},
"7": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "u.pth"}},
"8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "x"}},
"9": {"class_type": "FluxProUltraImageNode", "inputs": {}}}`)
	want := []policy.Model{
		{Kind: policy.Checkpoint, Name: "a.safetensors"},
		{Kind: policy.DiffusionModel}, // by a link: not known, so denied
		{Kind: policy.Embedding, Name: "../evil"},
		{Kind: policy.Embedding, Name: "easy"},
		{Kind: policy.LoRA, Name: `sub\b.safetensors`},
		{Kind: "models", Name: "x.ckpt"},
		{Kind: policy.TextEncoder, Name: "l.safetensors"},
		{Kind: policy.TextEncoder, Name: "t.safetensors"},
		{Kind: policy.Upscaler, Name: "u.pth"},
	}
	if diff := cmp.Diff(want, workflow.Models(g, recorded(t, "v0.33.0"))); diff != "" {
		t.Error(diff)
	}
	nodes := workflow.Nodes(g, recorded(t, "v0.3.64"))
	var ids []string
	byID := map[string]policy.Node{}
	for _, n := range nodes {
		ids, byID[n.ID] = append(ids, n.ID), n
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}, ids); diff != "" {
		t.Error(diff)
	}
	for id, module := range map[string]string{"1": "nodes", "6": "", "7": "comfy_extras.nodes_upscale_model", "9": "comfy_api_nodes.nodes_bfl"} {
		if byID[id].Module != module {
			t.Errorf("node %s is of module %q, want %q", id, byID[id].Module, module)
		}
	}
	if byID["6"].Class != "EvilNode" {
		t.Errorf("node 6 is %+v", byID["6"])
	}
}

// Every input of a real server's classes that lists model files is known by its folder.
func TestModels_everyLoader(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		inv := at(files(), recorded(t, version))
		for name, class := range inv.Info.Classes {
			if class.Module != "nodes" && !strings.HasPrefix(class.Module, "comfy_extras.") {
				continue
			}
			for _, in := range class.Inputs {
				listsModels := slices.ContainsFunc(in.Options, func(o string) bool { return strings.HasSuffix(o, ".safetensors") })
				if !listsModels && (len(in.Options) > 0 || in.Type != "COMBO" || !strings.HasSuffix(in.Name, "_name")) {
					continue
				}
				g := comfy.Graph{"1": {ClassType: name, Inputs: map[string]any{in.Name: "x.safetensors"}}}
				if name == "LoadTrainingDataset" || in.Name == "config_name" {
					continue // a folder and a YAML file; both classes are denied
				}
				if models := workflow.Models(g, inv.Info); len(models) != 1 || models[0].Kind == "" {
					t.Errorf("%s: %s.%s is no model's name: %v", version, name, in.Name, models)
				}
			}
		}
	}
}

// A graph that Text made needs no filling, and its maps are its own.
func TestText_graphIsWholeAndOwn(t *testing.T) {
	t.Parallel()
	inv := at(files(filesOf(t, "z-image-turbo")...), recorded(t, "v0.33.0"))
	one, two := text(t, inv, ask()), text(t, inv, ask())
	if diff := cmp.Diff(one.Graph, workflow.Fill(one.Graph, inv.Info)); diff != "" {
		t.Errorf("inputs were missing: %s", diff)
	}
	for id := range one.Graph {
		clear(one.Graph[id].Inputs)
	}
	if diff := cmp.Diff(two.Graph, text(t, inv, ask()).Graph); diff != "" {
		t.Errorf("a change of one graph reaches another: %s", diff)
	}
	if len(slices.Collect(maps.Keys(two.Graph))) < 7 {
		t.Errorf("graph %v", two.Graph)
	}
}
