package emulator

import (
	"hash/fnv"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"strconv"

	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
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
	positive, negative string
	seed, style        uint64 // of the composition; of the model's own way
	grain              float64
	contrast           float64
	sketch             bool // just colours, for tests that look at no picture
}

// artwork is what one frame of a batch is to show.
func (c *call) artwork(s sampling, index int) *artwork {
	style := []string{s.model.file}
	for _, l := range s.model.loras {
		style = append(style, l.file+strconv.FormatFloat(l.strength, 'f', 2, 64))
	}
	a := &artwork{
		positive: s.positive.text(), negative: s.negative.text(),
		style:    hash64(style...),
		grain:    0.02 + 0.10*math.Exp(-float64(s.all)/4),
		contrast: 1 + 0.012*max(-6, min(10, s.cfg-6)),
		sketch:   c.server.opts.sketch,
	}
	if s.cfg <= 1 {
		a.negative, a.contrast = "", 1 // without guidance nothing is kept away
	}
	a.seed = hash64(strconv.FormatUint(s.seed, 10), strconv.FormatUint(c.server.opts.Seed, 10), strconv.Itoa(index))
	return a
}

// paint draws the artwork at a size.
func (a *artwork) paint(w, h int, alive func() error) (*raster, error) {
	rng := rand.New(rand.NewPCG(a.seed, hash64(a.positive))) //nolint:gosec // a picture is no secret
	c := newCanvas(w, h, alive)
	if a.sketch {
		c.each(func(x, y float64) rgb { return rgb{0.5 + x/2, y, float64(a.seed&255) / 255} })
		return c.m, c.err
	}
	s := &scene{canvas: c, rng: rng, wish: read(a.positive, a.negative, rng), noise: newField(rng)}
	s.light = lightOf(s.wish, rng)
	s.paint()
	a.finish(s)
	return c.m, c.err
}

// finish gives the picture its grade, its darker corners and its grain.
func (a *artwork) finish(s *scene) {
	warm := 0.04 * (float64(a.style>>8&255)/255 - 0.5)
	deep := a.contrast + 0.06*(float64(a.style>>16&255)/255-0.5)
	grade := gradeOf(s.style)
	amount := a.grain
	s.change(func(x, y float64, v rgb) rgb {
		dx, dy := x/s.half(), 2*y-1
		v = v.times(1 - 0.10*(dx*dx+dy*dy)*(dx*dx+dy*dy)/2)
		v = rgb{bend(v.r, deep) + warm, bend(v.g, deep), bend(v.b, deep) - warm}
		v = grade(v)
		n := amount * (s.noise.speck(int((x+8)*1400), int(y*1400)) - 0.5)
		return rgb{v.r + n, v.g + n, v.b + n}
	})
}

// bend raises the contrast about the middle.
func bend(v, by float64) float64 { return (v-0.5)*by + 0.5 }

func gradeOf(style string) func(rgb) rgb {
	saturate := func(by float64) func(rgb) rgb {
		return func(v rgb) rgb {
			l := v.light()
			return rgb{l, l, l}.mix(v, by)
		}
	}
	switch style {
	case "mono":
		return saturate(0)
	case "pastel":
		soft := saturate(0.72)
		return func(v rgb) rgb { return soft(v).mix(ink(0xfff7f0), 0.28) }
	case "vintage":
		dull := saturate(0.55)
		return func(v rgb) rgb {
			v = dull(v)
			return rgb{v.r*0.95 + 0.07, v.g*0.92 + 0.045, v.b*0.80 + 0.03}
		}
	case "vivid", "neon":
		return saturate(1.3)
	default:
		return saturate(1.06)
	}
}

// thumbs is a small picture as it comes out of the noise.
type thumbs struct{ goal, noise *raster }

// thumbnail makes what a sampling shows while it runs: drawn as small as a latent
// is, and shown larger, as ComfyUI does.
func (c *call) thumbnail(s sampling) (*thumbs, error) {
	w, h := max(1, s.latent.w/8), max(1, s.latent.h/8)
	goal, err := c.draw(s, 0, w, h)
	if err != nil {
		return nil, err
	}
	noise := newRaster(w, h)
	rng := rand.New(rand.NewPCG(s.seed, 1)) //nolint:gosec // a picture is no secret
	for i := range noise.Pix {
		noise.Pix[i] = byte(rng.Uint32() >> 24)
	}
	side := previewSide
	if c.server.opts.sketch {
		side /= 8
	}
	by := float64(side) / float64(max(w, h))
	w, h = max(1, int(float64(w)*by)), max(1, int(float64(h)*by))
	t := &thumbs{}
	if t.goal, err = resize(goal, w, h, "bilinear", c.alive); err != nil {
		return nil, err
	}
	t.noise, err = resize(noise, w, h, "bilinear", c.alive)
	return t, err
}

// at is the picture after a step: ever less noise.
func (t *thumbs) at(step, steps int) image.Image {
	share := int(256 * smoothstep(0, 1, float64(step)/float64(steps)))
	m := image.NewRGBA(t.goal.Rect)
	for i, v := range t.goal.Pix {
		m.Pix[i] = byte((int(v)*share + int(t.noise.Pix[i])*(256-share)) >> 8)
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	return m
}

// develop makes a picture of a latent: what noise is left is seen, and the mark
// tells where it comes from.
func develop(f frameLatent, w, h int) *raster {
	if f.picture == nil {
		return fill(w, h, greyGround())
	}
	m := newRaster(w, h)
	copy(m.Pix, f.picture.Pix)
	if f.noise > 0 {
		rng := rand.New(rand.NewPCG(uint64(f.index), 2)) //nolint:gosec // a picture is no secret
		for i := 0; i < len(m.Pix); i += 4 {
			for k := range 3 {
				m.Pix[i+k] = clamp8(float32(lerp(float64(m.Pix[i+k]), float64(rng.Uint32()>>24), f.noise)))
			}
		}
	}
	mark(m)
	return m
}

// markText is in the corner of every picture that is drawn here.
const markText = "embedded"

// mark writes it, small, light on its own shadow.
func mark(m *raster) {
	face := basicfont.Face7x13
	scale := max(1, min(m.Rect.Dx(), m.Rect.Dy())/512)
	left := m.Rect.Dx() - (len(markText)*face.Advance+6)*scale
	top := m.Rect.Dy() - (face.Height+4)*scale
	if left < 0 || top < 0 {
		return
	}
	for i := range len(markText) {
		_, bits, at, _, _ := face.Glyph(fixedZero(), rune(markText[i]))
		for y := range face.Height {
			for x := range face.Width {
				_, _, _, a := bits.At(at.X+x, at.Y+y).RGBA()
				if a == 0 {
					continue
				}
				px, py := left+(i*face.Advance+x)*scale, top+y*scale
				block(m, px+scale, py+scale, scale, 0, 0.35)
				block(m, px, py, scale, 255, 0.65)
			}
		}
	}
}

// block lays a square of grey over a picture.
func block(m *raster, x, y, side int, grey byte, share float32) {
	for dy := range side {
		for dx := range side {
			if !(image.Point{X: x + dx, Y: y + dy}).In(m.Rect) {
				continue
			}
			p := m.Pix[m.PixOffset(x+dx, y+dy):]
			for k := range 3 {
				p[k] = clamp8(float32(p[k])*(1-share) + float32(grey)*share)
			}
		}
	}
}

func fixedZero() (p fixed.Point26_6) { return p }

func greyGround() color.NRGBA { return color.NRGBA{126, 122, 118, 255} }
