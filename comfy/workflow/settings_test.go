package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// made asks one family for a picture, all its files being there.
func made(tb testing.TB, family string, edit func(*workflow.Ask)) (workflow.Made, error) {
	tb.Helper()
	a := ask()
	a.Family = family
	if edit != nil {
		edit(&a)
	}
	return catalog(tb).Text(at(files(append(filesOf(tb, family), "loras/style.safetensors", "loras/Qwen-Image-Lightning-8steps-V1.0.safetensors",
		"loras/Flux2TurboComfyv2.safetensors")...), recorded(tb, "v0.33.0")), a)
}

func TestText_size(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		family string
		edit   func(*workflow.Ask)
		want   string // "WxH", or the error
	}{
		"default":                         {"sdxl", nil, "1024x1024"},
		"default, budget of 512":          {"sd15", nil, "512x512"},
		"default, Qwen":                   {"qwen-image", nil, "1328x1328"},
		"both sides":                      {"z-image-turbo", size(640, 1536), "640x1536"},
		"both sides, grid of 8":           {"sdxl", size(1000, 1048), "1000x1048"},
		"both sides, off the list":        {"qwen-image", size(1024, 1024), "1024x1024"},
		"smallest":                        {"sd15", size(64, 64), "64x64"},
		"largest":                         {"sdxl", size(2048, 2048), "2048x2048"},
		"width alone":                     {"sdxl", func(a *workflow.Ask) { a.Width = new(768) }, "768x768"},
		"height alone":                    {"sdxl", func(a *workflow.Ask) { a.Height = new(512) }, "512x512"},
		"width with preset":               {"sdxl", func(a *workflow.Ask) { a.Width, a.Preset = new(512), "portrait" }, "512x768"},
		"height with preset":              {"sdxl", func(a *workflow.Ask) { a.Height, a.Preset = new(768), "portrait" }, "512x768"},
		"width with aspect":               {"sdxl", func(a *workflow.Ask) { a.Width, a.Aspect = new(1280), "16:9" }, "1280x720"},
		"height with aspect":              {"z-image-turbo", func(a *workflow.Ask) { a.Height, a.Aspect = new(720), "16:9" }, "1280x720"},
		"aspect, of a bucket":             {"sdxl", func(a *workflow.Ask) { a.Aspect = "16:9" }, "1344x768"},
		"aspect, turned":                  {"sdxl", func(a *workflow.Ask) { a.Aspect = "9:16" }, "768x1344"},
		"aspect, of no bucket":            {"sdxl", func(a *workflow.Ask) { a.Aspect = "4:1" }, "2048x512"},
		"aspect, of a budget":             {"z-image-turbo", func(a *workflow.Ask) { a.Aspect = "16:9" }, "1360x768"},
		"aspect, of a list":               {"qwen-image", func(a *workflow.Ask) { a.Aspect = "16:9" }, "1664x928"},
		"aspect, 4:3 of a list":           {"qwen-image", func(a *workflow.Ask) { a.Aspect = "4:3" }, "1472x1104"},
		"aspect, 2:3 of a list":           {"qwen-image", func(a *workflow.Ask) { a.Aspect = "2:3" }, "1056x1584"},
		"aspect, of none in the list":     {"qwen-image", func(a *workflow.Ask) { a.Aspect = "3:1" }, "2048x688"},
		"aspect, budget of 512":           {"sd15", func(a *workflow.Ask) { a.Aspect = "3:2" }, "624x416"},
		"aspect with decimals":            {"sdxl", func(a *workflow.Ask) { a.Aspect = " 1.5 : 1 " }, "1216x832"},
		"preset holds for 1024":           {"z-image-turbo", preset("cinematic"), "1536x640"},
		"preset holds, small":             {"sdxl", preset("draft"), "512x512"},
		"preset gives aspect for 512":     {"sd15", preset("portrait"), "416x624"},
		"square preset for 512":           {"sd15", preset("fast"), "512x512"},
		"preset gives aspect for Qwen":    {"qwen-image", preset("landscape"), "1584x1056"},
		"square preset for Qwen":          {"qwen-image", preset("draft"), "1328x1328"},
		"preset with aspect":              {"z-image-turbo", func(a *workflow.Ask) { a.Preset, a.Aspect = "draft", "16:9" }, "688x384"},
		"both sides win over preset":      {"sdxl", func(a *workflow.Ask) { a.Preset = "cinematic"; size(512, 768)(a) }, "512x768"},
		"default within lower bounds":     {"qwen-image", func(a *workflow.Ask) { a.MaxWidth, a.MaxHeight = 1024, 1024 }, "1024x1024"},
		"preset within lower bounds":      {"sdxl", func(a *workflow.Ask) { a.Preset, a.MaxWidth, a.MaxHeight = "cinematic", 1024, 1024 }, "1024x424"},
		"aspect within lower bounds":      {"z-image-turbo", func(a *workflow.Ask) { a.Aspect, a.MaxWidth, a.MaxHeight = "16:9", 1024, 1024 }, "1024x576"},
		"width off the grid":              {"z-image-turbo", size(1000, 1024), "width: 1000 is not a multiple of 16 from 64 to 2048 (1008)"},
		"height under the bound":          {"sdxl", size(512, 63), "height: 63 is not a multiple of 8 from 64 to 2048 (64)"},
		"height over the bound":           {"sdxl", size(512, 2056), "height: 2056 is not a multiple of 8 from 64 to 2048 (2048)"},
		"width over a lower bound":        {"sdxl", func(a *workflow.Ask) { a.MaxWidth = 1000; size(1008, 512)(a) }, "width: 1008 is not a multiple of 8 from 64 to 1000 (1000)"},
		"width negative":                  {"sdxl", size(-8, 512), "width: -8"},
		"both sides and aspect":           {"sdxl", func(a *workflow.Ask) { a.Aspect = "1:1"; size(512, 512)(a) }, "aspect_ratio: width and height already say it (width or height with aspect_ratio, not both)"},
		"aspect that is none":             {"sdxl", func(a *workflow.Ask) { a.Aspect = "wide" }, `aspect_ratio: "wide" is no ratio between 1:4 and 4:1 (a ratio such as 16:9)`},
		"aspect too wide":                 {"sdxl", func(a *workflow.Ask) { a.Aspect = "5:1" }, "aspect_ratio: "},
		"aspect of nothing":               {"sdxl", func(a *workflow.Ask) { a.Aspect = "0:0" }, "aspect_ratio: "},
		"aspect negative":                 {"sdxl", func(a *workflow.Ask) { a.Aspect = "-16:-9" }, "aspect_ratio: "},
		"aspect infinite":                 {"sdxl", func(a *workflow.Ask) { a.Aspect = "Inf:Inf" }, "aspect_ratio: "},
		"aspect of NaN":                   {"sdxl", func(a *workflow.Ask) { a.Aspect = "NaN:1" }, "aspect_ratio: "},
		"the other side over its bound":   {"sdxl", func(a *workflow.Ask) { a.Width, a.Aspect = new(1024), "1:4" }, "width: the height would be 4096; at most 2048 is possible (at most 512)"},
		"the other side under its bound":  {"sdxl", func(a *workflow.Ask) { a.Width, a.Aspect = new(128), "4:1" }, "width: the height would be 32; at least 64 is possible (at least 256)"},
		"preset unknown":                  {"sdxl", preset("ultra"), `preset: there is no preset "ultra" (one of draft, fast, quality, hd, portrait, landscape, cinematic, square)`},
		"portrait side under lower bound": {"sdxl", func(a *workflow.Ask) { a.Height, a.Aspect, a.MaxWidth = new(1024), "2:1", 1024 }, "height: the width would be 2048; at most 1024 is possible (at most 512)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := made(t, tt.family, tt.edit)
			got := fmt.Sprintf("%dx%d", m.Width, m.Height)
			if err != nil {
				got = explain(err)
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func size(w, h int) func(*workflow.Ask) {
	return func(a *workflow.Ask) { a.Width, a.Height = &w, &h }
}

func preset(name string) func(*workflow.Ask) { return func(a *workflow.Ask) { a.Preset = name } }

func TestText_settings(t *testing.T) {
	t.Parallel()
	lightning := func(a *workflow.Ask) {
		a.LoRAs = []workflow.LoRA{{Name: "Qwen-Image-Lightning-8steps-V1.0", Strength: 1}}
	}
	tests := map[string]struct {
		family string
		edit   func(*workflow.Ask)
		want   string // "steps cfg guidance sampler scheduler", or the error
	}{
		"steps":                          {"sdxl", func(a *workflow.Ask) { a.Steps = new(12) }, "12 8 0 euler normal"},
		"cfg":                            {"sdxl", func(a *workflow.Ask) { a.CFG = new(5.5) }, "25 5.5 0 euler normal"},
		"sampler and scheduler":          {"sdxl", func(a *workflow.Ask) { a.Sampler, a.Schedule = "dpmpp_2m", "karras" }, "25 8 0 dpmpp_2m karras"},
		"guidance":                       {"flux1-dev", func(a *workflow.Ask) { a.Guidance = new(2.5) }, "20 1 2.5 euler simple"},
		"the fixed cfg":                  {"z-image-turbo", func(a *workflow.Ask) { a.CFG = new(1.0) }, "8 1 0 res_multistep simple"},
		"preset sets steps and cfg":      {"sdxl", preset("hd"), "40 7.5 0 euler normal"},
		"preset sets steps":              {"qwen-image", preset("hd"), "40 4 0 euler simple"},
		"preset sets neither":            {"z-image-turbo", preset("hd"), "8 1 0 res_multistep simple"},
		"steps win over preset":          {"sdxl", func(a *workflow.Ask) { a.Preset, a.Steps, a.CFG = "hd", new(10), new(3.0) }, "10 3 0 euler normal"},
		"speed-up":                       {"qwen-image", lightning, "8 1 0 euler simple"},
		"speed-up, steps named":          {"qwen-image", func(a *workflow.Ask) { lightning(a); a.Steps = new(10) }, "10 1 0 euler simple"},
		"speed-up wins over preset":      {"qwen-image", func(a *workflow.Ask) { lightning(a); a.Preset = "hd" }, "8 1 0 euler simple"},
		"speed-up of steps only":         {"flux2-dev", func(a *workflow.Ask) { a.LoRAs = []workflow.LoRA{{Name: "Flux2TurboComfyv2", Strength: 1}} }, "8 1 4 euler Flux2Scheduler"},
		"another adapter":                {"qwen-image", func(a *workflow.Ask) { a.LoRAs = []workflow.LoRA{{Name: "style", Strength: 1}} }, "20 4 0 euler simple"},
		"steps under the bound":          {"sdxl", func(a *workflow.Ask) { a.Steps = new(0) }, "steps: SDXL takes 1 to 10000 steps"},
		"steps over the family's bound":  {"sdxl-turbo", func(a *workflow.Ask) { a.Steps = new(11) }, "steps: SDXL Turbo takes 1 to 10 steps (a number from 1 to 10)"},
		"steps at the family's bound":    {"sdxl-turbo", func(a *workflow.Ask) { a.Steps = new(10) }, "10 1 0 euler_ancestral SDTurboScheduler"},
		"cfg where it is fixed":          {"z-image-turbo", func(a *workflow.Ask) { a.CFG = new(4.0) }, "cfg: Z-Image Turbo runs at cfg 1 only (cfg 1)"},
		"cfg where guidance is":          {"flux1-dev", func(a *workflow.Ask) { a.CFG = new(3.5) }, "cfg: Flux.1 dev runs at cfg 1 only (cfg 1, or guidance in its place)"},
		"cfg under its bound":            {"sdxl", func(a *workflow.Ask) { a.CFG = new(0.5) }, "cfg: the number is out of bounds (a number from 1 to 100)"},
		"cfg NaN, T32":                   {"sdxl", func(a *workflow.Ask) { a.CFG = new(math.NaN()) }, "cfg: "},
		"cfg infinite, T32":              {"sdxl", func(a *workflow.Ask) { a.CFG = new(math.Inf(1)) }, "cfg: "},
		"guidance where there is none":   {"sdxl", func(a *workflow.Ask) { a.Guidance = new(3.5) }, "guidance: SDXL has no guidance (cfg in its place)"},
		"guidance, neither nor":          {"z-image-turbo", func(a *workflow.Ask) { a.Guidance = new(3.5) }, "guidance: Z-Image Turbo has no guidance ()"},
		"guidance out of bounds":         {"flux1-dev", func(a *workflow.Ask) { a.Guidance = new(-1.0) }, "guidance: the number is out of bounds (a number from 0 to 100)"},
		"guidance NaN, T32":              {"flux1-dev", func(a *workflow.Ask) { a.Guidance = new(math.NaN()) }, "guidance: "},
		"sampler unknown, GRAPH-6":       {"sdxl", func(a *workflow.Ask) { a.Sampler = "dpmpp2m" }, `sampler: the server has no sampler "dpmpp2m" (one such as dpmpp_2m, `},
		"scheduler unknown, GRAPH-6":     {"sdxl", func(a *workflow.Ask) { a.Schedule = "kerras" }, `scheduler: the server has no scheduler "kerras" (one such as karras, `},
		"scheduler of a fixed schedule":  {"flux2-dev", func(a *workflow.Ask) { a.Schedule = "karras" }, "scheduler: Flux.2 dev has a schedule of its own (no scheduler)"},
		"scheduler of sigmas":            {"chroma1-hd", func(a *workflow.Ask) { a.Schedule = "simple" }, "26 3.5 0 euler simple"},
		"negative where there is none":   {"z-image-turbo", func(a *workflow.Ask) { a.Negative = "blur" }, "negative_prompt: Z-Image Turbo takes no negative prompt (prompt to say what should be seen in its place)"},
		"negative of a single guider":    {"flux2-dev", func(a *workflow.Ask) { a.Negative = "blur" }, "negative_prompt: Flux.2 dev takes no negative prompt"},
		"negative at cfg 1":              {"flux1-schnell-fp8", func(a *workflow.Ask) { a.Negative = "blur" }, "negative_prompt: it has no effect at cfg 1"},
		"negative at cfg 1 of a speedup": {"qwen-image", func(a *workflow.Ask) { lightning(a); a.Negative = "blur" }, "negative_prompt: it has no effect at cfg 1"},
		"negative of blanks":             {"z-image-turbo", func(a *workflow.Ask) { a.Negative = "  " }, "8 1 0 res_multistep simple"},
		"prompt of blanks":               {"sdxl", func(a *workflow.Ask) { a.Prompt = " \n" }, "prompt: it is empty"},
		"strength over its bound":        {"sdxl", func(a *workflow.Ask) { a.LoRAs = []workflow.LoRA{{Name: "style", Strength: 10.5}} }, "loras[0].strength: the strength is out of bounds (a number from -10 to 10)"},
		"strength NaN, T32":              {"sdxl", func(a *workflow.Ask) { a.LoRAs = []workflow.LoRA{{Name: "style", Strength: math.NaN()}} }, "loras[0].strength: "},
		"strength at its bound":          {"sdxl", func(a *workflow.Ask) { a.LoRAs = []workflow.LoRA{{Name: "style", Strength: -10}} }, "25 8 0 euler normal"},
		"too many adapters":              {"sdxl", func(a *workflow.Ask) { a.LoRAs = slices.Repeat([]workflow.LoRA{{Name: "style", Strength: 1}}, 17) }, "loras: 17 are too many (at most 16)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := made(t, tt.family, tt.edit)
			got := fmt.Sprintf("%d %g %g %s %s", m.Steps, m.CFG, m.Guidance, m.Sampler, m.Scheduler)
			if err != nil {
				got = explain(err)
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if err == nil { // what Made tells is what the graph does
				all, _ := json.Marshal(m.Graph)
				for _, part := range []string{fmt.Sprintf(`"steps":%d`, m.Steps), `"sampler_name":"` + m.Sampler + `"`, m.Scheduler} {
					if !strings.Contains(string(all), part) {
						t.Errorf("the graph lacks %s", part)
					}
				}
			}
		})
	}
}

// All that cannot be honoured is said at once.
func TestText_everyFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := made(t, "z-image-turbo", func(a *workflow.Ask) {
		a.Prompt, a.Negative, a.Preset, a.Sampler, a.Schedule = "", "x", "none", "none", "none"
		a.Width, a.Height, a.Steps, a.CFG, a.Guidance = new(1), new(3000), new(-1), new(2.0), new(1.0)
		a.LoRAs = []workflow.LoRA{{Name: "style", Strength: 11}}
	})
	fields, ok := errors.AsType[workflow.FieldErrors](err)
	if !ok {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields {
		got = append(got, f.Field)
	}
	want := []string{"preset", "width", "height", "loras[0].strength", "steps", "cfg", "guidance", "sampler", "scheduler", "prompt", "negative_prompt"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(err.Error(), "width: 1 is not") {
		t.Errorf("text %q", err)
	}
}

// A preset's steps that a family does not take are said.
func TestText_presetNotes(t *testing.T) {
	t.Parallel()
	m, err := made(t, "z-image-turbo", preset("hd"))
	if err != nil || len(m.Notes) != 1 || m.Notes[0] != "The preset's steps are not taken: Z-Image Turbo is made for 8." {
		t.Errorf("notes %q, %v", m.Notes, err)
	}
	if m, err = made(t, "sdxl", preset("hd")); err != nil || len(m.Notes) != 0 {
		t.Errorf("notes %q, %v", m.Notes, err)
	}
}

// CLIENT-SEC-6: a filename prefix that is not of our form is never sent.
func TestText_SEC6_prefix(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "..", "../x", "a/b/c", "/x", "x/", "a b", "%year%", "x\x00", `a\b`, strings.Repeat("x", 65), strings.Repeat("x", 65) + "/y"} {
		if _, err := made(t, "sdxl", func(a *workflow.Ask) { a.Prefix = bad }); err == nil {
			t.Errorf("prefix %q is taken", bad)
		}
		if _, err := catalog(t).Upscale(files(), workflow.UpscaleAsk{Width: 64, Height: 64, Prefix: bad}); err == nil {
			t.Errorf("prefix %q is taken for upscaling", bad)
		}
	}
	m, err := made(t, "sdxl", func(a *workflow.Ask) { a.Prefix = "comfygate/0123456789abcdef-AB_" + strings.Repeat("x", 30) })
	if err != nil || m.Graph["9"].Inputs["filename_prefix"] != "comfygate/0123456789abcdef-AB_"+strings.Repeat("x", 30) {
		t.Errorf("%v, %v", m.Graph["9"], err)
	}
}

// CLIENT-FILE-4: results may stay in the server's temp folder.
func TestText_FILE4_toTemp(t *testing.T) {
	t.Parallel()
	m, err := made(t, "sdxl", func(a *workflow.Ask) { a.ToTemp, a.Prefix = true, "" })
	if err != nil || m.Graph[m.Output].ClassType != "PreviewImage" || m.Graph[m.Output].Inputs["filename_prefix"] != nil {
		t.Errorf("%+v, %v", m.Graph[m.Output], err)
	}
}

// Adapters in a chain, through the text encoder too where it came with the model.
func TestText_loras(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"sdxl", "z-image-turbo"} {
		inv := at(files(append(filesOf(t, family), "loras/sub/one.safetensors", `loras/sub\two.safetensors`)...), recorded(t, "v0.33.0"))
		a := ask()
		a.LoRAs = []workflow.LoRA{{Name: "one", Strength: 0.8}, {Name: "sub/two.safetensors", Strength: -1}}
		m := text(t, inv, a)
		golden(t, map[string]string{"sdxl": "lora-checkpoint", "z-image-turbo": "lora-parts"}[family], m)
		if faults := workflow.Fit(m.Graph, inv.Info); len(faults) > 0 {
			t.Errorf("%s: %+v", family, faults)
		}
		for _, want := range []policy.Model{{Kind: policy.LoRA, Name: "sub/one.safetensors"}, {Kind: policy.LoRA, Name: `sub\two.safetensors`}} {
			if !slices.Contains(m.Models, want) {
				t.Errorf("%s: models %v lack %v", family, m.Models, want)
			}
		}
	}
}

// SC-25, T36, CLIENT-GRAPH-5: whatever a prompt holds reaches the node byte by byte and nothing else; seeds are exact.
func TestText_SC25_T36_promptsAndSeeds(t *testing.T) {
	t.Parallel()
	inv := files(filesOf(t, "sdxl")...)
	c := catalog(t)
	plain := text(t, inv, ask())
	rapid.Check(t, func(t *rapid.T) {
		a := ask()
		a.Prompt = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			`"}},"9":{"class_type":"Evil","inputs":{"x":"`, `a & "b" <i>`, "{{.Seed}} %seed% {a|b}", "line\nbreak\ttab", `\u0022 \"`,
		})).Draw(t, "prompt")
		a.Negative = rapid.String().Draw(t, "negative")
		a.Seed = rapid.Uint64().Draw(t, "seed")
		if strings.TrimSpace(a.Prompt) == "" || strings.TrimSpace(a.Negative) == "" {
			return
		}
		m, err := c.Text(inv, a)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := json.Marshal(m.Graph)
		if err != nil {
			t.Fatal(err)
		}
		back, err := workflow.ReadGraph(wire)
		if err != nil {
			t.Fatal(err)
		}
		if back["4"].Inputs["text"] != a.Prompt || back["5"].Inputs["text"] != a.Negative {
			t.Fatalf("prompts %q, %q became %q, %q", a.Prompt, a.Negative, back["4"].Inputs["text"], back["5"].Inputs["text"])
		}
		if got := fmt.Sprint(back["7"].Inputs["seed"]); got != fmt.Sprint(a.Seed) {
			t.Fatalf("seed %d became %s", a.Seed, got)
		}
		back["4"].Inputs["text"], back["5"].Inputs["text"], back["7"].Inputs["seed"] = "a red fox", "", json.Number(fmt.Sprint(ask().Seed))
		rest, _ := json.Marshal(back)
		want, _ := json.Marshal(plain.Graph)
		if string(rest) != string(want) {
			t.Fatalf("more changed than the prompts: %s", rest)
		}
	})
}

// CLIENT-GRAPH-4: the same node has the same id and class, whatever is asked.
func TestText_GRAPH4_stableIDs(t *testing.T) {
	t.Parallel()
	one, err := made(t, "sdxl", nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := made(t, "sdxl", func(a *workflow.Ask) { a.Prompt, a.Seed, a.Preset, a.Count = "other", 7, "cinematic", 4 })
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range one.Graph {
		if two.Graph[id].ClassType != n.ClassType {
			t.Errorf("node %s is %s, then %s", id, n.ClassType, two.Graph[id].ClassType)
		}
	}
	if two.Count != 4 || two.Graph["6"].Inputs["batch_size"] != 4 {
		t.Errorf("count %d, %v", two.Count, two.Graph["6"])
	}
}

// Whatever is asked of whatever family, the answer is errors of arguments or a graph that the server takes.
func TestText_fitsOrSaysWhy(t *testing.T) {
	t.Parallel()
	var all []string
	ids := families(t)
	for _, id := range ids {
		all = append(all, filesOf(t, id)...)
	}
	slices.Sort(all)
	inv := at(files(append(slices.Compact(all), "loras/style.safetensors")...), recorded(t, "v0.33.0"))
	c := catalog(t)
	rapid.Check(t, func(t *rapid.T) {
		a := ask()
		a.Family = rapid.SampledFrom(ids).Draw(t, "family")
		optional := func(name string, draw func()) {
			if rapid.Bool().Draw(t, name) {
				draw()
			}
		}
		optional("width?", func() { a.Width = new(rapid.IntRange(0, 140).Draw(t, "width") * 16) })
		optional("height?", func() { a.Height = new(rapid.IntRange(0, 140).Draw(t, "height") * 16) })
		optional("aspect?", func() { a.Aspect = rapid.SampledFrom([]string{"16:9", "1:4", "4:1", "5:1"}).Draw(t, "aspect") })
		optional("preset?", func() { a.Preset = rapid.SampledFrom(workflow.Presets()).Draw(t, "preset").Name })
		optional("steps?", func() { a.Steps = new(rapid.IntRange(0, 120).Draw(t, "steps")) })
		optional("cfg?", func() { a.CFG = new(rapid.Float64Range(0, 110).Draw(t, "cfg")) })
		optional("guidance?", func() { a.Guidance = new(rapid.Float64Range(-1, 110).Draw(t, "guidance")) })
		optional("lora?", func() {
			a.LoRAs = []workflow.LoRA{{Name: "style", Strength: rapid.Float64Range(-11, 11).Draw(t, "strength")}}
		})
		a.MaxWidth = rapid.SampledFrom([]int{0, 512, 1024}).Draw(t, "most")
		m, err := c.Text(inv, a)
		if err != nil {
			if _, ok := errors.AsType[workflow.FieldErrors](err); !ok {
				t.Fatalf("error %T %v", err, err)
			}
			return
		}
		if faults := workflow.Fit(m.Graph, inv.Info); len(faults) > 0 {
			t.Fatalf("faults %+v", faults)
		}
		if m.Width < 64 || m.Height < 64 || m.Width > 2048 || m.Height > 2048 || m.Width%8 != 0 || m.Height%8 != 0 || a.MaxWidth > 0 && m.Width > a.MaxWidth {
			t.Fatalf("size %d × %d", m.Width, m.Height)
		}
		if a.Width != nil && m.Width != *a.Width || a.Height != nil && m.Height != *a.Height || a.Steps != nil && m.Steps != *a.Steps || a.CFG != nil && m.CFG != *a.CFG {
			t.Fatalf("what was asked is not what was made: %+v", m)
		}
	})
}
