package emulator

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// raster is one picture of an IMAGE: 8 bits a channel, alpha not multiplied in.
// It is not changed after its node has given it away.
type raster = image.NRGBA

// mask is one plane of a MASK: 0 to 255.
type mask = image.Gray

func newRaster(w, h int) *raster { return image.NewNRGBA(image.Rect(0, 0, w, h)) }

func newMask(w, h int) *mask { return image.NewGray(image.Rect(0, 0, w, h)) }

// fill makes a picture of one colour.
func fill(w, h int, c color.NRGBA) *raster {
	m := newRaster(w, h)
	px := [4]byte{c.R, c.G, c.B, c.A}
	for i := 0; i < len(m.Pix); i += 4 {
		copy(m.Pix[i:i+4], px[:])
	}
	return m
}

// toRaster copies any picture into a raster.
func toRaster(src image.Image) *raster {
	b := src.Bounds()
	m := newRaster(b.Dx(), b.Dy())
	if p, ok := src.(*image.Paletted); ok {
		for y := range b.Dy() {
			for x := range b.Dx() {
				m.Set(x, y, p.At(b.Min.X+x, b.Min.Y+y))
			}
		}
		return m
	}
	draw.Draw(m, m.Rect, src, b.Min, draw.Src)
	return m
}

func clamp8(v float32) byte {
	switch {
	case v <= 0:
		return 0
	case v >= 255:
		return 255
	default:
		return byte(v + 0.5)
	}
}

// mapPixels makes a picture by a function of each channel triple; alpha stays.
func mapPixels(src *raster, f func(r, g, b byte) (byte, byte, byte)) *raster {
	m := newRaster(src.Rect.Dx(), src.Rect.Dy())
	for i := 0; i < len(m.Pix); i += 4 {
		m.Pix[i], m.Pix[i+1], m.Pix[i+2] = f(src.Pix[i], src.Pix[i+1], src.Pix[i+2])
		m.Pix[i+3] = src.Pix[i+3]
	}
	return m
}

// kernel is a resampling filter of the given support, in source pixels.
type kernel struct {
	support float64
	weight  func(x float64) float64
}

func kernelOf(method string) kernel {
	switch method {
	case "nearest-exact":
		return kernel{}
	case "area":
		return kernel{0.5, func(x float64) float64 {
			if x >= -0.5 && x < 0.5 {
				return 1
			}
			return 0
		}}
	case "bilinear":
		return kernel{1, func(x float64) float64 { return max(0, 1-math.Abs(x)) }}
	case "lanczos":
		return kernel{3, func(x float64) float64 {
			if x == 0 {
				return 1
			}
			if math.Abs(x) >= 3 {
				return 0
			}
			return 3 * math.Sin(math.Pi*x) * math.Sin(math.Pi*x/3) / (math.Pi * math.Pi * x * x)
		}}
	default: // bicubic, and bislerp of latents: Catmull-Rom
		return kernel{2, func(x float64) float64 {
			x = math.Abs(x)
			switch {
			case x < 1:
				return (1.5*x-2.5)*x*x + 1
			case x < 2:
				return ((-0.5*x+2.5)*x-4)*x + 2
			default:
				return 0
			}
		}}
	}
}

// taps are the source pixels that make one target pixel.
type taps struct {
	first   int
	weights []float32
}

// tapsOf computes the taps of every target pixel. A filter is widened where the
// picture shrinks, so that nothing is skipped.
func tapsOf(k kernel, from, to int) []taps {
	scale := float64(from) / float64(to)
	list := make([]taps, to)
	for i := range list {
		center := (float64(i) + 0.5) * scale
		if k.weight == nil {
			list[i] = taps{min(from-1, int(center)), []float32{1}}
			continue
		}
		wide := max(1, scale)
		first := max(0, int(math.Floor(center-k.support*wide)))
		last := min(from-1, int(math.Ceil(center+k.support*wide)))
		t := taps{first: first}
		sum := 0.0
		for j := first; j <= last; j++ {
			w := k.weight((float64(j) + 0.5 - center) / wide)
			t.weights = append(t.weights, float32(w))
			sum += w
		}
		for j := range t.weights {
			t.weights[j] /= float32(sum)
		}
		list[i] = t
	}
	return list
}

// resize scales a picture. alive is asked now and then whether to go on.
func resize(src *raster, w, h int, method string, alive func() error) (*raster, error) {
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	if sw == w && sh == h {
		return src, nil
	}
	k := kernelOf(method)
	rows, cols := tapsOf(k, sh, h), tapsOf(k, sw, w)
	dst := newRaster(w, h)
	line := make([]float32, sw*4)
	for y, t := range rows {
		if y%64 == 0 {
			if err := alive(); err != nil {
				return nil, err
			}
		}
		clear(line)
		for j, weight := range t.weights {
			row := src.Pix[(t.first+j)*src.Stride:][:sw*4]
			for i, v := range row {
				line[i] += weight * float32(v)
			}
		}
		out := dst.Pix[y*dst.Stride:][:w*4]
		for x, t := range cols {
			var r, g, b, a float32
			px := line[t.first*4:]
			for j, weight := range t.weights {
				q := px[j*4 : j*4+4]
				r += weight * q[0]
				g += weight * q[1]
				b += weight * q[2]
				a += weight * q[3]
			}
			o := out[x*4 : x*4+4]
			o[0], o[1], o[2], o[3] = clamp8(r), clamp8(g), clamp8(b), clamp8(a)
		}
	}
	return dst, nil
}

// scaleCropped scales as ComfyUI's common_upscale: with crop "center" the middle
// of the right proportions is taken first.
func scaleCropped(src *raster, w, h int, method, crop string, alive func() error) (*raster, error) {
	if crop == "center" {
		sw, sh := src.Rect.Dx(), src.Rect.Dy()
		have, want := float64(sw)/float64(sh), float64(w)/float64(h)
		switch {
		case have > want:
			cut := int(math.RoundToEven((float64(sw) - float64(sw)*want/have) / 2))
			src = cropped(src, cut, 0, max(1, sw-2*cut), sh)
		case have < want:
			cut := int(math.RoundToEven((float64(sh) - float64(sh)*have/want) / 2))
			src = cropped(src, 0, cut, sw, max(1, sh-2*cut))
		}
	}
	return resize(src, w, h, method, alive)
}

// cropped copies a rectangle, which must lie inside.
func cropped(src *raster, x, y, w, h int) *raster {
	m := newRaster(w, h)
	for row := range h {
		copy(m.Pix[row*m.Stride:][:w*4], src.Pix[src.PixOffset(x, y+row):])
	}
	return m
}

// paste copies src over dst at x, y; what does not fit is cut.
func paste(dst, src *raster, x, y int) {
	draw.Draw(dst, src.Rect.Add(image.Pt(x, y)), src, image.Point{}, draw.Src)
}

// gauss are the weights of a normalised Gaussian of 2*radius+1 points.
func gauss(radius int, sigma float64) []float32 {
	w := make([]float32, 2*radius+1)
	var sum float32
	for i := range w {
		d := float64(i - radius)
		w[i] = float32(math.Exp(-d * d / (2 * sigma * sigma)))
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
	}
	return w
}

// mirror reflects an index at the edges of 0..n-1, the edge itself not doubled.
func mirror(i, n int) int {
	if n == 1 {
		return 0
	}
	i %= 2 * (n - 1)
	if i < 0 {
		i += 2 * (n - 1)
	}
	if i >= n {
		i = 2*(n-1) - i
	}
	return i
}

// blur smooths a picture; alpha stays as it is.
func blur(src *raster, radius int, sigma float64, alive func() error) (*raster, error) {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	weights := gauss(radius, sigma)
	dst := newRaster(w, h)
	line := make([]float32, w*4)
	for y := range h {
		if y%64 == 0 {
			if err := alive(); err != nil {
				return nil, err
			}
		}
		clear(line)
		for j, weight := range weights {
			row := src.Pix[mirror(y+j-radius, h)*src.Stride:][:w*4]
			for i, v := range row {
				line[i] += weight * float32(v)
			}
		}
		out := dst.Pix[y*dst.Stride:][:w*4]
		for x := range w {
			var r, g, b float32
			for j, weight := range weights {
				q := line[mirror(x+j-radius, w)*4:][:3]
				r += weight * q[0]
				g += weight * q[1]
				b += weight * q[2]
			}
			o := out[x*4 : x*4+4]
			o[0], o[1], o[2], o[3] = clamp8(r), clamp8(g), clamp8(b), src.Pix[y*src.Stride+x*4+3]
		}
	}
	return dst, nil
}

// maskAt fits a mask to a size, as ComfyUI does before it uses one.
func maskAt(m *mask, w, h int) *mask {
	if m.Rect.Dx() == w && m.Rect.Dy() == h {
		return m
	}
	out := newMask(w, h)
	rows, cols := tapsOf(kernelOf("bilinear"), m.Rect.Dy(), h), tapsOf(kernelOf("bilinear"), m.Rect.Dx(), w)
	line := make([]float32, m.Rect.Dx())
	for y, t := range rows {
		clear(line)
		for j, weight := range t.weights {
			for i, v := range m.Pix[(t.first+j)*m.Stride:][:len(line)] {
				line[i] += weight * float32(v)
			}
		}
		for x, t := range cols {
			var sum float32
			for j, weight := range t.weights {
				sum += weight * line[t.first+j]
			}
			out.Pix[y*out.Stride+x] = clamp8(sum)
		}
	}
	return out
}
