package workflow

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// loaders are the inputs of ComfyUI's classes that name a model file, and the folder that it lies in.
//
//nolint:gochecknoglobals // an immutable table, looked into for every input of every graph
var loaders = loaderTable()

func loaderTable() map[string]map[string]policy.Kind {
	one := func(input string, kind policy.Kind) map[string]policy.Kind {
		return map[string]policy.Kind{input: kind}
	}
	encoders := func(inputs ...string) map[string]policy.Kind {
		out := map[string]policy.Kind{}
		for _, in := range inputs {
			out[in] = policy.TextEncoder
		}
		return out
	}
	checkpoint := one("ckpt_name", policy.Checkpoint)
	lora := one("lora_name", policy.LoRA)
	return map[string]map[string]policy.Kind{
		"CheckpointLoaderSimple":         checkpoint,
		"CheckpointLoader":               checkpoint,
		"ImageOnlyCheckpointLoader":      checkpoint,
		"unCLIPCheckpointLoader":         checkpoint,
		"LTXVAudioVAELoader":             checkpoint,
		"LTXAVTextEncoderLoader":         {"ckpt_name": policy.Checkpoint, "text_encoder": policy.TextEncoder},
		"UNETLoader":                     one("unet_name", policy.DiffusionModel),
		"CLIPLoader":                     encoders("clip_name"),
		"DualCLIPLoader":                 encoders("clip_name1", "clip_name2"),
		"TripleCLIPLoader":               encoders("clip_name1", "clip_name2", "clip_name3"),
		"QuadrupleCLIPLoader":            encoders("clip_name1", "clip_name2", "clip_name3", "clip_name4"),
		"VAELoader":                      one("vae_name", policy.VAE),
		"LoraLoader":                     lora,
		"LoraLoaderModelOnly":            lora,
		"LoraLoaderBypass":               lora,
		"LoraLoaderBypassModelOnly":      lora,
		"CreateHookLora":                 lora,
		"CreateHookLoraModelOnly":        lora,
		"UpscaleModelLoader":             one("model_name", policy.Upscaler),
		"ControlNetLoader":               one("control_net_name", "controlnet"),
		"DiffControlNetLoader":           one("control_net_name", "controlnet"),
		"CLIPVisionLoader":               one("clip_name", "clip_vision"),
		"StyleModelLoader":               one("style_model_name", "style_models"),
		"GLIGENLoader":                   one("gligen_name", "gligen"),
		"HypernetworkLoader":             one("hypernetwork_name", "hypernetworks"),
		"PhotoMakerLoader":               one("photomaker_model_name", "photomaker"),
		"ModelPatchLoader":               one("name", "model_patches"),
		"AudioEncoderLoader":             one("audio_encoder_name", "audio_encoders"),
		"LatentUpscaleModelLoader":       one("model_name", "latent_upscale_models"),
		"FrameInterpolationModelLoader":  one("model_name", "frame_interpolation"),
		"OpticalFlowLoader":              one("model_name", "optical_flow"),
		"LoadDA3Model":                   one("model_name", "geometry_estimation"),
		"LoadMoGeModel":                  one("model_name", "geometry_estimation"),
		"LoadMediaPipeFaceLandmarker":    one("model_name", "detection"),
		"LoadBackgroundRemovalModel":     one("bg_removal_name", "background_removal"),
		"CreateHookModelAsLora":          checkpoint,
		"CreateHookModelAsLoraModelOnly": checkpoint,
	}
}

// modelKind returns the folder of the model that an input names, "models" where it names one of a folder unknown, and "" where it names none.
// Inputs of classes that are not in the table are told by their own name, so that a new loader does not slip through.
func modelKind(class, input string) policy.Kind {
	if inputs, ok := loaders[class]; ok {
		return inputs[input]
	}
	if strings.HasSuffix(input, "_name") && input != "sampler_name" || input == "model_path" {
		return anyModel
	}
	return ""
}

// anyModel is the kind of a file whose folder is not known.
const anyModel policy.Kind = "models"

// weights reports whether a value looks like the name of a file of weights.
func weights(value string) bool {
	return slices.Contains([]string{".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".pkl", ".onnx"}, strings.ToLower(path.Ext(value)))
}

// pixelSpace is the one VAE that needs no file at all.
const pixelSpace = "pixel_space"

// core reports whether a module of classes is ComfyUI's own.
func core(module string) bool { return module == "nodes" || strings.HasPrefix(module, "comfy_extras.") }

// builtIn reports whether a name that a loader of ComfyUI's own lists stands for no file in its folder, as VAELoader's pixel_space and
// taesd do: it has no extension, and ComfyUI lists no file without one. Embeddings, which it does, have no loader.
func builtIn(info *comfy.ObjectInfo, class, input, name string) bool {
	if class == "VAELoader" && name == pixelSpace { // which recipes of ours name, also where no info is at hand
		return true
	}
	c := classOf(info, class)
	if c == nil || loaders[class] == nil || !core(c.Module) || path.Ext(name) != "" {
		return false
	}
	in := c.Input(input)
	return in != nil && slices.Contains(in.Options, name)
}

// Models returns every model that g would load at a server that has info, sorted, none twice: those of its loaders, and the embeddings
// that its texts name (T37), also a text that nodes put together. A model whose name is not written in the node, but comes over a link, has
// an empty name, which policy denies. What a loader lists that is no file is no model.
func Models(g comfy.Graph, info *comfy.ObjectInfo) []policy.Model {
	found := map[policy.Model]bool{}
	for _, text := range knownTexts(g, running(g, nil)) {
		for _, e := range embeddings(text) {
			found[policy.Model{Kind: policy.Embedding, Name: e}] = true
		}
	}
	for _, n := range g {
		for input, value := range n.Inputs {
			for _, m := range named(info, n.ClassType, input, written(value)) {
				found[m] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareModels)
}

// named returns the models that one value names.
func named(info *comfy.ObjectInfo, class, input string, value any) (models []policy.Model) {
	text, isText := value.(string)
	kind := modelKind(class, input)
	switch {
	case kind == "":
		for _, e := range embeddings(text) {
			models = append(models, policy.Model{Kind: policy.Embedding, Name: e})
		}
	case !isText && loaders[class] != nil:
		models = []policy.Model{{Kind: kind}}
	case isText && (loaders[class] != nil || weights(text)) && !builtIn(info, class, input, text):
		models = []policy.Model{{Kind: kind, Name: text}}
	}
	return models
}

func compareModels(a, b policy.Model) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Name, b.Name))
}

// embeddings returns the names that a prompt loads by "embedding:name".
func embeddings(text string) (names []string) {
	const mark = "embedding:"
	for {
		i := strings.Index(text, mark)
		if i < 0 {
			return names
		}
		text = text[i+len(mark):]
		end := strings.IndexFunc(text, func(c rune) bool { return strings.ContainsRune(" \t\r\n,:()", c) })
		if end < 0 {
			end = len(text)
		}
		if end > 0 {
			names = append(names, text[:end])
		}
	}
}

// Nodes returns g's nodes as policy judges them, sorted by id, with their values. A class that info does not know has no module, which
// policy denies; so nothing that the server would put in place of a class it does not have gets through (T34).
func Nodes(g comfy.Graph, info *comfy.ObjectInfo) []policy.Node {
	out := make([]policy.Node, 0, len(g))
	for _, id := range sortedIDs(g) {
		n := policy.Node{ID: id, Class: g[id].ClassType, Inputs: make(map[string]any, len(g[id].Inputs))}
		for input, v := range g[id].Inputs {
			if _, ok := asLink(v); ok {
				n.Inputs[input] = policy.Linked{}
			} else {
				n.Inputs[input] = written(v)
			}
		}
		if class := classOf(info, n.Class); class != nil {
			n.Module, n.API = class.Module, class.API
		}
		out = append(out, n)
	}
	return out
}

func classOf(info *comfy.ObjectInfo, name string) *comfy.Class {
	if info == nil {
		return nil
	}
	return info.Classes[name]
}

// Restrict returns info with its lists of models cut down to those that allow lets through, so that [Fit] neither takes nor suggests
// another (SC-52). info is not changed.
func Restrict(info *comfy.ObjectInfo, allow func(policy.Kind, string) bool) *comfy.ObjectInfo {
	out := &comfy.ObjectInfo{Classes: maps.Clone(info.Classes)}
	for name, class := range info.Classes {
		var copied *comfy.Class
		for i, in := range class.Inputs {
			kind := modelKind(name, in.Name)
			if kind == "" || len(in.Options) == 0 {
				continue
			}
			if copied == nil {
				c := *class
				c.Inputs = slices.Clone(class.Inputs)
				copied = &c
			}
			copied.Inputs[i].Options = slices.DeleteFunc(slices.Clone(in.Options), func(o string) bool {
				return (loaders[name] != nil || weights(o)) && !builtIn(info, name, in.Name, o) && !allow(kind, o)
			})
		}
		if copied != nil {
			out.Classes[name] = copied
		}
	}
	return out
}
