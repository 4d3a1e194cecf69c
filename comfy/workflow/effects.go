package workflow

import (
	"math"
	"path"
	"strings"

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

// assumed is the size of a picture that the caller of [Weigh] does not tell: the largest that may come in (SC-49).
const assumed = 2048

func (w *weigher) loaded(id string, _ comfy.Node, _ volume) volume {
	if s, ok := w.sizes[id]; ok && s.Width > 0 && s.Height > 0 {
		return volume{width: int64(s.Width), height: int64(s.Height), count: int64(max(s.Count, 1))}
	}
	return volume{width: assumed, height: assumed, count: 1, guessed: true}
}

func (w *weigher) loadedVideo(id string, n comfy.Node, in volume) volume {
	v := w.loaded(id, n, in)
	if v.guessed {
		v.count = mostVideo
	}
	v.frames = v.count
	return v
}

// mostVideo are the frames of a video that nobody knows.
const mostVideo = 10_000

// soundtrack makes sound for a number of frames, of which a second has at least eight.
func (w *weigher) soundtrack(_ string, n comfy.Node, _ volume) volume {
	out := volume{width: samples, sound: true}
	out.height = plus(w.side(n, "frames_number", &out.guessed)/8, 1)
	out.count = max(w.side(n, "batch_size", &out.guessed), 1)
	return out
}

// kontext makes pictures of the one area that the family knows; this is its largest.
func (*weigher) kontext(_ string, _ comfy.Node, in volume) volume {
	in.width, in.height, in.merged = 1328, 800, true
	return in
}

// upscaled makes pictures as many times larger as the model does; where its name does not tell, four times.
func (w *weigher) upscaled(_ string, n comfy.Node, _ volume) volume {
	in := w.brought(n, "image")
	by := 4.0
	if l, ok := asLink(n.Inputs["upscale_model"]); ok {
		name, _ := written(w.graph[l.Node].Inputs["model_name"]).(string)
		by = modelFactor(name)
	}
	return in.scaled(by, by)
}

// modelFactor reads an upscale model's factor from its name: 4x-UltraSharp, RealESRGAN_x2plus.
func modelFactor(name string) float64 {
	for _, word := range strings.FieldsFunc(strings.ToLower(strings.TrimSuffix(baseOf(name), path.Ext(name))), func(r rune) bool { return r == '_' || r == '-' || r == ' ' || r == '.' }) {
		for _, by := range "123468" {
			digit := string(by)
			if word == digit+"x" || word == "x"+digit || strings.HasPrefix(word, "x"+digit+"plus") || strings.HasPrefix(word, digit+"x") && len(word) > 2 {
				return float64(by - '0')
			}
		}
	}
	return 4
}

// resizes are the ways of ResizeImageMaskNode.
//
//nolint:gochecknoglobals // an immutable table
var resizes = map[string]effect{
	"scale dimensions":        {width: "resize_type.width", height: "resize_type.height"},
	"scale by multiplier":     {by: "resize_type.multiplier"},
	"scale longer dimension":  {longest: "resize_type.longer_size"},
	"scale shorter dimension": {short: "resize_type.shorter_size"},
	"scale total pixels":      {area: "resize_type.megapixels"},
	"scale to multiple":       {},
}

func (w *weigher) resized(id string, n comfy.Node, _ volume) volume {
	in := w.brought(n, "input")
	key, _ := written(n.Inputs["resize_type"]).(string)
	if e, ok := resizes[key]; ok {
		return w.apply(&e, id, n, in)
	}
	by := in
	switch key {
	case "match size":
		to := w.brought(n, "resize_type.match")
		by.width, by.height, by.guessed = to.width, to.height, in.guessed || to.guessed
	case "scale width":
		side := w.side(n, "resize_type.width", &by.guessed)
		by = by.fitted(float64(side) / float64(max(in.width, 1)))
	case "scale height":
		side := w.side(n, "resize_type.height", &by.guessed)
		by = by.fitted(float64(side) / float64(max(in.height, 1)))
	default:
		by.width, by.height, by.guessed = mostResolution, mostResolution, true
	}
	return by
}

// stitched puts two pictures side by side or one above the other. Where it is not known whether the second is made as long as the first,
// the larger way counts.
func (w *weigher) stitched(_ string, n comfy.Node, _ volume) volume {
	a, b := w.brought(n, "image1"), w.brought(n, "image2")
	if a.empty() || b.empty() {
		return a.larger(b)
	}
	direction, _ := written(n.Inputs["direction"]).(string)
	below := direction == "up" || direction == "down"
	if below { // as it is side by side, turned
		a.width, a.height, b.width, b.height = a.height, a.width, b.height, b.width
	}
	out := volume{count: max(a.count, b.count), frames: max(a.frames, b.frames), guessed: a.guessed || b.guessed, merged: a.merged || b.merged}
	matched, told := written(n.Inputs["match_image_size"]).(bool)
	second, long := whole(float64(b.width)*float64(a.height)/float64(b.height)), a.height
	if !matched {
		long = max(a.height, b.height)
		second = max(b.width, second*b2i(!told))
		out.merged = out.merged || !told
	}
	gap := w.side(n, "spacing_width", &out.guessed)
	out.width, out.height = plus(plus(a.width, second), gap+gap%2), long
	if below {
		out.width, out.height = out.height, out.width
	}
	return out
}

// extended makes as many more frames of each video as it is told.
func (w *weigher) extended(_ string, n comfy.Node, _ volume) volume {
	out := w.brought(n, "video_latent")
	videos := max(out.count/max(out.frames, 1), 1)
	out.frames = max(w.side(n, "length", &out.guessed), 1)
	out.count = times(videos, out.frames)
	return out
}

// heard makes of sound whose length nobody knows what becomes sound again.
func (*weigher) heard(string, comfy.Node, volume) volume {
	return volume{width: samples, height: mostSound, count: 1, sound: true, guessed: true}
}

// mostSound are the seconds of sound that nobody knows.
const mostSound = 360

// grid makes one picture of many, cell by cell.
func (w *weigher) grid(_ string, n comfy.Node, in volume) volume {
	out := volume{count: 1, guessed: in.guessed}
	columns := max(w.side(n, "columns", &out.guessed), 1)
	padding := w.side(n, "padding", &out.guessed)
	rows := (max(in.count, 1)-1)/columns + 1
	out.width = times(columns, plus(w.side(n, "cell_width", &out.guessed), padding))
	out.height = times(rows, plus(w.side(n, "cell_height", &out.guessed), padding))
	return out
}

// tiled cuts a picture into tiles that overlap.
func (w *weigher) tiled(_ string, n comfy.Node, in volume) volume {
	out := in
	overlap := w.side(n, "overlap", &out.guessed)
	along := func(input string, side int64) (tile, tiles int64) {
		tile = max(w.side(n, input, &out.guessed), 1)
		step := max(tile-overlap, tile/4, 1)
		return min(tile, side), max(side-1, 0)/step + 1
	}
	var across, down int64
	out.width, across = along("tile_width", in.width)
	out.height, down = along("tile_height", in.height)
	out.count, out.merged = times(max(in.count, 1), across, down), true
	return out
}
