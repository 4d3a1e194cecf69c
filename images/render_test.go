package images_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/comfygate/comfygate/images"
)

// fading returns a picture of 90×60 whose alpha changes softly.
func fading() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, 90, 60))
	for i := range m.Pix {
		m.Pix[i] = uint8(i / 4 / 30)
	}
	return m
}

// T43, IMG-09: a preview keeps to its side and bytes whatever the picture, and carries the mark.
func TestPreview(t *testing.T) {
	t.Parallel()
	wide := photo(600).SubImage(image.Rect(0, 0, 600, 3))
	for _, c := range []struct {
		name        string
		b           []byte
		side, bytes int
		f           images.Format
		w, h        int // 0 = any
	}{
		{"photo", pngOf(t, photo(800)), 768, 75000, images.JPEG, 768, 768},
		{"more than twice as large", pngOf(t, photo(700)), 100, 75000, images.JPEG, 100, 100},
		{"small", pngOf(t, photo(30)), 768, 75000, images.JPEG, 30, 30},
		{"any", pngOf(t, photo(30)), 0, 0, images.JPEG, 30, 30},
		{"noise", pngOf(t, noise(500, false)), 400, 75000, images.JPEG, 400, 400},
		{"noise, tight", pngOf(t, noise(400, false)), 768, 9000, images.JPEG, 0, 0},
		{"noise with alpha", pngOf(t, noise(400, true)), 768, 40000, images.JPEG, 400, 400},
		{"alpha that fits", pngOf(t, fading()), 768, 75000, images.PNG, 90, 60},
		{"alpha that fits, scaled", pngOf(t, fading()), 60, 75000, images.PNG, 60, 40},
		{"wide", pngOf(t, wide), 100, 75000, images.JPEG, 100, 1},
		{"JPEG", testdata(t, "progressive.jpg"), 24, 75000, images.JPEG, 24, 16},
		{"CMYK", testdata(t, "cmyk.jpg"), 24, 75000, images.JPEG, 24, 16},
		{"grey", testdata(t, "grey.jpg"), 24, 75000, images.JPEG, 24, 16},
		{"WebP", testdata(t, "lossy-plain.webp"), 24, 75000, images.JPEG, 24, 16},
		{"WebP with alpha", testdata(t, "lossless-alpha.webp"), 24, 75000, images.PNG, 24, 16},
		{"palette with transparency", testdata(t, "palette.png"), 24, 75000, images.PNG, 24, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, images.StoreConfig{Generator: "g"})
			r, err := s.Preview(t.Context(), "o", put(t, s, c.b).ID, c.side, c.bytes)
			if err != nil {
				t.Fatal(err)
			}
			m := decoded(t, r.Format, r.Data)
			if r.Format != c.f || m.Bounds().Dx() != r.Width || m.Bounds().Dy() != r.Height || (c.w != 0 && (r.Width != c.w || r.Height != c.h)) {
				t.Errorf("%s of %d×%d (says %d×%d), want %s of %d×%d", r.Format, m.Bounds().Dx(), m.Bounds().Dy(), r.Width, r.Height, c.f, c.w, c.h)
			}
			if (c.bytes > 0 && len(r.Data) > c.bytes) || (c.side > 0 && max(r.Width, r.Height) > c.side) {
				t.Errorf("%d bytes, %d×%d", len(r.Data), r.Width, r.Height)
			}
			checkMark(t, r.Data, images.Mark{Generator: "g", CallID: "call"})
		})
	}
}

// A preview of 100 bytes cannot be; the error says what the least was.
func TestPreview_impossible(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	_, err := s.Preview(t.Context(), "o", put(t, s, pngOf(t, noise(300, false))).ID, 768, 100)
	wantBounds(t, err, "bytes")
}

// Alpha is flattened on white, not on black.
func TestPreview_white(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	glass := noise(200, true)
	for y := range 50 {
		for x := range 50 {
			glass.SetNRGBA(x, y, color.NRGBA{R: 9, G: 9, B: 9})
		}
	}
	r, err := s.Render(t.Context(), "o", put(t, s, pngOf(t, glass)).ID, 0, images.JPEG, 0)
	if err != nil {
		t.Fatal(err)
	}
	if y := lightness(decoded(t, images.JPEG, r.Data), 10, 10); y < 250 {
		t.Errorf("what was clear is %d", y)
	}
}

// lightness returns how light a pixel is, 0…255.
func lightness(m image.Image, x, y int) int {
	r, g, b, _ := m.At(x, y).RGBA()
	return int(299*r+587*g+114*b) / 1000 >> 8
}

// The preview shows the picture: what is left stays left, light stays light.
func TestPreview_looksAlike(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	src := photo(400)
	id := put(t, s, pngOf(t, src)).ID
	for _, side := range []int{350, 200, 199, 99, 65} {
		r, err := s.Preview(t.Context(), "o", id, side, 0)
		if err != nil {
			t.Fatal(err)
		}
		m := decoded(t, r.Format, r.Data)
		for _, p := range []image.Point{{40, 40}, {350, 60}, {200, 200}, {40, 370}, {390, 390}} {
			a, b := lightness(src, p.X, p.Y), lightness(m, p.X*r.Width/400, p.Y*r.Height/400)
			if a-b < -16 || a-b > 16 {
				t.Errorf("side %d at %v: %d and %d", side, p, a, b)
			}
		}
	}
}

// IMG-07, T43: each format, each size, within the bytes or a clear error.
func TestRender(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{Generator: "g"})
	soft := put(t, s, pngOf(t, photo(200)))
	hard := put(t, s, pngOf(t, noise(200, true)))
	fade := put(t, s, pngOf(t, fading()))
	lossy := put(t, s, testdata(t, "lossy-alpha.webp"))
	for _, c := range []struct {
		name  string
		im    images.Image
		side  int
		f     images.Format
		bytes int
		want  images.Format // "" = does not fit
		w     int
	}{
		{"as it is", soft, 0, "", 0, images.PNG, 200},
		{"as it is, in its format", soft, 200, images.PNG, int(soft.Bytes), images.PNG, 200},
		{"as it is, too large", hard, 0, "", 1000, "", 0},
		{"smaller PNG", soft, 100, "", 0, images.PNG, 100},
		{"smaller PNG with alpha", hard, 100, "", 0, images.PNG, 100},
		{"JPEG", soft, 0, images.JPEG, 0, images.JPEG, 200},
		{"JPEG, tight", hard, 0, images.JPEG, 9000, images.JPEG, 200},
		{"JPEG, too tight", hard, 0, images.JPEG, 2000, "", 0},
		{"WebP", soft, 0, images.WebP, 0, images.WebP, 200},
		{"WebP with alpha", fade, 0, images.WebP, 0, images.WebP, 90},
		{"WebP, too tight", soft, 0, images.WebP, 3000, "", 0},
		{"from WebP", lossy, 0, images.PNG, 0, images.PNG, 48},
		{"WebP again", lossy, 0, images.WebP, 1, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := s.Render(t.Context(), "o", c.im.ID, c.side, c.f, c.bytes)
			if c.want == "" {
				wantBounds(t, err, "bytes")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := decoded(t, r.Format, r.Data)
			if r.Format != c.want || r.Width != c.w || m.Bounds().Dx() != c.w || (c.bytes > 0 && len(r.Data) > c.bytes) {
				t.Errorf("%s, %d wide, %d bytes", r.Format, r.Width, len(r.Data))
			}
			checkMark(t, r.Data, images.Mark{Generator: "g", CallID: "call"})
			if r.Format != images.JPEG && c.side == 0 {
				samePixels(t, decoded(t, c.im.Format, stored(t, s, c.im.ID)), m)
			}
		})
	}
}

// IMG-07: what the encoder cannot do right is an error, never a broken file.
func TestRender_webpCannot(t *testing.T) {
	t.Parallel()
	geometric := image.NewNRGBA(image.Rect(0, 0, 512, 512)) // code words of more than 15 bits
	r := rand.New(rand.NewPCG(1, 2))
	for i := range geometric.Pix {
		geometric.Pix[i] = uint8(-math.Log2(1 - r.Float64()))
		if i%4 == 3 {
			geometric.Pix[i] = 255
		}
	}
	s := openStore(t, images.StoreConfig{})
	for name, m := range map[string]image.Image{"panic": noise(200, true), "broken file": geometric} {
		_, err := s.Render(t.Context(), "o", put(t, s, pngOf(t, m)).ID, 0, images.WebP, 0)
		if !errors.Is(err, images.ErrNotEncodable) {
			t.Errorf("%s: %v; if the encoder has learnt it, find another picture", name, err)
		}
	}
}

// A second, harder try at a PNG may fit where the quick one does not.
func TestRender_pngTwice(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	id := put(t, s, pngOf(t, photo(200))).ID
	quick, err := s.Render(t.Context(), "o", id, 150, images.PNG, 0)
	if err != nil {
		t.Fatal(err)
	}
	hard, err := s.Render(t.Context(), "o", id, 150, images.PNG, len(quick.Data)-1)
	if err != nil || len(hard.Data) >= len(quick.Data) {
		t.Errorf("%d bytes after %d: %v", len(hard.Data), len(quick.Data), err)
	}
}

// What a caller uploaded has no mark: no model made it.
func TestRender_uploaded(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	im, err := s.PutUpload(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(20))))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []images.Format{images.PNG, images.JPEG, images.WebP} {
		r, err := s.Render(t.Context(), "o", im.ID, 10, f, 0)
		if err != nil || bytes.Contains(r.Data, []byte("trainedAlgorithmicMedia")) {
			t.Errorf("%s: %v, marked", f, err)
		}
	}
	if _, err := s.Render(t.Context(), "o", im.ID, 0, "gif", 0); err == nil {
		t.Error("GIF came out")
	}
}

// IMG-03: pixels that do not decode are an error of the picture, not of ours, and are not told by the decoder's text.
func TestPreview_damaged(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	p := pieces(t, pngOf(t, photo(16)))
	short := join(p[0], piece{"IDAT", deflated(make([]byte, 50))}, p[len(p)-1])
	long := join(p[0], piece{"IDAT", deflated(make([]byte, 5000))}, p[len(p)-1])
	junk := join(p[0], piece{"IDAT", []byte("no zlib")}, p[len(p)-1])
	vp8 := unriff(t, testdata(t, "lossy-plain.webp"))[0]
	for name, b := range map[string][]byte{
		"too few pixels": short, "too many": long, "no zlib": junk, "hidden after the pixels": join(p[0], piece{"IDAT", append(slices.Clone(p[1].data), "hidden"...)}, p[len(p)-1]),
		"WebP": riff(piece{"VP8 ", vp8.data[:40]}),
	} {
		_, err := s.Preview(t.Context(), "o", put(t, s, b).ID, 10, 0)
		if name == "hidden after the pixels" && err == nil {
			continue // decoders may stop before it; the preview is drawn anew
		}
		t.Log(name, err)
		wantCorrupt(t, err)
		up, upErr := s.PutUpload(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(b))
		if upErr == nil {
			t.Errorf("%s: uploaded as %s", name, up.ID)
			continue
		}
		wantCorrupt(t, upErr)
	}
}

// Memory is taken for the size that the record says, so a picture of another size is refused.
func TestPreview_foreignRecord(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	id := put(t, s, pngOf(t, photo(16))).ID
	name := filepath.Join(dir, id+".json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte(`"width":16`), []byte(`"width":1`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Preview(t.Context(), "o", id, 10, 0)
	wantCorrupt(t, err)
}

// IMG-03: a decoder's panic is an error of the picture.
func TestGuarded(t *testing.T) {
	t.Parallel()
	_, err := images.Guarded(images.WebP, func(io.Reader) (image.Image, error) { panic("secret of the decoder") }, strings.NewReader(""))
	wantCorrupt(t, err)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the panic's value is told: %v", err)
	}
	_, err = images.Guarded(images.PNG, func(r io.Reader) (image.Image, error) {
		_, err := io.ReadAll(r)
		return nil, err
	}, errReader{context.Canceled})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a reader's error became %v", err)
	}
}

// SC-55: decoded pictures of all calls together stay within the budget; who does not fit waits, as long as its call lives.
func TestSec_SC55_memory(t *testing.T) {
	t.Parallel()
	b := pngOf(t, photo(64))
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, images.StoreConfig{DecodeBytes: 64 * 64 * 8})
		id := put(t, s, b).ID
		release, err := s.Reserve(t.Context(), 64, 64)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1000)
		defer cancel()
		if _, err := s.Preview(ctx, "o", id, 32, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Preview: %v", err)
		}
		if _, err := s.PutUpload(ctx, images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(b)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("PutUpload: %v", err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := s.Preview(t.Context(), "o", id, 32, 0)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("went on without memory: %v", err)
		default:
		}
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// What never fits is refused at once, before it is stored or encoded.
		_, _, err = s.Put(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(65))))
		wantBounds(t, err, "pixels")
		_, err = s.Render(t.Context(), "o", id, 0, images.WebP, 0) // its encoder needs more
		wantBounds(t, err, "memory bytes")
	})
}

// A cancelled call does not decode to the end.
func TestRender_cancelled(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	id := put(t, s, pngOf(t, photo(64))).ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range []images.Format{"", images.JPEG} {
		if _, err := s.Render(ctx, "o", id, 0, f, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", f, err)
		}
	}
}

// The cache answers again, for the owner only, for what is still there only, and never holds more than its bound.
func TestPreview_cache(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	s.ShrinkCache(600_000)
	im := put(t, s, pngOf(t, noise(200, false)))
	one, err := s.Preview(t.Context(), "o", im.ID, 150, 0)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Preview(t.Context(), "o", im.ID, 150, 0)
	if err != nil || &one.Data[0] != &two.Data[0] {
		t.Errorf("drawn twice (%v)", err)
	}
	if _, err := s.Preview(t.Context(), "other", im.ID, 150, 0); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("another's: %v", err)
	}
	held, bound := s.CacheBytes()
	if held != len(one.Data) {
		t.Errorf("the cache holds %d bytes, want %d", held, len(one.Data))
	}
	for side := 100; side < 130; side++ {
		if _, err := s.Render(t.Context(), "o", im.ID, side, images.PNG, 0); err != nil {
			t.Fatal(err)
		}
		if held, _ = s.CacheBytes(); held > bound {
			t.Fatalf("the cache holds %d bytes, its bound is %d", held, bound)
		}
	}
	if held < bound/2 {
		t.Errorf("the cache holds only %d bytes: its bound was not reached", held)
	}
	again, err := s.Preview(t.Context(), "o", im.ID, 150, 0)
	if err != nil || &one.Data[0] == &again.Data[0] {
		t.Errorf("the oldest was not pushed out (%v)", err)
	}
}
