package policy_test

import (
	"testing"

	"github.com/comfygate/comfygate/policy"
)

func allowsClass(t *testing.T, class, module string) bool {
	t.Helper()
	req := good()
	req.Nodes = []policy.Node{{ID: "1", Class: class, Module: module}}
	return rules(t, policy.Config{}).Decide(t.Context(), req).Allowed
}

// CLIENT-SEC-3, T34: core classes that are denied all the same.
func TestDecide_SEC3_deniedClasses(t *testing.T) {
	t.Parallel()
	for _, class := range []string{
		"SaveLatent", "LoadLatent", "SaveVideoLatent", "CheckpointSave", "CLIPSave", "VAESave", "ModelSave", "LoraSave",
		"ImageOnlyCheckpointSave", "SaveLoRANode", "SaveLoRA", "TrainLoraNode", "SaveTrainingDataset", "LoadTrainingDataset", "MakeTrainingDataset",
		"LoadImageSetFromFolderNode", "SaveImageDataSetToFolder", "LoadVideoTextDataSetFromFolder", "DiffusersLoader", "CheckpointLoader",
		"RegexMatch", "RegexExtract", "RegexReplace", "TorchCompileModel", "WebcamCapture", "Load3D", "Load3DAnimation", "Load3DAdvanced",
		"Save_Latent", "Save Latent",
	} {
		for _, module := range []string{"nodes", "comfy_extras.nodes_x"} {
			if allowsClass(t, class, module) {
				t.Errorf("%s of %s is allowed", class, module)
			}
		}
	}
}

// CLIENT-SEC-4: whole words, in any case. CLIENT-SEC-1: the module decides first.
func TestDecide_SEC4_words(t *testing.T) {
	t.Parallel()
	for _, class := range []string{
		"KSampler", "CLIPTextEncode", "VAEDecode", "VAEEncode", "CheckpointLoaderSimple", "UNETLoader", "DualCLIPLoader", "VAELoader", "LoraLoader",
		"LoraLoaderModelOnly", "SaveImage", "PreviewImage", "LoadImage", "EmptyFlux2LatentImage", "ModelSamplingAuraFlow", "ConditioningZeroOut",
		"SDTurboScheduler", "SamplerCustomAdvanced", "UpscaleModelLoader", "ImageUpscaleWithModel", "ImageScale", "unCLIPCheckpointLoader", "Video Slice",
		"LatentUpscale", "ConstrainSize", "RestrainX",
	} {
		if !allowsClass(t, class, "nodes") {
			t.Errorf("%s is denied", class)
		}
		if allowsClass(t, class, "custom_nodes.other") {
			t.Errorf("%s of a custom module is allowed", class)
		}
	}
	for _, class := range []string{"REGEXMATCH", "trainloranode", "loadimagefromfolder", "CheckPointSave", "saveloranode", "VaeSave"} {
		if allowsClass(t, class, "nodes") {
			t.Errorf("%s is allowed", class)
		}
	}
}
