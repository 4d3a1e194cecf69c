package emulator

import "slices"

// loraUse is a LoRA with its strength.
type loraUse struct {
	file     string
	strength float64
}

// model is a MODEL: which file, and what was done to it. It is not changed once made.
type model struct {
	file  string
	loras []loraUse
}

// clip is a CLIP.
type clip struct {
	files []string
	loras []loraUse
	skip  int // layers left out at the end
}

// vae is a VAE.
type vae struct{ file string }

// upscaler is an UPSCALE_MODEL.
type upscaler struct {
	file   string
	factor int
}

// controlNet is a CONTROL_NET.
type controlNet struct{ file string }

// load finds a model file, as the loaders do.
func (c *call) load(folder, input string) (string, error) {
	name := c.text(input)
	m, ok := c.server.model(folder, name)
	switch {
	case !ok:
		return "", &pyError{
			"FileNotFoundError",
			"Model in folder '" + folder + "' with filename '" + name + "' not found.",
		}
	case m.Broken:
		return "", &pyError{
			"safetensors._safetensors_rust.SafetensorError",
			"Error while deserializing header: header too small",
		}
	}
	return name, nil
}

func loaderNodes() []nodeRow {
	rows := []nodeRow{
		row("CheckpointLoaderSimple", func(c *call) ([]any, error) {
			file, err := c.load("checkpoints", "ckpt_name")
			return []any{model{file: file}, clip{files: []string{file}}, vae{file}}, err
		}),
		row("UNETLoader", func(c *call) ([]any, error) {
			file, err := c.load("diffusion_models", "unet_name")
			return []any{model{file: file}}, err
		}),
		row("VAELoader", func(c *call) ([]any, error) {
			if name := c.text("vae_name"); name == "pixel_space" {
				return []any{vae{name}}, nil
			}
			file, err := c.load("vae", "vae_name")
			return []any{vae{file}}, err
		}),
		row("LoraLoader", func(c *call) ([]any, error) {
			file, err := c.load("loras", "lora_name")
			m, t := take[model](c, "model"), take[clip](c, "clip")
			m.loras = append(slices.Clip(m.loras), loraUse{file, c.float("strength_model")})
			t.loras = append(slices.Clip(t.loras), loraUse{file, c.float("strength_clip")})
			return []any{m, t}, err
		}),
		row("LoraLoaderModelOnly", func(c *call) ([]any, error) {
			file, err := c.load("loras", "lora_name")
			m := take[model](c, "model")
			m.loras = append(slices.Clip(m.loras), loraUse{file, c.float("strength_model")})
			return []any{m}, err
		}),
		row("UpscaleModelLoader", func(c *call) ([]any, error) {
			file, err := c.load("upscale_models", "model_name")
			return []any{upscaler{file, factorOf(file)}}, err
		}),
		row("ControlNetLoader", func(c *call) ([]any, error) {
			file, err := c.load("controlnet", "control_net_name")
			return []any{controlNet{file}}, err
		}),
	}
	texts := map[string][]string{
		"CLIPLoader":          {"clip_name"},
		"DualCLIPLoader":      {"clip_name1", "clip_name2"},
		"TripleCLIPLoader":    {"clip_name1", "clip_name2", "clip_name3"},
		"QuadrupleCLIPLoader": {"clip_name1", "clip_name2", "clip_name3", "clip_name4"},
	}
	for class, inputs := range texts {
		rows = append(rows, row(class, func(c *call) ([]any, error) {
			var t clip
			for _, in := range inputs {
				file, err := c.load("text_encoders", in)
				if err != nil {
					return nil, err
				}
				t.files = append(t.files, file)
			}
			return []any{t}, nil
		}))
	}
	return rows
}

// factorOf reads an upscaler's factor from its name, "4x-UltraSharp" or
// "RealESRGAN_x2plus"; 4 if it names none.
func factorOf(file string) int {
	for i := 0; i+1 < len(file); i++ {
		a, b := file[i]|0x20, file[i+1]|0x20
		switch {
		case a == 'x' && b >= '1' && b <= '8':
			return int(b - '0')
		case b == 'x' && a >= '1' && a <= '8':
			return int(a - '0')
		}
	}
	return 4
}
