package images_test

import (
	"bytes"
	"image"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/images"
)

// IMG-06, SC-49: an upload is decoded and encoded anew: same pixels, nothing else, upright.
func TestPutUpload(t *testing.T) {
	t.Parallel()
	// A picture that is a ZIP archive too, its second half in a chunk of text.
	poly := append(pngOf(t, noise(20, true)), zipped(t)...)
	for name, b := range map[string][]byte{
		"PNG with everything": rich(t), "PNG and ZIP": poly, "alpha": testdata(t, "alpha.png"), "palette": testdata(t, "palette.png"),
		"grey JPEG": testdata(t, "grey.jpg"), "CMYK JPEG": testdata(t, "cmyk.jpg"), "JPEG": jpegOf(t, photo(33)),
		"WebP": testdata(t, "lossy-plain.webp"), "WebP with alpha": testdata(t, "lossless-alpha.webp"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pictures")
			s := openStore(t, images.StoreConfig{Dir: dir, OutputDir: filepath.Join(t.TempDir(), "out")})
			im, err := s.PutUpload(t.Context(), images.Image{Owner: "o", CallID: "c"}, images.Bounds{Bytes: 20 << 20, Pixels: 4194304}, bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if im.Format != images.PNG || im.Origin != images.Uploaded || im.Saved != "" {
				t.Errorf("record %+v", im)
			}
			out := stored(t, s, im.ID)
			f, err := images.Sniff(b)
			if err != nil {
				t.Fatal(err)
			}
			samePixels(t, decoded(t, f, b), decoded(t, images.PNG, out))
			if got := regexp.MustCompile(`IHDR( PLTE)?( tRNS)?( IDAT)+ IEND`).FindString(names(pieces(t, out))); got != names(pieces(t, out)) {
				t.Errorf("chunks %s", names(pieces(t, out)))
			}
			if got := files(t, dir); len(got) != 2 {
				t.Errorf("files %v", got)
			}
		})
	}
}

// A photograph that was taken on its side comes upright, as its EXIF says.
func TestPutUpload_orientation(t *testing.T) {
	t.Parallel()
	const w, h = 24, 16
	src := image.NewNRGBA(image.Rect(0, 0, w, h)) // red left top, green right top, blue left bottom, black right bottom
	for y := range h {
		for x := range w {
			i := src.PixOffset(x, y)
			switch {
			case x < w/2 && y < h/2:
				src.Pix[i] = 255
			case y < h/2:
				src.Pix[i+1] = 255
			case x < w/2:
				src.Pix[i+2] = 255
			}
			src.Pix[i+3] = 255
		}
	}
	s := openStore(t, images.StoreConfig{})
	for o, want := range map[int]string{ // corners in reading order
		0: "RGBK", 1: "RGBK", 2: "GRKB", 3: "KBGR", 4: "BKRG", 5: "RBGK", 6: "BRKG", 7: "KGBR", 8: "GKRB", 9: "RGBK",
	} {
		for _, order := range []string{"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00" + string(rune(o)) + "\x00\x00\x00", "MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(o)) + "\x00\x00"} {
			b := after(jpegOf(t, src), segment(0xE1, "Exif\x00\x00"+order))
			im, err := s.PutUpload(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if turned := o >= 5 && o <= 8; (im.Width == h) != turned || im.Width+im.Height != w+h {
				t.Errorf("orientation %d: %d×%d", o, im.Width, im.Height)
			}
			if got := corners(decoded(t, images.PNG, stored(t, s, im.ID))); got != want {
				t.Errorf("orientation %d (%.2s): corners %s, want %s", o, order, got, want)
			}
		}
	}
}

func corners(m image.Image) string {
	var b strings.Builder
	r := m.Bounds()
	for _, p := range []image.Point{{0, 0}, {r.Dx() - 1, 0}, {0, r.Dy() - 1}, {r.Dx() - 1, r.Dy() - 1}} {
		c := "K"
		red, green, blue, _ := m.At(p.X, p.Y).RGBA()
		for name, v := range map[string]uint32{"R": red, "G": green, "B": blue} {
			if v > 0x8000 {
				c = name
			}
		}
		b.WriteString(c)
	}
	return b.String()
}
