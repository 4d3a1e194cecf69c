package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// family is a way to make a picture from words, as people's graphs have it.
type family struct {
	checkpoint string   // a file with all in it, or
	model      string   // a diffusion model,
	clips      []string // its text encoders,
	clipType   string
	vae        string
	latent     string
	shift      float64 // ModelSamplingAuraFlow, 0 for none
	guidance   float64 // FluxGuidance, 0 for none
	zero       bool    // the negative is the positive made zero
	guider     string  // "" for KSampler, "CFGGuider", "BasicGuider", "SamplerCustom"
	scheduler  string  // a node, of those with a guider
	newOnly    bool    // needs what 0.3.64 does not have
}

func families() map[string]family {
	flux := []string{"clip_l.safetensors", "t5xxl_fp16.safetensors"}
	const plain, sd3, flux2 = "EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"
	return map[string]family{
		"SD 1.5":            {checkpoint: "v1-5-pruned-emaonly-fp16", latent: plain},
		"SDXL":              {checkpoint: "sd_xl_base_1.0", latent: plain},
		"SDXL Turbo":        {checkpoint: "sd_xl_turbo_1.0_fp16", latent: plain, guider: "SamplerCustom", scheduler: "SDTurboScheduler"},
		"SD 3.5":            {checkpoint: "sd3.5_large_fp8_scaled", latent: sd3},
		"Flux.1 dev fp8":    {checkpoint: "flux1-dev-fp8", latent: sd3, guidance: 3.5, zero: true},
		"Flux.1 schnell":    {checkpoint: "flux1-schnell-fp8", latent: sd3},
		"Flux.1 dev":        {model: "flux1-dev", clips: flux, clipType: "flux", vae: "ae", latent: sd3, guidance: 3.5, zero: true},
		"Flux.1 Krea":       {model: "flux1-krea-dev_fp8_scaled", clips: flux, clipType: "flux", vae: "ae", latent: sd3, zero: true},
		"Flux.2 dev":        {model: "flux2_dev_fp8mixed", clips: []string{"mistral_3_small_flux2_bf16.safetensors"}, clipType: "flux2", vae: "flux2-vae", latent: flux2, guidance: 4, guider: "BasicGuider", scheduler: "Flux2Scheduler", newOnly: true},
		"Flux.2 klein 4B":   {model: "flux-2-klein-4b-fp8", clips: []string{"qwen_3_4b.safetensors"}, clipType: "flux2", vae: "flux2-vae", latent: flux2, zero: true, guider: "CFGGuider", scheduler: "Flux2Scheduler", newOnly: true},
		"Flux.2 klein base": {model: "flux-2-klein-base-9b-fp8", clips: []string{"qwen_3_8b_fp8mixed.safetensors"}, clipType: "flux2", vae: "flux2-vae", latent: flux2, guider: "CFGGuider", scheduler: "Flux2Scheduler", newOnly: true},
		"Qwen-Image":        {model: "qwen_image_fp8_e4m3fn", clips: []string{"qwen_2.5_vl_7b_fp8_scaled.safetensors"}, clipType: "qwen_image", vae: "qwen_image_vae", latent: sd3, shift: 3.1},
		"Qwen-Image 2512":   {model: "qwen_image_2512_fp8_e4m3fn", clips: []string{"qwen_2.5_vl_7b_fp8_scaled.safetensors"}, clipType: "qwen_image", vae: "qwen_image_vae", latent: sd3, shift: 3.1},
		"Z-Image Turbo":     {model: "z_image_turbo_bf16", clips: []string{"qwen_3_4b.safetensors"}, clipType: "lumina2", vae: "ae", latent: sd3, shift: 3, zero: true},
		"Z-Image":           {model: "z_image_bf16", clips: []string{"qwen_3_4b.safetensors"}, clipType: "lumina2", vae: "ae", latent: sd3, shift: 3},
		"Krea 2 Turbo":      {model: "krea2_turbo_fp8_scaled", clips: []string{"qwen3vl_4b_fp8_scaled.safetensors"}, clipType: "krea2", vae: "qwen_image_vae", latent: plain, zero: true, newOnly: true},
		"Anima":             {model: "anima-base-v1.0", clips: []string{"qwen_3_06b_base.safetensors"}, clipType: "stable_diffusion", vae: "qwen_image_vae", latent: plain},
		"NetaYume Lumina":   {checkpoint: "NetaYumev35_pretrained_all_in_one", latent: sd3, shift: 4},
		"Chroma1-HD":        {model: "Chroma1-HD-fp8mixed", clips: []string{"t5xxl_fp8_e4m3fn_scaled.safetensors"}, clipType: "chroma", vae: "ae", latent: sd3, shift: 1, guider: "CFGGuider", scheduler: "BasicScheduler"},
		"ERNIE-Image Turbo": {model: "ernie-image-turbo", clips: []string{"ministral-3-3b.safetensors"}, clipType: "flux2", vae: "flux2-vae", latent: flux2, zero: true, newOnly: true},
	}
}

// graph builds the family's graph.
func (f family) graph() graph {
	g := graph{}
	model, clip, vae := link("1", 0), link("1", 1), link("1", 2)
	if f.checkpoint != "" {
		g["1"] = node("CheckpointLoaderSimple", map[string]any{"ckpt_name": f.checkpoint + ".safetensors"})
	} else {
		g["1"] = node("UNETLoader", map[string]any{"unet_name": f.model + ".safetensors", "weight_dtype": "default"})
		g["3"] = node("VAELoader", map[string]any{"vae_name": f.vae + ".safetensors"})
		clip, vae = link("2", 0), link("3", 0)
		if len(f.clips) == 2 {
			g["2"] = node("DualCLIPLoader", map[string]any{"clip_name1": f.clips[0], "clip_name2": f.clips[1], "type": f.clipType})
		} else {
			g["2"] = node("CLIPLoader", map[string]any{"clip_name": f.clips[0], "type": f.clipType})
		}
	}
	if f.shift > 0 {
		g["4"] = node("ModelSamplingAuraFlow", map[string]any{"model": model, "shift": f.shift})
		model = link("4", 0)
	}
	positive, negative := link("5", 0), link("6", 0)
	g["5"] = node("CLIPTextEncode", map[string]any{"text": "a harbor at dawn", "clip": clip})
	g["6"] = node("CLIPTextEncode", map[string]any{"text": "rain", "clip": clip})
	if f.zero {
		g["6"] = node("ConditioningZeroOut", map[string]any{"conditioning": positive})
	}
	if f.guidance > 0 {
		g["7"] = node("FluxGuidance", map[string]any{"conditioning": positive, "guidance": f.guidance})
		positive = link("7", 0)
	}
	g["8"] = node(f.latent, map[string]any{"width": 64, "height": 64, "batch_size": 1})
	g.sampler(f, model, positive, negative)
	g["20"] = node("VAEDecode", map[string]any{"samples": link("9", 0), "vae": vae})
	g["21"] = node("SaveImage", map[string]any{"images": link("20", 0), "filename_prefix": "family"})
	return g
}

func (g graph) sampler(f family, model, positive, negative []any) {
	if f.guider == "" {
		g["9"] = node("KSampler", map[string]any{
			"model": model, "seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple",
			"positive": positive, "negative": negative, "latent_image": link("8", 0), "denoise": 1.0,
		})
		return
	}
	g["11"] = node("KSamplerSelect", map[string]any{"sampler_name": "euler"})
	switch f.scheduler {
	case "Flux2Scheduler":
		g["12"] = node(f.scheduler, map[string]any{"steps": 2, "width": 64, "height": 64})
	case "SDTurboScheduler":
		g["12"] = node(f.scheduler, map[string]any{"model": model, "steps": 1, "denoise": 1.0})
	default:
		g["12"] = node(f.scheduler, map[string]any{"model": model, "scheduler": "beta", "steps": 2, "denoise": 1.0})
	}
	if f.guider == "SamplerCustom" {
		g["9"] = node("SamplerCustom", map[string]any{
			"model": model, "add_noise": true, "noise_seed": 1, "cfg": 1.0, "positive": positive, "negative": negative,
			"sampler": link("11", 0), "sigmas": link("12", 0), "latent_image": link("8", 0),
		})
		return
	}
	g["10"] = node("RandomNoise", map[string]any{"noise_seed": 1})
	if f.guider == "BasicGuider" {
		g["13"] = node("BasicGuider", map[string]any{"model": model, "conditioning": positive})
	} else {
		g["13"] = node("CFGGuider", map[string]any{"model": model, "positive": positive, "negative": negative, "cfg": 1.0})
	}
	g["9"] = node("SamplerCustomAdvanced", map[string]any{
		"noise": link("10", 0), "guider": link("13", 0), "sampler": link("11", 0), "sigmas": link("12", 0),
		"latent_image": link("8", 0),
	})
}

// TestFamilies: the graphs that real servers accept run here, and the others are
// refused here too.
func TestFamilies(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		s := sketchy(t, emulator.Options{Version: version})
		n := 0
		for name, f := range families() {
			n++
			id := testID(n)
			a := s.post("/api/prompt", map[string]any{"prompt": f.graph(), "prompt_id": id})
			if f.newOnly && version == emulator.V0364 {
				if a.status != http.StatusBadRequest {
					t.Errorf("%s, %s: %d, want it refused", version, name, a.status)
				}
				continue
			}
			if a.status != http.StatusOK || !strings.Contains(string(a.body), `"node_errors": {}`) {
				t.Errorf("%s, %s: %d %s", version, name, a.status, a.body)
				continue
			}
			if job := s.wait(id); job.Status.StatusStr != "success" || len(job.Outputs["21"].Images) != 1 {
				t.Errorf("%s, %s: %+v", version, name, job)
			}
		}
	}
}

// TestBrokenModel: a file that is empty is listed, and the run fails.
func TestBrokenModel(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{Models: []emulator.Model{
		{Folder: "checkpoints", Name: "sd_xl_base_1.0.safetensors", Broken: true},
		{Folder: "loras", Name: "with.safetensors", Size: 5, Metadata: map[string]string{"ss_base_model_version": "sd_v1"}},
	}})
	s.submit(txt2img("a", 1, 64, 2), testID(1), "")
	if e := lastError(s, testID(1)); !strings.Contains(e, "safetensors._safetensors_rust.SafetensorError") {
		t.Error(e)
	}
	for path, want := range map[string]string{
		"/view_metadata/loras?filename=with.safetensors":                 `200 {"ss_base_model_version":"sd_v1"}`,
		"/view_metadata/loras?filename=none.safetensors":                 "404 ",
		"/view_metadata/checkpoints?filename=sd_xl_base_1.0.safetensors": "500 500 Internal Server Error\n\nServer got itself in trouble",
		"/experiment/models/nope":                                        "404 ",
		"/models/unet":                                                   "404 ",
		"/models/checkpoints":                                            `200 ["sd_xl_base_1.0.safetensors"]`,
		"/experiment/models/checkpoints":                                 `200 [{"name": "sd_xl_base_1.0.safetensors", "pathIndex": 0, "modified": 1785585600.0, "created": 1785585600.0, "size": 0}]`,
		"/models/vae":                                                    "200 []",
		"/embeddings":                                                    "200 []",
		"/object_info/NoSuch":                                            "200 {}",
	} {
		a := s.get("/api" + path)
		if got := fmt.Sprintf("%d %s", a.status, a.body); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
