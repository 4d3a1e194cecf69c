package workflow_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

// said writes offers in short: name kind default targets.
func said(tb testing.TB, offers []workflow.Offer) (lines []string) {
	tb.Helper()
	for _, o := range offers {
		value, err := json.Marshal(o.Default)
		if err != nil {
			tb.Fatal(err)
		}
		line := fmt.Sprintf("%s %s %s", o.Name, o.Kind, value)
		for _, t := range o.Targets {
			line += " " + t.Node + "." + t.Input
		}
		if o.Label != "" {
			line += fmt.Sprintf(" %q", o.Label)
		}
		if o.Required {
			line += " required"
		}
		lines = append(lines, line)
	}
	return lines
}

func graph(tb testing.TB, text string) comfy.Graph {
	tb.Helper()
	g, err := workflow.ReadGraph([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

const (
	loads    = `"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny-sd3.safetensors"}},`
	decodes  = `"8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["1", 2]}}, "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}}`
	good     = `"2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a fox"}},`
	ill      = `"3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "blurry"}},`
	latent   = `"4": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},`
	sampling = `"latent_image": ["4", 0], "seed": 5, "steps": 20, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1`
	samples  = `"7": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], ` + sampling + `}},`
)

// Inputs are found from the samplers backwards.
func TestOffers(t *testing.T) {
	t.Parallel()
	const rest = "width integer 512 4.width|height integer 768 4.height|seed seed 5 7.seed|steps integer 20 7.steps|cfg number 7.5 7.cfg|denoise number 1 7.denoise|model model \"tiny-sd3.safetensors\" 1.ckpt_name"
	for name, tt := range map[string]struct{ graph, want string }{
		"plain": {loads + good + ill + latent + samples + decodes, `prompt text "a fox" 2.text|negative_prompt text "blurry" 3.text|` + rest},
		"a negative side that is zero": {
			loads + good + `"3": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["2", 0]}},` + latent + samples + decodes,
			`prompt text "a fox" 2.text|` + rest,
		},
		"texts and sizes in primitives": {
			loads + `"2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ["20", 0]}}, "20": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "a fox"}},` + ill +
				`"4": {"class_type": "EmptyLatentImage", "inputs": {"width": ["21", 0], "height": ["21", 0], "batch_size": 1}}, "21": {"class_type": "PrimitiveInt", "inputs": {"value": 640}},` + samples + decodes,
			`prompt text "a fox" 20.value|negative_prompt text "blurry" 3.text|width integer 640 21.value|` + rest[len("width integer 512 4.width|height integer 768 4.height|"):],
		},
		"a prompt of two parts": {
			loads + `"2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ["20", 0]}}, "20": {"class_type": "StringConcatenate", "inputs": {"string_a": "a fox", "string_b": "in oil", "delimiter": ", "}},` +
				ill + latent + samples + decodes,
			`prompt text "a fox" 20.string_a|prompt_2 text "in oil" 20.string_b|negative_prompt text "blurry" 3.text|` + rest,
		},
		"two encoders of one text": {
			loads + `"2": {"class_type": "CLIPTextEncodeFlux", "inputs": {"clip": ["1", 1], "clip_l": "a fox", "t5xxl": "a fox", "guidance": 3.5}},` + ill + latent + samples + decodes,
			`prompt text "a fox" 2.clip_l 2.t5xxl|negative_prompt text "blurry" 3.text|` + strings.Replace(rest, "|denoise", "|guidance number 3.5 2.guidance|denoise", 1),
		},
		"sides kept apart where one node has both": {
			loads + good + ill + latent + `"5": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["2", 0], "negative": ["3", 0], "control_net": ["6", 0], "image": ["10", 0], "strength": 1, "start_percent": 0, "end_percent": 1}},
				"10": {"class_type": "LoadImage", "inputs": {"image": "pose.png"}, "_meta": {"title": "Pose"}},` + strings.NewReplacer(`["2", 0]`, `["5", 0]`, `["3", 0]`, `["5", 1]`).Replace(samples) + decodes,
			`prompt text "a fox" 2.text|negative_prompt text "blurry" 3.text|image picture null 10.image "Pose" required|` + rest,
		},
		"a guider and a schedule": {
			loads + good + ill + latent + `"5": {"class_type": "CFGGuider", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "cfg": 7.5}}, "6": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
				"10": {"class_type": "Flux2Scheduler", "inputs": {"steps": 20, "width": 512, "height": 768}},
				"7": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["6", 0], "guider": ["5", 0], "sampler": ["11", 0], "sigmas": ["10", 0], "latent_image": ["4", 0]}}, "11": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},` + decodes,
			`prompt text "a fox" 2.text|negative_prompt text "blurry" 3.text|width integer 512 4.width 10.width|height integer 768 4.height 10.height|seed seed 5 6.noise_seed|steps integer 20 10.steps|cfg number 7.5 5.cfg|model model "tiny-sd3.safetensors" 1.ckpt_name`,
		},
		"steps that two samplers share are not one number": {
			loads + good + ill + latent + `"7": {"class_type": "KSamplerAdvanced", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "add_noise": "enable", "noise_seed": 5, "steps": 20, "cfg": 7.5,
				"sampler_name": "euler", "scheduler": "normal", "start_at_step": 0, "end_at_step": 10, "return_with_leftover_noise": "enable"}},` + decodes,
			`prompt text "a fox" 2.text|negative_prompt text "blurry" 3.text|width integer 512 4.width|height integer 768 4.height|seed seed 5 7.noise_seed|cfg number 7.5 7.cfg|model model "tiny-sd3.safetensors" 1.ckpt_name`,
		},
		"what leads to no result is not offered": {
			loads + good + ill + latent + samples + decodes + `, "30": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}, "31": {"class_type": "KSampler", "inputs": {"seed": 9}}`,
			`prompt text "a fox" 2.text|negative_prompt text "blurry" 3.text|` + rest,
		},
		"no sampler": {
			`"1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}, "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 64, "height": 32, "upscale_method": "area", "crop": "disabled"}},
			 "3": {"class_type": "LoadImageMask", "inputs": {"image": "m.png", "channel": "red"}}, "4": {"class_type": "ImageCompositeMasked", "inputs": {"destination": ["2", 0], "source": ["2", 0], "mask": ["3", 0], "x": 0, "y": 0, "resize_source": false}},
			 "9": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}}`,
			`image picture null 1.image required|mask picture null 3.image required|width integer 64 2.width|height integer 32 2.height`,
		},
		"nothing":                 {`"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}`, ``},
		"a loop, unknown classes": {`"1": {"class_type": "X", "inputs": {"a": ["1", 0]}}, "2": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "seed": ["2", 0]}}, "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(said(t, workflow.Offers(graph(t, "{"+tt.graph+"}"), someClasses(t))), "|")
			if diff := cmp.Diff(strings.Split(tt.want, "|"), strings.Split(got, "|")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOffers_bounds(t *testing.T) {
	t.Parallel()
	offers := map[string]workflow.Offer{}
	for _, o := range workflow.Offers(graph(t, "{"+loads+good+ill+latent+samples+decodes+"}"), someClasses(t)) {
		offers[o.Name] = o
	}
	if o := offers["width"]; o.Min == nil || *o.Min != 16 || o.Max == nil || *o.Max != 16384 {
		t.Errorf("width %+v", o)
	}
	if o := offers["seed"]; o.Min == nil || *o.Min != 0 || o.Max == nil || *o.Max != 1<<64 {
		t.Errorf("seed %+v", o)
	}
	if o := offers["model"]; len(o.Options) != 2 {
		t.Errorf("model %+v", o)
	}
	for _, o := range offers {
		if o.Kind != workflow.OfferModel && o.Description == "" {
			t.Errorf("%s says nothing", o.Name)
		}
	}
}

// What an author shows on a subgraph comes first, with the author's words; what is found too is called what it is.
func TestOffers_author(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"subgraph-instances": {
			`width integer 64 1:1.width "Breite"`, `color integer 65280 1:1.color "color"`,
			`width_2 integer 16 2:1.width "Breite"`, `color_2 integer 255 2:1.color "color"`,
			`width_3 integer 32 3:1.width "Breite"`, `color_3 integer 16711680 3:1.color "color"`,
			`height integer 20 1:1.height 2:1.height 3:1.height`,
		},
		"proxies":               {`color integer 255 1:1.color "color"`, `width integer 56 1:1.width "width"`, `height integer 24 1:1.height "height"`},
		"proxies-nested":        {`width integer 40 5:9:1.width "width"`, `color integer 65280 5:9:1.color "color"`, `width_2 integer 30 6:9:1.width "width"`, `color_2 integer 16711680 6:9:1.color "color"`, `height integer 24 5:9:1.height 6:9:1.height`},
		"subgraph-nested":       {`width integer 24 2:7:1:1.width "width"`, `width_2 integer 20 1.width`, `height integer 20 1.height 2:7:1:1.height`},
		"one-input-two-widgets": {`size integer 22 1:1.height 1:2.width "size"`, `width integer 40 1:1.width`, `height integer 10 1:2.height`},
		"switch":                {`width integer 44 1:1.value 1:2.on_false "width"`, `height integer 12 1:3.height`},
		"instance-bypassed":     {`width integer 16 1.width`, `height integer 16 1.height`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := said(t, convert(t, readFile(t, filepath.Join("testdata", "ui", name+".ui.json"))).Offers)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A picture that goes into a subgraph is called by the author's word for it, unless its node has a title.
func TestOffers_pictures(t *testing.T) {
	t.Parallel()
	load := func(id, title string) string {
		return `{"id": ` + id + `, "type": "LoadImage", "widgets_values": ["x.png", "image"], "outputs": [{"name": "IMAGE", "type": "IMAGE"}]` + title + `},`
	}
	doc := ui(load("1", "")+load("2", `, "title": "Mine"`)+load("3", "")+`{"id": 4, "type": "s", "inputs": [{"name": "a", "label": "first_frame", "type": "IMAGE", "link": 1}, {"name": "b", "type": "IMAGE", "link": 2}]},
		{"id": 5, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 3}]}`,
		`[1, 1, 0, 4, 0, "IMAGE"], [2, 2, 0, 4, 1, "IMAGE"], [3, 3, 0, 5, 0, "IMAGE"]`,
		`{"id": "s", "inputs": [{"name": "a", "type": "IMAGE"}, {"name": "b", "type": "IMAGE"}], "outputs": [], "nodes": [
			{"id": 1, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}, {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]}],
			"links": [[1, -10, 0, 1, 0, "IMAGE"], [2, -10, 1, 2, 0, "IMAGE"]]}`)
	want := []string{`image picture null 1.image "first_frame" required`, `image_2 picture null 2.image "Mine" required`, `image_3 picture null 3.image required`}
	if diff := cmp.Diff(want, said(t, convert(t, []byte(doc)).Offers)); diff != "" {
		t.Error(diff)
	}
}

// Names are plain, whatever labels say; a label is shown printable and short.
func TestOffers_names(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"Text Prompt": "text_prompt", "提示词": "color", "2nd color": "input_2nd_color", "seed\u001b[2J": "seed_2j", "7": "color", strings.Repeat("long ", 40): strings.Repeat("long_", 9) + "long",
	} {
		doc := ui(`{"id": 1, "type": "s"}`, "", `{"id": "s", "inputs": [{"name": "x", "label": `+quoted(t, label)+`, "type": "INT"}], "outputs": [],
			"nodes": [{"id": 1, "type": "EmptyImage", "inputs": [{"name": "color", "type": "INT", "widget": {}, "link": 1}], "outputs": [{"name": "IMAGE", "type": "IMAGE"}], "widgets_values": [8, 8, 1, 0]}],
			"links": [[1, -10, 0, 1, 0, "INT"]]}`)
		offers := convert(t, []byte(doc)).Offers
		if len(offers) != 1 || offers[0].Name != want || len([]rune(offers[0].Label)) > 100 || strings.ContainsRune(offers[0].Label, '\u001b') {
			t.Errorf("%q: %+v, want %s", label, offers, want)
		}
	}
}

func quoted(tb testing.TB, text string) string {
	tb.Helper()
	data, err := json.Marshal(text)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}
