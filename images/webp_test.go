package images_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/HugoSmits86/nativewebp"

	"github.com/comfygate/comfygate/images"
)

// riff makes a WebP of chunks.
func riff(list ...piece) []byte {
	body := []byte("WEBP")
	for _, p := range list {
		body = binary.LittleEndian.AppendUint32(append(body, p.name...), uint32(len(p.data)))
		body = append(append(body, p.data...), make([]byte, len(p.data)&1)...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// unriff takes a WebP apart, strictly.
func unriff(tb testing.TB, b []byte) (list []piece) {
	tb.Helper()
	if int(binary.LittleEndian.Uint32(b[4:]))+8 != len(b) {
		tb.Fatalf("RIFF says %d of %d bytes", binary.LittleEndian.Uint32(b[4:])+8, len(b))
	}
	for b = b[12:]; len(b) > 0; {
		n := int(binary.LittleEndian.Uint32(b[4:]))
		list = append(list, piece{string(b[:4]), b[8 : 8+n]})
		b = b[8+n+n&1:]
	}
	return list
}

func webpOf(tb testing.TB, n int, alpha bool) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := nativewebp.Encode(&b, noise(n, alpha), nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// IMG-05, CLIENT-META-1: EXIF, XMP and foreign chunks go; flags and sizes fit what is left.
func TestStripWebP(t *testing.T) {
	t.Parallel()
	plain := unriff(t, testdata(t, "lossy-plain.webp"))[0]
	for _, c := range []struct {
		name   string
		b      []byte
		o      images.StripOptions
		chunks string
		flags  byte
	}{
		{"lossy", testdata(t, "lossy.webp"), images.StripOptions{}, "VP8 ", 0},
		{"lossy, marked", testdata(t, "lossy.webp"), images.StripOptions{Mark: &images.Mark{CallID: "c"}}, "VP8X VP8  XMP ", 1 << 2},
		{"lossy, kept", testdata(t, "lossy.webp"), images.StripOptions{Keep: true}, "VP8X VP8  EXIF XMP ", 1<<2 | 1<<3},
		{"lossy, kept and marked", testdata(t, "lossy.webp"), images.StripOptions{Keep: true, Mark: &images.Mark{CallID: "c"}}, "VP8X VP8  EXIF XMP ", 1<<2 | 1<<3},
		{"lossy with alpha", testdata(t, "lossy-alpha.webp"), images.StripOptions{}, "VP8X ALPH VP8 ", 1 << 4},
		{"lossless with alpha", testdata(t, "lossless-alpha.webp"), images.StripOptions{}, "VP8L", 0},
		{"lossless with alpha, marked", testdata(t, "lossless-alpha.webp"), images.StripOptions{Mark: &images.Mark{CallID: "c"}}, "VP8X VP8L XMP ", 1<<2 | 1<<4},
		{"our own encoder's", webpOf(t, 9, true), images.StripOptions{}, "VP8L", 0},
		{"foreign chunks", riff(plain, piece{"evil", []byte("secret\x00")}), images.StripOptions{}, "VP8 ", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, info := strip(t, images.WebP, append(slices.Clone(c.b), "PK\x03\x04tail"...), c.o)
			list := unriff(t, out)
			if got := names(list); got != c.chunks {
				t.Errorf("chunks %q, want %q", got, c.chunks)
			}
			if list[0].name == "VP8X" && list[0].data[0] != c.flags {
				t.Errorf("flags %#x, want %#x", list[0].data[0], c.flags)
			}
			want := decoded(t, images.WebP, c.b)
			samePixels(t, want, decoded(t, images.WebP, out))
			if info.Width != want.Bounds().Dx() || info.Height != want.Bounds().Dy() {
				t.Errorf("info %+v", info)
			}
			if !c.o.Keep && bytes.Contains(out, []byte("secret")) {
				t.Error("metadata came through")
			}
			if c.o.Mark != nil {
				checkMark(t, out, *c.o.Mark)
			}
		})
	}
}

func TestStripWebP_refuses(t *testing.T) {
	t.Parallel()
	b := testdata(t, "lossy-alpha.webp")
	p := unriff(t, b)
	lossy := unriff(t, testdata(t, "lossy-plain.webp"))[0]
	lossless := unriff(t, testdata(t, "lossless-alpha.webp"))[0]
	// The canvas says 1×1, the picture is larger: what is judged must be what is decoded (IMG-01).
	canvas := piece{"VP8X", make([]byte, 10)}
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"empty container":      riff(),
		"no picture":           riff(piece{"EXIF", []byte("x")}),
		"not WEBP":             append([]byte("RIFF\x10\x00\x00\x00WAVE"), make([]byte, 8)...),
		"two pictures":         riff(lossy, lossy),
		"lossy and lossless":   riff(lossy, lossless),
		"small canvas":         riff(canvas, lossy),
		"small canvas, VP8L":   riff(canvas, lossless),
		"short canvas":         riff(piece{"VP8X", make([]byte, 9)}, lossy),
		"no key frame":         riff(piece{"VP8 ", append([]byte{lossy.data[0] | 1}, lossy.data[1:]...)}),
		"lossy of 9 bytes":     riff(piece{"VP8 ", lossy.data[:9]}),
		"lossless of 4 bytes":  riff(piece{"VP8L", lossless.data[:4]}),
		"lossless, version 1":  riff(piece{"VP8L", slices.Concat(lossless.data[:4], []byte{lossless.data[4] | 0x20}, lossless.data[5:])}),
		"chunk longer than it": append(slices.Concat([]byte("RIFF\x10\x00\x00\x00WEBP"), []byte("VP8 \xFF\xFF\xFF\xFF")), make([]byte, 4)...),
		"ends within a head":   append([]byte("RIFF\x0C\x00\x00\x00WEBP"), "VP8 \x00\x00\x00\x00"...)[:19],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCorrupt(t, stripError(images.WebP, b, images.StripOptions{}))
		})
	}
	for n := range b {
		if err := stripError(images.WebP, b[:n], images.StripOptions{}); err == nil {
			t.Fatalf("cut to %d of %d bytes went unnoticed", n, len(b))
		}
	}
	if got := names(p); got != "VP8X ALPH VP8  EXIF XMP " {
		t.Fatalf("testdata has %q", got)
	}
}

func TestStripWebP_bounds(t *testing.T) {
	t.Parallel()
	b := testdata(t, "lossy.webp")
	wantBounds(t, stripError(images.WebP, testdata(t, "animated.webp"), images.StripOptions{}), "frames")
	wantBounds(t, stripError(images.WebP, b, images.StripOptions{Bounds: images.Bounds{Height: 31}}), "height")
	wantBounds(t, stripError(images.WebP, b, images.StripOptions{Bounds: images.Bounds{Bytes: 200}}), "bytes")
	kept := append(unriff(t, b), piece{"ICCP", make([]byte, 9<<20)})
	wantBounds(t, stripError(images.WebP, riff(kept...), images.StripOptions{Keep: true}), "metadata bytes")
}

// A container that only says it is large costs nothing.
func TestStripWebP_memory(t *testing.T) { //nolint:paralleltest // it measures memory
	b := append([]byte("RIFF\x00\x00\x00\x03WEBP"), "VP8 "...)
	if n := allocated(func() { wantCorrupt(t, stripError(images.WebP, b, images.StripOptions{})) }); n > 1<<20 {
		t.Errorf("%d bytes allocated", n)
	}
	b[7] = 0xFF
	if n := allocated(func() { wantBounds(t, stripError(images.WebP, b, images.StripOptions{}), "bytes") }); n > 1<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}
