package workflow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

const (
	pictureA = "abcdefghijklmnopqrstuvwxy2"
	pictureB = "bbcdefghijklmnopqrstuvwxy3"
)

var toOurs = workflow.Destination{Prefix: "comfygate/20260101_abc"}

// edited is a picture that is loaded, turned and saved: what a test breaks.
const edited = `{
"1": {"class_type": "LoadImage", "inputs": {"image": "` + pictureA + `"}},
"2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
"3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine"}}}`

func secured(tb testing.TB, g comfy.Graph, pictures map[string]string) (workflow.Secured, []workflow.Fault) {
	tb.Helper()
	return workflow.Secure(g, recorded(tb, "v0.33.0"), toOurs, pictures)
}

// CLIENT-SEC-5, CLIENT-SEC-6: a picture of ours is loaded, in each way it may be named, and everything is saved under our prefix.
func TestSecure_SEC5_SEC6(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		image    any
		pictures map[string]string
		more     string // another node
	}{
		"id":                   {image: pictureA},
		"address":              {image: "comfygate://images/" + pictureA},
		"wrapped":              {image: map[string]any{"__value__": pictureA}},
		"set beside":           {image: "example.png", pictures: map[string]string{"1": pictureA}},
		"over a primitive":     {image: comfy.Link{Node: "9"}, more: `{"class_type": "PrimitiveString", "inputs": {"value": "` + pictureA + `"}}`},
		"over a concatenation": {image: comfy.Link{Node: "9"}, more: `{"class_type": "StringConcatenate", "inputs": {"string_a": "` + pictureA[:9] + `", "string_b": "` + pictureA[9:] + `", "delimiter": ""}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGraph(t, edited)
			if tt.more != "" {
				g["9"] = readGraph(t, `{"9": `+tt.more+`}`)["9"]
			}
			g["1"].Inputs["image"] = tt.image
			before := fmt.Sprint(g)
			out, faults := secured(t, g, tt.pictures)
			if len(faults) > 0 {
				t.Fatalf("faults %+v", faults)
			}
			if diff := cmp.Diff([]workflow.Upload{{Node: "1", Input: "image", ImageID: pictureA}}, out.Uploads); diff != "" {
				t.Error(diff)
			}
			if out.Graph["1"].Inputs["image"] != "" || out.Graph["3"].Inputs["filename_prefix"] != toOurs.Prefix {
				t.Errorf("graph %v", out.Graph)
			}
			if fmt.Sprint(g) != before {
				t.Error("Secure changed what it was given")
			}
		})
	}
}

// SC-26, T33, T35, CLIENT-SEC-5…7: what names another file, folder or address is refused, by rule and node.
func TestSecure_refuses(t *testing.T) {
	t.Parallel()
	type edit struct {
		class  string
		inputs string
		input  string // the one at fault
		rule   string
	}
	tests := map[string]edit{
		"no class":                  {"Surprise", ``, "", workflow.RuleClass},
		"a replaced class, T34":     {"T2IAdapterLoader", `"t2i_adapter_name": "x"`, "", workflow.RuleClass},
		"a file by its name":        {"LoadImage", `"image": "example.png"`, "image", workflow.RulePicture},
		"a file of the list":        {"LoadImage", `"image": "..%2F..%2Fup691600.png"`, "image", workflow.RulePicture},
		"parent":                    {"LoadImage", `"image": "../../etc/passwd"`, "image", workflow.RulePicture},
		"absolute":                  {"LoadImage", `"image": "/etc/passwd"`, "image", workflow.RulePicture},
		"drive":                     {"LoadImage", `"image": "C:\\x.png"`, "image", workflow.RulePicture},
		"share":                     {"LoadImage", `"image": "\\\\host\\x.png"`, "image", workflow.RulePicture},
		"NUL":                       {"LoadImage", `"image": "` + pictureA + `\u0000"`, "image", workflow.RulePicture},
		"output's folder":           {"LoadImage", `"image": "` + pictureA + ` [output]"`, "image", workflow.RulePicture},
		"encoded":                   {"LoadImage", `"image": "%2e%2e%2fx"`, "image", workflow.RulePicture},
		"address for a picture":     {"LoadImage", `"image": "https://example.com/x.png"`, "image", workflow.RulePicture},
		"address of another kind":   {"LoadImage", `"image": "comfygate://files/` + pictureA + `"`, "image", workflow.RulePicture},
		"a number":                  {"LoadImage", `"image": 7`, "image", workflow.RulePicture},
		"null":                      {"LoadImage", `"image": null`, "image", workflow.RulePicture},
		"an object":                 {"LoadImage", `"image": {"a": "x"}`, "image", workflow.RulePicture},
		"wrapped":                   {"LoadImage", `"image": {"__value__": "../x.png"}`, "image", workflow.RulePicture},
		"wrapped twice":             {"LoadImage", `"image": {"__value__": {"__value__": "` + pictureA + `"}}`, "image", workflow.RulePicture},
		"over a primitive":          {"LoadImage", `"image": ["p", 0]`, "image", workflow.RulePicture},
		"over a wrapped link":       {"LoadImage", `"image": {"__value__": ["p", 0]}`, "image", workflow.RulePicture},
		"over a switch":             {"LoadImage", `"image": ["s", 0]`, "image", workflow.RulePicture},
		"over what nobody knows":    {"LoadImage", `"image": ["r", 0]`, "image", workflow.RulePicture},
		"mask":                      {"LoadImageMask", `"image": "x.png", "channel": "red"`, "image", workflow.RulePicture},
		"output's picture":          {"LoadImageOutput", `"image": "x.png"`, "image", workflow.RulePicture},
		"video":                     {"LoadVideo", `"file": "x.mp4"`, "file", workflow.RulePicture},
		"sound":                     {"LoadAudio", `"audio": "x.mp3"`, "audio", workflow.RulePicture},
		"recorded sound":            {"RecordAudio", `"audio": "../x.mp3"`, "audio", workflow.RulePicture},
		"painted":                   {"Painter", `"mask": "painter/x.png [temp]", "width": 64, "height": 64`, "mask", workflow.RulePicture},
		"latent":                    {"LoadLatent", `"latent": "x.latent"`, "latent", workflow.RulePicture},
		"scene":                     {"Load3D", `"model_file": "` + pictureA + `", "image": {"image": "../a.png"}, "width": 64, "height": 64`, "image", workflow.RulePath},
		"model's file by text":      {"Preview3D", `"model_file": "../../x.glb"`, "model_file", workflow.RulePath},
		"model's file by a link":    {"Preview3D", `"model_file": ["p", 0]`, "model_file", workflow.RulePath},
		"folder to write":           {"SaveTrainingDataset", `"folder_name": "x"`, "folder_name", workflow.RulePath},
		"writes anywhere":           {"SaveTrainingDataset", ``, "", workflow.RuleOutput},
		"a model that is not there": {"VAELoader", `"vae_name": "../x.safetensors"`, "vae_name", workflow.RuleList},
		"an option that is none":    {"KSamplerSelect", `"sampler_name": "../euler"`, "sampler_name", workflow.RuleList},
		"a class that fetches":      {"LoadImageFromUrl", `"text": "see http://10.0.0.1/"`, "text", workflow.RuleURL},
		"one that is told where":    {"CustomThing", `"url": "example.com"`, "url", workflow.RuleURL},
		"and over a link":           {"CustomThing", `"url": ["p", 0]`, "url", workflow.RuleURL},
		"a path by name":            {"CustomThing", `"output_path": "x"`, "output_path", workflow.RulePath},
		"an input of its own":       {"CustomThing", `"thing": {"a": ["../../x"]}`, "thing", workflow.RulePath},
		"not declared":              {"CustomThing", `"strange": "x.safetensors"`, "strange", workflow.RulePath},
	}
	text := func(name string) comfy.Input { return comfy.Input{Name: name, Type: "STRING"} }
	info := &comfy.ObjectInfo{Classes: maps.Clone(recorded(t, "v0.33.0").Classes)}
	info.Classes["LoadImageFromUrl"] = &comfy.Class{Name: "LoadImageFromUrl", Module: "custom_nodes.x", Inputs: []comfy.Input{text("text")}, OutputNode: true}
	info.Classes["CustomThing"] = &comfy.Class{
		Name: "CustomThing", Module: "custom_nodes.x", OutputNode: true,
		Inputs: []comfy.Input{text("url"), text("output_path"), {Name: "thing", Type: "THING"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGraph(t, `{
"x": {"class_type": "`+tt.class+`", "inputs": {`+tt.inputs+`}},
"p": {"class_type": "PrimitiveString", "inputs": {"value": "../x.png"}},
"s": {"class_type": "ComfySwitchNode", "inputs": {"switch": true, "on_true": ["p", 0], "on_false": "`+pictureA+`"}},
"r": {"class_type": "StringReplace", "inputs": {"string": "`+pictureA+`", "find": "a", "replace": "b"}},
"o": {"class_type": "PreviewAny", "inputs": {"source": ["x", 0]}}}`)
			_, faults := workflow.Secure(g, info, toOurs, nil)
			if !slices.ContainsFunc(faults, func(f workflow.Fault) bool {
				return f.Node == "x" && f.Class == tt.class && f.Input == tt.input && f.Rule == tt.rule && f.Problem != ""
			}) {
				t.Errorf("faults %+v", faults)
			}
		})
	}
}

// What is harmless passes: addresses and paths in prompts, the built-in choices, models of the list, what does not run.
func TestSecure_passes(t *testing.T) {
	t.Parallel()
	inv := at(files("vae/sub/ae.safetensors"), recorded(t, "v0.33.0"))
	g := readGraph(t, base)
	g["6"].Inputs["text"] = "a sign that says https://example.com/../etc/passwd and C:\\x.png [output]"
	g["7"].Inputs["text"] = comfy.Link{Node: "t"}
	g["t"] = comfy.Node{ClassType: "StringReplace", Inputs: map[string]any{"string": "a/b", "find": "a", "replace": "b"}}
	g["v"] = comfy.Node{ClassType: "VAELoader", Inputs: map[string]any{"vae_name": "sub/ae.safetensors"}}
	g["8"].Inputs["vae"] = comfy.Link{Node: "v"}
	g["8"].Inputs["extra_pnginfo"] = map[string]any{"workflow": map[string]any{"x": "../y"}}
	g["c"] = comfy.Node{ClassType: "CustomCombo", Inputs: map[string]any{"choice": "photo/real", "option1": "photo/real", "index": json.Number("0")}}
	g["pa"] = comfy.Node{ClassType: "PreviewAny", Inputs: map[string]any{"source": comfy.Link{Node: "c"}}}
	g["unused"] = comfy.Node{ClassType: "LoadImage", Inputs: map[string]any{"image": "example.png"}}
	out, faults := workflow.Secure(g, inv.Info, toOurs, nil)
	if len(faults) > 0 {
		t.Fatalf("faults %+v", faults)
	}
	if _, there := out.Graph["8"].Inputs["extra_pnginfo"]; there {
		t.Error("a hidden input was kept")
	}
	if _, there := out.Graph["unused"]; there || len(out.Graph) != len(g)-1 {
		t.Error("what does not run was kept, or more was dropped")
	}
	if out.Graph["6"].Inputs["text"] != g["6"].Inputs["text"] {
		t.Error("SC-25: the prompt was changed")
	}
}

// CLIENT-SEC-6: no node that saves keeps a prefix of its own, by whatever way it comes.
func TestSecure_SEC6_everyClassThatSaves(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		info := recorded(t, version)
		saves := 0
		for name, class := range info.Classes {
			if class.Input("filename_prefix") == nil {
				continue
			}
			saves++
			for _, prefix := range []any{"../../x", comfy.Link{Node: "p"}, nil, map[string]any{"__value__": "%date%"}} {
				g := comfy.Graph{
					"s": {ClassType: name, Inputs: map[string]any{"filename_prefix": prefix}},
					"p": {ClassType: "PrimitiveString", Inputs: map[string]any{"value": "/x"}},
					"o": {ClassType: "PreviewAny", Inputs: map[string]any{"source": comfy.Link{Node: "s"}}},
				}
				if prefix == nil {
					clear(g["s"].Inputs)
				}
				out, _ := workflow.Secure(g, info, toOurs, nil)
				if got := out.Graph["s"].Inputs["filename_prefix"]; got != toOurs.Prefix {
					t.Errorf("%s, %s: prefix %v for %v", version, name, got, prefix)
				}
			}
		}
		if saves < 10 {
			t.Errorf("%s: only %d classes save", version, saves)
		}
	}
	for _, bad := range []string{"", "../x", "a/b/c", "x y", "/x", "%date%"} {
		if _, faults := workflow.Secure(readGraph(t, edited), recorded(t, "v0.33.0"), workflow.Destination{Prefix: bad}, nil); len(faults) == 0 {
			t.Errorf("the prefix %q is taken", bad)
		}
	}
}

// CLIENT-FILE-4: what can be shown in the temp folder is; what cannot is named.
func TestSecure_FILE4_toTemp(t *testing.T) {
	t.Parallel()
	g := readGraph(t, edited)
	g["4"] = comfy.Node{ClassType: "SaveAnimatedWEBP", Inputs: map[string]any{"images": comfy.Link{Node: "2"}}}
	out, faults := workflow.Secure(g, recorded(t, "v0.33.0"), workflow.Destination{Prefix: "comfygate/x", ToTemp: true}, nil)
	if len(faults) > 0 {
		t.Fatalf("faults %+v", faults)
	}
	want := comfy.Node{ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "2"}}}
	if diff := cmp.Diff(want, out.Graph["3"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"4"}, out.Stays); diff != "" {
		t.Error(diff)
	}
}

// A picture that was set for a node that takes none is no silent loss.
func TestSecure_pictureForNoNode(t *testing.T) {
	t.Parallel()
	_, faults := secured(t, readGraph(t, edited), map[string]string{"2": pictureB, "77": pictureB})
	var got []string
	for _, f := range faults {
		got = append(got, f.Node+" "+f.Rule)
	}
	if diff := cmp.Diff([]string{"2 input-picture", "77 input-picture"}, got); diff != "" {
		t.Error(diff)
	}
}

// POL-07: the choices that a loader has besides files are no models, so that they are not denied for their names; a name that only looks
// like one is.
func TestModels_builtInChoices(t *testing.T) {
	t.Parallel()
	info := &comfy.ObjectInfo{Classes: maps.Clone(recorded(t, "v0.33.0").Classes)}
	vae := *info.Classes["VAELoader"]
	vae.Inputs = []comfy.Input{{Name: "vae_name", Type: "COMBO", Required: true, Options: []string{"ae.safetensors", "taesd", "pixel_space", "odd.ckpt"}}}
	info.Classes["VAELoader"] = &vae
	load := func(name string) []policy.Model {
		return workflow.Models(comfy.Graph{"1": {ClassType: "VAELoader", Inputs: map[string]any{"vae_name": name}}}, info)
	}
	for _, name := range []string{"taesd", "pixel_space"} {
		if got := load(name); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, name := range []string{"ae.safetensors", "odd.ckpt", "taesdxl", "../taesd", "taesd.pt", ""} {
		if got := load(name); len(got) != 1 || got[0].Name != name {
			t.Errorf("%s: %v", name, got)
		}
	}
	custom := vae
	custom.Module = "custom_nodes.vae" // CLIENT-SEC-2: the name of a class proves nothing
	info.Classes["VAELoader"] = &custom
	if got := load("taesd"); len(got) != 1 {
		t.Errorf("another's class: %v", got)
	}
	info.Classes["VAELoader"] = &vae
	seen := workflow.Restrict(info, func(policy.Kind, string) bool { return false })
	if diff := cmp.Diff([]string{"taesd", "pixel_space"}, seen.Classes["VAELoader"].Inputs[0].Options); diff != "" {
		t.Error(diff)
	}
}

// T37: an embedding that a text names only once nodes have put it together is seen; so is a model's name in a wrapped value.
func TestModels_T37_composedTexts(t *testing.T) {
	t.Parallel()
	g := readGraph(t, `{
"1": {"class_type": "StringConcatenate", "inputs": {"string_a": "embed", "string_b": "ding:secret", "delimiter": ""}},
"2": {"class_type": "CLIPTextEncode", "inputs": {"text": ["1", 0], "clip": ["3", 0]}},
"3": {"class_type": "CLIPLoader", "inputs": {"clip_name": {"__value__": "x.safetensors"}, "type": "flux"}},
"4": {"class_type": "CLIPTextEncode", "inputs": {"text": {"__value__": "embedding:other"}, "clip": ["3", 0]}}}`)
	want := []policy.Model{{Kind: policy.Embedding, Name: "other"}, {Kind: policy.Embedding, Name: "secret"}, {Kind: policy.TextEncoder, Name: "x.safetensors"}}
	if diff := cmp.Diff(want, workflow.Models(g, recorded(t, "v0.33.0"))); diff != "" {
		t.Error(diff)
	}
	for _, n := range workflow.Nodes(g, nil) {
		if _, linked := n.Inputs["text"].(policy.Linked); n.ID == "2" != linked && n.ID != "4" && n.Class == "CLIPTextEncode" {
			t.Errorf("node %+v", n)
		}
	}
	if !strings.Contains(fmt.Sprint(workflow.Nodes(g, nil)), "embedding:other") {
		t.Error("policy does not see the value within the wrapping")
	}
}
