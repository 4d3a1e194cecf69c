package workflow

import (
	"path"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

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
