package workflow_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// own writes files into a folder of recipes.
func own(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// builtInRecipe returns the text of one of ours.
func builtInRecipe(tb testing.TB, id string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("recipes", id+".yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// A recipe of the operator's replaces ours of the same id, and a new one brings a new family.
func TestLoad_ownRecipes(t *testing.T) {
	t.Parallel()
	dir := own(t, map[string]string{
		"mine.yaml":   strings.Replace(builtInRecipe(t, "sdxl"), "steps: 25, cfg: 8", "steps: 31, cfg: 6.5", 1),
		"hidream.yml": hidream,
		"notes.txt":   "no recipe",
	})
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := workflow.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.Text(files("checkpoints/sd_xl_base_1.0.safetensors"), ask())
	if err != nil || made.Steps != 31 || made.CFG != 6.5 {
		t.Errorf("%+v, %v", made, err)
	}
	inv := files("diffusion_models/hidream_i1_dev_fp8.safetensors", "text_encoders/clip_l_hidream.safetensors", "text_encoders/clip_g_hidream.safetensors",
		"text_encoders/t5xxl_fp8.safetensors", "text_encoders/llama_3.1_8b.safetensors", "vae/ae.safetensors")
	made, err = c.Text(inv, ask())
	if err != nil || made.Family != "hidream-i1-dev" || made.Graph["2"].ClassType != "QuadrupleCLIPLoader" || made.Graph["30"].Inputs["shift"] == nil {
		t.Errorf("%+v, %s", made, described(err))
	}
	for _, version := range versions {
		info := at(inv, recorded(t, version)).Info
		for _, f := range workflow.Fit(made.Graph, info) {
			if f.Class != "QuadrupleCLIPLoader" { // whose lists the test does not extend
				t.Errorf("%s: %+v", version, f)
			}
		}
	}
}

const hidream = `
id: hidream-i1-dev
title: HiDream I1 dev
order: 5
told: {names: [hidream-i1-dev]}
files:
  loader: parts
  model: {usual: [hidream_i1_dev_fp8.safetensors], repository: Comfy-Org/HiDream-I1_ComfyUI}
  text_encoders:
    files:
      - {usual: [clip_l_hidream.safetensors], repository: Comfy-Org/HiDream-I1_ComfyUI}
      - {usual: [clip_g_hidream.safetensors], repository: Comfy-Org/HiDream-I1_ComfyUI}
      - {usual: [t5xxl_fp8_e4m3fn_scaled.safetensors], patterns: [t5xxl], repository: Comfy-Org/HiDream-I1_ComfyUI}
      - {usual: [llama_3.1_8b_instruct_fp8_scaled.safetensors], patterns: [llama_3.1_8b], repository: Comfy-Org/HiDream-I1_ComfyUI}
  vae: {usual: [ae.safetensors], repository: Comfy-Org/HiDream-I1_ComfyUI}
nodes:
  latent: EmptySD3LatentImage
  patches: [{class: ModelSamplingSD3, inputs: {shift: 6}}]
  negative: text
  sampler: KSampler
settings: {steps: 28, cfg: 1, cfg_fixed: true, sampler: lcm, scheduler: normal}
size: {width: 1024, height: 1024, grid: 16}
`

// Faults of recipes name file, line and field, and what would fit, all at once.
func TestLoad_faults(t *testing.T) {
	t.Parallel()
	change := func(old, with string) string {
		text := strings.Replace(hidream, old, with, 1)
		if text == hidream {
			t.Fatalf("nothing to change: %s", old)
		}
		return text
	}
	tests := map[string]struct {
		text string
		want []string
	}{
		"empty":             {"", []string{"x.yaml: the file must hold one YAML document"}},
		"only a comment":    {"# nothing", []string{"x.yaml: "}},
		"two documents":     {hidream + "---" + hidream, []string{"one YAML document"}},
		"no map":            {"- 1", []string{"x.yaml: the recipe: got array, want object"}},
		"not YAML":          {"id: [", []string{"x.yaml: line 1: "}},
		"doubled key":       {hidream + "id: twice", []string{"x.yaml: line "}},
		"unknown key":       {change("order: 5", "ordr: 5"), []string{"additional properties 'ordr' not allowed", "missing property 'order'"}},
		"wrong type":        {change("steps: 28", "steps: many"), []string{"x.yaml: line 21: settings.steps: got string, want integer"}},
		"out of bounds":     {change("steps: 28", "steps: 0"), []string{"line 21: settings.steps: minimum: got 0, want 1"}},
		"unknown word":      {change("negative: text", "negative: maybe"), []string{"line 19: nodes.negative: value must be one of 'text', 'zero', 'none'"}},
		"bad id":            {change("id: hidream-i1-dev", "id: ../x"), []string{"line 2: id: '../x' does not match pattern"}},
		"usual with folder": {change("usual: [hidream_i1", "usual: [sub/hidream_i1"), []string{"files.model.usual[0]: "}},
		"no vae":            {change("  vae: {", "  vea: {"), []string{"missing property 'vae'", "'vea' not allowed"}},
		"off the grid":      {change("width: 1024", "width: 1000"), []string{"x.yaml: size: 1000 × 1024 is not on the grid; sides must be multiples of 16"}},
		"no scheduler":      {change(", scheduler: normal", ""), []string{"settings.scheduler: the sampler takes one"}},
		"two faults":        {change("steps: 28, cfg: 1", "steps: x, cfg: y"), []string{"settings.steps: ", "settings.cfg: "}},
		"sigmas missing":    {change("sampler: KSampler", "sampler: CFGGuider"), []string{"missing property 'sigmas'"}},
		"sigmas too many":   {change("sampler: KSampler", "sampler: KSampler\n  sigmas: {class: X, inputs: [steps]}"), []string{"nodes.sigmas: "}},
		"sigmas no steps":   {change("sampler: KSampler", "sampler: CFGGuider\n  sigmas: {class: X, inputs: [model]}"), []string{"nodes.sigmas.inputs"}},
		"type for four":     {change("  text_encoders:\n", "  text_encoders:\n    type: flux\n"), []string{"files.text_encoders.type: the loader of three or four takes none"}},
		"parts of one file": {change("loader: parts", "loader: checkpoint"), []string{"files.text_encoders: ", "files.vae: "}},
		"cannot, with more": {change("order: 5", "order: 5\ncannot: a thing"), []string{"x.yaml: line "}},
		"cannot, untold":    {"id: x\ntitle: X\ntold: {names: []}\ncannot: a thing", []string{"told.names: a recipe with cannot needs a name"}},
		"an anchor":         {change("order: 5", "order: &n 5"), []string{"line 4: anchors, aliases and tags are not read"}},
		"an alias":          {"a: &x [1]\nb: [*x, *x]", []string{"anchors, aliases and tags"}},
		"steps over most":   {change("steps: 28,", "steps: 28, max_steps: 20,"), []string{"settings.steps: they are over max_steps"}},
		"too large":         {hidream + "#" + strings.Repeat("x", 65<<10), []string{"larger than 65536 bytes"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := workflow.Load(own(t, map[string]string{"x.yaml": tt.text}))
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.Contains(line, "x.yaml: ") {
					t.Errorf("%q does not name the file", line)
				}
			}
		})
	}
}

func TestLoad_folder(t *testing.T) {
	t.Parallel()
	if _, err := workflow.Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is taken")
	}
	_, err := workflow.Load(own(t, map[string]string{"a.yaml": hidream, "b.yaml": hidream, "c.yaml": "id: ["}))
	if err == nil || !strings.Contains(err.Error(), "b.yaml: id: a.yaml has the id hidream-i1-dev already") || !strings.Contains(err.Error(), "c.yaml: line 1") {
		t.Errorf("error %v", err)
	}
	many := map[string]string{}
	for i := range 257 {
		many[fmt.Sprintf("%d.yaml", i)] = fmt.Sprintf("id: x%d\ntitle: X\ntold: {names: [pattern%d]}\ncannot: nothing", i, i)
	}
	if _, err := workflow.Load(own(t, many)); err == nil || !strings.Contains(err.Error(), "more than 256 recipes") {
		t.Errorf("error %v", err)
	}
	// A link that leads out of the folder is not followed.
	dir := own(t, nil)
	secret := filepath.Join(own(t, map[string]string{"secret.yaml": hidream}), "secret.yaml")
	if err := os.Symlink(secret, filepath.Join(dir, "x.yaml")); err != nil {
		t.Skip(err)
	}
	if _, err := workflow.Load(dir); err == nil {
		t.Error("a link out of the folder is followed")
	}
}

// Starting does not hold the embedded recipes to their schema; this does.
func TestLoad_embeddedFitTheirSchema(t *testing.T) {
	t.Parallel()
	if err := workflow.CheckOwn(); err != nil {
		t.Error(err)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		c, err := workflow.Load("")
		if err != nil {
			b.Fatal(err)
		}
		c.Warm()
	}
}

func BenchmarkText(b *testing.B) {
	inv := at(files(append(filesOf(b, "z-image-turbo"), filesOf(b, "sdxl")...)...), recorded(b, "v0.33.0"))
	c := catalog(b)
	for b.Loop() {
		if _, err := c.Text(inv, ask()); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRecipe(f *testing.F) {
	f.Add([]byte(hidream))
	for _, id := range []string{"sdxl", "checkpoint", "flux2-dev", "qwen-image-edit"} {
		f.Add([]byte(builtInRecipe(f, id)))
	}
	f.Add([]byte("a: &a [*a]"))
	inv := files("checkpoints/x.safetensors", "diffusion_models/x.safetensors", "text_encoders/x.safetensors", "vae/x.safetensors")
	info := recorded(f, "v0.33.0")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := workflow.OneRecipe(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("a fault without words")
			}
			return
		}
		for _, s := range c.Families(inv) {
			a := ask()
			a.Family, a.Aspect = s.ID, "16:9"
			made, err := c.Text(inv, a)
			if err != nil {
				continue
			}
			workflow.Fit(made.Graph, info)
			if len(made.Graph) < 5 || made.Width < 64 || made.Height < 64 || made.Width > 2048 || made.Height > 2048 {
				t.Errorf("%s makes %d × %d of %s", s.ID, made.Width, made.Height, data)
			}
		}
	})
}
