package workflow

import (
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
		return "models"
	}
	return ""
}

// weights reports whether a value looks like the name of a file of weights.
func weights(value string) bool {
	return slices.Contains([]string{".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".pkl", ".onnx"}, strings.ToLower(path.Ext(value)))
}

// pixelSpace is a VAE's name that stands for no file.
const pixelSpace = "pixel_space"

// Models returns every model that g would load, sorted, none twice: those of its loaders, and the embeddings that its texts name (T37).
// A model whose name is not written in the node, but comes over a link, has an empty name, which policy denies.
func Models(g comfy.Graph) []policy.Model {
	found := map[policy.Model]bool{}
	for _, n := range g {
		known := loaders[n.ClassType]
		for input, value := range n.Inputs {
			text, isText := value.(string)
			kind := modelKind(n.ClassType, input)
			switch {
			case isText && kind != "" && (known != nil || weights(text)) && text != pixelSpace:
				found[policy.Model{Kind: kind, Name: text}] = true
			case !isText && known != nil && kind != "":
				found[policy.Model{Kind: kind}] = true
			case isText && kind == "":
				for _, name := range embeddings(text) {
					found[policy.Model{Kind: policy.Embedding, Name: name}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b policy.Model) int {
		return strings.Compare(string(a.Kind)+"\x00"+a.Name, string(b.Kind)+"\x00"+b.Name)
	})
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

// Nodes returns g's nodes as policy judges them, sorted by id. A class that info does not know has no module, which policy denies.
func Nodes(g comfy.Graph, info *comfy.ObjectInfo) []policy.Node {
	var out []policy.Node
	for _, id := range sortedIDs(g) {
		n := policy.Node{ID: id, Class: g[id].ClassType}
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
				return o != pixelSpace && (loaders[name] != nil || weights(o)) && !allow(kind, o)
			})
		}
		if copied != nil {
			out.Classes[name] = copied
		}
	}
	return out
}
