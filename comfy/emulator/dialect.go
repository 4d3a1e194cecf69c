package emulator

import (
	"encoding/json"
	"fmt"
)

// dialect is what one version says or does otherwise than the other.
type dialect struct {
	version string

	jobsAPI         bool // /api/jobs, and the create_time that it shows
	strictIDs       bool // a prompt_id must be a UUID
	throttled       bool // progress without a picture at most every 100 ms
	namedCycles     bool // validation names the nodes of a cycle
	namedMissing    bool // missing_node_type instead of invalid_prompt
	checksV3        bool // combos of the newer kind are validated
	reprOptions     bool // a wrong value is shown as Python's repr
	contained       bool // a picture's name must stay in its folder
	stopsInDecode   bool // an interrupt reaches a running VAEDecode
	avDecoder       bool // pictures are opened by another library
	savesPass       bool // SaveImage hands its pictures on
	sortedOutputs   bool // see outputOrder
	replacesNodes   bool // looks for replaced classes first, and trips over a list
	allOwnOutputs   bool // an ended job shows cached outputs of nodes it did not reach
	nosniff         bool // /view says so
	secFetch        bool // refuses Sec-Fetch-Site: cross-site
	modelExtensions bool // /experiment/models shows file extensions
	jobPreviews     bool // a job chooses whether it has previews
	templateFiles   bool // the index of templates says what goes in and comes out

	features string   // GET /features, but for max_upload_size
	folders  []string // GET /models
	system   string   // GET /system_stats, "system" but for what changes
}

// dialectOf returns the dialect of a version.
func dialectOf(version string) (*dialect, bool) {
	switch version {
	case V0364:
		return &dialect{
			version:       V0364,
			allOwnOutputs: true,
			features:      `{"supports_preview_metadata": true, "max_upload_size": %d}`,
			folders: []string{
				"checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision",
				"style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models",
				"custom_nodes", "hypernetworks", "photomaker", "classifiers", "model_patches", "audio_encoders",
			},
			system: `{"os": "posix", "ram_total": 17179869184, "ram_free": 12884901888, "comfyui_version": "0.3.64",
				"required_frontend_version": "1.27.10", "installed_templates_version": "0.1.95",
				"required_templates_version": "0.1.95", "python_version": "3.11.7 (embedded)", "pytorch_version": "2.9.1",
				"embedded_python": false, "argv": ["main.py"]}`,
		}, true
	case V0330:
		return &dialect{
			version: V0330,
			jobsAPI: true, strictIDs: true, throttled: true, namedCycles: true, namedMissing: true, checksV3: true,
			reprOptions: true, contained: true, stopsInDecode: true, avDecoder: true, savesPass: true,
			sortedOutputs: true, replacesNodes: true, nosniff: true, secFetch: true, modelExtensions: true,
			jobPreviews: true, templateFiles: true,
			features: `{"supports_preview_metadata": true, "supports_model_type_tags": true, "max_upload_size": %d, ` +
				`"extension": {"manager": {"supports_v4": true}}, "node_replacements": true, "assets": false}`,
			folders: []string{
				"checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision",
				"style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models",
				"latent_upscale_models", "custom_nodes", "datasets", "hypernetworks", "photomaker", "classifiers",
				"model_patches", "audio_encoders", "background_removal", "frame_interpolation", "geometry_estimation",
				"optical_flow", "detection",
			},
			system: `{"os": "linux", "ram_total": 17179869184, "ram_free": 12884901888, "comfyui_version": "0.33.0",
				"required_frontend_version": "1.49.6", "installed_templates_version": "0.11.44",
				"required_templates_version": "0.11.44", "comfy_package_versions": [
					{"name": "comfyui-frontend-package", "installed": "1.49.6", "required": "1.49.6"},
					{"name": "comfyui-workflow-templates", "installed": "0.11.44", "required": "0.11.44"}],
				"python_version": "3.11.7 (embedded)", "pytorch_version": "2.9.1", "embedded_python": false,
				"deploy_environment": "local-git", "argv": ["main.py"]}`,
		}, true
	default:
		return nil, false
	}
}

// devices is GET /system_stats, "devices": the name tells that nothing is generated here.
const devices = `[{"name": "comfygate emulator: draws procedural pictures, runs no model", "type": "cpu", "index": null,
	"vram_total": 17179869184, "vram_free": 12884901888, "torch_vram_total": 17179869184, "torch_vram_free": 12884901888}]`

// features is GET /features, and the answer to a client's feature flags.
func (s *Server) features() json.RawMessage {
	return json.RawMessage(fmt.Sprintf(s.kind.features, s.opts.MaxUpload))
}
