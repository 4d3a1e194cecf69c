package workflow_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

func upscaleAsk() workflow.UpscaleAsk {
	return workflow.UpscaleAsk{Width: 640, Height: 480, Prefix: "comfygate/up", Seed: 1<<64 - 1}
}

func TestUpscale(t *testing.T) {
	t.Parallel()
	model := "upscale_models/RealESRGAN_x4plus.pth"
	tests := map[string]struct {
		files []string
		edit  func(*workflow.UpscaleAsk)
		want  string // "WxH model", or the error
	}{
		"by the model that is there":    {[]string{model}, nil, "1280x960 RealESRGAN_x4plus.pth"},
		"by the best known":             {[]string{"upscale_models/1x_denoise.pth", "upscale_models/4x-UltraSharp.pth", "upscale_models/RealESRGAN_x4plus_anime_6B.pth", model}, nil, "1280x960 RealESRGAN_x4plus.pth"},
		"by the first of unknown ones":  {[]string{"upscale_models/b.pth", "upscale_models/a.pth"}, nil, "1280x960 a.pth"},
		"by resampling":                 {nil, nil, "1280x960 "},
		"by a named model":              {[]string{model, "upscale_models/sub/b.pth"}, func(a *workflow.UpscaleAsk) { a.Model = "B" }, "1280x960 sub/b.pth"},
		"a named model is not replaced": {[]string{model}, func(a *workflow.UpscaleAsk) { a.Model = "4x-UltraSharp" }, "ModelError 4x-UltraSharp"},
		"nor by resampling":             {nil, func(a *workflow.UpscaleAsk) { a.Model = "4x-UltraSharp" }, "ModelError 4x-UltraSharp"},
		"ambiguous name":                {[]string{"upscale_models/a/x.pth", "upscale_models/b/x.pth"}, func(a *workflow.UpscaleAsk) { a.Model = "x" }, "model: the name fits several"},
		"factor":                        {nil, func(a *workflow.UpscaleAsk) { a.Factor = new(1.5) }, "960x720 "},
		"factor, largest":               {nil, func(a *workflow.UpscaleAsk) { a.Factor = new(4.0) }, "2560x1920 "},
		"factor, rounded":               {nil, func(a *workflow.UpscaleAsk) { a.Width, a.Factor = 333, new(1.7) }, "566x816 "},
		"factor too small":              {nil, func(a *workflow.UpscaleAsk) { a.Factor = new(1.49) }, "factor: 1.49 is out of bounds (a number from 1.5 to 4)"},
		"factor too large":              {nil, func(a *workflow.UpscaleAsk) { a.Factor = new(4.01) }, "factor: 4.01 is out of bounds"},
		"factor NaN, T32":               {nil, func(a *workflow.UpscaleAsk) { a.Factor = new(math.NaN()) }, "factor: NaN is out of bounds"},
		"width":                         {nil, func(a *workflow.UpscaleAsk) { a.TargetWidth = new(1000) }, "1000x750 "},
		"height":                        {nil, func(a *workflow.UpscaleAsk) { a.TargetHeight = new(1000) }, "1333x1000 "},
		"width and height":              {nil, func(a *workflow.UpscaleAsk) { a.TargetWidth, a.TargetHeight = new(1001), new(750) }, "1001x750 "},
		"width and height distort":      {nil, func(a *workflow.UpscaleAsk) { a.TargetWidth, a.TargetHeight = new(1000), new(1000) }, "height: width and height together would distort the picture (height 750, or width alone)"},
		"width smaller than it is":      {nil, func(a *workflow.UpscaleAsk) { a.TargetWidth = new(639) }, "width: 639 is not between the picture's width and 4 times that (a number from 640 to 2560)"},
		"height larger than possible":   {nil, func(a *workflow.UpscaleAsk) { a.TargetHeight = new(1921) }, "height: 1921 is not between"},
		"height of nothing":             {nil, func(a *workflow.UpscaleAsk) { a.TargetHeight = new(0) }, "height: 0 is not between"},
		"factor and width":              {nil, func(a *workflow.UpscaleAsk) { a.Factor, a.TargetWidth = new(2.0), new(1280) }, "factor: width or height already say it (factor or a target size, not both)"},
		"at the bound":                  {nil, func(a *workflow.UpscaleAsk) { a.Width, a.Height = 2048, 2048 }, "4096x4096 "},
		"over the bound":                {nil, func(a *workflow.UpscaleAsk) { a.Width, a.Height = 2048, 2049 }, "factor: the result would be 4096 × 4098; at most 16777216 pixels are possible (factor at most 1.99)"},
		"over the bound by width":       {nil, func(a *workflow.UpscaleAsk) { a.Width, a.Height, a.TargetWidth = 2048, 2048, new(4104) }, "width: the result would be 4104 × 4104"},
		"over a lower bound, whatever":  {nil, func(a *workflow.UpscaleAsk) { a.MaxPixels = 640 * 480 }, "factor: the result would be 1280 × 960; at most 307200 pixels are possible (a smaller picture)"},
		"size not told":                 {nil, func(a *workflow.UpscaleAsk) { a.Width = 0 }, "the picture's size is not told"},
		"detail, nothing to do it with": {nil, func(a *workflow.UpscaleAsk) { a.Detail = true }, "NoModelError"},
		"detail too large": {
			filesOf(t, "sdxl"), func(a *workflow.UpscaleAsk) { a.Detail, a.Width, a.Height = true, 1200, 1200 },
			"detail: the result would be 2400 × 2400; details are painted up to 4194304 pixels (factor at most 1.7, or no detail)",
		},
		"detail by a family that cannot":   {filesOf(t, "flux2-dev"), func(a *workflow.UpscaleAsk) { a.Detail, a.Family = true, "flux2-dev" }, "detail: Flux.2 dev cannot paint over a picture (another family, or no detail)"},
		"detail, denoise out of bounds":    {filesOf(t, "sdxl"), func(a *workflow.UpscaleAsk) { a.Detail, a.Denoise = true, 1.5 }, "denoise: "},
		"detail, negative not possible":    {filesOf(t, "z-image-turbo"), func(a *workflow.UpscaleAsk) { a.Detail, a.Negative = true, "blur" }, "negative_prompt: "},
		"detail by an unknown model":       {filesOf(t, "sdxl"), func(a *workflow.UpscaleAsk) { a.Detail, a.DetailModel = true, "gone" }, "ModelError gone"},
		"detail by a family not installed": {filesOf(t, "sdxl"), func(a *workflow.UpscaleAsk) { a.Detail, a.Family = true, "z-image" }, "MissingError z_image_bf16"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inv := at(files(tt.files...), recorded(t, "v0.33.0"))
			a := upscaleAsk()
			if tt.edit != nil {
				tt.edit(&a)
			}
			m, err := catalog(t).Upscale(inv, a)
			got := fmt.Sprintf("%dx%d %s", m.Width, m.Height, m.Model)
			if err != nil {
				got = described(err)
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
			if err != nil {
				return
			}
			if said := len(m.Notes) > 0; said != (m.Model == "") {
				t.Errorf("notes %q", m.Notes)
			}
			if m.Graph[m.Input].ClassType != "LoadImage" || m.Graph[m.Output].ClassType != "SaveImage" {
				t.Errorf("input %+v, output %+v", m.Graph[m.Input], m.Graph[m.Output])
			}
			if faults := workflow.Fit(m.Graph, inv.Info); len(faults) > 0 {
				t.Errorf("faults %+v", faults)
			}
		})
	}
}

// What the graphs of upscaling are, and that both versions take them.
func TestUpscale_graphs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files []string
		edit  func(*workflow.UpscaleAsk)
	}{
		"upscale-model":    {files: []string{"upscale_models/RealESRGAN_x4plus.pth"}},
		"upscale-resample": {edit: func(a *workflow.UpscaleAsk) { a.ToTemp = true }},
		"upscale-detail": {
			files: append(filesOf(t, "z-image-turbo"), "upscale_models/RealESRGAN_x4plus.pth"),
			edit:  func(a *workflow.UpscaleAsk) { a.Detail, a.Prompt, a.Width = true, "a red fox", 500 },
		},
		"upscale-detail-sigmas": {files: filesOf(t, "chroma1-hd"), edit: func(a *workflow.UpscaleAsk) { a.Detail, a.Denoise = true, 0.2 }},
	}
	for name, tt := range tests {
		a := upscaleAsk()
		if tt.edit != nil {
			tt.edit(&a)
		}
		inv := files(tt.files...)
		m, err := catalog(t).Upscale(inv, a)
		if err != nil {
			t.Fatal(described(err))
		}
		golden(t, name, m)
		for _, version := range versions {
			if faults := workflow.Fit(m.Graph, at(inv, recorded(t, version)).Info); len(faults) > 0 {
				t.Errorf("%s, %s: %+v", name, version, faults)
			}
		}
	}
}

// The detail pass paints at low denoise on the model's grid, and the result has the exact size all the same.
func TestUpscale_detail(t *testing.T) {
	t.Parallel()
	a := upscaleAsk()
	a.Detail, a.Width, a.Height, a.Prompt = true, 501, 333, "a red fox"
	m, err := catalog(t).Upscale(files(append(filesOf(t, "sdxl"), filesOf(t, "flux2-dev")...)...), a)
	if err != nil {
		t.Fatal(described(err))
	}
	sampler, before, after := m.Graph["7"], m.Graph["19"], m.Graph["20"]
	if m.Family != "sdxl" || m.DetailModel != "sd_xl_base_1.0.safetensors" || m.Steps != 25 || sampler.Inputs["denoise"] != 0.3 || sampler.Inputs["seed"] != uint64(1<<64-1) {
		t.Errorf("%+v, sampler %v", m, sampler)
	}
	if before.Inputs["width"] != 1000 || before.Inputs["height"] != 664 || after.Inputs["width"] != 1002 || after.Inputs["height"] != 666 || m.Width != 1002 || m.Height != 666 {
		t.Errorf("before %v, after %v", before, after)
	}
	if sampler.Inputs["latent_image"] != (comfy.Link{Node: "15"}) || m.Graph["15"].ClassType != "VAEEncode" || m.Graph["4"].Inputs["text"] != "a red fox" {
		t.Errorf("graph %v", m.Graph)
	}
	if want := (policy.Model{Kind: policy.Checkpoint, Name: "sd_xl_base_1.0.safetensors"}); len(m.Models) != 1 || m.Models[0] != want {
		t.Errorf("models %v", m.Models)
	}
	// An operator's default that cannot paint over a picture is passed over; a bare family that cannot is never taken.
	a.DefaultModel = "flux2_dev_fp8mixed"
	if m, err := catalog(t).Upscale(files(append(filesOf(t, "sdxl"), filesOf(t, "flux2-dev")...)...), a); err != nil || m.Family != "sdxl" {
		t.Errorf("%s, %s", m.Family, described(err))
	}
	a.DefaultModel = ""
	if m, err := catalog(t).Upscale(files(append(filesOf(t, "sdxl"), filesOf(t, "flux2-klein-4b")...)...), a); err != nil || m.Family != "sdxl" {
		t.Errorf("%s, %s", m.Family, described(err))
	}
}
