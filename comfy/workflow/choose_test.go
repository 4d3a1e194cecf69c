package workflow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// How a family is told from a file's name.
func TestRecognise(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"diffusion_models/z_image_turbo_bf16.safetensors":                   "z-image-turbo",
		"diffusion_models/Z-Image-Turbo-Q8.gguf":                            "z-image-turbo",
		"diffusion_models/ZImageTurbo.safetensors":                          "z-image-turbo",
		"diffusion_models/z image/z_image_bf16.safetensors":                 "z-image",
		`diffusion_models/z_image_turbo\my_tune.safetensors`:                "z-image-turbo", // by its folder
		"diffusion_models/krea2_turbo_int8_convrot.safetensors":             "krea2-turbo",
		"diffusion_models/flux-2-klein-4b-fp8.safetensors":                  "flux2-klein-4b",
		"diffusion_models/flux-2-klein-9b.safetensors":                      "flux2-klein-9b",
		"diffusion_models/flux-2-klein-base-4b.safetensors":                 "flux2-klein-base-4b",
		"diffusion_models/flux-2-klein-base-9b-fp8.safetensors":             "flux2-klein-base-9b",
		"diffusion_models/flux2_dev_fp8mixed.safetensors":                   "flux2-dev",
		"diffusion_models/FLUX.2-dev.safetensors":                           "flux2-dev",
		"diffusion_models/flux1-dev.safetensors":                            "flux1-dev",
		"diffusion_models/FLUX.1-dev-fp8.safetensors":                       "flux1-dev",
		"checkpoints/flux1-dev-fp8.safetensors":                             "flux1-dev-fp8",
		"checkpoints/FLUX1/flux1-schnell-fp8.safetensors":                   "flux1-schnell-fp8",
		"diffusion_models/flux1-krea-dev_fp8_scaled.safetensors":            "flux1-krea-dev",
		"diffusion_models/flux1-dev-kontext_fp8_scaled.safetensors":         "flux1-kontext",
		"diffusion_models/flux1-fill-dev.safetensors":                       "flux1-control",
		"diffusion_models/qwen_image_fp8_e4m3fn.safetensors":                "qwen-image",
		"diffusion_models/qwen_image_2512_fp8_e4m3fn.safetensors":           "qwen-image-2512",
		"diffusion_models/qwen_image_edit_2511_fp8mixed.safetensors":        "qwen-image-edit",
		"diffusion_models/anima-base-v1.0.safetensors":                      "anima",
		"diffusion_models/wan_animate_2_int8_convrot.safetensors":           "video",
		"diffusion_models/wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors": "video",
		"diffusion_models/Chroma1-HD-fp8mixed.safetensors":                  "chroma1-hd",
		"diffusion_models/ernie-image-turbo.safetensors":                    "ernie-image-turbo",
		"diffusion_models/ernie-image.safetensors":                          "ernie-image",
		"checkpoints/NetaYumev35_pretrained_all_in_one.safetensors":         "netayume-lumina",
		"checkpoints/v1-5-pruned-emaonly-fp16.safetensors":                  "sd15",
		"checkpoints/sd-v1-5-inpainting.safetensors":                        "inpainting",
		"checkpoints/sd_xl_base_1.0.safetensors":                            "sdxl",
		"checkpoints/sd_xl_base_1.0_inpainting_0.1.safetensors":             "inpainting",
		"checkpoints/sd_xl_refiner_1.0.safetensors":                         "sdxl-refiner",
		"checkpoints/sd_xl_turbo_1.0_fp16.safetensors":                      "sdxl-turbo",
		"checkpoints/waiIllustriousSDXL_v150.safetensors":                   "sdxl",
		"checkpoints/noobaiXLNAIXL_vPred10Version.safetensors":              "sdxl",
		"checkpoints/ponyDiffusionV6XL_v6StartWithThisOne.safetensors":      "sdxl",
		"checkpoints/juggernautXL_v1-5.safetensors":                         "sdxl", // the longest match wins
		"checkpoints/sd3.5_large_fp8_scaled.safetensors":                    "sd35-large",
		"checkpoints/stableDiffusion35_large.safetensors":                   "",
		"checkpoints/realisticVisionV60B1.safetensors":                      "",
		"checkpoints/z_image_turbo_bf16.safetensors":                        "", // no checkpoint is of that family
		"diffusion_models/sd_xl_base_1.0.safetensors":                       "",
		"loras/sd_xl_offset.safetensors":                                    "",
		"checkpoints/tiny_sd3_random.safetensors":                           "",
	} {
		folder, file, _ := strings.Cut(name, "/")
		got, ok := catalog(t).Recognise(policy.Kind(folder), file)
		if got != want || ok != (want != "") {
			t.Errorf("%s is told to be %q, want %q", name, got, want)
		}
	}
}

func TestText_choice(t *testing.T) {
	t.Parallel()
	zit, sdxl, flux := filesOf(t, "z-image-turbo"), filesOf(t, "sdxl"), filesOf(t, "flux1-dev")
	tests := map[string]struct {
		inv   workflow.Inventory
		edit  func(*workflow.Ask)
		want  string // family/model
		wrong string // part of the error
	}{
		"first in order":                       {inv: files(slices.Concat(sdxl, flux, zit)...), want: "z-image-turbo/z_image_turbo_bf16.safetensors"},
		"one that is not whole is passed over": {inv: files(append(sdxl, "diffusion_models/z_image_turbo_bf16.safetensors")...), want: "sdxl/sd_xl_base_1.0.safetensors"},
		"usual name first":                     {inv: files("checkpoints/aSdxlMix.safetensors", "checkpoints/sd_xl_base_1.0.safetensors"), want: "sdxl/sd_xl_base_1.0.safetensors"},
		"then by name":                         {inv: files("checkpoints/b_sdxl.safetensors", "checkpoints/a_sdxl.safetensors"), want: "sdxl/a_sdxl.safetensors"},
		"the operator's default": {
			inv: files(append(sdxl, zit...)...), edit: func(a *workflow.Ask) { a.DefaultModel = "sd_xl_base_1.0" }, want: "sdxl/sd_xl_base_1.0.safetensors",
		},
		"the operator's default is not there": {inv: files(sdxl...), edit: func(a *workflow.Ask) { a.DefaultModel = "gone" }, wrong: "ModelError"},
		"a name goes before the default": {
			inv: files(append(sdxl, zit...)...), edit: func(a *workflow.Ask) { a.DefaultModel = "gone"; a.Model = "z_image_turbo_bf16.safetensors" }, want: "z-image-turbo/z_image_turbo_bf16.safetensors",
		},
		"family":                         {inv: files(slices.Concat(sdxl, flux, zit)...), edit: func(a *workflow.Ask) { a.Family = "sdxl" }, want: "sdxl/sd_xl_base_1.0.safetensors"},
		"family in other letters":        {inv: files(slices.Concat(sdxl, flux, zit)...), edit: func(a *workflow.Ask) { a.Family = "Flux1_Dev" }, want: "flux1-dev/flux1-dev.safetensors"},
		"beginning of families":          {inv: files(slices.Concat(sdxl, flux, zit)...), edit: func(a *workflow.Ask) { a.Family = "flux" }, want: "flux1-dev/flux1-dev.safetensors"},
		"family that is not there":       {inv: files(sdxl...), edit: func(a *workflow.Ask) { a.Family = "z-image-turbo" }, wrong: "MissingError z_image_turbo_bf16.safetensors diffusion_models Comfy-Org/z_image_turbo, qwen_3_4b.safetensors text_encoders Comfy-Org/z_image_turbo, ae.safetensors vae Comfy-Org/z_image_turbo"},
		"family that is unknown":         {inv: files(sdxl...), edit: func(a *workflow.Ask) { a.Family = "dalle" }, wrong: "family: there is no such family (one of z-image-turbo, krea2-turbo,"},
		"family that edits":              {inv: files(sdxl...), edit: func(a *workflow.Ask) { a.Family = "qwen-image-edit" }, wrong: "family: no picture can be made from a prompt with Qwen-Image-Edit: it is a model that edits pictures"},
		"family with the default's file": {inv: files("checkpoints/sd_xl_base_1.0.safetensors", "checkpoints/mine_sdxl.safetensors"), edit: func(a *workflow.Ask) { a.Family, a.DefaultModel = "sdxl", "mine_sdxl" }, want: "sdxl/mine_sdxl.safetensors"},
		"text encoder missing": {
			inv: files("diffusion_models/z_image_turbo_bf16.safetensors", "vae/ae.safetensors"), edit: func(a *workflow.Ask) { a.Model = "z_image_turbo_bf16" },
			wrong: "MissingError qwen_3_4b.safetensors text_encoders Comfy-Org/z_image_turbo",
		},
		"text encoder missing, bare":        {inv: files("diffusion_models/z_image_turbo_bf16.safetensors", "vae/ae.safetensors"), wrong: "MissingError qwen_3_4b.safetensors"},
		"nothing at all":                    {inv: files(), wrong: "NoModelError z_image_turbo_bf16.safetensors"},
		"only what edits":                   {inv: files("diffusion_models/qwen_image_edit_2511_fp8mixed.safetensors"), wrong: "NoModelError"},
		"only a refiner":                    {inv: files("checkpoints/sd_xl_refiner_1.0.safetensors"), wrong: "NoModelError"},
		"unknown checkpoint, bare":          {inv: files("checkpoints/b.safetensors", "checkpoints/a.safetensors"), want: "checkpoint/a.safetensors"},
		"unknown checkpoint, named":         {inv: files(append(sdxl, "checkpoints/b.safetensors")...), edit: func(a *workflow.Ask) { a.Model = "b" }, want: "checkpoint/b.safetensors"},
		"unknown checkpoint, family told":   {inv: files("checkpoints/b.safetensors"), edit: func(a *workflow.Ask) { a.Model, a.Family = "b", "sd35-large" }, want: "sd35-large/b.safetensors"},
		"known checkpoint, general wanted":  {inv: files(sdxl...), edit: func(a *workflow.Ask) { a.Family = "checkpoint" }, want: "checkpoint/sd_xl_base_1.0.safetensors"},
		"unknown diffusion model":           {inv: files("diffusion_models/new.safetensors"), edit: func(a *workflow.Ask) { a.Model = "new" }, wrong: "model: it is not known which family this model belongs to (family with one of z-image-turbo,"},
		"unknown diffusion model, bare":     {inv: files("diffusion_models/new.safetensors"), wrong: "NoModelError"},
		"unknown diffusion model of family": {inv: files("diffusion_models/new.safetensors", "text_encoders/qwen_3_4b.safetensors", "vae/ae.safetensors"), edit: func(a *workflow.Ask) { a.Model, a.Family = "new", "z-image" }, want: "z-image/new.safetensors"},
		"model that edits":                  {inv: files("diffusion_models/qwen_image_edit_2511_fp8mixed.safetensors"), edit: func(a *workflow.Ask) { a.Model = "qwen_image_edit_2511_fp8mixed" }, wrong: "model: no picture can be made"},
		"model of another folder's family":  {inv: files(sdxl...), edit: func(a *workflow.Ask) { a.Model, a.Family = "sd_xl_base_1.0", "z-image" }, wrong: "ModelError"},
		"without extension":                 {inv: files("checkpoints/sub/sd_xl_base_1.0.safetensors"), edit: func(a *workflow.Ask) { a.Model = "sub/sd_xl_base_1.0" }, want: "sdxl/sub/sd_xl_base_1.0.safetensors"},
		"without folder":                    {inv: files("checkpoints/sub/sd_xl_base_1.0.safetensors"), edit: func(a *workflow.Ask) { a.Model = "SD_XL_base_1.0.safetensors" }, want: "sdxl/sub/sd_xl_base_1.0.safetensors"},
		"without both":                      {inv: files("checkpoints/sub/sd_xl_base_1.0.safetensors"), edit: func(a *workflow.Ask) { a.Model = "sd_xl_base_1.0" }, want: "sdxl/sub/sd_xl_base_1.0.safetensors"},
		"Windows, sent as listed":           {inv: files(`checkpoints/sub\sd_xl_base_1.0.safetensors`), edit: func(a *workflow.Ask) { a.Model = "sub/sd_xl_base_1.0.safetensors" }, want: `sdxl/sub\sd_xl_base_1.0.safetensors`},
		"Windows, asked by backslash":       {inv: files("checkpoints/sub/sd_xl_base_1.0.safetensors"), edit: func(a *workflow.Ask) { a.Model = `sub\sd_xl_base_1.0` }, want: "sdxl/sub/sd_xl_base_1.0.safetensors"},
		"the whole name wins over a part":   {inv: files("checkpoints/sdxl.safetensors", "checkpoints/sub/sdxl.safetensors"), edit: func(a *workflow.Ask) { a.Model = "sdxl" }, want: "sdxl/sdxl.safetensors"},
		"ambiguous":                         {inv: files("checkpoints/a/sdxl.safetensors", "checkpoints/b/sdxl.safetensors"), edit: func(a *workflow.Ask) { a.Model = "sdxl" }, wrong: "model: the name fits several models (one of checkpoints/a/sdxl.safetensors, checkpoints/b/sdxl.safetensors)"},
		"in two folders, told by kind": {
			inv: files(slices.Concat(flux, []string{"checkpoints/flux1-dev.safetensors"})...), edit: func(a *workflow.Ask) { a.Model = "checkpoints/flux1-dev.safetensors" }, want: "flux1-dev-fp8/flux1-dev.safetensors",
		},
		"in two folders, told by family": {
			inv: files(slices.Concat(flux, []string{"checkpoints/flux1-dev.safetensors"})...), edit: func(a *workflow.Ask) { a.Model, a.Family = "flux1-dev.safetensors", "flux1-dev" }, want: "flux1-dev/flux1-dev.safetensors",
		},
		"text encoder of another name": {
			inv:  files("diffusion_models/z_image_turbo_bf16.safetensors", "text_encoders/z/Qwen3-4B-Instruct.safetensors", "text_encoders/qwen3vl_4b.safetensors", "vae/sub/ae.safetensors"),
			want: "z-image-turbo/z_image_turbo_bf16.safetensors",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ask()
			if tt.edit != nil {
				tt.edit(&a)
			}
			made, err := catalog(t).Text(tt.inv, a)
			if tt.wrong != "" {
				if err == nil || !strings.Contains(described(err), tt.wrong) {
					t.Errorf("got %s/%s, %s; want %q", made.Family, made.Model, described(err), tt.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(described(err))
			}
			if got := made.Family + "/" + made.Model; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if said := len(made.Notes) > 0; said != (made.Family == "checkpoint") {
				t.Errorf("notes %q", made.Notes)
			}
		})
	}
}

// described writes an error of any of our types with what it holds.
func described(err error) string {
	if missing, ok := errors.AsType[*workflow.MissingError](err); ok {
		return "MissingError " + listed(missing.Files)
	}
	if none, ok := errors.AsType[*workflow.NoModelError](err); ok {
		return "NoModelError " + listed(none.Suggestions)
	}
	if unknown, ok := errors.AsType[*workflow.ModelError](err); ok {
		return "ModelError " + unknown.Name
	}
	if err == nil {
		return "no error"
	}
	return explain(err)
}

func listed(files []workflow.MissingFile) string {
	var all []string
	for _, f := range files {
		all = append(all, f.Name+" "+f.Folder+" "+f.Repository)
	}
	return strings.Join(all, ", ")
}

// SC-52: denied and unknown models answer alike, with close names among those that there are.
func TestText_SC52_unknownModel(t *testing.T) {
	t.Parallel()
	inv := files("checkpoints/sd_xl_base_1.0.safetensors", "checkpoints/dreamshaper_8.safetensors", "diffusion_models/flux1-dev.safetensors", "loras/style_a.safetensors")
	a := ask()
	a.Model = "sd_xl_bass_1.0"
	_, err := catalog(t).Text(inv, a)
	unknown, ok := errors.AsType[*workflow.ModelError](err)
	if !ok || unknown.Name != a.Model || unknown.Close[0] != "sd_xl_base_1.0.safetensors" || len(unknown.Close) != 3 {
		t.Errorf("error %+v", err)
	}
	a.Model, a.LoRAs = "", []workflow.LoRA{{Name: "style", Strength: 1}}
	_, err = catalog(t).Text(inv, a)
	if unknown, ok := errors.AsType[*workflow.ModelError](err); !ok || unknown.Kind != policy.LoRA || !slices.Equal(unknown.Close, []string{"style_a.safetensors"}) {
		t.Errorf("error %+v", err)
	}
}

// Metadata tells what names do not; it is asked for only then, and not without bound.
func TestText_metadata(t *testing.T) {
	t.Parallel()
	asked := 0
	inv := files("checkpoints/mix.safetensors")
	inv.Metadata = func(folder, name string) map[string]string {
		asked++
		if folder != "checkpoints" {
			t.Errorf("asked for %s/%s", folder, name)
		}
		return map[string]string{"modelspec.architecture": "stable-diffusion-xl-v1-base"}
	}
	if made := text(t, inv, ask()); made.Family != "sdxl" || asked != 1 {
		t.Errorf("family %s after %d questions", made.Family, asked)
	}
	inv.Metadata = func(string, string) map[string]string { return map[string]string{"ss_base_model_version": "sd_v1"} }
	if made := text(t, inv, ask()); made.Family != "sd15" {
		t.Errorf("family %s", made.Family)
	}
	inv.Metadata = func(string, string) map[string]string {
		return map[string]string{"modelspec.architecture": "stable-diffusion-xl-v1-refiner"}
	}
	if _, err := catalog(t).Text(inv, ask()); !strings.Contains(described(err), "NoModelError") {
		t.Errorf("a refiner by its metadata: %s", described(err))
	}
	inv.Metadata = func(string, string) map[string]string { t.Error("asked although a name tells"); return nil }
	inv.Files[policy.Checkpoint] = append(inv.Files[policy.Checkpoint], comfy.ModelFile{Name: "sd_xl_base_1.0.safetensors"})
	text(t, inv, ask())

	asked = 0
	inv = files()
	for i := range 3 * workflow.MaxMetadata {
		inv.Files[policy.Checkpoint] = append(inv.Files[policy.Checkpoint], comfy.ModelFile{Name: fmt.Sprintf("m%d.safetensors", i)})
	}
	inv.Metadata = func(string, string) map[string]string { asked++; return nil }
	if made := text(t, inv, ask()); made.Family != "checkpoint" || asked != workflow.MaxMetadata {
		t.Errorf("family %s after %d questions", made.Family, asked)
	}
	asked = 0
	catalog(t).Families(inv)
	if asked != workflow.MaxMetadata {
		t.Errorf("%d questions for a list of families", asked)
	}
}

// A checkpoint of no known family: 1024, or 512 where its size says Stable Diffusion 1.5; and the answer says so.
func TestText_plainCheckpoint(t *testing.T) {
	t.Parallel()
	for size, side := range map[int64]int{0: 1024, 2_130_000_000: 512, 2_999_999_999: 512, 3_000_000_000: 1024, 6_900_000_000: 1024} {
		inv := files()
		inv.Files[policy.Checkpoint] = []comfy.ModelFile{{Name: "mix.safetensors", Size: size}}
		made := text(t, inv, ask())
		if made.Width != side || made.Height != side || len(made.Notes) != 1 || !strings.Contains(made.Notes[0], "no known family") {
			t.Errorf("%d bytes: %d × %d, notes %q", size, made.Width, made.Height, made.Notes)
		}
	}
	inv := files()
	inv.Files[policy.Checkpoint] = []comfy.ModelFile{{Name: "my-v1-5-mix.safetensors"}}
	if made := text(t, inv, ask()); made.Width != 512 || made.Family != "sd15" {
		t.Errorf("told by its name: %s, %d", made.Family, made.Width)
	}
}

// What is missing is named for every family, so that a list of them helps to install one.
func TestFamilies_missing(t *testing.T) {
	t.Parallel()
	for _, f := range catalog(t).Families(files("vae/ae.safetensors")) {
		if f.Installed || f.Chosen || f.Title == "" || f.Kind == "" {
			t.Errorf("%+v", f)
		}
		for _, m := range f.Missing {
			if m.Name == "" || m.Folder == "" || !strings.Contains(m.Repository, "/") || m.Name == "ae.safetensors" {
				t.Errorf("%s: %+v", f.ID, m)
			}
		}
		if len(f.Missing) == 0 && f.ID != "checkpoint" {
			t.Errorf("%s lacks nothing", f.ID)
		}
	}
}

func TestPresets(t *testing.T) {
	t.Parallel()
	want := []workflow.Preset{
		{"draft", 512, 512, 12, 6},
		{"fast", 768, 768, 20, 7},
		{"quality", 1024, 1024, 30, 7.5},
		{"hd", 1024, 1024, 40, 7.5},
		{"portrait", 768, 1152, 30, 7},
		{"landscape", 1152, 768, 30, 7},
		{"cinematic", 1536, 640, 35, 7.5},
		{"square", 1024, 1024, 25, 7},
	}
	if diff := cmp.Diff(want, workflow.Presets()); diff != "" {
		t.Error(diff)
	}
}
