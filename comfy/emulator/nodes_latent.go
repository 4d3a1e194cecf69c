package emulator

import (
	"image/color"
	"slices"
)

// latent is a LATENT. In place of numbers that only a VAE understands it holds
// the pictures that they stand for. It is not changed once made.
type latent struct {
	w, h   int // in pixels of the picture
	frames []frameLatent
	masks  []*mask // where to draw, white; nil for everywhere
}

// frameLatent is one element of the batch.
type frameLatent struct {
	picture *raster // nil for an empty one
	noise   float64 // what is left of the noise, 0 to 1
	index   int     // its place in the batch, for which the noise is drawn
}

// change makes another latent of the same frames, each passed through f.
func (l *latent) change(w, h int, f func(*raster) (*raster, error)) (*latent, error) {
	out := &latent{w: w, h: h, masks: l.masks, frames: slices.Clone(l.frames)}
	for i := range out.frames {
		p := &out.frames[i].picture
		if *p == nil {
			continue
		}
		var err error
		if *p, err = f(*p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// latentSide is a side in pixels as latents have them, in eighths.
func latentSide(n int) int { return max(8, n/8*8) }

// emptyLatent makes the classes of empty latents: all alike here.
func emptyLatent(class string) nodeRow {
	return row(class, func(c *call) ([]any, error) {
		l := &latent{w: latentSide(c.number("width")), h: latentSide(c.number("height"))}
		n := c.number("batch_size")
		if err := c.reserve(l.w/8, l.h/8, n); err != nil {
			return nil, err
		}
		for i := range n {
			l.frames = append(l.frames, frameLatent{index: i})
		}
		return []any{l}, nil
	})
}

func (c *call) scaleLatent(w, h int, crop string) ([]any, error) {
	l := take[*latent](c, "samples")
	if c.err != nil {
		return nil, c.err
	}
	if err := c.reserve(w, h, len(l.frames)); err != nil {
		return nil, err
	}
	out, err := l.change(w, h, func(m *raster) (*raster, error) {
		return scaleCropped(m, w, h, c.text("upscale_method"), crop, c.alive)
	})
	return []any{out}, err
}

// fitSides fills in a side that is 0 by the proportions of another size.
func fitSides(w, h, haveW, haveH int) (int, int) {
	switch {
	case w == 0 && h == 0:
		return haveW, haveH
	case w == 0:
		return max(1, (haveW*h+haveH/2)/haveH), h
	case h == 0:
		return w, max(1, (haveH*w+haveW/2)/haveW)
	default:
		return w, h
	}
}

func latentNodes() []nodeRow {
	return []nodeRow{
		emptyLatent("EmptyLatentImage"),
		emptyLatent("EmptySD3LatentImage"),
		emptyLatent("EmptyFlux2LatentImage"),
		emptyLatent("EmptyHunyuanImageLatent"),
		row("LatentUpscale", func(c *call) ([]any, error) {
			l := take[*latent](c, "samples")
			if c.err != nil {
				return nil, c.err
			}
			w, h := fitSides(c.number("width"), c.number("height"), l.w, l.h)
			return c.scaleLatent(latentSide(max(64, w)), latentSide(max(64, h)), c.text("crop"))
		}),
		row("LatentUpscaleBy", func(c *call) ([]any, error) {
			l, by := take[*latent](c, "samples"), c.float("scale_by")
			if c.err != nil {
				return nil, c.err
			}
			return c.scaleLatent(latentSide(int(float64(l.w)*by+4)), latentSide(int(float64(l.h)*by+4)), "disabled")
		}),
		row("RepeatLatentBatch", repeatLatent),
		row("LatentFromBatch", latentFromBatch),
		row("LatentBatch", batchLatents),
		row("SetLatentNoiseMask", func(c *call) ([]any, error) {
			l, m := take[*latent](c, "samples"), take[[]*mask](c, "mask")
			if c.err != nil {
				return nil, c.err
			}
			return []any{&latent{w: l.w, h: l.h, frames: l.frames, masks: m}}, nil
		}),
	}
}

func repeatLatent(c *call) ([]any, error) {
	l := take[*latent](c, "samples")
	if c.err != nil {
		return nil, c.err
	}
	out := &latent{w: l.w, h: l.h, masks: l.masks}
	for range c.number("amount") {
		for _, f := range l.frames {
			f.index = len(out.frames)
			out.frames = append(out.frames, f)
		}
	}
	return []any{out}, nil
}

func latentFromBatch(c *call) ([]any, error) {
	l := take[*latent](c, "samples")
	if c.err != nil {
		return nil, c.err
	}
	n := len(l.frames)
	first := min(n-1, max(-n, c.number("batch_index")))
	if first < 0 {
		first += n
	}
	last := min(n, first+c.number("length"))
	return []any{&latent{w: l.w, h: l.h, masks: l.masks, frames: l.frames[first:last:last]}}, nil
}

func batchLatents(c *call) ([]any, error) {
	a, b := take[*latent](c, "samples1"), take[*latent](c, "samples2")
	if c.err != nil {
		return nil, c.err
	}
	b, err := b.change(a.w, a.h, func(m *raster) (*raster, error) {
		return scaleCropped(m, a.w, a.h, "bilinear", "center", c.alive)
	})
	if err != nil {
		return nil, err
	}
	return []any{&latent{w: a.w, h: a.h, masks: a.masks, frames: slices.Concat(a.frames, b.frames)}}, nil
}

// encodePixels is what a VAE makes of pictures: sides in eighths.
func encodePixels(pictures []*raster) *latent {
	if len(pictures) == 0 {
		return &latent{w: 8, h: 8}
	}
	size := pictures[0].Rect.Size()
	l := &latent{w: latentSide(size.X), h: latentSide(size.Y)}
	for i, p := range pictures {
		if size := p.Rect.Size(); size.X != l.w || size.Y != l.h {
			if size.X >= l.w && size.Y >= l.h {
				p = cropped(p, (size.X-l.w)/2, (size.Y-l.h)/2, l.w, l.h)
			} else {
				padded := fill(l.w, l.h, color.NRGBA{A: 255})
				paste(padded, p, 0, 0)
				p = padded
			}
		}
		l.frames = append(l.frames, frameLatent{picture: p, index: i})
	}
	return l
}

func vaeNodes() []nodeRow {
	decode := func(c *call) ([]any, error) {
		take[vae](c, "vae")
		l := take[*latent](c, "samples")
		if c.err != nil {
			return nil, c.err
		}
		if err := c.reserve(l.w, l.h, len(l.frames)); err != nil {
			return nil, err
		}
		var pictures []*raster
		for _, f := range l.frames {
			if err := c.alive(); err != nil {
				return nil, err
			}
			pictures = append(pictures, develop(f, l.w, l.h))
		}
		return []any{pictures}, nil
	}
	encodeAll := func(c *call) ([]any, error) {
		take[vae](c, "vae")
		return []any{encodePixels(take[[]*raster](c, "pixels"))}, c.err
	}
	return []nodeRow{
		row("VAEDecode", decode),
		row("VAEDecodeTiled", decode),
		row("VAEEncode", encodeAll),
		row("VAEEncodeTiled", encodeAll),
		row("VAEEncodeForInpaint", func(c *call) ([]any, error) {
			take[vae](c, "vae")
			l, m := encodePixels(take[[]*raster](c, "pixels")), take[[]*mask](c, "mask")
			if c.err != nil {
				return nil, c.err
			}
			for _, one := range m {
				grown, err := c.growMask(maskAt(one, l.w, l.h), c.number("grow_mask_by"), false)
				if err != nil {
					return nil, err
				}
				l.masks = append(l.masks, grown)
			}
			return []any{l}, nil
		}),
		row("InpaintModelConditioning", func(c *call) ([]any, error) {
			take[vae](c, "vae")
			l := encodePixels(take[[]*raster](c, "pixels"))
			if c.truth("noise_mask") {
				l.masks = take[[]*mask](c, "mask")
			}
			return []any{take[condition](c, "positive"), take[condition](c, "negative"), l}, nil
		}),
	}
}
