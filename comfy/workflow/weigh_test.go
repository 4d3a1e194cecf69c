package workflow_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

// CLIENT-SEC-8: a graph that we made weighs what was asked for, at both servers, in each family.
func TestWeigh_ownRecipes(t *testing.T) {
	t.Parallel()
	weighed := 0
	for _, version := range versions {
		for _, id := range families(t) {
			inv := at(files(filesOf(t, id)...), recorded(t, version))
			a := ask()
			a.Family, a.Count = id, 3
			made, err := catalog(t).Text(inv, a)
			if err != nil {
				continue // the older server cannot run it
			}
			weighed++
			pixels := int64(made.Width) * int64(made.Height) * 3
			want := workflow.Weight{
				Width: made.Width, Height: made.Height, Count: 3, Steps: made.Steps, Pixels: pixels, Work: pixels * int64(made.Steps), Known: true,
			}
			if diff := cmp.Diff(want, workflow.Weigh(made.Graph, inv.Info, nil)); diff != "" {
				t.Errorf("%s, %s: %s", version, id, diff)
			}
		}
	}
	if weighed < len(families(t)) {
		t.Errorf("only %d graphs were weighed", weighed)
	}
}

// A weighed graph is a sampler behind and before other nodes: %s stands for them. "L" is the latent that it takes.
const sampled = `{
"m": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny_sd3_random.safetensors"}},
"k": {"class_type": "KSampler", "inputs": {"model": ["m", 0], "latent_image": ["L", 0], "seed": 1, "steps": 10, "cfg": 2.0}},
"d": {"class_type": "VAEDecode", "inputs": {"samples": ["k", 0], "vae": ["m", 2]}},
"o": {"class_type": "PreviewImage", "inputs": {"images": ["O", 0]}},
`

func sampledGraph(tb testing.TB, latent, more string) comfy.Graph {
	tb.Helper()
	text := sampled
	if more == "" {
		text = strings.ReplaceAll(text, `"O"`, `"d"`)
	}
	nodes := []string{`"L": ` + latent}
	if more != "" {
		nodes = append(nodes, more)
	}
	return readGraph(tb, text+strings.Join(nodes, ",\n")+"}")
}

// CLIENT-SEC-8, CLIENT-GRAPH-7: the budget sees through what feeds the sampler and what comes after it.
func TestWeigh_SEC8(t *testing.T) {
	t.Parallel()
	const empty = `{"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 256, "batch_size": 2}}`
	node := func(id, class, inputs string) string {
		return `"` + id + `": {"class_type": "` + class + `", "inputs": {` + inputs + `}}`
	}
	latent := func(class, inputs string) string {
		return `{"class_type": "` + class + `", "inputs": {` + inputs + `}}`
	}
	sizes := map[string]workflow.Size{"p": {Width: 800, Height: 400}, "q": {Width: 100, Height: 300}}
	tests := map[string]struct {
		latent, more string
		want         workflow.Weight // Work 0: not asked
	}{
		"plain":               {empty, "", workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 10, Pixels: 262144, Work: 2621440, Known: true}},
		"text for a number":   {latent("EmptyLatentImage", `"width": "512", "height": 256, "batch_size": {"__value__": 2}`), "", workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 10, Pixels: 262144, Known: true}},
		"size by a primitive": {latent("EmptyLatentImage", `"width": ["w", 0], "height": 64, "batch_size": 1`), node("w", "PrimitiveInt", `"value": 30000`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 30000, Height: 64, Count: 1, Steps: 10, Pixels: 1920000, Known: true}},
		"size by a wrapped link": {
			latent("EmptyLatentImage", `"width": {"__value__": ["w", 0]}, "height": 64, "batch_size": 1`), node("w", "PrimitiveInt", `"value": 30000`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 30000, Height: 64, Count: 1, Steps: 10, Pixels: 1920000, Known: true},
		},
		"size by a formula": {
			latent("EmptyLatentImage", `"width": ["f", 1], "height": ["f", 1], "batch_size": 1`),
			node("f", "ComfyMathExpression", `"expression": "(max(a, 8) * 2**3 + (b // 3) - -1) & ~3", "values.a": ["w", 0], "values.b": 7`) + `,` + node("w", "PrimitiveInt", `"value": 100`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 800, Height: 800, Count: 1, Steps: 10, Pixels: 640000, Known: true},
		},
		"size by what nobody knows": {
			latent("EmptyLatentImage", `"width": ["s", 0], "height": 64, "batch_size": 1`), node("s", "ComfyMathExpression", `"expression": "x ? 1 : 2"`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 16384, Height: 64, Count: 1, Steps: 10, Pixels: 1048576},
		},
		"size of a picture": {
			latent("EmptyLatentImage", `"width": ["g", 0], "height": ["g", 1], "batch_size": 1`), node("g", "GetImageSize", `"image": ["p", 0]`) + `,` + node("p", "LoadImage", `"image": "x"`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 800, Height: 400, Count: 1, Steps: 10, Pixels: 320000, Known: true},
		},
		"size by a ratio": {
			latent("EmptyLatentImage", `"width": ["r", 0], "height": ["r", 1], "batch_size": 1`), node("r", "ResolutionSelector", `"aspect_ratio": "16:9 (Widescreen)", "megapixels": 1, "multiple": 8`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 1368, Height: 768, Count: 1, Steps: 10, Pixels: 1368 * 768, Known: true},
		},
		"size by a switch": {
			latent("EmptyLatentImage", `"width": ["s", 0], "height": 64, "batch_size": 1`), node("s", "ComfySwitchNode", `"switch": ["x", 0], "on_true": ["w", 0], "on_false": 64`) + `,` + node("w", "PrimitiveInt", `"value": 128`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 128, Height: 64, Count: 1, Steps: 10, Pixels: 8192, Known: true},
		},
		"encoded picture":      {latent("VAEEncode", `"pixels": ["p", 0]`), node("p", "LoadImage", `"image": "x"`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 800, Height: 400, Count: 1, Steps: 10, Pixels: 320000, Work: 3200000, Known: true}},
		"picture nobody knows": {latent("VAEEncode", `"pixels": ["u", 0]`), node("u", "LoadImage", `"image": "x"`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 2048, Height: 2048, Count: 1, Steps: 10, Pixels: 1 << 22}},
		"repeated latent":      {latent("RepeatLatentBatch", `"samples": ["e", 0], "amount": 8`), `"e": ` + empty + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 512, Height: 256, Count: 16, Steps: 10, Pixels: 16 * 131072, Work: 160 * 131072, Known: true}},
		"from a batch":         {latent("LatentFromBatch", `"samples": ["e", 0], "batch_index": 0, "length": 1`), `"e": ` + empty + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 10, Pixels: 262144, Work: 1310720, Known: true}},
		"rebatched":            {latent("RebatchLatents", `"latents": ["e", 0], "batch_size": 1`), `"e": ` + empty + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 10, Pixels: 262144, Work: 2621440, Known: true}},
		"two latents":          {latent("LatentBatch", `"samples1": ["e", 0], "samples2": ["e", 0]`), `"e": ` + empty + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 512, Height: 256, Count: 4, Steps: 10, Pixels: 524288, Known: true}},
		"a list of widths": {
			latent("EmptyLatentImage", `"width": ["l", 0], "height": 64, "batch_size": 1`), node("l", "CreateList", `"inputs.input0": ["w", 0], "inputs.input1": ["w", 0], "inputs.input2": ["w", 0]`) + `,` + node("w", "PrimitiveInt", `"value": 128`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 128, Height: 64, Count: 3, Steps: 10, Pixels: 3 * 8192, Known: true},
		},
		"latent scaled by":       {latent("LatentUpscaleBy", `"samples": ["e", 0], "scale_by": 2.0`), `"e": ` + empty + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 1024, Height: 512, Count: 2, Steps: 10, Pixels: 1 << 20, Known: true}},
		"latent scaled to":       {latent("LatentUpscale", `"samples": ["e", 0], "width": 2048, "height": 0`), `"e": ` + empty + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 2048, Height: 1024, Count: 2, Steps: 10, Pixels: 1 << 22, Known: true}},
		"video":                  {latent("EmptyHunyuanLatentVideo", `"width": 848, "height": 480, "length": 25, "batch_size": 1`), "", workflow.Weight{Width: 848, Height: 480, Count: 25, Frames: 25, Steps: 10, Pixels: 848 * 480 * 25, Known: true}},
		"layers":                 {latent("EmptyQwenImageLayeredLatentImage", `"width": 640, "height": 640, "layers": 3, "batch_size": 1`), "", workflow.Weight{Width: 640, Height: 640, Count: 8, Steps: 10, Pixels: 640 * 640 * 8, Known: true}},
		"sound":                  {latent("EmptyLatentAudio", `"seconds": 47.6, "batch_size": 1`), node("O", "EmptyImage", `"width": 64, "height": 64, "batch_size": 1, "color": 0`), workflow.Weight{Width: 64, Height: 64, Count: 1, Pixels: 64 * 64, Work: 4096, Known: true}},
		"model of four times":    {empty, node("O", "ImageUpscaleWithModel", `"image": ["d", 0], "upscale_model": ["u", 0]`) + `,` + node("u", "UpscaleModelLoader", `"model_name": "any.pth"`), workflow.Weight{Width: 2048, Height: 1024, Count: 2, Steps: 10, Pixels: 1 << 22, Work: 1 << 22, Known: true}},
		"model of eight times":   {empty, node("O", "ImageUpscaleWithModel", `"image": ["d", 0], "upscale_model": ["u", 0]`) + `,` + node("u", "UpscaleModelLoader", `"model_name": "8x_NMKD.pth"`), workflow.Weight{Width: 4096, Height: 2048, Count: 2, Steps: 10, Pixels: 1 << 24, Known: true}},
		"model of two times":     {empty, node("O", "ImageUpscaleWithModel", `"image": ["d", 0], "upscale_model": ["u", 0]`) + `,` + node("u", "UpscaleModelLoader", `"model_name": "tiny_compact_x2.safetensors"`), workflow.Weight{Width: 1024, Height: 512, Count: 2, Steps: 10, Pixels: 1 << 20, Known: true}},
		"scaled by eight, twice": {empty, node("O", "ImageScaleBy", `"image": ["b", 0], "scale_by": 8`) + `,` + node("b", "ImageScaleBy", `"image": ["d", 0], "scale_by": 8`), workflow.Weight{Width: 32768, Height: 16384, Count: 2, Steps: 10, Pixels: 1 << 30, Known: true}},
		"scaled to an area":      {empty, node("O", "ImageScaleToTotalPixels", `"image": ["d", 0], "megapixels": 8, "resolution_steps": 1`), workflow.Weight{Width: 4096, Height: 2048, Count: 2, Steps: 10, Pixels: 1 << 24, Known: true}},
		"scaled to a side":       {empty, node("O", "ImageScaleToMaxDimension", `"image": ["d", 0], "largest_size": 4096`), workflow.Weight{Width: 4096, Height: 2048, Count: 2, Steps: 10, Pixels: 1 << 24, Known: true}},
		"resized by a factor":    {empty, node("O", "ResizeImageMaskNode", `"input": ["d", 0], "resize_type": "scale by multiplier", "resize_type.multiplier": 8, "resize_type.width": 1`), workflow.Weight{Width: 4096, Height: 2048, Count: 2, Steps: 10, Pixels: 1 << 24, Known: true}},
		"resized to match":       {empty, node("O", "ResizeImageMaskNode", `"input": ["d", 0], "resize_type": "match size", "resize_type.match": ["b", 0]`) + `,` + node("b", "EmptyImage", `"width": 4096, "height": 4096`), workflow.Weight{Width: 4096, Height: 4096, Count: 2, Steps: 10, Pixels: 1 << 25, Known: true}},
		"resized in a new way":   {empty, node("O", "ResizeImageMaskNode", `"input": ["d", 0], "resize_type": "surprise"`), workflow.Weight{Width: 16384, Height: 16384, Count: 2, Steps: 10, Pixels: 1 << 29}},
		"padded":                 {empty, node("O", "ImagePadForOutpaint", `"image": ["d", 0], "left": 512, "right": 0, "top": 256, "bottom": 512, "feathering": 1`), workflow.Weight{Width: 1024, Height: 1024, Count: 2, Steps: 10, Pixels: 1 << 21, Known: true}},
		"stitched below":         {empty, node("O", "ImageStitch", `"image1": ["d", 0], "image2": ["q", 0], "direction": "down", "match_image_size": false, "spacing_width": 3`) + `,` + node("q", "LoadImage", `"image": "x"`), workflow.Weight{Width: 512, Height: 560, Count: 2, Steps: 10, Pixels: 512 * 560 * 2, Known: true}},
		"stitched":               {empty, node("O", "ImageStitch", `"image1": ["d", 0], "image2": ["q", 0], "direction": "right", "match_image_size": true, "spacing_width": 2`) + `,` + node("q", "LoadImage", `"image": "x"`), workflow.Weight{Width: 600, Height: 256, Count: 2, Steps: 10, Pixels: 600 * 256 * 2, Known: true}},
		"a list of seeds": {
			latent("EmptyLatentImage", `"width": 64, "height": 64, "batch_size": 1`),
			node("O", "VAEDecode", `"samples": ["k2", 0], "vae": ["m", 2]`) + `,` + node("k2", "KSampler", `"latent_image": ["k", 0], "steps": 10, "seed": ["l", 0]`) + `,` + node("l", "CreateList", `"inputs.input0": 1, "inputs.input1": ["w", 0], "inputs.input2": ["w", 0]`) + `,` + node("w", "PrimitiveInt", `"value": 128`),
			workflow.Weight{Width: 64, Height: 64, Count: 2, Steps: 20, Pixels: 2 * 4096, Known: true},
		},
		"a list with itself": {
			latent("RebatchLatents", `"latents": ["e", 0], "batch_size": 1`), `"e": ` + latent("EmptyLatentImage", `"width": 64, "height": 64, "batch_size": 8`) + `,` + node("O", "ImageBlend", `"image1": ["d", 0], "image2": ["i", 0]`) + `,` + node("i", "ImageInvert", `"image": ["d", 0]`),
			workflow.Weight{Width: 64, Height: 64, Count: 8, Steps: 10, Pixels: 8 * 4096, Known: true},
		},
		"lists of two nodes": {
			latent("RebatchLatents", `"latents": ["e", 0], "batch_size": 1`), `"e": ` + latent("EmptyLatentImage", `"width": 64, "height": 64, "batch_size": 8`) + `,` + node("O", "ImageBlend", `"image1": ["d", 0], "image2": ["i", 0]`) + `,` + node("i", "RebatchImages", `"images": ["d", 0], "batch_size": 1`),
			workflow.Weight{Width: 64, Height: 64, Count: 64, Steps: 10, Pixels: 64 * 4096, Known: true},
		},
		"sound that is loaded":    {latent("VAEEncodeAudio", `"audio": ["a", 0]`), node("a", "LoadAudio", `"audio": "x"`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Steps: 10, Pixels: 44100 * 360}},
		"cut in tiles":            {empty, node("O", "SplitImageToTileList", `"image": ["d", 0], "tile_width": 64, "tile_height": 64, "overlap": 63`), workflow.Weight{Width: 64, Height: 64, Count: 1024, Steps: 10, Pixels: 1024 * 4096, Known: true}},
		"frames between":          {latent("EmptyHunyuanLatentVideo", `"width": 64, "height": 64, "length": 10, "batch_size": 1`), node("O", "FrameInterpolate", `"images": ["d", 0], "multiplier": 16`), workflow.Weight{Width: 64, Height: 64, Count: 170, Frames: 10, Steps: 10, Pixels: 170 * 4096, Known: true}},
		"two samplers":            {empty, node("O", "VAEDecode", `"samples": ["k2", 0], "vae": ["m", 2]`) + `,` + node("k2", "KSampler", `"latent_image": ["k", 0], "steps": 30`), workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 40, Pixels: 262144, Work: 262144 * 40, Known: true}},
		"a part of the steps":     {empty, node("O", "VAEDecode", `"samples": ["k2", 0], "vae": ["m", 2]`) + `,` + node("k2", "KSamplerAdvanced", `"latent_image": ["k", 0], "steps": 30, "start_at_step": 20, "end_at_step": 10000`), workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 20, Pixels: 262144, Work: 262144 * 20, Known: true}},
		"steps that nobody knows": {empty, node("O", "VAEDecode", `"samples": ["k2", 0], "vae": ["m", 2]`) + `,` + node("k2", "KSampler", `"latent_image": ["k", 0], "steps": ["l", 0]`) + `,` + node("l", "StringLength", `"string": "x"`), workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 10010, Pixels: 262144}},
		"levels of a scheduler": {
			empty, node("O", "VAEDecode", `"samples": ["k2", 0], "vae": ["m", 2]`) + `,` + node("k2", "SamplerCustomAdvanced", `"latent_image": ["k", 0], "sigmas": ["p2", 1]`) + `,` +
				node("p2", "SplitSigmas", `"sigmas": ["f", 0], "step": 5`) + `,` + node("f", "FlipSigmas", `"sigmas": ["s", 0]`) + `,` + node("s", "Flux2Scheduler", `"steps": 25, "width": 4096, "height": 4096`),
			workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 30, Pixels: 262144, Work: 262144 * 30, Known: true},
		},
		"levels by hand": {
			empty, node("O", "VAEDecode", `"samples": ["k2", 0], "vae": ["m", 2]`) + `,` + node("k2", "SamplerCustom", `"latent_image": ["k", 0], "sigmas": ["s", 0]`) + `,` + node("s", "ManualSigmas", `"sigmas": "1, 0.5, 0"`),
			workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 12, Pixels: 262144, Known: true},
		},
		"a class that is not known": {empty, node("O", "SurpriseImage", `"image": ["d", 0], "width": 4096, "height": 4096, "batch_size": 2`), workflow.Weight{Width: 4096, Height: 4096, Count: 2, Steps: 10, Pixels: 1 << 25, Known: true}},
		"what leads nowhere":        {empty, node("x", "EmptyImage", `"width": 16384, "height": 16384`) + `,` + node("O", "ImageInvert", `"image": ["d", 0]`), workflow.Weight{Width: 512, Height: 256, Count: 2, Steps: 10, Pixels: 262144, Known: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := workflow.Weigh(sampledGraph(t, tt.latent, tt.more), recorded(t, "v0.33.0"), sizes)
			if tt.want.Work == 0 {
				got.Work = 0
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// T32: what is too large to be counted counts as the largest number, and never as a small one.
func TestWeigh_T32_neverRunsOver(t *testing.T) {
	t.Parallel()
	g := comfy.Graph{
		"0":   {ClassType: "EmptyImage", Inputs: map[string]any{"width": json.Number("16384"), "height": json.Number("16384"), "batch_size": json.Number("4096")}},
		"out": {ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "100"}}},
	}
	for i := 1; i <= 100; i++ { // each puts the one before it together with itself
		from := comfy.Link{Node: strconv.Itoa(i - 1)}
		g[strconv.Itoa(i)] = comfy.Node{ClassType: "ImageBatch", Inputs: map[string]any{"image1": from, "image2": from}}
	}
	got := workflow.Weigh(g, recorded(t, "v0.33.0"), nil)
	if got.Pixels != math.MaxInt64 || got.Work != math.MaxInt64 || got.Count != math.MaxInt32 {
		t.Errorf("weight %+v", got)
	}
	for _, value := range []any{json.Number("1e308"), json.Number("-1e308"), json.Number("9223372036854775808"), "inf", "-Infinity", "NaN", math.Inf(1), math.NaN(), map[string]any{}, nil, true} {
		g := readGraph(t, base)
		g["5"].Inputs["width"], g["5"].Inputs["height"], g["3"].Inputs["steps"] = value, value, value
		if got := workflow.Weigh(g, recorded(t, "v0.33.0"), nil); got.Pixels < 1<<28 || got.Work < 1<<28 || got.Width < 0 || got.Steps < 0 {
			t.Errorf("%v: weight %+v", value, got)
		}
	}
}

// A circle, an absent node and a node of its own make no weight known, and none of them hangs; ten thousand nodes take no time.
func TestWeigh_hostileGraphs(t *testing.T) {
	t.Parallel()
	info := recorded(t, "v0.33.0")
	for name, text := range map[string]string{
		"circle": `{"1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}}, "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}, "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}`,
		"itself": `{"1": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["1", 0]}}, "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}`,
	} {
		if got := workflow.Weigh(readGraph(t, text), info, nil); got.Known {
			t.Errorf("%s: %+v", name, got)
		}
	}
	workflow.Weigh(nil, nil, nil)
	const n = 10_000
	g := comfy.Graph{"out": {ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "0"}}}}
	for i := range n {
		g[strconv.Itoa(i)] = comfy.Node{ClassType: "ImageScaleBy", Inputs: map[string]any{"scale_by": json.Number("2"), "image": comfy.Link{Node: strconv.Itoa(i + 1)}}}
	}
	g[strconv.Itoa(n)] = comfy.Node{ClassType: "EmptyImage", Inputs: map[string]any{"width": json.Number("1"), "height": json.Number("1")}}
	if got := workflow.Weigh(g, info, nil); got.Pixels != math.MaxInt64 { // how long it takes is for the benchmark to say
		t.Errorf("%+v", got)
	}
}

func BenchmarkWeigh_tenThousandNodes(b *testing.B) {
	info := recorded(b, "v0.33.0")
	g := comfy.Graph{"out": {ClassType: "PreviewImage", Inputs: map[string]any{"images": comfy.Link{Node: "0"}}}}
	for i := range 10_000 {
		g[strconv.Itoa(i)] = comfy.Node{ClassType: "ImageInvert", Inputs: map[string]any{"image": comfy.Link{Node: strconv.Itoa(i + 1)}}}
	}
	for b.Loop() {
		workflow.Weigh(g, info, nil)
	}
}
