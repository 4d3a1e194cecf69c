package images_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/comfygate/comfygate/images"
)

func jpegOf(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// segment returns a JPEG segment.
func segment(m byte, data string) []byte {
	n := len(data) + 2
	return append([]byte{0xFF, m, byte(n >> 8), byte(n)}, data...)
}

// after inserts segments behind a JPEG's first two bytes.
func after(b []byte, segments ...[]byte) []byte {
	return slices.Concat(b[:2], slices.Concat(segments...), b[2:])
}

const jfif = "JFIF\x00\x01\x02\x01\x00\x48\x00\x48"

// IMG-05, CLIENT-META-1, T42: pixels stay, metadata and tail go, the mark comes.
func TestStripJPEG_keepsPixels(t *testing.T) {
	t.Parallel()
	plain := jpegOf(t, photo(50))
	for name, b := range map[string][]byte{
		"plain":        plain,
		"EXIF":         testdata(t, "exif.jpg"),
		"progressive":  testdata(t, "progressive.jpg"),
		"CMYK":         testdata(t, "cmyk.jpg"),
		"grey":         testdata(t, "grey.jpg"),
		"large, noisy": jpegOf(t, noise(400, false)),
		"everything": after(plain, segment(0xE0, jfif+"\x02\x01secret"), segment(0xE0, "JFXX\x00\x10secret"), segment(0xE1, "http://ns.adobe.com/xap/1.0/\x00<secret/>"),
			segment(0xE2, "ICC_PROFILE\x00secret"), segment(0xED, "Photoshop secret"), segment(0xEE, "Ducky secret"), segment(0xFE, "secret")),
		"stray bytes between segments": after(plain, []byte("secret\xFF\x00")),
		"fill bytes":                   after(plain, []byte{0xFF, 0xFF, 0xFF}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := decoded(t, images.JPEG, b)
			m := images.Mark{Generator: "comfygate 1", CallID: "c<7>"}
			out, info := strip(t, images.JPEG, append(slices.Clone(b), "PK\x03\x04<script>secret"...), images.StripOptions{Mark: &m})
			samePixels(t, want, decoded(t, images.JPEG, out))
			checkMark(t, out, m)
			if bytes.Contains(out, []byte("secret")) || bytes.Contains(out, []byte("<script")) {
				t.Error("metadata or tail came through")
			}
			if info.Width != want.Bounds().Dx() || info.Height != want.Bounds().Dy() {
				t.Errorf("info %+v", info)
			}
			again, _ := strip(t, images.JPEG, out, images.StripOptions{Mark: &m})
			if !bytes.Equal(out, again) {
				t.Error("filtering twice differs from once")
			}
		})
	}
}

// SC-53: all metadata stays by the setting.
func TestStripJPEG_keep(t *testing.T) {
	t.Parallel()
	b := testdata(t, "exif.jpg")
	out, info := strip(t, images.JPEG, b, images.StripOptions{Keep: true})
	if !bytes.Equal(out, b) {
		t.Error("something changed")
	}
	if info.Orientation != 6 {
		t.Errorf("orientation %d, want 6", info.Orientation)
	}
	var much [][]byte
	for range 129 {
		much = append(much, segment(0xFE, string(make([]byte, 65533))))
	}
	wantBounds(t, stripError(images.JPEG, after(b, much...), images.StripOptions{Keep: true}), "metadata bytes")
}

func TestStripJPEG_refuses(t *testing.T) {
	t.Parallel()
	b := jpegOf(t, photo(50))
	sof := bytes.Index(b, []byte{0xFF, 0xC0})
	edit := func(at int, v ...byte) []byte { return slices.Concat(b[:at], v, b[at+len(v):]) }
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"start only":          b[:2],
		"wrong start":         edit(0, 0xFE),
		"no frame":            slices.Concat(b[:sof], b[sof+19:]),
		"two frames":          slices.Concat(b[:sof], b[sof:sof+19], b[sof:]),
		"lossless frame":      edit(sof+1, 0xC3),
		"arithmetic coding":   edit(sof+1, 0xC9),
		"12 bits":             edit(sof+4, 12),
		"no height":           edit(sof+5, 0, 0),
		"two components":      edit(sof+9, 2),
		"segment of 1 byte":   after(b, []byte{0xFF, 0xFE, 0, 1}),
		"segment of 64 KiB":   after(b[:sof], []byte{0xFF, 0xFE, 0xFF, 0xFF}), // longer than what there is to buffer
		"restart before scan": after(b, []byte{0xFF, 0xD0}),
		"start twice":         after(b, []byte{0xFF, 0xD8}),
		"end at once":         {0xFF, 0xD8, 0xFF, 0xD9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCorrupt(t, stripError(images.JPEG, b, images.StripOptions{}))
		})
	}
	for n := range b { // SC-49: truncated JPEG
		if err := stripError(images.JPEG, b[:n], images.StripOptions{}); err == nil {
			t.Fatalf("cut to %d of %d bytes went unnoticed", n, len(b))
		}
	}
}

func TestStripJPEG_bounds(t *testing.T) {
	t.Parallel()
	b := jpegOf(t, photo(50))
	sof := bytes.Index(b, []byte{0xFF, 0xC0})
	wantBounds(t, stripError(images.JPEG, b, images.StripOptions{Bounds: images.Bounds{Width: 51}}), "width")
	wantBounds(t, stripError(images.JPEG, b, images.StripOptions{Bounds: images.Bounds{Pixels: 2499}}), "pixels")
	wantBounds(t, stripError(images.JPEG, b, images.StripOptions{Bounds: images.Bounds{Bytes: 700}}), "bytes")
	wantBounds(t, stripError(images.JPEG, slices.Concat(b[:sof+5], []byte{0xFF, 0xFF, 0xFF, 0xFF}, b[sof+9:]), images.StripOptions{}), "side")
	// A progressive picture of very many scans takes seconds for each of its few bytes.
	p := testdata(t, "progressive.jpg")
	sos := bytes.Index(p, []byte{0xFF, 0xDA})
	scan := p[sos : sos+bytes.Index(p[sos+2:], []byte{0xFF, 0xC4})+2]
	wantBounds(t, stripError(images.JPEG, slices.Concat(p[:sos], bytes.Repeat(scan, 101), p[sos:]), images.StripOptions{}), "scans")
}

func TestStripJPEG_memory(t *testing.T) { //nolint:paralleltest // it measures memory
	b := jpegOf(t, noise(1000, false))
	if n := allocated(func() { _ = stripError(images.JPEG, b, images.StripOptions{}) }); n > 1<<20 {
		t.Errorf("%d bytes allocated for %d", n, len(b))
	}
	b = jpegOf(t, photo(50)) // a preview takes what a preview needs
	if n := allocated(func() { _ = stripError(images.JPEG, b, images.StripOptions{}) }); n > 64<<10 {
		t.Errorf("%d bytes allocated for %d", n, len(b))
	}
}
