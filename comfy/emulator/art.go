package emulator

import (
	"hash/fnv"
	"image"
	"math"
)

// hash64 makes a number of words.
func hash64(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p + "\x00")) // never fails
	}
	return h.Sum64()
}

// artwork is what is to be drawn. The same artwork is the same picture at every size.
type artwork struct {
	words string
	seed  uint64
	grain float64
}

func (c *call) artwork(s sampling, index int) *artwork {
	return &artwork{
		words: s.positive.text(),
		seed:  s.seed ^ c.server.opts.Seed*0x9e3779b97f4a7c15 ^ uint64(index)<<32,
		grain: 0.1 * math.Exp(-float64(s.all)/4),
	}
}

func (a *artwork) paint(w, h int, alive func() error) (*raster, error) {
	m := newRaster(w, h)
	k := hash64(a.words) ^ a.seed
	for y := range h {
		if err := alive(); err != nil {
			return nil, err
		}
		for x := range w {
			o := m.PixOffset(x, y)
			m.Pix[o] = byte(float64(x)/float64(w)*255) ^ byte(k)
			m.Pix[o+1] = byte(float64(y)/float64(h)*255) ^ byte(k>>8)
			m.Pix[o+2] = byte(k >> 16)
			m.Pix[o+3] = 255
		}
	}
	return m, nil
}

// thumbs is a small picture as it comes out of the noise.
type thumbs struct {
	goal  *raster
	noise *raster
}

func (c *call) thumbnail(s sampling) *thumbs {
	w, h := max(1, s.latent.w/8), max(1, s.latent.h/8)
	goal, err := c.draw(s, 0, w, h)
	if err != nil {
		goal = newRaster(w, h)
	}
	return &thumbs{goal: goal}
}

func (t *thumbs) at(step, steps int) image.Image { return t.goal }

func develop(f frameLatent, w, h int) *raster {
	if f.picture == nil {
		return newRaster(w, h)
	}
	return f.picture
}
