package workflow_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// onlyNewer are the families that a v0.3.64 cannot run, with what it lacks; 0.33.0 runs them all.
var onlyNewer = map[string][]string{
	"krea2-turbo":         {`CLIPLoader with type "krea2"`},
	"flux2-klein-4b":      {"the node EmptyFlux2LatentImage", "the node Flux2Scheduler", `CLIPLoader with type "flux2"`},
	"flux2-klein-9b":      {"the node EmptyFlux2LatentImage", "the node Flux2Scheduler", `CLIPLoader with type "flux2"`},
	"flux2-klein-base-4b": {"the node EmptyFlux2LatentImage", "the node Flux2Scheduler", `CLIPLoader with type "flux2"`},
	"flux2-klein-base-9b": {"the node EmptyFlux2LatentImage", "the node Flux2Scheduler", `CLIPLoader with type "flux2"`},
	"flux2-dev":           {"the node EmptyFlux2LatentImage", "the node Flux2Scheduler", `CLIPLoader with type "flux2"`},
	"ernie-image-turbo":   {"the node EmptyFlux2LatentImage", `CLIPLoader with type "flux2"`},
	"ernie-image":         {"the node EmptyFlux2LatentImage", `CLIPLoader with type "flux2"`},
}

// Every family's graph is what it was, and is accepted as the table of families says.
func TestText_everyFamily(t *testing.T) {
	t.Parallel()
	rules, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range families(t) {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			inv := files(filesOf(t, id)...)
			a := ask()
			a.Family = id
			made := text(t, inv, a)
			if made.Family != id || made.Output != "9" {
				t.Errorf("family %s, output %s", made.Family, made.Output)
			}
			golden(t, id, made)
			for _, version := range versions {
				there := at(inv, recorded(t, version))
				lacks := onlyNewer[id]
				if version != "v0.3.64" {
					lacks = nil
				}
				faults := workflow.Fit(made.Graph, there.Info)
				if (len(faults) > 0) != (lacks != nil) {
					t.Errorf("%s: faults %+v", version, faults)
				}
				_, err := catalog(t).Text(there, a)
				var fields workflow.FieldErrors
				switch {
				case lacks == nil && err != nil:
					t.Errorf("%s: %s", version, explain(err))
				case lacks != nil && (!errors.As(err, &fields) || fields[0].Field != "family"):
					t.Errorf("%s: error %v, want one of the family", version, err)
				}
				for _, what := range lacks {
					if !strings.Contains(explain(err), what) {
						t.Errorf("%s: %q does not name %q", version, explain(err), what)
					}
				}
				if lacks == nil { // the default policy lets every family through
					d := rules.Decide(t.Context(), policy.Request{
						Principal: "local", Role: policy.Operator, Scopes: policy.ScopesOf(policy.Operator), Tool: "generate", Scope: policy.ImageGenerate,
						Models: made.Models, Nodes: workflow.Nodes(made.Graph, there.Info), Width: made.Width, Height: made.Height, Count: made.Count, Steps: made.Steps,
					})
					if !d.Allowed {
						t.Errorf("%s: denied, %+v", version, d)
					}
				}
			}
		})
	}
	t.Run("no orphans", func(t *testing.T) {
		t.Parallel()
		known := append(families(t), extraGolden...)
		entries, err := os.ReadDir(filepath.Join("testdata", "golden"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !slices.Contains(known, strings.TrimSuffix(e.Name(), ".json")) {
				t.Errorf("golden file %s belongs to no test", e.Name())
			}
		}
	})
}

// extraGolden are golden files besides the families'.
var extraGolden = []string{"lora-checkpoint", "lora-parts", "upscale-model", "upscale-resample", "upscale-detail", "upscale-detail-sigmas"}

// The table of the families: what a bare prompt of each runs with.
func TestText_settingsOfFamilies(t *testing.T) {
	t.Parallel()
	type row struct {
		model     string
		side      int
		steps     int
		cfg       float64
		guidance  float64
		sampler   string
		scheduler string
	}
	for id, want := range map[string]row{
		"sd15":                {"v1-5-pruned-emaonly-fp16", 512, 20, 7, 0, "euler", "normal"},
		"sdxl":                {"sd_xl_base_1.0", 1024, 25, 8, 0, "euler", "normal"},
		"sdxl-turbo":          {"sd_xl_turbo_1.0_fp16", 512, 1, 1, 0, "euler_ancestral", "SDTurboScheduler"},
		"sd35-large":          {"sd3.5_large_fp8_scaled", 1024, 20, 4.01, 0, "euler", "sgm_uniform"},
		"flux1-dev-fp8":       {"flux1-dev-fp8", 1024, 20, 1, 3.5, "euler", "simple"},
		"flux1-schnell-fp8":   {"flux1-schnell-fp8", 1024, 4, 1, 0, "euler", "simple"},
		"flux1-dev":           {"flux1-dev", 1024, 20, 1, 3.5, "euler", "simple"},
		"flux1-schnell":       {"flux1-schnell", 1024, 4, 1, 0, "euler", "simple"},
		"flux1-krea-dev":      {"flux1-krea-dev_fp8_scaled", 1024, 20, 1, 0, "euler", "simple"},
		"flux2-dev":           {"flux2_dev_fp8mixed", 1024, 20, 1, 4, "euler", "Flux2Scheduler"},
		"flux2-klein-4b":      {"flux-2-klein-4b", 1024, 4, 1, 0, "euler", "Flux2Scheduler"},
		"flux2-klein-9b":      {"flux-2-klein-9b-fp8", 1024, 4, 1, 0, "euler", "Flux2Scheduler"},
		"flux2-klein-base-4b": {"flux-2-klein-base-4b", 1024, 20, 5, 0, "euler", "Flux2Scheduler"},
		"flux2-klein-base-9b": {"flux-2-klein-base-9b-fp8", 1024, 20, 5, 0, "euler", "Flux2Scheduler"},
		"qwen-image":          {"qwen_image_fp8_e4m3fn", 1328, 20, 4, 0, "euler", "simple"},
		"qwen-image-2512":     {"qwen_image_2512_fp8_e4m3fn", 1328, 50, 4, 0, "euler", "simple"},
		"z-image-turbo":       {"z_image_turbo_bf16", 1024, 8, 1, 0, "res_multistep", "simple"},
		"z-image":             {"z_image_bf16", 1024, 25, 4, 0, "res_multistep", "simple"},
		"krea2-turbo":         {"krea2_turbo_fp8_scaled", 1024, 8, 1, 0, "euler", "simple"},
		"anima":               {"anima-base-v1.0", 1024, 30, 4, 0, "euler", "simple"},
		"netayume-lumina":     {"NetaYumev35_pretrained_all_in_one", 1024, 30, 4, 0, "res_multistep", "simple"},
		"chroma1-hd":          {"Chroma1-HD-fp8mixed", 1024, 26, 3.5, 0, "euler", "beta"},
		"ernie-image-turbo":   {"ernie-image-turbo", 1024, 8, 1, 0, "euler", "simple"},
		"ernie-image":         {"ernie-image", 1024, 20, 4, 0, "euler", "simple"},
	} {
		a := ask()
		a.Family = id
		m := text(t, files(filesOf(t, id)...), a)
		got := row{strings.TrimSuffix(m.Model, ".safetensors"), m.Width, m.Steps, m.CFG, m.Guidance, m.Sampler, m.Scheduler}
		if got != want || m.Width != m.Height {
			t.Errorf("%s runs with %+v, want %+v", id, got, want)
		}
	}
}

// Of a server that has everything, each version takes the first family that it can run.
func TestFamilies_chosen(t *testing.T) {
	t.Parallel()
	var all []string
	for _, id := range families(t) {
		for _, name := range filesOf(t, id) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	for version, want := range map[string]string{"v0.3.64": "z-image-turbo", "v0.33.0": "z-image-turbo"} {
		inv := at(files(all...), recorded(t, version))
		var chosen []string
		for _, f := range catalog(t).Families(inv) {
			if f.Chosen {
				chosen = append(chosen, f.ID)
			}
			if old := version == "v0.3.64" && onlyNewer[f.ID] != nil; f.Installed == old && f.ID != "checkpoint" || (len(f.Lacks) > 0) != old {
				t.Errorf("%s: %+v", version, f)
			}
			if f.Model == "" && f.ID != "checkpoint" || len(f.Missing) > 0 && f.ID != "checkpoint" {
				t.Errorf("%s: %+v", version, f)
			}
		}
		if !slices.Equal(chosen, []string{want}) {
			t.Errorf("%s: chosen %v, want %s", version, chosen, want)
		}
		if made := text(t, inv, ask()); made.Family != want {
			t.Errorf("%s: a bare prompt takes %s", version, made.Family)
		}
	}
	// A family that the server is too old for is passed over by a bare prompt.
	inv := files(append(filesOf(t, "krea2-turbo"), filesOf(t, "sdxl")...)...)
	for version, want := range map[string]string{"v0.3.64": "sdxl", "v0.33.0": "krea2-turbo"} {
		if made := text(t, at(inv, recorded(t, version)), ask()); made.Family != want {
			t.Errorf("%s: a bare prompt takes %s, want %s", version, made.Family, want)
		}
	}
}
