package emulator_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// providers are nodes that give a value of each type.
func providers() graph {
	return graph{
		"IMAGE":         node("EmptyImage", map[string]any{"width": 24, "height": 16, "batch_size": 2, "color": 0x3366cc}),
		"MASK":          node("SolidMask", map[string]any{"value": 0.5, "width": 24, "height": 16}),
		"CKPT":          node("CheckpointLoaderSimple", map[string]any{"ckpt_name": "sd_xl_base_1.0.safetensors"}),
		"LATENT":        node("VAEEncode", map[string]any{"pixels": link("IMAGE", 0), "vae": link("CKPT", 2)}),
		"CONDITIONING":  node("CLIPTextEncode", map[string]any{"text": "a fox", "clip": link("CKPT", 1)}),
		"CONTROL_NET":   node("ControlNetLoader", map[string]any{"control_net_name": "controlnet-union-sdxl-1.0.safetensors"}),
		"UPSCALE_MODEL": node("UpscaleModelLoader", map[string]any{"model_name": "RealESRGAN_x2plus.safetensors"}),
		"NOISE":         node("RandomNoise", map[string]any{"noise_seed": 1}),
		"SAMPLER":       node("KSamplerSelect", map[string]any{"sampler_name": "euler"}),
		"SIGMAS":        node("BasicScheduler", map[string]any{"model": link("CKPT", 0), "scheduler": "simple", "steps": 2, "denoise": 1.0}),
		"GUIDER": node("CFGGuider", map[string]any{
			"model": link("CKPT", 0), "positive": link("CONDITIONING", 0), "negative": link("CONDITIONING", 0), "cfg": 1.0,
		}),
	}
}

// value is what an input gets: a link to a provider, its default, or its first choice.
func value(spec []any, optional bool) (any, bool) {
	kind, _ := spec[0].(string)
	config := map[string]any{}
	if len(spec) > 1 {
		config, _ = spec[1].(map[string]any)
	}
	if kind == "AUDIO" {
		return link("AUDIO", 0), true
	}
	slots := map[string]int{"MODEL": 0, "CLIP": 1, "VAE": 2}
	if slot, ok := slots[kind]; ok {
		return link("CKPT", slot), true
	}
	if _, ok := providers()[kind]; ok {
		return link(kind, 0), true
	}
	if def, ok := config["default"]; ok {
		if n, isNumber := def.(json.Number); isNumber && n.String() == "1024" {
			return 64, true // sizes: the test is about classes
		}
		return def, true
	}
	options, ok := config["options"].([]any)
	if list, isList := spec[0].([]any); isList {
		options, ok = list, true
	}
	if ok && len(options) > 0 {
		return options[0], true
	}
	switch kind {
	case "INT", "FLOAT":
		return 1, true
	case "STRING":
		return "text", true
	case "BOOLEAN":
		return true, true
	case "*":
		return link("IMAGE", 0), true
	default:
		return nil, !optional
	}
}

// TestNodes_everyClassRuns runs each class of each version once, with the
// defaults of its own description.
func TestNodes_everyClassRuns(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		s := sketchy(t, emulator.Options{Version: version})
		s.WriteFile("input", "in.png", pngBytes(t, testPicture(16, 16)))
		var infos map[string]struct {
			Input  map[string]map[string]any
			Order  map[string][]string `json:"input_order"`
			Output []any
			Sink   bool `json:"output_node"`
		}
		s.getJSON("/api/object_info", &infos)
		n := 0
		for class, info := range infos {
			inputs := map[string]any{}
			for _, group := range []string{"required", "optional"} {
				for _, name := range info.Order[group] {
					spec, _ := info.Input[group][name].([]any)
					if v, ok := value(spec, group == "optional"); ok {
						inputs[name] = v
					}
				}
			}
			g := providers()
			if version == emulator.V0330 {
				g["AUDIO"] = node("EmptyAudio", map[string]any{"duration": 0.5, "sample_rate": 8000, "channels": 2})
			}
			g["X"] = node(class, inputs)
			if !info.Sink {
				g["Y"] = node("PreviewAny", map[string]any{"source": link("X", len(info.Output)-1)})
			}
			n++
			a := s.post("/api/prompt", map[string]any{"prompt": g, "prompt_id": testID(n)})
			if a.status != 200 || !strings.Contains(string(a.body), `"node_errors": {}`) {
				t.Errorf("%s, %s: %d %s", version, class, a.status, a.body)
				continue
			}
			if job := s.wait(testID(n)); job.Status.StatusStr != "success" {
				last := job.Status.Messages[len(job.Status.Messages)-1]
				t.Errorf("%s, %s: %.500s", version, class, last[1])
			}
		}
		if n < 90 {
			t.Errorf("%s: only %d classes", version, n)
		}
	}
}

// imageNode runs one class on the uploaded picture and returns what it gives.
func imageNode(s *testServer, n int, class string, inputs map[string]any, slot int, isMask bool) image.Image {
	g := graph{
		"1": node("LoadImage", map[string]any{"image": "in.png"}),
		"2": node("SolidMask", map[string]any{"value": 1.0, "width": 20, "height": 10}),
		"3": node(class, inputs),
		"9": node("SaveImage", map[string]any{"images": link("3", slot), "filename_prefix": "node"}),
	}
	if isMask {
		g["4"] = node("MaskToImage", map[string]any{"mask": link("3", slot)})
		g["9"] = node("SaveImage", map[string]any{"images": link("4", 0), "filename_prefix": "node"})
	}
	m, _ := s.generate(g, n)
	return m
}

// TestNodes_pictures holds what the classes that touch pictures do to one of
// 40×30 whose pixel at x, y is (x, y, x^y).
func TestNodes_pictures(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	s.WriteFile("input", "in.png", pngBytes(t, testPicture(40, 30)))
	in, m := link("1", 0), link("2", 0)
	for i, c := range []struct {
		class  string
		inputs map[string]any
		slot   int
		mask   bool
		size   image.Point
		at     image.Point
		want   color.NRGBA // within 2
	}{
		{"ImageInvert", map[string]any{"image": in}, 0, false, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{250, 248, 253, 255}},
		{"ImageScale", map[string]any{"image": in, "upscale_method": "nearest-exact", "width": 80, "height": 0, "crop": "disabled"}, 0, false, image.Pt(80, 60), image.Pt(11, 15), color.NRGBA{5, 7, 2, 255}},
		{"ImageScale", map[string]any{"image": in, "upscale_method": "area", "width": 30, "height": 30, "crop": "center"}, 0, false, image.Pt(30, 30), image.Pt(0, 7), color.NRGBA{5, 7, 2, 255}},
		{"ImageScaleBy", map[string]any{"image": in, "upscale_method": "lanczos", "scale_by": 0.5}, 0, false, image.Pt(20, 15), image.Pt(-1, 0), color.NRGBA{}},
		{"ImageScaleToTotalPixels", map[string]any{"image": in, "upscale_method": "bicubic", "megapixels": 0.01, "resolution_steps": 1}, 0, false, image.Pt(118, 89), image.Pt(-1, 0), color.NRGBA{}},
		{"ImageCrop", map[string]any{"image": in, "width": 10, "height": 8, "x": 5, "y": 7}, 0, false, image.Pt(10, 8), image.Pt(0, 0), color.NRGBA{5, 7, 2, 255}},
		{"ImageCrop", map[string]any{"image": in, "width": 100, "height": 100, "x": 500, "y": 29}, 0, false, image.Pt(1, 1), image.Pt(0, 0), color.NRGBA{39, 29, 58, 255}},
		{"ImagePadForOutpaint", map[string]any{"image": in, "left": 8, "top": 0, "right": 0, "bottom": 16, "feathering": 0}, 0, false, image.Pt(48, 46), image.Pt(13, 7), color.NRGBA{5, 7, 2, 255}},
		{"ImagePadForOutpaint", map[string]any{"image": in, "left": 8, "top": 0, "right": 0, "bottom": 16, "feathering": 0}, 1, true, image.Pt(48, 46), image.Pt(2, 7), color.NRGBA{255, 255, 255, 255}},
		{"ImageBlur", map[string]any{"image": in, "blur_radius": 3, "sigma": 1.0}, 0, false, image.Pt(40, 30), image.Pt(20, 15), color.NRGBA{20, 15, 19, 255}},
		{"ImageSharpen", map[string]any{"image": in, "sharpen_radius": 1, "sigma": 1.0, "alpha": 0.0}, 0, false, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{5, 7, 2, 255}},
		{"ImageBlend", map[string]any{"image1": in, "image2": in, "blend_factor": 1.0, "blend_mode": "difference"}, 0, false, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{0, 0, 0, 255}},
		{"ImageCompositeMasked", map[string]any{"destination": in, "source": in, "x": 10, "y": 10, "resize_source": false, "mask": m}, 0, false, image.Pt(40, 30), image.Pt(15, 17), color.NRGBA{5, 7, 2, 255}},
		{"ImageBatch", map[string]any{"image1": in, "image2": in}, 0, false, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{5, 7, 2, 255}},
		{"ImageRotate", map[string]any{"image": in, "rotation": "90 degrees"}, 0, false, image.Pt(30, 40), image.Pt(22, 5), color.NRGBA{5, 7, 2, 255}},
		{"ImageFlip", map[string]any{"image": in, "flip_method": "y-axis: horizontally"}, 0, false, image.Pt(40, 30), image.Pt(34, 7), color.NRGBA{5, 7, 2, 255}},
		{"ImageStitch", map[string]any{"image1": in, "image2": in, "direction": "down", "match_image_size": true, "spacing_width": 4, "spacing_color": "red"}, 0, false, image.Pt(40, 64), image.Pt(5, 32), color.NRGBA{255, 0, 0, 255}},
		{"ImageToMask", map[string]any{"image": in, "channel": "green"}, 0, true, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{7, 7, 7, 255}},
		{"ImageColorToMask", map[string]any{"image": in, "color": 0x050702}, 0, true, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{255, 255, 255, 255}},
		{"InvertMask", map[string]any{"mask": m}, 0, true, image.Pt(20, 10), image.Pt(5, 7), color.NRGBA{0, 0, 0, 255}},
		{"CropMask", map[string]any{"mask": m, "x": 2, "y": 2, "width": 5, "height": 5}, 0, true, image.Pt(5, 5), image.Pt(0, 0), color.NRGBA{255, 255, 255, 255}},
		{"FeatherMask", map[string]any{"mask": m, "left": 10, "top": 0, "right": 0, "bottom": 0}, 0, true, image.Pt(20, 10), image.Pt(4, 5), color.NRGBA{128, 128, 128, 255}},
		{"GrowMask", map[string]any{"mask": m, "expand": -2, "tapered_corners": true}, 0, true, image.Pt(20, 10), image.Pt(10, 5), color.NRGBA{255, 255, 255, 255}},
		{"ThresholdMask", map[string]any{"mask": m, "value": 1.0}, 0, true, image.Pt(20, 10), image.Pt(10, 5), color.NRGBA{0, 0, 0, 255}},
		{"LoadImageMask", map[string]any{"image": "in.png", "channel": "red"}, 0, true, image.Pt(40, 30), image.Pt(5, 7), color.NRGBA{5, 5, 5, 255}},
	} {
		got := imageNode(s, i+1, c.class, c.inputs, c.slot, c.mask)
		if got.Bounds().Size() != c.size {
			t.Errorf("%s: size %v, want %v", c.class, got.Bounds().Size(), c.size)
			continue
		}
		if c.at.X < 0 {
			continue
		}
		have, ok := color.NRGBAModel.Convert(got.At(c.at.X, c.at.Y)).(color.NRGBA)
		if !ok || !near(have, c.want) {
			t.Errorf("%s %v: %v at %v, want %v", c.class, fmt.Sprint(c.inputs)[:20], have, c.at, c.want)
		}
	}
}

func near(a, b color.NRGBA) bool {
	about := func(x, y uint8) bool { return max(x, y)-min(x, y) <= 2 }
	return about(a.R, b.R) && about(a.G, b.G) && about(a.B, b.B) && a.A == b.A
}

// TestNodes_noise: the same seed adds the same noise.
func TestNodes_noise(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	s.WriteFile("input", "in.png", pngBytes(t, testPicture(40, 30)))
	run := func(n, seed int) image.Image {
		return imageNode(s, n, "ImageAddNoise", map[string]any{"image": link("1", 0), "seed": seed, "strength": 0.2}, 0, false)
	}
	a, b, c := run(1, 1), run(2, 1), run(3, 2)
	if all(a, b) != 0 || all(a, c) == 0 || all(a, testPicture(40, 30)) < 5 {
		t.Errorf("same seed %.1f, other seed %.1f", all(a, b), all(a, c))
	}
}
