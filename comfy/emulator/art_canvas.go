package emulator

import (
	"image"
	"image/draw"
	"math"
	"math/rand/v2"

	"golang.org/x/image/vector"
)

// canvas is a picture being painted. Its height is 1; x is 0 in the middle, y at
// the top. So the same scene fits every size and shape.
type canvas struct {
	m     *raster
	w, h  int
	ratio float64 // width by height
	alive func() error
	err   error // of alive
	pen   vector.Rasterizer
	ink   *image.Alpha
}

func newCanvas(w, h int, alive func() error) *canvas {
	return &canvas{m: newRaster(w, h), w: w, h: h, ratio: float64(w) / float64(h), alive: alive}
}

// half is the x of the right edge.
func (c *canvas) half() float64 { return c.ratio / 2 }

// dot is the size of a pixel.
func (c *canvas) dot() float64 { return 1 / float64(c.h) }

func (c *canvas) x(px int) float64 { return (float64(px)+0.5)/float64(c.h) - c.ratio/2 }
func (c *canvas) y(py int) float64 { return (float64(py) + 0.5) / float64(c.h) }

// each paints every pixel by its place.
func (c *canvas) each(f func(x, y float64) rgb) { c.rows(0, 1, f) }

// rows paints the pixels between two heights.
func (c *canvas) rows(from, to float64, f func(x, y float64) rgb) {
	first := max(0, int(math.Floor(from*float64(c.h))))
	last := min(c.h, int(math.Ceil(to*float64(c.h))))
	for py := first; py < last; py++ {
		if py%16 == 0 && !c.going() {
			return
		}
		y := c.y(py)
		row := c.m.Pix[py*c.m.Stride:][:c.w*4]
		for px := range c.w {
			put(row[px*4:px*4+4], f(c.x(px), y))
		}
	}
}

// change repaints every pixel from what is there.
func (c *canvas) change(f func(x, y float64, old rgb) rgb) {
	for py := range c.h {
		if py%16 == 0 && !c.going() {
			return
		}
		y := c.y(py)
		row := c.m.Pix[py*c.m.Stride:][:c.w*4]
		for px := range c.w {
			p := row[px*4 : px*4+4]
			put(p, f(c.x(px), y, rgb{float64(p[0]) / 255, float64(p[1]) / 255, float64(p[2]) / 255}))
		}
	}
}

func (c *canvas) going() bool {
	if c.err == nil {
		c.err = c.alive()
	}
	return c.err == nil
}

func put(p []byte, v rgb) {
	p[0], p[1], p[2], p[3] = part(v.r), part(v.g), part(v.b), 255
}

func part(v float64) byte {
	switch {
	case v <= 0:
		return 0
	case v >= 1:
		return 255
	default:
		return byte(v*255 + 0.5)
	}
}

// point is a place on the canvas.
type point struct{ x, y float64 }

// curve is one piece of an outline, to end, by way of up to two control points.
type curve struct {
	by  [2]point
	n   int
	end point
}

// shape is a closed outline.
type shape struct {
	start  point
	curves []curve
}

func begin(x, y float64) *shape { return &shape{start: point{x, y}} }

func (p *shape) line(x, y float64) *shape {
	p.curves = append(p.curves, curve{end: point{x, y}})
	return p
}

func (p *shape) quad(cx, cy, x, y float64) *shape {
	p.curves = append(p.curves, curve{by: [2]point{{cx, cy}}, n: 1, end: point{x, y}})
	return p
}

func (p *shape) cubic(ax, ay, bx, by, x, y float64) *shape {
	p.curves = append(p.curves, curve{by: [2]point{{ax, ay}, {bx, by}}, n: 2, end: point{x, y}})
	return p
}

// polygon joins points by straight lines.
func polygon(pts ...point) *shape {
	p := begin(pts[0].x, pts[0].y)
	for _, q := range pts[1:] {
		p.line(q.x, q.y)
	}
	return p
}

// oval is an ellipse about a place.
func oval(x, y, rx, ry float64) *shape {
	const k = 0.5522847
	return begin(x+rx, y).
		cubic(x+rx, y+k*ry, x+k*rx, y+ry, x, y+ry).
		cubic(x-k*rx, y+ry, x-rx, y+k*ry, x-rx, y).
		cubic(x-rx, y-k*ry, x-k*rx, y-ry, x, y-ry).
		cubic(x+k*rx, y-ry, x+rx, y-k*ry, x+rx, y)
}

// place moves an outline: scaled, mirrored by a negative sx, turned by an angle
// in turns, and put at a place.
type pose struct{ x, y, sx, sy, turn float64 }

func at(x, y, scale float64) pose { return pose{x: x, y: y, sx: scale, sy: scale} }

func (t pose) of(p point) point {
	sin, cos := math.Sincos(2 * math.Pi * t.turn)
	x, y := p.x*t.sx, p.y*t.sy
	return point{t.x + x*cos - y*sin, t.y + x*sin + y*cos}
}

// moved is the outline in its place.
func (p *shape) moved(t pose) *shape {
	q := &shape{start: t.of(p.start), curves: make([]curve, len(p.curves))}
	for i, c := range p.curves {
		q.curves[i] = curve{by: [2]point{t.of(c.by[0]), t.of(c.by[1])}, n: c.n, end: t.of(c.end)}
	}
	return q
}

// box is the smallest rectangle about the outline and its control points.
func (p *shape) box() (x0, y0, x1, y1 float64) {
	x0, y0, x1, y1 = p.start.x, p.start.y, p.start.x, p.start.y
	grow := func(q point) {
		x0, y0, x1, y1 = min(x0, q.x), min(y0, q.y), max(x1, q.x), max(y1, q.y)
	}
	for _, c := range p.curves {
		for _, b := range c.by[:c.n] {
			grow(b)
		}
		grow(c.end)
	}
	return x0, y0, x1, y1
}

// fill paints an outline. shade gives the colour and how much of it, 0 to 1.
func (c *canvas) fill(p *shape, shade func(x, y float64, old rgb) (rgb, float64)) {
	x0, y0, x1, y1 := p.box()
	scale, mid := float64(c.h), c.ratio/2
	left, top := max(0, int(math.Floor((x0+mid)*scale))-1), max(0, int(math.Floor(y0*scale))-1)
	right, bottom := min(c.w, int(math.Ceil((x1+mid)*scale))+1), min(c.h, int(math.Ceil(y1*scale))+1)
	if left >= right || top >= bottom || !c.going() {
		return
	}
	w, h := right-left, bottom-top
	c.pen.Reset(w, h)
	c.pen.DrawOp = draw.Src
	pt := func(q point) (float32, float32) {
		return float32((q.x+mid)*scale - float64(left)), float32(q.y*scale - float64(top))
	}
	c.pen.MoveTo(pt(p.start))
	for _, k := range p.curves {
		ex, ey := pt(k.end)
		ax, ay := pt(k.by[0])
		bx, by := pt(k.by[1])
		switch k.n {
		case 0:
			c.pen.LineTo(ex, ey)
		case 1:
			c.pen.QuadTo(ax, ay, ex, ey)
		default:
			c.pen.CubeTo(ax, ay, bx, by, ex, ey)
		}
	}
	c.pen.ClosePath()
	if c.ink == nil || len(c.ink.Pix) < w*h {
		c.ink = image.NewAlpha(image.Rect(0, 0, w, h))
	}
	ink := &image.Alpha{Pix: c.ink.Pix[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
	c.pen.Draw(ink, ink.Rect, image.Opaque, image.Point{})
	for py := range h {
		row := c.m.Pix[(top+py)*c.m.Stride:]
		for px := range w {
			share := ink.Pix[py*w+px]
			if share == 0 {
				continue
			}
			q := row[(left+px)*4 : (left+px)*4+4]
			old := rgb{float64(q[0]) / 255, float64(q[1]) / 255, float64(q[2]) / 255}
			v, much := shade(c.x(left+px), c.y(top+py), old)
			put(q, old.mix(v, much*float64(share)/255))
		}
	}
}

// flatFill paints an outline in one colour.
func (c *canvas) flatFill(p *shape, v rgb) {
	c.fill(p, func(float64, float64, rgb) (rgb, float64) { return v, 1 })
}

// fade paints an outline from one colour at its top to another at its foot.
func (c *canvas) fade(p *shape, top, foot rgb) {
	_, y0, _, y1 := p.box()
	g := blend(top, foot)
	c.fill(p, func(_, y float64, _ rgb) (rgb, float64) { return g.at((y - y0) / (y1 - y0)), 1 })
}

// glow adds a soft light about a place.
func (c *canvas) glow(x, y, radius float64, v rgb, strength float64) {
	c.fill(oval(x, y, radius, radius), func(px, py float64, old rgb) (rgb, float64) {
		d := math.Hypot(px-x, py-y) / radius
		t := max(0, 1-d)
		return old.screen(v, strength*t*t), 1
	})
}

// between is a random number of a range.
func between(rng *rand.Rand, a, b float64) float64 { return a + (b-a)*rng.Float64() }
