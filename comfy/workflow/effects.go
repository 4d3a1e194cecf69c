package workflow

import (
	"math"

	"github.com/comfygate/comfygate/comfy"
)

// An effect says what a class does to the pictures that come in. Names are those of inputs; an empty one asks for nothing.
type effect struct {
	from  []string // the inputs whose pictures matter, the first that has any; none: all inputs, the largest
	sum   bool     // the pictures of all inputs are put together
	fixed volume   // makes this, times count

	width, height  string   // the size of what it makes; 0 keeps the proportions of what comes in
	inside         bool     // … which is cut out of what comes in
	count          []string // how many it makes, multiplied; none: as many as come in
	more           int64    // makes so many besides
	seconds        string   // makes sound of this length
	factor         float64  // multiplies the sides
	by, times      string   // multiplies the sides; the number of pictures
	most           string   // passes at most so many
	across, down   []string // adds to the sides
	longest, short string   // makes the longer or the shorter side this
	area, grid     string   // makes about so many megapixels of it, in steps of a grid
	video          bool     // the pictures become one video
	special        func(w *weigher, id string, n comfy.Node, in volume) volume
}

// samples are the most of a second of sound; half of that is common for 120 s to weigh less than a picture of 2048 × 2048.
const samples = 44_100

// effects are the classes whose names of inputs do not tell what [weigher.usual] reads of them.
//
//nolint:gochecknoglobals // an immutable table
var effects = effectTable()

func effectTable() map[string]effect {
	scale := effect{width: "width", height: "height"}
	crop := effect{width: "width", height: "height", inside: true}
	join := effect{sum: true}
	square := func(input string) effect { return effect{width: input, height: input} }
	sound := func(count ...string) effect { return effect{seconds: "seconds", count: count} }
	return map[string]effect{
		"EmptyQwenImageLayeredLatentImage": {width: "width", height: "height", count: []string{"batch_size", "layers"}, more: 1},
		"EmptyLatentAudio":                 sound("batch_size"),
		"EmptyAceStepLatentAudio":          sound("batch_size"),
		"EmptyAceStep1.5LatentAudio":       sound("batch_size"),
		"EmptyMiniMaxMusic3LatentAudio":    sound("batch_size"),
		"VAEEncodeAudio":                   {special: (*weigher).heard},
		"LTXVAudioVAEEncode":               {special: (*weigher).heard},
		"LTXVEmptyLatentAudio":             {special: (*weigher).soundtrack},
		"EmptyLatentHunyuan3Dv2":           {fixed: volume{width: 8192, height: 64}, count: []string{"batch_size"}},
		"EmptyTrellis2LatentStructure":     {fixed: volume{width: 512, height: 512}, count: []string{"batch_size"}},

		"LoadImage":       {special: (*weigher).loaded},
		"LoadImageMask":   {special: (*weigher).loaded},
		"LoadImageOutput": {special: (*weigher).loaded},
		"LoadVideo":       {special: (*weigher).loadedVideo},

		"ImageScale":                           scale,
		"LatentUpscale":                        scale,
		"HunyuanVideo15LatentUpscaleWithModel": scale,
		"ImageScaleBy":                         {by: "scale_by"},
		"LatentUpscaleBy":                      {by: "scale_by"},
		"SD_4XUpscale_Conditioning":            {from: []string{"images"}, by: "scale_ratio"},
		"LTXVLatentUpsampler":                  {from: []string{"samples"}, factor: 2},
		"ImageUpscaleWithModel":                {special: (*weigher).upscaled},
		"ImageScaleToTotalPixels":              {area: "megapixels", grid: "resolution_steps"},
		"ImageScaleToMaxDimension":             {longest: "largest_size"},
		"ResizeImagesByLongerEdge":             {longest: "longer_edge"},
		"ResizeImagesByShorterEdge":            {short: "shorter_edge"},
		"ResizeAndPadImage":                    {width: "target_width", height: "target_height"},
		"ResizeImageMaskNode":                  {special: (*weigher).resized},
		"FluxKontextImageScale":                {special: (*weigher).kontext},
		"TripoSplatPreprocessImage":            square("size"),
		"BakeTextureFromVoxel":                 square("texture_size"),
		"BakeNormalMapFromMesh":                square("resolution"),
		"BakeAmbientOcclusion":                 square("resolution"),
		"RenderUVAtlas":                        square("resolution"),
		"ImageCrop":                            crop,
		"LatentCrop":                           crop,
		"CropMask":                             crop,
		"CenterCropImages":                     crop,
		"RandomCropImages":                     crop,
		"CropByBBoxes":                         {width: "output_width", height: "output_height"},
		"ImagePadForOutpaint":                  {from: []string{"image"}, across: []string{"left", "right"}, down: []string{"top", "bottom"}},

		"ImageBatch":         join,
		"LatentBatch":        join,
		"LatentConcat":       join,
		"BatchImagesNode":    join,
		"BatchLatentsNode":   join,
		"BatchMasksNode":     join,
		"MergeImageLists":    join,
		"CreateList":         join,
		"LTXVConcatAVLatent": join,
		"LTXVAddGuide":       join,

		"RepeatLatentBatch":          {times: "amount"},
		"RepeatImageBatch":           {times: "amount"},
		"FrameInterpolate":           {from: []string{"images"}, times: "multiplier", more: 1},
		"LatentFromBatch":            {most: "length"},
		"ImageFromBatch":             {most: "length"},
		"RebatchLatents":             {from: []string{"latents"}},
		"RebatchImages":              {from: []string{"images"}},
		"WanSoundImageToVideoExtend": {special: (*weigher).extended},
		"WanDancerPadKeyframes":      {from: []string{"images"}, count: []string{"segment_length"}},
		"WanDancerPadKeyframesList":  {from: []string{"images"}, count: []string{"segment_length", "num_segments"}},
		"ImageStitch":                {special: (*weigher).stitched},
		"ImageGrid":                  {special: (*weigher).grid},
		"SplitImageToTileList":       {special: (*weigher).tiled},
		"ImageMergeTileList":         {width: "final_width", height: "final_height", count: []string{}},
		"CreateVideo":                {from: []string{"images"}, video: true},
		"SaveWEBM":                   {from: []string{"images"}, video: true},
		"SaveAnimatedWEBP":           {from: []string{"images"}, video: true},
		"SaveAnimatedPNG":            {from: []string{"images"}, video: true},

		"VAEEncode":             {from: []string{"pixels"}},
		"VAEEncodeTiled":        {from: []string{"pixels"}},
		"VAEEncodeForInpaint":   {from: []string{"pixels"}},
		"VAEDecode":             {from: []string{"samples"}},
		"VAEDecodeTiled":        {from: []string{"samples"}},
		"KSampler":              {from: []string{"latent_image"}},
		"KSamplerAdvanced":      {from: []string{"latent_image"}},
		"SamplerCustom":         {from: []string{"latent_image"}},
		"SamplerCustomAdvanced": {from: []string{"latent_image"}},
		"SetLatentNoiseMask":    {from: []string{"samples"}},
	}
}

// apply works out what e makes of what comes in.
func (w *weigher) apply(e *effect, id string, n comfy.Node, in volume) volume {
	if e.special != nil {
		return e.special(w, id, n, in)
	}
	out := in
	number := func(input string) int64 { return w.side(n, input, &out.guessed) }
	switch {
	case e.seconds != "":
		out = volume{width: samples, height: max(number(e.seconds), 1), count: 1, sound: true, guessed: out.guessed}
	case !e.fixed.empty():
		out = e.fixed
	case e.width != "":
		out = w.sized(e, n, in)
	case e.longest != "":
		out = out.fitted(float64(number(e.longest)) / float64(max(in.width, in.height, 1)))
	case e.short != "":
		out = out.fitted(float64(number(e.short)) / float64(max(min(in.width, in.height), 1)))
	case e.area != "":
		out = w.filled(e, n, in)
	}
	if e.factor != 0 {
		out = out.scaled(e.factor, e.factor)
	}
	if e.by != "" {
		by, _ := w.amount(n, e.by)
		out = out.scaled(by.n, by.n)
		out.guessed = out.guessed || !by.known
	}
	for _, side := range e.across {
		out.width = plus(out.width, number(side))
	}
	for _, side := range e.down {
		out.height = plus(out.height, number(side))
	}
	return w.counts(e, n, out)
}

// counts works out how many pictures e makes.
func (w *weigher) counts(e *effect, n comfy.Node, out volume) volume {
	number := func(input string) int64 { return w.side(n, input, &out.guessed) }
	if e.count != nil {
		out.count = 1
		for _, input := range e.count {
			out.count = times(out.count, plus(max(number(input), 1), e.more))
		}
	}
	if e.times != "" {
		out.count = times(max(out.count, 1), plus(number(e.times), e.more))
	}
	if most, there := w.amount(n, e.most); there && most.known {
		out.count = min(max(out.count, 1), max(whole(most.n), 1))
	}
	if e.video {
		out.frames = max(out.count, 1)
	}
	return out
}

// fitted scales a picture that is there.
func (v volume) fitted(by float64) volume {
	if v.empty() || !(by > 0) {
		return v
	}
	return v.scaled(by, by)
}

// sized gives what comes in the size that inputs tell; where one is 0, it keeps its proportions.
func (w *weigher) sized(e *effect, n comfy.Node, in volume) volume {
	out := in
	out.width, out.height = w.side(n, e.width, &out.guessed), w.side(n, e.height, &out.guessed)
	switch {
	case out.width == 0 && out.height == 0:
		return in
	case out.width == 0 && !in.empty():
		out.width = whole(float64(in.width) * float64(out.height) / float64(in.height))
	case out.height == 0 && !in.empty():
		out.height = whole(float64(in.height) * float64(out.width) / float64(in.width))
	}
	if e.inside && !in.empty() {
		out.width, out.height = min(out.width, in.width), min(out.height, in.height)
	}
	out.merged, out.count = e.inside && in.merged, max(out.count, 1)
	return out
}

// filled gives what comes in an area in megapixels.
func (w *weigher) filled(e *effect, n comfy.Node, in volume) volume {
	area, _ := w.amount(n, e.area)
	grid, _ := w.amount(n, e.grid)
	if in.empty() {
		return in
	}
	by := math.Sqrt(math.Abs(area.n) * 1024 * 1024 / (float64(in.width) * float64(in.height)))
	out := in.scaled(by, by)
	step := whole(grid.n) / 2 // each side goes to the nearest step
	out.width, out.height = plus(out.width, step), plus(out.height, step)
	out.guessed = out.guessed || !area.known
	return out
}
