package emulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// TestValidation_values holds what real servers of both versions said to values
// of all kinds.
func TestValidation_values(t *testing.T) {
	t.Parallel()
	width := func(v any) graph { return small(255).with("1", "width", v) }
	images := func(v any) graph { return small(255).with("2", "images", v) }
	const notRun = ""
	for name, c := range map[string]struct {
		prompt any
		older  string // what the answer holds; "200" if the job is accepted
		newer  string // the same if empty
	}{
		"number as text":      {width("64"), "200", notRun},
		"underscores":         {width("6_4"), "200", notRun},
		"with a fraction":     {width(64.9), "200", notRun},
		"truth":               {width(true), "200", notRun},
		"wrapped":             {width(map[string]any{"__value__": 64}), "200", notRun},
		"null":                {width(nil), "width, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType'", notRun},
		"object":              {width(map[string]any{"a": 1}), "width, {'a': 1}, int() argument must be", notRun},
		"word":                {width("x"), "invalid literal for int() with base 10: 'x'", notRun},
		"too big":             {width(json.Number("1000000000000000000000000000000")), "Value 1000000000000000000000000000000 bigger than max of 16384", notRun},
		"too small":           {width(0), "Value 0 smaller than min of 1", notRun},
		"no number":           {small(1).with("1", "color", "x"), "invalid_input_type", notRun},
		"float as word":       {mask("x"), "could not convert string to float: 'x'", notRun},
		"float too big":       {mask(1.5), "Value 1.5 bigger than max of 1.0", notRun},
		"float as text":       {mask("0.5"), "200", notRun},
		"link by number":      {images([]any{1, 0}), "Exception when validating node: 1", notRun},
		"slot as text":        {images([]any{"1", "0"}), "tuple indices must be integers or slices, not str", notRun},
		"slot from behind":    {images([]any{"1", -1}), "200", notRun},
		"slot of nothing":     {images([]any{"1", 5}), "tuple index out of range", notRun},
		"link of three":       {images([]any{"1", 0, 0}), "Bad linked input, must be a length-2 list", notRun},
		"link to itself":      {images([]any{"2", 0}), "tuple index out of range", "Dependency cycle detected: 2 (SaveImage) -> 2 (SaveImage)"},
		"link to nowhere":     {images([]any{"9", 0}), "KeyError", notRun},
		"link of another":     {graph{"1": node("SolidMask", map[string]any{"value": 1, "width": 8, "height": 8}), "2": node("SaveImage", map[string]any{"images": link("1", 0), "filename_prefix": "x"})}, "images, received_type(MASK) mismatch input_type(IMAGE)", notRun},
		"number for a choice": {graph{"1": node("CheckpointLoaderSimple", map[string]any{"ckpt_name": 3}), "2": node("VAEDecode", map[string]any{"samples": link("3", 0), "vae": link("1", 2)}), "3": node("EmptyLatentImage", map[string]any{"width": 64, "height": 64, "batch_size": 1}), "4": node("PreviewImage", map[string]any{"images": link("2", 0)})}, "ckpt_name: '3' not in", "ckpt_name: 3 not in"},
		"newer choice":        {upscale("nope"), "200", "model_name: 'nope' not in"}, // v0.3.64 does not look
		"two outputs, one bad upstream": {
			func() graph {
				g := width(0)
				g["3"] = node("SaveImage", map[string]any{"images": link("1", 0)})
				return g
			}(),
			`"dependent_outputs": ["2", "3"]`, notRun,
		},
		"picture missing":  {load(nil), "LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: 'image'", notRun},
		"picture a number": {load(3), "'int' object has no attribute 'endswith'", notRun},
		"picture unknown":  {load("nope.png"), "image - Invalid image file: nope.png", notRun},
		"nothing":          {graph{}, "prompt_no_outputs", notRun},
		"node null":        {graph{"1": nil}, "500 ", notRun},
		"node a number":    {graph{"1": 3}, "500 ", notRun},
		"node a text":      {graph{"1": "abc"}, "missing the class_type", "500 "},
		"node a list":      {graph{"1": []any{1}}, "missing the class_type", "500 "},
		"the UI's format":  {graph{"nodes": []any{}, "links": []any{}}, "missing the class_type", "500 "},
		"inputs missing":   {graph{"1": map[string]any{"class_type": "SaveImage"}}, "'inputs'", notRun},
		"title":            {graph{"1": map[string]any{"class_type": "Nope", "_meta": map[string]any{"title": "My node"}}}, "node Nope does not exist", "Node 'My node' not found"},
		"prompt a text":    {"x", "500 ", notRun},
	} {
		for _, version := range []string{emulator.V0364, emulator.V0330} {
			want := c.older
			if version == emulator.V0330 && c.newer != "" {
				want = c.newer
			}
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				s := sketchy(t, emulator.Options{Version: version})
				a := s.post("/api/prompt", map[string]any{"prompt": c.prompt, "prompt_id": testID(1)})
				if got := fmt.Sprintf("%d %s", a.status, a.body); !strings.Contains(got, want) {
					t.Errorf("%s\nwant %s", got, want)
				}
				if want == "200" {
					s.wait(testID(1))
				}
			})
		}
	}
}

func mask(value any) graph {
	return graph{
		"1": node("SolidMask", map[string]any{"value": value, "width": 8, "height": 8}),
		"2": node("MaskToImage", map[string]any{"mask": link("1", 0)}),
		"3": node("PreviewImage", map[string]any{"images": link("2", 0)}),
	}
}

func upscale(model string) graph {
	return graph{
		"1": node("EmptyImage", map[string]any{"width": 8, "height": 8, "batch_size": 1, "color": 0}),
		"2": node("UpscaleModelLoader", map[string]any{"model_name": model}),
		"3": node("ImageUpscaleWithModel", map[string]any{"upscale_model": link("2", 0), "image": link("1", 0)}),
		"4": node("PreviewImage", map[string]any{"images": link("3", 0)}),
	}
}

func load(name any) graph {
	in := map[string]any{"image": name}
	if name == nil {
		in = map[string]any{}
	}
	return graph{"1": node("LoadImage", in), "2": node("PreviewImage", map[string]any{"images": link("1", 0)})}
}

// TestValidation_bodies holds the rest of POST /prompt's body.
func TestValidation_bodies(t *testing.T) {
	t.Parallel()
	const g = `"prompt":{"2":{"class_type":"PreviewImage","inputs":{"images":["1",0]}},` +
		`"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":8,"batch_size":1,"color":0}}}`
	for body, want := range map[string][2]string{
		`{` + g + `,"number":"7","prompt_id":null}`:                      {`"prompt_id": "None", "number": 7.0`, `"number": 7.0`},
		`{` + g + `,"number":"x"}`:                                       {"500 ", "500 "},
		`{` + g + `,"number":null}`:                                      {"500 ", "500 "},
		`{` + g + `,"extra_data":null,"client_id":"a"}`:                  {"500 ", "500 "},
		`{` + g + `,"prompt_id":"abc"}`:                                  {`200 {"prompt_id": "abc"`, "invalid_prompt_id"},
		`{` + g + `,"prompt_id":"ABCDEF00-0000-4000-8000-000000000000"}`: {"200 ", "invalid_prompt_id"},
		`{` + g + `,"partial_execution_targets":["9"]}`:                  {"prompt_no_outputs", "prompt_no_outputs"},
		`{` + g + `,"partial_execution_targets":["2"]}`:                  {"200 ", "200 "},
		`{` + g + `,"partial_execution_targets":5}`:                      {"500 ", "500 "},
		`{"prompt":[1]}`:          {"500 ", "500 "},
		``:                        {"500 ", "500 "},
		"\xff\xfe":                {"500 ", "500 "},
		`{"prompt":{}} x`:         {"500 ", "500 "},
		strings.Repeat("[", 5000): {"500 ", "500 "},
		`{"prompt":{"1":{"class_type":["x"],"inputs":{}}}}`: {"500 ", "500 "},
	} {
		for i, version := range []string{emulator.V0364, emulator.V0330} {
			s := sketchy(t, emulator.Options{Version: version})
			a := s.post("/api/prompt", body)
			if got := fmt.Sprintf("%d %s", a.status, a.body); !strings.Contains(got, want[i]) {
				t.Errorf("%s: %.200s: %s, want %s", version, body, got, want[i])
			}
		}
	}
}
