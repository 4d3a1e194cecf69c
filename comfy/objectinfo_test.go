package comfy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
)

// CLIENT-INFO-2: every input of every class of both servers is read, against an independent look at the JSON.
func TestObjectInfo_recorded(t *testing.T) {
	t.Parallel()
	for version, classes := range map[string]int{"v0.3.64": 478, "v0.33.0": 887} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			data := recordedClasses(t, version)
			info, err := comfy.ReadClasses(data)
			if err != nil || len(info.Classes) != classes {
				t.Fatalf("%d classes, %v", len(info.Classes), err)
			}
			var raw map[string]map[string]any
			if err := json.Unmarshal(data, &raw); err != nil {
				t.Fatal(err)
			}
			for name, class := range raw {
				checkClass(t, info.Classes[name], class)
			}
			sampler := info.Classes["KSampler"].Input("sampler_name")
			if sampler.Type != "COMBO" || !slices.Contains(sampler.Options, "res_multistep") {
				t.Errorf("%+v", sampler)
			}
			seed := info.Classes["KSampler"].Input("seed")
			if seed.Default != json.Number("0") || seed.Max == nil || *seed.Max < 1.8e19 {
				t.Errorf("%+v", seed)
			}
			if !info.Classes["LoadImage"].Input("image").Upload || info.Classes["LoadImage"].Input("none") != nil {
				t.Error("LoadImage")
			}
		})
	}
}

func checkClass(t *testing.T, got *comfy.Class, raw map[string]any) {
	t.Helper()
	if got.Module != raw["python_module"] || got.OutputNode != (raw["output_node"] == true) || got.API != (raw["api_node"] == true) {
		t.Errorf("%s: %+v", got.Name, got)
	}
	outputs, _ := raw["output"].([]any)
	if len(outputs) != len(got.Outputs) {
		t.Errorf("%s: %d outputs, want %d", got.Name, len(got.Outputs), len(outputs))
	}
	input, _ := raw["input"].(map[string]any)
	order, _ := raw["input_order"].(map[string]any)
	var want []string
	for _, section := range []string{"required", "optional"} {
		names, _ := order[section].([]any)
		inputs, _ := input[section].(map[string]any)
		for _, n := range names {
			name := fmt.Sprint(n)
			want = append(want, name)
			checkInput(t, got.Name, got.Input(name), inputs[name], section == "required")
		}
	}
	var have []string
	for _, in := range got.Inputs {
		have = append(have, in.Name)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s: order %s", got.Name, diff)
	}
}

func checkInput(t *testing.T, class string, got *comfy.Input, raw any, required bool) {
	t.Helper()
	pair, _ := raw.([]any)
	var opts map[string]any
	if len(pair) > 1 {
		opts, _ = pair[1].(map[string]any)
	}
	kind, list := "COMBO", pair[0]
	if s, ok := list.(string); ok {
		kind, list = s, opts["options"]
	}
	options, _ := list.([]any)
	if kind == "COMFY_DYNAMICCOMBO_V3" {
		for i, o := range options {
			m, _ := o.(map[string]any)
			options[i] = m["key"]
		}
	}
	var strs []string
	for _, o := range options {
		if s, ok := o.(string); ok {
			strs = append(strs, s)
		}
	}
	if got == nil || got.Type != kind || got.Required != required || !slices.Equal(got.Options, strs) {
		t.Errorf("%s: %+v, want %s with %d options", class, got, kind, len(strs))
		return
	}
	if n, ok := opts["min"].(float64); ok != (got.Min != nil) || ok && *got.Min != n {
		t.Errorf("%s.%s: min", class, got.Name)
	}
	if opts["default"] != nil && fmt.Sprint(opts["default"]) != fmt.Sprint(got.Default) && slices.Contains([]string{"STRING", "BOOLEAN", "COMBO"}, kind) {
		t.Errorf("%s.%s: default %v, want %v", class, got.Name, got.Default, opts["default"])
	}
	if _, remote := opts["remote"]; remote != got.Dynamic {
		t.Errorf("%s.%s: dynamic %v", class, got.Name, got.Dynamic)
	}
}

// What custom nodes say of themselves may be anything; what is understood of it is kept, and nothing else breaks.
func TestObjectInfo_odd(t *testing.T) {
	t.Parallel()
	data := `{
		"Good": {"input": {"required": {"b": ["INT", {"default": 3, "max": Infinity, "min": -Infinity}], "a": [["x", 1, true, "y"]]}}, "output": [["m", "n"], "IMAGE"], "output_name": "one", "output_is_list": [true]},
		"NoOrder": {"input": {"required": {"z": ["INT"], "a": ["INT", {"min": "no number"}], "m": [], "n": {}, "o": null}, "optional": null}, "output": null},
		"NotOne": 3,
		"NullInput": {"input": null, "category": null},
		"BadInput": {"input": [1]},
		"Defaults": {"input": {"required": {"s": ["STRING", {"default": "NaN \" x"}], "b": ["BOOLEAN", {"default": true}], "l": ["L", {"default": [1, NaN]}], "n": ["N", {"default": null}], "f": ["FLOAT", {"default": -1.5e-3}]}}}
	}`
	info, err := comfy.ReadClasses([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	got := func(class string) string {
		c := info.Classes[class]
		if c == nil {
			return "none"
		}
		var b strings.Builder
		for _, in := range c.Inputs {
			fmt.Fprintf(&b, "%s %s %v %v; ", in.Name, in.Type, in.Options, in.Default)
		}
		return b.String() + fmt.Sprint(c.Outputs)
	}
	for class, want := range map[string]string{
		"Good":      "b INT [] 3; a COMBO [x y] <nil>; [{COMBO COMBO true} {IMAGE IMAGE false}]",
		"NoOrder":   "z INT [] <nil>; a INT [] <nil>; []",
		"NotOne":    "none",
		"NullInput": "[]",
		"BadInput":  "[]",
		"Defaults":  `s STRING [] NaN " x; b BOOLEAN [] true; l L [] [1 <nil>]; n N [] <nil>; f FLOAT [] -1.5e-3; []`,
	} {
		if got(class) != want {
			t.Errorf("%s: %s, want %s", class, got(class), want)
		}
	}
}

func BenchmarkObjectInfo(b *testing.B) {
	data := recordedClasses(b, "v0.33.0")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := comfy.ReadClasses(data); err != nil {
			b.Fatal(err)
		}
	}
}

// What the editor makes of inputs, on real classes: it decides how its files are read.
func TestObjectInfo_editor(t *testing.T) {
	t.Parallel()
	info, err := comfy.ReadClasses(recordedClasses(t, "v0.33.0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		class, input           string
		widget, control, media bool
	}{
		{"KSampler", "seed", true, true, false},
		{"KSampler", "model", false, false, false},
		{"PrimitiveInt", "value", true, true, false}, // "fixed" is a control as well
		{"LoadImage", "image", true, false, true},
		{"LoadVideo", "file", true, false, true},
		{"LoadAudio", "audio", true, false, true},
		{"Load3D", "model_file", true, false, true},
		{"Load3D", "image", true, false, false},
		{"SaveText", "text", false, false, false},                  // forceInput
		{"LTXVEmptyLatentAudio", "frame_rate", true, false, false}, // FLOAT,INT with a widget of its own
		{"ColorToRGBInt", "color", true, false, false},
		{"DrawBBoxes", "bboxes", false, false, false},
		{"ComfyMathExpression", "values", false, false, false},
	} {
		in := info.Classes[tt.class].Input(tt.input)
		if in == nil || in.Widget != tt.widget || in.Control != tt.control || in.Media != tt.media {
			t.Errorf("%s.%s: %+v", tt.class, tt.input, in)
		}
	}
	choices := info.Classes["SaveVideo"].Input("codec").Choices
	if len(choices["auto"]) != 0 || len(choices["h264"]) != 1 || choices["h264"][0].Required || len(choices["h264"][0].Choices["re-encode"]) != 2 {
		t.Errorf("options within options: %+v", choices)
	}
}

// Options within options are read four levels deep.
func TestObjectInfo_deepChoices(t *testing.T) {
	t.Parallel()
	inner := `["INT", {"default": 1}]`
	for range 10 {
		inner = `["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "k", "inputs": {"required": {"x": ` + inner + `}}}]}]`
	}
	info, err := comfy.ReadClasses([]byte(`{"A": {"input": {"required": {"x": ` + inner + `}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	in, depth := info.Classes["A"].Input("x"), 0
	for ; in.Choices != nil; in = &in.Choices["k"][0] {
		depth++
	}
	if depth != 4 {
		t.Errorf("read %d levels deep", depth)
	}
}
