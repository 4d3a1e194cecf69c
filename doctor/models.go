package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

var kinds = []policy.Kind{
	policy.Checkpoint, policy.DiffusionModel, policy.TextEncoder, policy.VAE, policy.LoRA, policy.Upscaler,
}

// models looks at what pictures can be made of.
func (v *visit) models(ctx context.Context, info *comfy.ObjectInfo) {
	inv, denied, err := v.inventory(ctx, info)
	if err != nil {
		v.add(Finding{
			ID: "comfyui_models", Severity: Fail, Text: "ComfyUI does not tell its models: " + err.Error(),
			Fix: "look into ComfyUI's own log",
		})
		return
	}
	families := v.Catalog.Families(inv)
	v.usable(families, inv)
	v.incomplete(families)
	v.absent(families)
	v.defaultModel(inv)
	v.upscalers(inv)
	if len(denied) > 0 {
		v.add(Finding{
			ID: "models_denied", Severity: Info, Text: fmt.Sprintf("%s lie there that the policy does not let be used: %s", count(len(denied), "file"), short(denied)),
			Fix: "of .ckpt and .pt files use the safetensors form; COMFYGATE_POLICY__MODEL_ALLOW, __MODEL_DENY and __MODEL_EXTENSIONS rule the rest",
		})
	}
}

// inventory is what the server has and the policy lets through, and the names of what it does not.
func (v *visit) inventory(ctx context.Context, info *comfy.ObjectInfo) (inv workflow.Inventory, denied []string, err error) {
	inv = workflow.Inventory{Files: map[policy.Kind][]comfy.ModelFile{}, Info: info}
	inv.Metadata = func(folder, name string) map[string]string {
		meta, err := v.Server.Metadata(ctx, folder, name)
		if err != nil {
			return nil // most files have none, and the name tells as well
		}
		return meta
	}
	for _, kind := range kinds {
		files, err := v.Server.Models(ctx, string(kind))
		if err != nil {
			return inv, nil, fmt.Errorf("folder %s: %w", kind, err)
		}
		for _, f := range files {
			if v.Rules.AllowModel(kind, f.Name) {
				inv.Files[kind] = append(inv.Files[kind], f)
			} else {
				denied = append(denied, string(kind)+"/"+f.Name)
			}
		}
	}
	if sampler := info.Classes["KSampler"]; sampler != nil {
		inv.Samplers, inv.Schedulers = options(sampler, "sampler_name"), options(sampler, "scheduler")
	}
	return inv, denied, nil
}

func options(class *comfy.Class, input string) []string {
	if in := class.Input(input); in != nil {
		return in.Options
	}
	return nil
}

// usable tells what a bare prompt takes, or what to get where there is nothing.
func (v *visit) usable(families []workflow.FamilyState, inv workflow.Inventory) {
	var names []string
	chosen := ""
	for _, f := range families {
		if f.Installed {
			names = append(names, f.Title)
		}
		if f.Chosen {
			chosen = fmt.Sprintf("%s (%s)", f.Title, f.Model)
		}
	}
	switch {
	case len(names) > 0:
		text := "model families that are installed: " + strings.Join(names, ", ")
		if chosen != "" {
			text += "; a bare prompt takes " + chosen
		}
		v.add(Finding{ID: "model_families", Severity: OK, Text: text})
	case len(inv.Files[policy.Checkpoint]) > 0:
		v.add(Finding{
			ID: "model_families", Severity: Info,
			Text: "no known model family is installed; a bare prompt takes the checkpoint " + inv.Files[policy.Checkpoint][0].Name + " with plain settings",
		})
	default:
		f := Finding{ID: "model_families", Severity: Fail, Text: "ComfyUI has no model that a bare prompt could use", Fix: "put a model below ComfyUI's models folder"}
		for _, fam := range families {
			if len(fam.Lacks) == 0 && len(fam.Missing) > 0 {
				f.Fix = "put the files of a model family below ComfyUI's models folder, such as those of " + fam.Title
				f.Details = places(fam.Missing)
				break
			}
		}
		v.add(f)
	}
}

// incomplete tells of families whose model is there but cannot be used.
func (v *visit) incomplete(families []workflow.FamilyState) {
	for _, f := range families {
		if f.Installed || f.Model == "" {
			continue
		}
		if len(f.Lacks) > 0 {
			v.add(Finding{
				ID: "model_family_too_new", Severity: Warn, Text: fmt.Sprintf("%s (%s) needs a newer ComfyUI", f.Title, f.Model),
				Details: f.Lacks, Fix: "update ComfyUI",
			})
		}
		if len(f.Missing) > 0 {
			v.add(Finding{
				ID: "model_family_incomplete", Severity: Warn, Text: fmt.Sprintf("%s (%s) lacks files", f.Title, f.Model),
				Details: places(f.Missing), Fix: "put them below ComfyUI's models folder",
			})
		}
	}
}

// places tells of each file where it belongs and where it is to be had.
func places(files []workflow.MissingFile) []string {
	lines := make([]string, len(files))
	for i, f := range files {
		lines[i] = fmt.Sprintf("%s into models/%s, from %s", f.Name, f.Folder, f.Repository)
	}
	return lines
}

// absent names the families of which nothing is there, and what they would need.
func (v *visit) absent(families []workflow.FamilyState) {
	f := Finding{ID: "model_families_absent", Severity: Info, Fix: "put the files of one that you want below ComfyUI's models folder"}
	for _, fam := range families {
		if !fam.Installed && fam.Model == "" && len(fam.Missing) > 0 { // the recipe for any checkpoint misses no file by name
			f.Details = append(f.Details, fam.Title+": "+strings.Join(places(fam.Missing), "; "))
		}
	}
	if n := len(f.Details); n > 0 {
		f.Text = fmt.Sprintf("further model families are known: %d", n)
		v.add(f)
	}
}

// defaultModel looks for the model that a setting names.
func (v *visit) defaultModel(inv workflow.Inventory) {
	want := v.Config.Generation.Model
	if want == "" {
		return
	}
	for _, kind := range []policy.Kind{policy.Checkpoint, policy.DiffusionModel} {
		for _, f := range inv.Files[kind] {
			if f.Name == want {
				v.add(Finding{ID: "default_model", Severity: OK, Text: "the default model " + want + " is there"})
				return
			}
		}
	}
	v.add(Finding{
		ID: "default_model", Severity: Fail, Text: "COMFYGATE_GENERATION__MODEL names " + want + ", which ComfyUI does not list or the policy denies",
		Fix: "name a file as ComfyUI lists it, or take the setting away",
	})
}

func (v *visit) upscalers(inv workflow.Inventory) {
	files := inv.Files[policy.Upscaler]
	if len(files) == 0 {
		v.add(Finding{
			ID: "upscale_models", Severity: Info, Text: "there is no upscale model; upscale resamples instead",
			Fix: "put one into models/upscale_models, such as RealESRGAN_x4plus.safetensors from Comfy-Org/Real-ESRGAN_repackaged",
		})
		return
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	v.add(Finding{ID: "upscale_models", Severity: OK, Text: "upscale models: " + short(names)})
}
