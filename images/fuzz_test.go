package images_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"testing"

	"golang.org/x/image/webp"

	"github.com/comfygate/comfygate/images"
)

func FuzzStripPNG(f *testing.F) {
	for _, name := range []string{"text.png", "alpha.png", "palette.png", "animated.png"} {
		f.Add(testdata(f, name))
	}
	f.Add(rich(f))
	f.Add(interlaced())
	f.Add(bomb())
	f.Add(longChunk("IDAT", 1<<31-1))
	f.Fuzz(func(t *testing.T, b []byte) {
		out := fuzzStrip(t, images.PNG, b, png.Decode)
		if out == nil {
			return
		}
		for _, p := range pieces(t, out) {
			switch p.name {
			case "IHDR", "PLTE", "tRNS", "gAMA", "cHRM", "sRGB", "IDAT", "IEND":
			default:
				t.Errorf("chunk %q came through", p.name)
			}
		}
	})
}

func FuzzStripJPEG(f *testing.F) {
	for _, name := range []string{"exif.jpg", "progressive.jpg", "cmyk.jpg", "grey.jpg"} {
		f.Add(testdata(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) { fuzzStrip(t, images.JPEG, b, jpeg.Decode) })
}

func FuzzStripWebP(f *testing.F) {
	for _, name := range []string{"lossy.webp", "lossy-plain.webp", "lossy-alpha.webp", "lossless-alpha.webp", "animated.webp"} {
		f.Add(testdata(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if out := fuzzStrip(t, images.WebP, b, webp.Decode); out != nil {
			for _, p := range unriff(t, out) {
				if p.name == "EXIF" || p.name == "XMP " || p.name == "ICCP" {
					t.Errorf("chunk %q came through", p.name)
				}
			}
		}
	})
}

// fuzzStrip filters b. What comes out is bounded, filters to itself, has the size that was told, and decodes to the same
// pixels as b if b decodes. It is nil if b was refused.
func fuzzStrip(t *testing.T, f images.Format, b []byte, decode func(io.Reader) (image.Image, error)) []byte {
	t.Helper()
	o := images.StripOptions{Bounds: images.Bounds{Pixels: 1 << 16, Bytes: 1 << 20}}
	var out, again, kept bytes.Buffer
	info, err := images.Strip(&out, bytes.NewReader(b), f, o)
	if err != nil {
		_, corrupt := errors.AsType[*images.CorruptError](err)
		_, bounds := errors.AsType[*images.BoundsError](err)
		if !corrupt && !bounds {
			t.Fatalf("an error of another kind: %v", err)
		}
		return nil
	}
	if out.Len() > len(b)+64 {
		t.Errorf("%d bytes became %d", len(b), out.Len())
	}
	if int64(info.Width)*int64(info.Height) > o.Bounds.Pixels {
		t.Errorf("%d×%d came through", info.Width, info.Height)
	}
	if _, err := images.Strip(&again, bytes.NewReader(out.Bytes()), f, o); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("filtered again it differs (%v)", err)
	}
	o.Keep, o.Mark = true, &images.Mark{Generator: "g", CallID: "c"}
	if _, err := images.Strip(&kept, bytes.NewReader(b), f, o); err != nil {
		t.Errorf("kept and marked: %v", err)
	}
	want, err := decode(bytes.NewReader(b))
	if err != nil {
		return out.Bytes()
	}
	for name, c := range map[string][]byte{"stripped": out.Bytes(), "kept": kept.Bytes()} {
		got, err := decode(bytes.NewReader(c))
		if err != nil {
			t.Fatalf("%s it does not decode any more: %v", name, err)
		}
		if got.Bounds().Dx() != info.Width || got.Bounds().Dy() != info.Height {
			t.Errorf("%s it is %v, told was %d×%d", name, got.Bounds(), info.Width, info.Height)
		}
		samePixels(t, want, got)
	}
	return out.Bytes()
}

// FuzzStripFile filters files that are no pictures, as the type that kind says. What comes out is no larger than what went in, filters to
// itself, and needs no more memory than its bounds allow.
func FuzzStripFile(f *testing.F) {
	exts := []string{"gif", "mp4", "mov", "m4a", "webm", "mkv", "flac", "mp3", "opus", "wav", "glb"}
	for _, s := range samples() {
		if s.ext == "opus" {
			s.data = opusSample("a", "b") // small, so that variants of it are
		}
		if i := slices.Index(exts, s.ext); i >= 0 {
			f.Add(byte(i), s.data)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		ext := exts[int(kind)%len(exts)]
		o := images.StripOptions{Bounds: images.Bounds{Pixels: 1 << 16, Bytes: 1 << 20}, Frames: 50}
		var out, again, kept bytes.Buffer
		if _, err := images.StripFile(&out, bytes.NewReader(b), ext, o); err != nil {
			_, corrupt := errors.AsType[*images.CorruptError](err)
			_, bounds := errors.AsType[*images.BoundsError](err)
			if !corrupt && !bounds {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if out.Len() > len(b)+128 {
			t.Errorf("%s: %d bytes became %d", ext, len(b), out.Len())
		}
		if _, err := images.StripFile(&again, bytes.NewReader(out.Bytes()), ext, o); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
			t.Errorf("%s: filtered again it differs (%v)\n%q\n%q", ext, err, out.Bytes(), again.Bytes())
		}
		o.Keep = true
		if _, err := images.StripFile(&kept, bytes.NewReader(b), ext, o); err != nil {
			t.Errorf("%s: kept: %v", ext, err)
		}
	})
}

// FuzzStripAnimation filters animations of the formats that pictures have too.
func FuzzStripAnimation(f *testing.F) {
	f.Add(true, apngSample(true))
	f.Add(false, webpSample())
	f.Add(true, testdata(f, "animated.png"))
	f.Add(false, testdata(f, "animated.webp"))
	f.Fuzz(func(t *testing.T, isPNG bool, b []byte) {
		format := map[bool]images.Format{true: images.PNG, false: images.WebP}[isPNG]
		o := images.StripOptions{Bounds: images.Bounds{Pixels: 1 << 16, Bytes: 1 << 20}, Frames: 50}
		var out, again bytes.Buffer
		info, err := images.Strip(&out, bytes.NewReader(b), format, o)
		if err != nil {
			return
		}
		if info.Frames > o.Frames || out.Len() > len(b)+64 {
			t.Errorf("%d frames, %d bytes of %d", info.Frames, out.Len(), len(b))
		}
		if got, err := images.Strip(&again, bytes.NewReader(out.Bytes()), format, o); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) || got != info {
			t.Errorf("filtered again it differs (%v)", err)
		}
	})
}
