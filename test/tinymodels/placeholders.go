package main

// A placeholder is an empty file <folder>/<name>.safetensors: ComfyUI lists it and accepts graphs with it; only the run fails.
type placeholder struct {
	folder string
	names  []string
}

// placeholders returns the usual names of every family's files.
func placeholders() []placeholder {
	return []placeholder{
		{"checkpoints", []string{
			"empty", // of no family: a model whose run fails
			"v1-5-pruned-emaonly-fp16",
			"sd_xl_base_1.0", "sd_xl_refiner_1.0", "sd_xl_turbo_1.0_fp16",
			"sd3.5_large_fp8_scaled",
			"flux1-dev-fp8", "flux1-schnell-fp8",
			"NetaYumev35_pretrained_all_in_one",
		}},
		{"diffusion_models", []string{
			"flux1-dev", "flux1-schnell", "flux1-krea-dev_fp8_scaled",
			"flux2_dev_fp8mixed",
			"flux-2-klein-4b", "flux-2-klein-4b-fp8", "flux-2-klein-9b-fp8", "flux-2-klein-base-4b", "flux-2-klein-base-9b-fp8",
			"qwen_image_fp8_e4m3fn", "qwen_image_2512_fp8_e4m3fn",
			"z_image_turbo_bf16", "z_image_bf16",
			"krea2_turbo_fp8_scaled",
			"anima-base-v1.0",
			"Chroma1-HD-fp8mixed",
			"ernie-image-turbo", "ernie-image",
			"qwen_image_edit_2511_fp8mixed", "flux1-dev-kontext_fp8_scaled", "flux1-fill-dev", // these edit
		}},
		{"text_encoders", []string{
			"clip_l", "t5xxl_fp16", "t5xxl_fp8_e4m3fn", "t5xxl_fp8_e4m3fn_scaled",
			"mistral_3_small_flux2_bf16", "qwen_3_4b", "qwen_3_8b_fp8mixed", "qwen_2.5_vl_7b_fp8_scaled",
			"qwen3vl_4b_fp8_scaled", "qwen_3_06b_base", "ministral-3-3b",
		}},
		{"vae", []string{"ae", "flux2-vae", "full_encoder_small_decoder", "qwen_image_vae"}},
		{"loras", []string{
			"Qwen-Image-Lightning-8steps-V1.0", "Qwen-Image-Lightning-4steps-V1.0", "Qwen-Image-2512-Lightning-4steps-V1.0-fp32",
			"Flux_2-Turbo-LoRA_comfyui", "anima-turbo-lora-v0.2",
		}},
	}
}

func placeholderCount() (n int) {
	for _, p := range placeholders() {
		n += len(p.names)
	}
	return n
}
