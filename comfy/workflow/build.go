package workflow

import (
	"maps"
	"strconv"

	"github.com/comfygate/comfygate/comfy"
)

// Node ids. They are the same in every graph, because ComfyUI keeps a node's object, a loaded adapter say, under its id (CLIENT-GRAPH-4).
const (
	idModel     = "1"
	idEncoders  = "2"
	idVAE       = "3"
	idPositive  = "4"
	idNegative  = "5"
	idLatent    = "6"
	idSampler   = "7"
	idDecode    = "8"
	idOutput    = "9"
	idGuidance  = "10"
	idNoise     = "11"
	idGuider    = "12"
	idSelect    = "13"
	idSigmas    = "14"
	idEncode    = "15"
	idPicture   = "16"
	idUpscaler  = "17"
	idUpscale   = "18"
	idScale     = "19"
	idFinalSize = "20"

	firstPatch = 30
	firstLoRA  = 40
)

// A builder builds a graph. Every value is set as a value; no text is ever put together to make JSON (T36).
type builder struct{ graph comfy.Graph }

// add adds a node and returns a link to its first output.
func (b *builder) add(id, class string, inputs map[string]any) comfy.Link {
	b.graph[id] = comfy.Node{ClassType: class, Inputs: inputs}
	return comfy.Link{Node: id}
}

// parts are what a loaded family gives.
type parts struct{ model, clip, vae comfy.Link }

// buildText returns the graph of a picture from a prompt; its pictures come from [idOutput].
func buildText(p *plan) comfy.Graph {
	b := &builder{comfy.Graph{}}
	loaded := b.load(p)
	latent := b.add(idLatent, p.recipe.Nodes.Latent, map[string]any{"width": p.w, "height": p.h, "batch_size": p.count})
	b.output(b.paint(p, loaded, latent), p.prefix, p.toTemp)
	return b.graph
}

// load adds the loaders, adapters and patches.
func (b *builder) load(p *plan) parts {
	var out parts
	if p.recipe.Files.Loader == loaderCheckpoint {
		out.model = b.add(idModel, "CheckpointLoaderSimple", map[string]any{"ckpt_name": p.model.Name})
		out.clip, out.vae = comfy.Link{Node: idModel, Slot: 1}, comfy.Link{Node: idModel, Slot: 2}
	} else {
		out.model = b.add(idModel, "UNETLoader", map[string]any{"unet_name": p.model.Name, "weight_dtype": "default"})
		out.clip = b.add(idEncoders, encoderClass(len(p.encoders)), encoderInputs(p))
		out.vae = b.add(idVAE, "VAELoader", map[string]any{"vae_name": p.vae})
	}
	for i, l := range p.loras {
		out.model, out.clip = b.adapt(p, firstLoRA+i, l, out.model, out.clip)
	}
	for i, patch := range p.recipe.Nodes.Patches {
		inputs := maps.Clone(patch.Inputs)
		if inputs == nil {
			inputs = map[string]any{}
		}
		inputs["model"] = out.model
		out.model = b.add(strconv.Itoa(firstPatch+i), patch.Class, inputs)
	}
	return out
}

// adapt adds a LoRA: to the text encoder too where it came with the model.
func (b *builder) adapt(p *plan, id int, l LoRA, model, clip comfy.Link) (comfy.Link, comfy.Link) {
	name := strconv.Itoa(id)
	inputs := map[string]any{"model": model, "lora_name": l.Name, "strength_model": l.Strength}
	if p.recipe.Files.Loader != loaderCheckpoint {
		return b.add(name, "LoraLoaderModelOnly", inputs), clip
	}
	inputs["clip"], inputs["strength_clip"] = clip, l.Strength
	return b.add(name, "LoraLoader", inputs), comfy.Link{Node: name, Slot: 1}
}

func encoderClass(n int) string {
	return []string{"CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "QuadrupleCLIPLoader"}[n-1]
}

func encoderInputs(p *plan) map[string]any {
	inputs := map[string]any{}
	if kind := p.recipe.Files.TextEncoders.Type; kind != "" {
		inputs["type"] = kind
	}
	if len(p.encoders) == 1 {
		inputs["clip_name"] = p.encoders[0]
		return inputs
	}
	for i, name := range p.encoders {
		inputs["clip_name"+strconv.Itoa(i+1)] = name
	}
	return inputs
}

// paint adds everything from the prompts to the decoded pictures.
func (b *builder) paint(p *plan, loaded parts, latent comfy.Link) comfy.Link {
	text := p.recipe.Prompt
	positive := b.add(idPositive, "CLIPTextEncode", map[string]any{"clip": loaded.clip, "text": text.Before + p.prompt})
	var negative comfy.Link
	switch p.recipe.Nodes.Negative {
	case negativeText:
		words := p.negative
		if words == "" {
			words = text.Negative
		}
		negative = b.add(idNegative, "CLIPTextEncode", map[string]any{"clip": loaded.clip, "text": text.BeforeNegative + words})
	case negativeZero:
		negative = b.add(idNegative, "ConditioningZeroOut", map[string]any{"conditioning": positive})
	}
	if p.recipe.Nodes.Guidance != nil {
		positive = b.add(idGuidance, "FluxGuidance", map[string]any{"conditioning": positive, "guidance": p.guidance})
	}
	samples := b.sample(p, loaded.model, positive, negative, latent)
	return b.add(idDecode, "VAEDecode", map[string]any{"samples": samples, "vae": loaded.vae})
}

func (b *builder) sample(p *plan, model, positive, negative, latent comfy.Link) comfy.Link {
	if p.recipe.Nodes.Sampler == samplerK {
		return b.add(idSampler, samplerK, map[string]any{
			"model": model, "positive": positive, "negative": negative, "latent_image": latent, "seed": p.seed,
			"steps": p.steps, "cfg": p.cfg, "sampler_name": p.sampler, "scheduler": p.scheduler, "denoise": p.denoise,
		})
	}
	levels := b.add(idSigmas, p.recipe.Nodes.Sigmas.Class, sigmaInputs(p, model))
	method := b.add(idSelect, "KSamplerSelect", map[string]any{"sampler_name": p.sampler})
	if p.recipe.Nodes.Sampler == samplerCustom {
		return b.add(idSampler, samplerCustom, map[string]any{
			"model": model, "positive": positive, "negative": negative, "latent_image": latent, "noise_seed": p.seed,
			"add_noise": true, "cfg": p.cfg, "sampler": method, "sigmas": levels,
		})
	}
	guider := map[string]any{"model": model, "conditioning": positive}
	if p.recipe.Nodes.Sampler == samplerCFG {
		guider = map[string]any{"model": model, "positive": positive, "negative": negative, "cfg": p.cfg}
	}
	return b.add(idSampler, "SamplerCustomAdvanced", map[string]any{
		"noise":        b.add(idNoise, "RandomNoise", map[string]any{"noise_seed": p.seed}),
		"guider":       b.add(idGuider, p.recipe.Nodes.Sampler, guider),
		"sampler":      method,
		"sigmas":       levels,
		"latent_image": latent,
	})
}

func sigmaInputs(p *plan, model comfy.Link) map[string]any {
	all := map[string]any{
		"model": model, "steps": p.steps, "denoise": p.denoise, "scheduler": p.scheduler, "width": p.w, "height": p.h,
	}
	inputs := map[string]any{}
	for _, name := range p.recipe.Nodes.Sigmas.Inputs {
		inputs[name] = all[name]
	}
	return inputs
}

// output adds the node whose pictures are the result (CLIENT-FILE-4).
func (b *builder) output(pictures comfy.Link, prefix string, toTemp bool) {
	if toTemp {
		b.add(idOutput, "PreviewImage", map[string]any{"images": pictures})
		return
	}
	b.add(idOutput, "SaveImage", map[string]any{"images": pictures, "filename_prefix": prefix})
}
