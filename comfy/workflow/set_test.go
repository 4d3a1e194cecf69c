package workflow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy/workflow"
)

func between(low, high float64) (*float64, *float64) { return &low, &high }

// everyKind is one offer of each kind, all on node 1 but the picture.
func everyKind() []workflow.Offer {
	target := func(input string) []workflow.Target { return []workflow.Target{{Node: "1", Input: input}} }
	offers := []workflow.Offer{
		{Name: "prompt", Kind: workflow.OfferText, Targets: append(target("text"), workflow.Target{Node: "2", Input: "text"}), Default: "x"},
		{Name: "width", Kind: workflow.OfferInteger, Targets: target("width"), Default: json.Number("8")},
		{Name: "cfg", Kind: workflow.OfferNumber, Targets: target("cfg"), Default: json.Number("1")},
		{Name: "tiled", Kind: workflow.OfferBoolean, Targets: target("tiled"), Default: false},
		{Name: "method", Kind: workflow.OfferChoice, Targets: target("method"), Options: []string{"area", "lanczos"}},
		{Name: "model", Kind: workflow.OfferModel, Targets: target("model"), Options: []string{"a.safetensors"}},
		{Name: "image", Kind: workflow.OfferPicture, Targets: []workflow.Target{{Node: "3", Input: "image"}}, Required: true},
		{Name: "seed", Kind: workflow.OfferSeed, Targets: target("seed")},
	}
	offers[1].Min, offers[1].Max = between(16, 2048)
	offers[2].Min, offers[2].Max = between(0, 100)
	return offers
}

const settable = `{"1": {"class_type": "A", "inputs": {"text": "x", "width": 8, "cfg": 1, "tiled": false, "method": "area", "model": "a.safetensors", "seed": 3, "other": 5}},
	"2": {"class_type": "B", "inputs": {"text": "x"}}, "3": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}}`

func TestSet(t *testing.T) {
	t.Parallel()
	g := graph(t, settable)
	set, pictures, used, err := workflow.Set(g, everyKind(), map[string]any{
		"prompt": "ein Fuchs", "width": json.Number("640"), "cfg": 7.5, "tiled": true, "method": "lanczos", "image": "img_7",
	}, 99)
	if err != nil {
		t.Fatal(explain(err))
	}
	want := `{"1": {"class_type": "A", "inputs": {"text": "ein Fuchs", "width": 640, "cfg": 7.5, "tiled": true, "method": "lanczos", "model": "a.safetensors", "seed": 99, "other": 5}},
		"2": {"class_type": "B", "inputs": {"text": "ein Fuchs"}}, "3": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}}`
	if diff := cmp.Diff(asJSON(t, []byte(want)), asJSON(t, set)); diff != "" {
		t.Error(diff)
	}
	if used != 99 || len(pictures) != 1 || pictures["3"] != "img_7" {
		t.Errorf("seed %d, pictures %v", used, pictures)
	}
	if diff := cmp.Diff(asJSON(t, []byte(settable)), asJSON(t, g)); diff != "" {
		t.Errorf("the graph given was changed: %s", diff)
	}
}

// A seed of 64 bits keeps every digit; a random one is brought into narrower bounds.
func TestSet_seeds(t *testing.T) {
	t.Parallel()
	seed := func(low, high float64) []workflow.Offer {
		o := workflow.Offer{Name: "seed", Kind: workflow.OfferSeed, Targets: []workflow.Target{{Node: "1", Input: "seed"}}}
		o.Min, o.Max = between(low, high)
		return []workflow.Offer{o}
	}
	for name, tt := range map[string]struct {
		offers []workflow.Offer
		value  any
		random uint64
		want   uint64
	}{
		"given":              {seed(0, 1<<64), json.Number("18446744073709551615"), 4, 1<<64 - 1},
		"given as a float":   {seed(0, 1<<64), float64(12), 4, 12},
		"given as 1.0":       {seed(0, 1<<64), json.Number("1.0"), 4, 1},
		"given as an int":    {seed(0, 1<<64), 13, 4, 13},
		"random":             {seed(0, 1<<64), nil, 1<<64 - 1, 1<<64 - 1},
		"random, bounded":    {seed(0, 2147483647), nil, 1 << 40, 0},
		"random, from 10":    {seed(10, 19), nil, 1234, 10 + 4},
		"random, one choice": {seed(5, 5), nil, 1234, 5},
		"no seeds at all":    {nil, nil, 77, 77},
	} {
		values := map[string]any{}
		if tt.value != nil {
			values["seed"] = tt.value
		}
		set, _, used, err := workflow.Set(graph(t, settable), tt.offers, values, tt.random)
		if err != nil || used != tt.want {
			t.Errorf("%s: %d, %v; want %d", name, used, err, tt.want)
		}
		if got := set["1"].Inputs["seed"]; tt.offers != nil && got != tt.want {
			t.Errorf("%s: the graph has %v", name, got)
		}
	}
}

// Every fault is named at once, with what would fit.
func TestSet_faults(t *testing.T) {
	t.Parallel()
	_, _, _, err := workflow.Set(graph(t, settable), everyKind(), map[string]any{
		"prompt": 5, "width": json.Number("4096"), "cfg": "7", "tiled": "yes", "method": "lanczo", "model": "b.safetensors", "seed": json.Number("-1"), "promt": "x",
	}, 1)
	faults, ok := errors.AsType[workflow.FieldErrors](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	got := map[string]string{}
	for _, f := range faults {
		got[f.Field] = f.Problem + " / " + f.Fits
	}
	want := map[string]string{
		"prompt": "it is not a text / a text",
		"width":  "it is larger than 2048 / a whole number from 16 to 2048",
		"cfg":    "it is not a number / a number from 0 to 100",
		"tiled":  "it is not true or false / true or false",
		"method": "it is none of the options / one of area, lanczos",
		"model":  "it is none of the options / one of a.safetensors",
		"image":  "it must be given / the id of a picture that was made or uploaded here",
		"seed":   "it is smaller than 0 / a whole number",
		"promt":  "this workflow has no such input / one such as prompt, cfg, image, model, seed",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(faults) != len(want) {
		t.Error(diff)
	}
}

func TestSet_refuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		field string
		value any
		want  string
	}{
		"a fraction":               {"width", 640.5, "not a whole number"},
		"a fraction, as written":   {"width", json.Number("640.5"), "not a whole number"},
		"too small":                {"width", json.Number("0"), "smaller than 16"},
		"beyond a float":           {"cfg", json.Number("1e999"), "not a number"},
		"a truth value":            {"width", true, "not a number"},
		"null":                     {"width", nil, "not a number"},
		"a list":                   {"prompt", []any{"2", json.Number("0")}, "not a text"},
		"text that is no UTF-8":    {"prompt", "\xff", "UTF-8"},
		"text without end":         {"prompt", strings.Repeat("ä", 20_001), "longer than 20000"},
		"a seed beyond 64 bits":    {"seed", json.Number("18446744073709551616"), "whole number"},
		"an image id that is none": {"image", "", "not an image id"},
		"an image id too long":     {"image", strings.Repeat("x", 201), "not an image id"},
		"an option that is a list": {"method", []any{"area"}, "none of the options"},
	} {
		values := map[string]any{"image": "img_1", tt.field: tt.value}
		g, pictures, _, err := workflow.Set(graph(t, settable), everyKind(), values, 1)
		faults, ok := errors.AsType[workflow.FieldErrors](err)
		if !ok || len(faults) != 1 || faults[0].Field != tt.field || !strings.Contains(faults[0].Problem, tt.want) || g != nil || pictures != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	stale := []workflow.Offer{{Name: "x", Kind: workflow.OfferText, Targets: []workflow.Target{{Node: "77", Input: "text"}}}}
	if _, _, _, err := workflow.Set(graph(t, settable), stale, map[string]any{"x": "y"}, 1); err == nil || !strings.Contains(err.Error(), `node "77"`) {
		t.Errorf("an offer for a node that is gone: %v", err)
	}
	if _, _, _, err := workflow.Set(graph(t, settable), nil, map[string]any{"x": "y"}, 1); err == nil {
		t.Error("a value for nothing is taken")
	}
}
