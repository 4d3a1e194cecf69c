package emulator

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
)

func pyInt(n int) *big.Int { return big.NewInt(int64(n)) }

func imageFilterNodes() []nodeRow {
	return []nodeRow{
		eachPicture("ImageInvert", func(_ *call, p *raster) (*raster, error) {
			return mapPixels(p, func(r, g, b byte) (byte, byte, byte) { return 255 - r, 255 - g, 255 - b }), nil
		}),
		eachPicture("ImageBlur", func(c *call, p *raster) (*raster, error) {
			return blur(p, max(1, c.number("blur_radius")), max(0.1, c.float("sigma")), c.alive)
		}),
		eachPicture("ImageSharpen", func(c *call, p *raster) (*raster, error) {
			soft, err := blur(p, max(1, c.number("sharpen_radius")), max(0.1, c.float("sigma")), c.alive)
			if err != nil {
				return nil, err
			}
			return sharpened(p, soft, float32(c.float("alpha"))), nil
		}),
		eachPicture("ImageAddNoise", addNoise),
		eachPicture("ImageFlip", func(c *call, p *raster) (*raster, error) {
			return flipped(p, strings.HasPrefix(c.text("flip_method"), "x")), nil
		}),
		eachPicture("ImageRotate", func(c *call, p *raster) (*raster, error) {
			turns := map[string]int{"90 degrees": 1, "180 degrees": 2, "270 degrees": 3}[c.text("rotation")]
			for range turns {
				p = turned(p)
			}
			return p, nil
		}),
		row("ImageBlend", blendImages),
		row("ImageCompositeMasked", compositeMasked),
		row("JoinImageWithAlpha", joinAlpha),
		row("SplitImageWithAlpha", func(c *call) ([]any, error) {
			var masks []*mask
			out, err := c.each("image", func(_ *call, p *raster) (*raster, error) {
				masks = append(masks, alphaMask(p))
				return opaque(p), nil
			})
			return []any{out, masks}, err
		}),
	}
}

func blendImages(c *call) ([]any, error) {
	over, share := take[[]*raster](c, "image2"), float32(c.float("blend_factor"))
	mode := blendOf(c.text("blend_mode"))
	if c.err == nil && len(over) == 0 {
		return nil, &pyError{"RuntimeError", "no picture to blend with"}
	}
	i := -1
	out, err := c.each("image1", func(c *call, p *raster) (*raster, error) {
		i++
		q, err := c.scaleTo(over[min(i, len(over)-1)], p.Rect.Dx(), p.Rect.Dy(), "bicubic", "center")
		if err != nil {
			return nil, err
		}
		return blended(p, q, share, mode), nil
	})
	return []any{out}, err
}

// joinAlpha makes pictures transparent where a mask is white.
func joinAlpha(c *call) ([]any, error) {
	alpha := take[[]*mask](c, "alpha")
	i := -1
	out, err := c.each("image", func(_ *call, p *raster) (*raster, error) {
		i++
		if len(alpha) == 0 {
			return p, nil
		}
		m := maskAt(alpha[min(i, len(alpha)-1)], p.Rect.Dx(), p.Rect.Dy())
		q := mapPixels(p, func(r, g, b byte) (byte, byte, byte) { return r, g, b })
		for k, v := range m.Pix {
			q.Pix[k*4+3] = 255 - v
		}
		return q, nil
	})
	return []any{out}, err
}

// addNoise adds normal noise of the given strength, always the same for a seed.
func addNoise(c *call, p *raster) (*raster, error) {
	rng := rand.New(rand.NewPCG(c.seed("seed"), 0x9e3779b97f4a7c15)) //nolint:gosec // noise in a picture is no secret
	strength := 255 * c.float("strength")
	return mapPixels(p, func(r, g, b byte) (byte, byte, byte) {
		add := func(v byte) byte { return clamp8(float32(float64(v) + strength*rng.NormFloat64())) }
		return add(r), add(g), add(b)
	}), nil
}

// flipped mirrors a picture, left to right or upside down.
func flipped(p *raster, upsideDown bool) *raster {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := newRaster(w, h)
	for y := range h {
		for x := range w {
			fx, fy := w-1-x, y
			if upsideDown {
				fx, fy = x, h-1-y
			}
			copy(out.Pix[out.PixOffset(x, y):][:4], p.Pix[p.PixOffset(fx, fy):])
		}
	}
	return out
}

// turned rotates a picture by a quarter, clockwise.
func turned(p *raster) *raster {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := newRaster(h, w)
	for y := range h {
		for x := range w {
			copy(out.Pix[out.PixOffset(h-1-y, x):][:4], p.Pix[p.PixOffset(x, y):])
		}
	}
	return out
}

// opaque drops the alpha.
func opaque(p *raster) *raster {
	q := mapPixels(p, func(r, g, b byte) (byte, byte, byte) { return r, g, b })
	for i := 3; i < len(q.Pix); i += 4 {
		q.Pix[i] = 255
	}
	return q
}

// alphaMask is white where a picture is transparent.
func alphaMask(p *raster) *mask {
	m := newMask(p.Rect.Dx(), p.Rect.Dy())
	for i := range m.Pix {
		m.Pix[i] = 255 - p.Pix[i*4+3]
	}
	return m
}

// blendOf is the function of a blend mode, of channels from 0 to 1.
func blendOf(mode string) func(a, b float32) float32 {
	switch mode {
	case "multiply":
		return func(a, b float32) float32 { return a * b }
	case "screen":
		return func(a, b float32) float32 { return 1 - (1-a)*(1-b) }
	case "overlay":
		return func(a, b float32) float32 {
			if a <= 0.5 {
				return 2 * a * b
			}
			return 1 - 2*(1-a)*(1-b)
		}
	case "soft_light":
		return func(a, b float32) float32 {
			if b <= 0.5 {
				return a - (1-2*b)*a*(1-a)
			}
			return a + (2*b-1)*(float32(math.Sqrt(float64(a)))-a)
		}
	case "difference":
		return func(a, b float32) float32 { return max(a-b, b-a) }
	default:
		return func(_, b float32) float32 { return b }
	}
}

func blended(p, q *raster, share float32, mode func(a, b float32) float32) *raster {
	out := newRaster(p.Rect.Dx(), p.Rect.Dy())
	for i, v := range p.Pix {
		if i%4 == 3 {
			out.Pix[i] = v
			continue
		}
		a := float32(v) / 255
		out.Pix[i] = clamp8(255 * (a*(1-share) + share*mode(a, float32(q.Pix[i])/255)))
	}
	return out
}

// compositeMasked lays a source over a destination, where the mask is white.
func compositeMasked(c *call) ([]any, error) {
	source, x, y := take[[]*raster](c, "source"), c.number("x"), c.number("y")
	var masks []*mask
	if c.given("mask") {
		masks = take[[]*mask](c, "mask")
	}
	if c.err == nil && len(source) == 0 {
		return nil, &pyError{"RuntimeError", "no source to composite"}
	}
	i := -1
	out, err := c.each("destination", func(c *call, p *raster) (*raster, error) {
		i++
		over := source[min(i, len(source)-1)]
		if c.truth("resize_source") {
			var err error
			if over, err = c.scaleTo(over, p.Rect.Dx(), p.Rect.Dy(), "bilinear", "disabled"); err != nil {
				return nil, err
			}
		}
		var m *mask
		if len(masks) > 0 {
			m = maskAt(masks[min(i, len(masks)-1)], over.Rect.Dx(), over.Rect.Dy())
		}
		return composite(p, over, m, x, y), nil
	})
	return []any{out}, err
}

func composite(p, over *raster, m *mask, x, y int) *raster {
	out := mapPixels(p, func(r, g, b byte) (byte, byte, byte) { return r, g, b })
	for sy := range min(over.Rect.Dy(), out.Rect.Dy()-y) {
		for sx := range min(over.Rect.Dx(), out.Rect.Dx()-x) {
			share := float32(1)
			if m != nil {
				share = float32(m.Pix[sy*m.Stride+sx]) / 255
			}
			o, s := out.PixOffset(x+sx, y+sy), over.PixOffset(sx, sy)
			for k := range 3 {
				out.Pix[o+k] = clamp8(float32(out.Pix[o+k])*(1-share) + float32(over.Pix[s+k])*share)
			}
		}
	}
	return out
}

// grey makes a picture of a mask.
func grey(m *mask) *raster {
	p := newRaster(m.Rect.Dx(), m.Rect.Dy())
	for i, v := range m.Pix {
		copy(p.Pix[i*4:], []byte{v, v, v, 255})
	}
	return p
}
