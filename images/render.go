package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"runtime"
	"sync"

	"github.com/HugoSmits86/nativewebp"
	"golang.org/x/image/draw"
)

// Preview returns a rendition of a picture, or of an animation's first frame, of at most maxSide pixels a side and maxBytes encoded bytes (JPEG, or PNG where alpha matters), from a cache.
// It lowers quality, then size, until it fits (T43); it is a *BoundsError only when not even 64 pixels do.
func (s *Store) Preview(ctx context.Context, owner, id string, maxSide, maxBytes int) (Rendition, error) {
	return s.rendition(ctx, owner, rendering{id: id, side: maxSide, bytes: maxBytes, preview: true})
}

// Render returns owner's picture, or an animation's first frame, scaled to at most maxSide (0 = as it is) in format f ("" = as stored), within maxBytes
// of encoded bytes (0 = any): it is a *BoundsError when no quality of that format fits.
// WebP is lossless (IMG-07); a few pictures it cannot hold are [ErrNotEncodable]. A picture that is asked for as it is stored comes as its stored bytes.
func (s *Store) Render(ctx context.Context, owner, id string, maxSide int, f Format, maxBytes int) (Rendition, error) {
	return s.rendition(ctx, owner, rendering{id: id, side: maxSide, format: f, bytes: maxBytes})
}

// A rendering is what is asked for: the cache's key. Zero side and bytes do not bound.
type rendering struct {
	id          string
	side, bytes int
	format      Format
	preview     bool
}

// fits reports whether n encoded bytes are within the bound.
func (k rendering) fits(n int) bool { return k.bytes <= 0 || n <= k.bytes }

func (k rendering) tooBig(got int) error {
	return &BoundsError{What: "bytes", Got: int64(got), Max: int64(k.bytes)}
}

// rendition answers from the cache, from the stored bytes, or by decoding. The disk is asked first, always: whose it is, and whether it is still there.
func (s *Store) rendition(ctx context.Context, owner string, k rendering) (Rendition, error) {
	im, err := s.Get(owner, k.id)
	if errors.Is(err, ErrNotFound) {
		return s.firstFrame(ctx, owner, k)
	}
	if err != nil {
		return Rendition{}, err
	}
	if k.format == "" && !k.preview {
		k.format = im.Format
	}
	r, done, err := s.cache.claim(ctx, k)
	if done == nil {
		return r, err
	}
	defer done()
	f, err := s.regular(k.id + "." + string(im.Format))
	if errors.Is(err, fs.ErrNotExist) { // cleaned meanwhile
		return Rendition{}, ErrNotFound
	}
	if err != nil {
		return Rendition{}, fmt.Errorf("opening picture: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	if k.format == im.Format && (k.side <= 0 || max(im.Width, im.Height) <= k.side) && k.fits(int(im.Bytes)) {
		b, err := io.ReadAll(io.LimitReader(whileAlive(ctx, f), im.Bytes))
		if err != nil {
			return Rendition{}, fmt.Errorf("reading picture: %w", err)
		}
		return Rendition{Data: b, Format: im.Format, Width: im.Width, Height: im.Height}, nil
	}
	release, err := s.reserve(ctx, im.Width, im.Height, k.cost(im))
	if err != nil {
		return Rendition{}, err
	}
	defer release()
	m, err := decode(im.Format, whileAlive(ctx, f), im.Width, im.Height)
	if err != nil {
		return Rendition{}, err
	}
	r, err = k.draw(ctx, m, s.mark(im))
	if err == nil {
		s.cache.put(k, r)
	}
	return r, err
}

// cost returns the bytes of memory for a pixel of im. The WebP encoder needs many for each pixel that it writes.
func (k rendering) cost(im Image) int {
	const webpCost = 48
	if k.format != WebP {
		return decodeCost
	}
	w, h := scaled(im.Width, im.Height, k.side)
	return decodeCost + (webpCost*w*h+im.Width*im.Height-1)/(im.Width*im.Height)
}

// draw scales and encodes m.
func (k rendering) draw(ctx context.Context, m image.Image, mark *Mark) (Rendition, error) {
	if k.preview {
		return k.drawPreview(ctx, m, mark)
	}
	m = scale(m, k.side)
	if k.format == JPEG {
		m = flat(m)
	}
	return k.encode(ctx, m, k.format, mark, levels(k.format))
}

// drawPreview tries smaller and smaller sizes. Where the picture has alpha and a PNG of it fits, the alpha stays.
func (k rendering) drawPreview(ctx context.Context, m image.Image, mark *Mark) (Rendition, error) {
	const least = 64
	side := max(m.Bounds().Dx(), m.Bounds().Dy())
	if k.side > 0 {
		side = min(side, k.side)
	}
	for first := side; ; side = max(side*3/4, least) {
		small := scalePreview(m, side)
		if side == first && !opaque(small) {
			if r, err := k.encode(ctx, small, PNG, mark, levels(PNG)[:1]); err == nil {
				return r, nil
			}
		}
		r, err := k.encode(ctx, flat(small), JPEG, mark, previewLevels())
		var big *BoundsError
		if !errors.As(err, &big) || side <= least {
			return r, err
		}
	}
}

// A level is one way to encode a format, and the size to expect, relative to the first.
type level struct {
	quality int // of JPEG; else png.CompressionLevel
	size    float64
}

// levels returns the ways to encode f, best first.
func levels(f Format) []level {
	switch f {
	case JPEG:
		return append([]level{{92, 1.8}}, previewLevels()...)
	case PNG:
		return []level{{int(png.BestSpeed), 1}, {int(png.BestCompression), .85}}
	case WebP: // lossless
	}
	return []level{{0, 1}}
}

// previewLevels returns JPEG's levels for previews; sizes as measured on photographs and noise.
func previewLevels() []level {
	return []level{{80, 1}, {70, .79}, {58, .65}, {46, .55}, {34, .45}, {22, .34}, {12, .22}}
}

// encode tries the levels until one fits, passing over those that surely will not.
func (k rendering) encode(ctx context.Context, m image.Image, f Format, mark *Mark, ways []level) (Rendition, error) {
	for i := 0; ; i++ {
		if err := ctx.Err(); err != nil {
			return Rendition{}, err
		}
		b, err := encode(m, f, ways[i], mark)
		if err != nil {
			return Rendition{}, err
		}
		if k.fits(len(b)) {
			return Rendition{Data: b, Format: f, Width: m.Bounds().Dx(), Height: m.Bounds().Dy()}, nil
		}
		for first := ways[i].size; i+2 < len(ways) && !k.fits(int(float64(len(b))*ways[i+1].size/first)); i++ {
		}
		if i+1 == len(ways) {
			return Rendition{}, k.tooBig(len(b))
		}
	}
}

// encode encodes m and puts the mark in.
func encode(m image.Image, f Format, l level, mark *Mark) ([]byte, error) {
	var b, marked bytes.Buffer
	var err error
	switch f {
	case PNG:
		enc := png.Encoder{CompressionLevel: png.CompressionLevel(l.quality)}
		err = enc.Encode(&b, straight(m))
	case JPEG:
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: l.quality})
	case WebP:
		err = encodeWebP(&b, m)
	default:
		return nil, &TypeError{Got: string(f)}
	}
	if err != nil {
		return nil, fmt.Errorf("encoding picture: %w", err)
	}
	if mark == nil {
		return b.Bytes(), nil
	}
	if _, err := Strip(&marked, &b, f, StripOptions{Mark: mark}); err != nil {
		return nil, fmt.Errorf("marking picture: %w", err)
	}
	return marked.Bytes(), nil
}

// encodeWebP encodes m without loss, or says [ErrNotEncodable]. The encoder is young: it panics on some pictures and writes
// broken files for others (its code words get too long), so what it wrote is decoded and compared.
func encodeWebP(b *bytes.Buffer, m image.Image) (err error) {
	const most = 1<<14 - 1
	if side := max(m.Bounds().Dx(), m.Bounds().Dy()); side > most {
		return &BoundsError{What: "side", Got: int64(side), Max: most}
	}
	defer func() {
		if recover() != nil {
			err = ErrNotEncodable
		}
	}()
	want := eightBit(m)
	if err := nativewebp.Encode(b, want, nil); err != nil {
		return ErrNotEncodable
	}
	m, err = decode(WebP, bytes.NewReader(b.Bytes()), want.Rect.Dx(), want.Rect.Dy())
	if got, ok := m.(*image.NRGBA); err != nil || !ok || !bytes.Equal(got.Pix, want.Pix) {
		return ErrNotEncodable
	}
	return nil
}

// scaled returns the size of a w×h picture within side pixels a side; 0 = as it is. It never grows, and never vanishes.
func scaled(w, h, side int) (int, int) {
	long := max(w, h)
	if side <= 0 || long <= side {
		return w, h
	}
	return max(1, (w*side+long/2)/long), max(1, (h*side+long/2)/long)
}

// scale returns m within side pixels a side, by the best of scalers.
func scale(m image.Image, side int) image.Image {
	return resized(m, side, func(dst *image.RGBA) { draw.CatmullRom.Scale(dst, dst.Rect, m, m.Bounds(), draw.Src, nil) })
}

// scalePreview is scale for previews: fast. Its scaler looks at four pixels for each one, so it halves first where more count.
func scalePreview(m image.Image, side int) image.Image {
	for long := max(m.Bounds().Dx(), m.Bounds().Dy()); long > 2*side; {
		long = (long + 1) / 2
		m = resized(m, long, func(dst *image.RGBA) { scaleStripes(dst, m) })
	}
	return resized(m, side, func(dst *image.RGBA) { scaleStripes(dst, m) })
}

// scaleStripes scales m to dst, each processor a stripe.
func scaleStripes(dst *image.RGBA, m image.Image) {
	var wait sync.WaitGroup
	n, r := runtime.GOMAXPROCS(0), dst.Rect
	for i := range n {
		stripe := image.Rect(0, r.Dy()*i/n, r.Dx(), r.Dy()*(i+1)/n)
		part := &image.RGBA{Pix: dst.Pix[stripe.Min.Y*dst.Stride:], Stride: dst.Stride, Rect: stripe}
		wait.Go(func() { draw.ApproxBiLinear.Scale(part, r, m, m.Bounds(), draw.Src, nil) })
	}
	wait.Wait()
}

// resized returns m itself if it is within side pixels a side, else what paint paints at that size.
func resized(m image.Image, side int, paint func(dst *image.RGBA)) image.Image {
	b := m.Bounds()
	w, h := scaled(b.Dx(), b.Dy(), side)
	if w == b.Dx() && h == b.Dy() {
		return m
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	paint(dst)
	return dst
}

// flat returns m on white, in the kind that JPEG's encoder is quick with.
func flat(m image.Image) image.Image {
	switch m := m.(type) {
	case *image.YCbCr, *image.Gray:
		return m
	case *image.RGBA:
		if m.Opaque() {
			return m
		}
	}
	b := m.Bounds()
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	if !opaque(m) {
		draw.Draw(dst, dst.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	}
	draw.Draw(dst, dst.Rect, m, b.Min, draw.Over)
	return dst
}

// straight returns m in a kind that PNG's encoder is quick with, if it has alpha.
func straight(m image.Image) image.Image {
	if p, ok := m.(*image.RGBA); ok && !p.Opaque() {
		return eightBit(p)
	}
	return plain(m)
}

func opaque(m image.Image) bool {
	o, ok := m.(interface{ Opaque() bool })
	return ok && o.Opaque()
}
