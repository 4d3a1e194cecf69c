package emulator

import "slices"

// UsualModels are the files under the names that people install for each family
// of models, with about their real sizes. None of them has weights.
func UsualModels() []Model {
	const mb, gb = 1_000_000, 1_000_000_000
	of := func(folder string, files ...Model) []Model {
		for i := range files {
			files[i].Folder = folder
		}
		return files
	}
	spec := func(architecture, title string) map[string]string {
		return map[string]string{"modelspec.architecture": architecture, "modelspec.title": title}
	}
	return slices.Concat(
		of("checkpoints",
			Model{Name: "NetaYumev35_pretrained_all_in_one.safetensors", Size: 10_600 * mb},
			Model{Name: "flux1-dev-fp8.safetensors", Size: 17_246 * mb, Metadata: spec("flux-1-dev", "Flux.1 dev")},
			Model{Name: "flux1-schnell-fp8.safetensors", Size: 17_236 * mb, Metadata: spec("flux-1-schnell", "Flux.1 schnell")},
			Model{Name: "sd3.5_large_fp8_scaled.safetensors", Size: 14_500 * mb, Metadata: spec("stable-diffusion-v3.5-large", "Stable Diffusion 3.5 Large")},
			Model{Name: "sd_xl_base_1.0.safetensors", Size: 6_938 * mb, Metadata: spec("stable-diffusion-xl-v1-base", "Stable Diffusion XL 1.0 Base")},
			Model{Name: "sd_xl_refiner_1.0.safetensors", Size: 6_075 * mb, Metadata: spec("stable-diffusion-xl-v1-refiner", "Stable Diffusion XL 1.0 Refiner")},
			Model{Name: "sd_xl_turbo_1.0_fp16.safetensors", Size: 6_938 * mb, Metadata: spec("stable-diffusion-xl-turbo-v1", "SDXL Turbo")},
			Model{Name: "v1-5-pruned-emaonly-fp16.safetensors", Size: 2_133 * mb},
		),
		of("diffusion_models",
			Model{Name: "Chroma1-HD-fp8mixed.safetensors", Size: 9_100 * mb},
			Model{Name: "anima-base-v1.0.safetensors", Size: 4_200 * mb},
			Model{Name: "ernie-image-turbo.safetensors", Size: 16_000 * mb},
			Model{Name: "flux-2-klein-4b-fp8.safetensors", Size: 4_100 * mb},
			Model{Name: "flux-2-klein-4b.safetensors", Size: 7_800 * mb},
			Model{Name: "flux-2-klein-base-4b.safetensors", Size: 7_800 * mb},
			Model{Name: "flux-2-klein-base-9b-fp8.safetensors", Size: 9_200 * mb},
			Model{Name: "flux1-dev-kontext_fp8_scaled.safetensors", Size: 11_900 * mb},
			Model{Name: "flux1-dev.safetensors", Size: 23_800 * mb, Metadata: spec("flux-1-dev", "Flux.1 dev")},
			Model{Name: "flux1-fill-dev.safetensors", Size: 23_800 * mb},
			Model{Name: "flux1-krea-dev_fp8_scaled.safetensors", Size: 11_900 * mb},
			Model{Name: "flux1-schnell.safetensors", Size: 23_800 * mb, Metadata: spec("flux-1-schnell", "Flux.1 schnell")},
			Model{Name: "flux2_dev_fp8mixed.safetensors", Size: 35_500 * mb},
			Model{Name: "krea2_turbo_fp8_scaled.safetensors", Size: 13_100 * mb},
			Model{Name: "qwen_image_2512_fp8_e4m3fn.safetensors", Size: 20_400 * mb},
			Model{Name: "qwen_image_edit_2511_fp8mixed.safetensors", Size: 20_500 * mb},
			Model{Name: "qwen_image_fp8_e4m3fn.safetensors", Size: 20_400 * mb},
			Model{Name: "z_image_bf16.safetensors", Size: 12_300 * mb},
			Model{Name: "z_image_turbo_bf16.safetensors", Size: 12_300 * mb},
		),
		of("text_encoders",
			Model{Name: "clip_g.safetensors", Size: 1_389 * mb},
			Model{Name: "clip_l.safetensors", Size: 246 * mb},
			Model{Name: "ministral-3-3b.safetensors", Size: 7_700 * mb},
			Model{Name: "mistral_3_small_flux2_bf16.safetensors", Size: 35_500 * mb},
			Model{Name: "qwen3vl_4b_fp8_scaled.safetensors", Size: 4_900 * mb},
			Model{Name: "qwen_2.5_vl_7b_fp8_scaled.safetensors", Size: 9_400 * mb},
			Model{Name: "qwen_3_06b_base.safetensors", Size: 1_200 * mb},
			Model{Name: "qwen_3_4b.safetensors", Size: 8_000 * mb},
			Model{Name: "qwen_3_8b_fp8mixed.safetensors", Size: 8_700 * mb},
			Model{Name: "t5xxl_fp16.safetensors", Size: 9_790 * mb},
			Model{Name: "t5xxl_fp8_e4m3fn.safetensors", Size: 4_894 * mb},
			Model{Name: "t5xxl_fp8_e4m3fn_scaled.safetensors", Size: 5_157 * mb},
		),
		of("vae",
			Model{Name: "ae.safetensors", Size: 335 * mb},
			Model{Name: "flux2-vae.safetensors", Size: 336 * mb},
			Model{Name: "full_encoder_small_decoder.safetensors", Size: 250 * mb},
			Model{Name: "qwen_image_vae.safetensors", Size: 254 * mb},
			Model{Name: "sdxl_vae.safetensors", Size: 335 * mb},
		),
		of("loras",
			Model{Name: "Qwen-Image-Lightning-8steps-V1.0.safetensors", Size: 1_700 * mb},
			Model{Name: "flux-realism.safetensors", Size: 22 * mb, Metadata: spec("flux-1-dev/lora", "Realism")},
			Model{
				Name: "sdxl/pixel-art-xl.safetensors", Size: 170 * mb,
				Metadata: map[string]string{"ss_base_model_version": "sdxl_base_v1-0", "ss_network_dim": "32"},
			},
			Model{
				Name: "watercolor-sd15.safetensors", Size: 144 * mb,
				Metadata: map[string]string{"ss_base_model_version": "sd_v1", "ss_network_dim": "32"},
			},
		),
		of("upscale_models",
			Model{Name: "4x-UltraSharp.safetensors", Size: 67 * mb},
			Model{Name: "RealESRGAN_x2plus.safetensors", Size: 67 * mb},
			Model{Name: "RealESRGAN_x4plus.safetensors", Size: 67 * mb},
		),
		of("controlnet", Model{Name: "controlnet-union-sdxl-1.0.safetensors", Size: 2_500 * mb}),
		of("embeddings", Model{Name: "easynegative.safetensors", Size: gb / 40_000}),
	)
}

// models lists the files of a folder, in the order in which ComfyUI lists them.
func (s *Server) models(folder string) []Model {
	var list []Model
	for _, m := range s.opts.Models {
		if m.Folder == folder {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b Model) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

func (s *Server) model(folder, name string) (Model, bool) {
	for _, m := range s.opts.Models {
		if m.Folder == folder && m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}

// options is the list of a combo, with the files that there are now.
func (s *Server) options(in *inputInfo) []string {
	if in.files == nil {
		return in.options
	}
	list := []string{}
	for _, folder := range in.files {
		if folder == fileInputs {
			list = append(list, s.disk.list(inputDir, false)...)
			continue
		}
		for _, m := range s.models(folder) {
			list = append(list, m.Name)
		}
	}
	return append(list, in.extra...)
}
