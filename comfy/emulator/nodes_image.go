package emulator

import (
	"image/color"
	"math"
)

// eachPicture makes a class that passes every picture of the input "image" through f.
func eachPicture(class string, f func(*call, *raster) (*raster, error)) nodeRow {
	return row(class, func(c *call) ([]any, error) {
		pictures, err := c.each("image", f)
		return []any{pictures}, err
	})
}

func (c *call) each(input string, f func(*call, *raster) (*raster, error)) ([]*raster, error) {
	in := take[[]*raster](c, input)
	out := make([]*raster, 0, len(in))
	for _, p := range in {
		q, err := f(c, p)
		if err == nil {
			err = c.err
		}
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, c.err
}

// scaleTo scales, with the memory reserved.
func (c *call) scaleTo(p *raster, w, h int, method, crop string) (*raster, error) {
	if err := c.reserve(w, h, 1); err != nil {
		return nil, err
	}
	return scaleCropped(p, w, h, method, crop, c.alive)
}

func scaled(n int, by float64) int { return int(math.RoundToEven(float64(n) * by)) }

func imageNodes() []nodeRow {
	return []nodeRow{
		row("EmptyImage", func(c *call) ([]any, error) {
			w, h, n := c.number("width"), c.number("height"), c.number("batch_size")
			if err := c.reserve(w, h, n); err != nil {
				return nil, err
			}
			v := c.number("color")
			one := fill(w, h, color.NRGBA{byte(v >> 16), byte(v >> 8), byte(v), 255})
			pictures := make([]*raster, n)
			for i := range pictures {
				pictures[i] = one
			}
			return []any{pictures}, nil
		}),
		eachPicture("ImageScale", func(c *call, p *raster) (*raster, error) {
			w, h := fitSides(c.number("width"), c.number("height"), p.Rect.Dx(), p.Rect.Dy())
			return c.scaleTo(p, w, h, c.text("upscale_method"), c.text("crop"))
		}),
		eachPicture("ImageScaleBy", func(c *call, p *raster) (*raster, error) {
			by := c.float("scale_by")
			return c.scaleTo(p, scaled(p.Rect.Dx(), by), scaled(p.Rect.Dy(), by), c.text("upscale_method"), "disabled")
		}),
		eachPicture("ImageScaleToTotalPixels", func(c *call, p *raster) (*raster, error) {
			by := math.Sqrt(c.float("megapixels") * 1024 * 1024 / float64(p.Rect.Dx()*p.Rect.Dy()))
			return c.scaleTo(p, scaled(p.Rect.Dx(), by), scaled(p.Rect.Dy(), by), c.text("upscale_method"), "disabled")
		}),
		eachPicture("ImageScaleToMaxDimension", func(c *call, p *raster) (*raster, error) {
			by := float64(c.number("largest_size")) / float64(max(p.Rect.Dx(), p.Rect.Dy()))
			return c.scaleTo(p, scaled(p.Rect.Dx(), by), scaled(p.Rect.Dy(), by), c.text("upscale_method"), "disabled")
		}),
		eachPicture("FluxKontextImageScale", func(c *call, p *raster) (*raster, error) {
			by := math.Sqrt(1024 * 1024 / float64(p.Rect.Dx()*p.Rect.Dy()))
			return c.scaleTo(p, max(16, scaled(p.Rect.Dx(), by)/16*16), max(16, scaled(p.Rect.Dy(), by)/16*16), "lanczos", "center")
		}),
		row("ImageUpscaleWithModel", upscaleWithModel),
		eachPicture("ImageCrop", func(c *call, p *raster) (*raster, error) {
			x, y := min(c.number("x"), p.Rect.Dx()-1), min(c.number("y"), p.Rect.Dy()-1)
			w, h := min(c.number("width"), p.Rect.Dx()-x), min(c.number("height"), p.Rect.Dy()-y)
			return cropped(p, x, y, w, h), nil
		}),
		row("ImagePadForOutpaint", padForOutpaint),
		row("ImageBatch", batchImages),
		row("ImageFromBatch", func(c *call) ([]any, error) {
			in := take[[]*raster](c, "image")
			first := min(len(in)-1, max(0, c.number("batch_index")))
			if first < 0 {
				return []any{in}, c.err
			}
			return []any{in[first:min(len(in), first+c.number("length"))]}, c.err
		}),
		row("RepeatImageBatch", func(c *call) ([]any, error) {
			in, n := take[[]*raster](c, "image"), c.number("amount")
			if err := c.reserve(n, max(1, len(in)), 1); err != nil {
				return nil, err
			}
			var out []*raster
			for range n {
				out = append(out, in...)
			}
			return []any{out}, c.err
		}),
		row("GetImageSize", func(c *call) ([]any, error) {
			in := take[[]*raster](c, "image")
			if c.err != nil || len(in) == 0 {
				return nil, c.err
			}
			return []any{pyInt(in[0].Rect.Dx()), pyInt(in[0].Rect.Dy()), pyInt(len(in))}, nil
		}),
		row("ImageStitch", stitch),
	}
}

// batchImages joins two batches; the second takes on the first's size.
func batchImages(c *call) ([]any, error) {
	a, b := take[[]*raster](c, "image1"), take[[]*raster](c, "image2")
	if c.err != nil || len(a) == 0 {
		return []any{b}, c.err
	}
	out := append([]*raster(nil), a...)
	for _, p := range b {
		q, err := c.scaleTo(p, a[0].Rect.Dx(), a[0].Rect.Dy(), "bilinear", "center")
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return []any{out}, nil
}

// Tiles as the upscaler cuts them; there is one report of progress for each.
const (
	tileSide    = 512
	tileOverlap = 32
)

func tilesOf(n int) int {
	if n <= tileSide {
		return 1
	}
	return (n - tileOverlap + tileSide - tileOverlap - 1) / (tileSide - tileOverlap)
}

// upscaleWithModel scales by the model's factor, and sharpens as such models do.
func upscaleWithModel(c *call) ([]any, error) {
	up, in := take[upscaler](c, "upscale_model"), take[[]*raster](c, "image")
	if c.err != nil || len(in) == 0 {
		return []any{in}, c.err
	}
	w, h := in[0].Rect.Dx()*up.factor, in[0].Rect.Dy()*up.factor
	if err := c.reserve(w, h, len(in)); err != nil {
		return nil, err
	}
	var out []*raster
	for _, p := range in {
		big, err := resize(p, w, h, "bicubic", c.alive)
		if err != nil {
			return nil, err
		}
		soft, err := blur(big, up.factor, float64(up.factor)*0.5, c.alive)
		if err != nil {
			return nil, err
		}
		out = append(out, sharpened(big, soft, 0.6))
	}
	tiles := len(in) * tilesOf(in[0].Rect.Dx()) * tilesOf(in[0].Rect.Dy())
	for i := 1; i <= tiles; i++ {
		if err := c.report(report{value: i, highest: tiles}); err != nil {
			return nil, err
		}
	}
	return []any{out}, nil
}

// sharpened adds what a blurred copy has lost.
func sharpened(p, soft *raster, amount float32) *raster {
	out := newRaster(p.Rect.Dx(), p.Rect.Dy())
	for i, v := range p.Pix {
		if i%4 == 3 {
			out.Pix[i] = v
			continue
		}
		out.Pix[i] = clamp8(float32(v) + amount*(float32(v)-float32(soft.Pix[i])))
	}
	return out
}

// padForOutpaint puts a picture on a grey ground, with a mask of what is new.
func padForOutpaint(c *call) ([]any, error) {
	left, top, right, bottom := c.number("left"), c.number("top"), c.number("right"), c.number("bottom")
	feather := c.number("feathering")
	in := take[[]*raster](c, "image")
	if c.err != nil || len(in) == 0 {
		return nil, c.err
	}
	iw, ih := in[0].Rect.Dx(), in[0].Rect.Dy()
	w, h := left+iw+right, top+ih+bottom
	if err := c.reserve(w, h, len(in)); err != nil {
		return nil, err
	}
	var out []*raster
	for _, p := range in {
		ground := fill(w, h, color.NRGBA{128, 128, 128, 255})
		paste(ground, p, left, top)
		out = append(out, ground)
	}
	m := newMask(w, h)
	for y := range h {
		for x := range w {
			m.Pix[y*m.Stride+x] = outpaintShare(x-left, y-top, iw, ih, [4]bool{left > 0, top > 0, right > 0, bottom > 0}, feather)
		}
	}
	return []any{out, []*mask{m}}, nil
}

// outpaintShare is the mask at a place of the old picture, or beside it: feathered
// along the sides that were extended.
func outpaintShare(x, y, w, h int, sides [4]bool, feather int) byte {
	if x < 0 || y < 0 || x >= w || y >= h {
		return 255
	}
	if feather <= 0 || 2*feather >= w || 2*feather >= h {
		return 0
	}
	near := feather
	for i, d := range []int{x, y, w - 1 - x, h - 1 - y} {
		if sides[i] {
			near = min(near, d)
		}
	}
	v := float32(feather-near) / float32(feather)
	return clamp8(v * v * 255)
}

// stitch puts two pictures beside each other.
func stitch(c *call) ([]any, error) {
	a := take[[]*raster](c, "image1")
	if c.err != nil || len(a) == 0 || !c.given("image2") {
		return []any{a}, c.err
	}
	b, gap := take[[]*raster](c, "image2"), c.number("spacing_width")
	if c.err != nil || len(b) == 0 {
		return []any{a}, c.err
	}
	direction := c.text("direction")
	along := direction == "right" || direction == "left"
	first, second := a[0], b[0]
	if c.truth("match_image_size") {
		w, h := 0, first.Rect.Dy()
		if !along {
			w, h = first.Rect.Dx(), 0
		}
		w, h = fitSides(w, h, second.Rect.Dx(), second.Rect.Dy())
		var err error
		if second, err = c.scaleTo(second, w, h, "lanczos", "disabled"); err != nil {
			return nil, err
		}
	}
	if direction == "left" || direction == "up" {
		first, second = second, first
	}
	fw, fh, sw, sh := first.Rect.Dx(), first.Rect.Dy(), second.Rect.Dx(), second.Rect.Dy()
	w, h, x, y := fw+gap+sw, max(fh, sh), fw+gap, 0
	if !along {
		w, h, x, y = max(fw, sw), fh+gap+sh, 0, fh+gap
	}
	if err := c.reserve(w, h, 1); err != nil {
		return nil, err
	}
	colors := map[string]color.NRGBA{
		"white": {255, 255, 255, 255}, "black": {0, 0, 0, 255}, "red": {255, 0, 0, 255},
		"green": {0, 255, 0, 255}, "blue": {0, 0, 255, 255},
	}
	out := fill(w, h, colors[c.text("spacing_color")])
	paste(out, first, 0, 0)
	paste(out, second, x, y)
	return []any{[]*raster{out}}, nil
}
