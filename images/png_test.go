package images_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/images"
)

// strip filters b and returns what comes out.
func strip(tb testing.TB, f images.Format, b []byte, o images.StripOptions) ([]byte, images.Info) {
	tb.Helper()
	var out bytes.Buffer
	info, err := images.Strip(&out, bytes.NewReader(b), f, o)
	if err != nil {
		tb.Fatal(err)
	}
	if info.Bytes != int64(out.Len()) {
		tb.Errorf("Info.Bytes is %d, %d were written", info.Bytes, out.Len())
	}
	return out.Bytes(), info
}

func stripError(f images.Format, b []byte, o images.StripOptions) error {
	_, err := images.Strip(io.Discard, bytes.NewReader(b), f, o)
	return err
}

// IMG-05, CLIENT-META-1: every kind of PNG keeps its pixels.
func TestStripPNG_keepsPixels(t *testing.T) {
	t.Parallel()
	src := photo(40)
	grey := image.NewGray(src.Rect)
	grey16 := image.NewGray16(src.Rect)
	deep := image.NewNRGBA64(src.Rect)
	pal := image.NewPaletted(src.Rect, palette.WebSafe)
	for y := range 40 {
		for x := range 40 {
			grey.Set(x, y, src.At(x, y))
			grey16.SetGray16(x, y, color.Gray16{Y: uint16(x*1601 + y*7)})
			deep.SetNRGBA64(x, y, color.NRGBA64{R: uint16(x * 1000), G: uint16(y * 999), B: 5, A: uint16(60000 - x*y)})
			pal.Set(x, y, src.At(x, y))
		}
	}
	for name, b := range map[string][]byte{
		"colour": pngOf(t, src), "alpha": pngOf(t, noise(40, true)), "grey": pngOf(t, grey), "grey 16": pngOf(t, grey16),
		"alpha 16": pngOf(t, deep), "palette": pngOf(t, pal), "palette with transparency, 4 bits": testdata(t, "palette.png"),
		"text": testdata(t, "text.png"), "alpha by another program": testdata(t, "alpha.png"), "interlaced": interlaced(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, info := strip(t, images.PNG, b, images.StripOptions{Mark: &images.Mark{Generator: "g", CallID: "c"}})
			want := decoded(t, images.PNG, b)
			samePixels(t, want, decoded(t, images.PNG, out))
			if info.Format != images.PNG || info.Width != want.Bounds().Dx() || info.Height != want.Bounds().Dy() {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// interlaced returns a PNG of one interlaced red pixel.
func interlaced() []byte {
	h := header(1, 1)
	h[12] = 1
	return join(piece{"IHDR", h}, piece{"IDAT", deflated([]byte{0, 255, 0, 0, 255})}, piece{"IEND", nil})
}

func deflated(b []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(b)
	_ = w.Close()
	return z.Bytes()
}

// rich returns a PNG with every kind of metadata before and after its pixels, and a tail.
func rich(tb testing.TB) []byte {
	tb.Helper()
	p := pieces(tb, pngOf(tb, photo(24)))
	meta := []piece{
		{"iCCP", []byte("secret profile\x00\x00")},
		{"gAMA", []byte{0, 0, 0xB1, 0x8F}},
		{"cHRM", make([]byte, 32)},
		{"sRGB", []byte{0}},
		{"tEXt", []byte("prompt\x00{\"secret\": 1}")},
		{"zTXt", append([]byte("workflow\x00\x00"), deflated(bytes.Repeat([]byte("secret"), 100000))...)}, // CLIENT-META-2
		{"iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00<secret/>")},
		{"eXIf", []byte("MM\x00*secret")},
		{"tIME", make([]byte, 7)},
		{"pHYs", make([]byte, 9)},
		{"prVt", []byte("secret")},
	}
	list := slices.Concat(p[:1], meta, p[1:len(p)-1], []piece{{"comf", []byte("prompt\x00secret")}, {"tEXt", []byte("a\x00secret")}}, p[len(p)-1:])
	return append(join(list...), "PK\x03\x04<script>secret</script>"...)
}

// SC-53, T42, CLIENT-META-1: metadata goes by default, and stays by the setting; the tail goes always.
func TestStripPNG_metadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    images.StripOptions
		want string
	}{
		{"strip", images.StripOptions{}, "IHDR gAMA cHRM sRGB IDAT IEND"},
		{"mark", images.StripOptions{Mark: &images.Mark{}}, "IHDR iTXt gAMA cHRM sRGB IDAT IEND"},
		{"keep", images.StripOptions{Keep: true}, "IHDR iCCP gAMA cHRM sRGB tEXt zTXt iTXt eXIf IDAT tEXt IEND"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, _ := strip(t, images.PNG, rich(t), c.o)
			if got := names(pieces(t, out)); got != c.want {
				t.Errorf("chunks %s\nwant   %s", got, c.want)
			}
			if bytes.Contains(out, []byte("<script")) {
				t.Error("the tail came through")
			}
			if !c.o.Keep && bytes.Contains(out, []byte("secret")) {
				t.Error("metadata came through")
			}
			samePixels(t, photo(24), decoded(t, images.PNG, out))
		})
	}
}

// IMG-09: the mark names generator and call, escaped and shortened, and is the first text there is.
func TestStripPNG_mark(t *testing.T) {
	t.Parallel()
	m := images.Mark{Generator: `comfygate "1.0" <x>&`, CallID: "call_7"}
	out, _ := strip(t, images.PNG, pngOf(t, photo(8)), images.StripOptions{Mark: &m})
	checkMark(t, out, m)
	p := pieces(t, out)[1]
	if !bytes.HasPrefix(p.data, []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00<?xpacket begin=\"\uFEFF\"")) {
		t.Errorf("mark begins %.60q", p.data)
	}
	out, _ = strip(t, images.PNG, pngOf(t, photo(8)), images.StripOptions{Mark: &images.Mark{Generator: strings.Repeat("ä", 5000)}})
	checkMark(t, out, images.Mark{Generator: strings.Repeat("ä", 100)})
}

// IMG-05: what is not a right PNG is refused, whatever a lenient decoder would do.
func TestStripPNG_refuses(t *testing.T) {
	t.Parallel()
	p := pieces(t, pngOf(t, photo(16)))
	ihdr, idat, iend := p[0], piece{"IDAT", p[1].data}, p[len(p)-1]
	pal := pieces(t, testdata(t, "palette.png")) // IHDR PLTE tRNS IDAT IEND
	with := func(at int, v byte) piece {
		h := slices.Clone(ihdr.data)
		h[at] = v
		return piece{"IHDR", h}
	}
	for name, b := range map[string][]byte{
		"nothing":                   nil,
		"magic only":                []byte(magic),
		"HTML after the magic":      []byte(magic + "<html><script>alert(1)</script></html>"),
		"wrong magic":               append([]byte("\x89PNG\n\n\x1a\n"), join(ihdr, idat, iend)[8:]...),
		"no header":                 join(idat, iend),
		"text first":                join(piece{"tEXt", []byte("a\x00b")}, ihdr, idat, iend),
		"two headers":               join(ihdr, ihdr, idat, iend),
		"short header":              join(piece{"IHDR", ihdr.data[:12]}, idat, iend),
		"long header":               join(piece{"IHDR", append(slices.Clone(ihdr.data), 0)}, idat, iend),
		"no width":                  join(piece{"IHDR", header(0, 5)}, idat, iend),
		"no height":                 join(piece{"IHDR", header(5, 0)}, idat, iend),
		"colour type 5":             join(with(9, 5), idat, iend),
		"colour with 4 bits":        join(with(8, 4), idat, iend),
		"compression 1":             join(with(10, 1), idat, iend),
		"filter 1":                  join(with(11, 1), idat, iend),
		"interlace 2":               join(with(12, 2), idat, iend),
		"no pixels":                 join(ihdr, iend),
		"no end":                    join(ihdr, idat),
		"pixels interrupted":        join(ihdr, idat, piece{"tEXt", []byte("a\x00b")}, idat, iend),
		"end with data":             join(ihdr, idat, piece{"IEND", []byte("x")}),
		"unknown critical chunk":    join(ihdr, piece{"EVIL", nil}, idat, iend),
		"name with control bytes":   join(ihdr, piece{"\x1b[2J", nil}, idat, iend),
		"palette type, no palette":  join(pal[0], pal[3], iend),
		"two palettes":              join(pal[0], pal[1], pal[1], pal[3], iend),
		"palette of 4 bytes":        join(pal[0], piece{"PLTE", make([]byte, 4)}, pal[3], iend),
		"palette of 17 for 4 bits":  join(pal[0], piece{"PLTE", make([]byte, 51)}, pal[3], iend),
		"palette after pixels":      join(ihdr, idat, piece{"PLTE", make([]byte, 3)}, iend),
		"transparency over palette": join(pal[0], pal[1], piece{"tRNS", make([]byte, 256)}, pal[3], iend),
		"transparency twice":        join(pal[0], pal[1], pal[2], pal[2], pal[3], iend),
		"transparency with alpha":   join(piece{"IHDR", header(4, 4)}, piece{"tRNS", make([]byte, 6)}, idat, iend),
		"transparency after pixels": join(ihdr, idat, piece{"tRNS", make([]byte, 6)}, iend),
		"chunk of 2^32−1 bytes":     longChunk("IDAT", 1<<32-1),
		"chunk of 2^31 bytes":       longChunk("tEXt", 1<<31),
		"chunk of 2^31−1 bytes":     longChunk("IDAT", 1<<31-1),
		"dropped of 2^31−1 bytes":   longChunk("prVt", 1<<31-1),
		"palette of 2^31−1 bytes":   longChunk("PLTE", 1<<31-1),
		"end of 2^31−1 bytes":       longChunk("IEND", 1<<31-1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCorrupt(t, stripError(images.PNG, b, images.StripOptions{}))
		})
	}
}

// IMG-05: the checksum of each chunk is checked, of those dropped too; and each cut is noticed.
func TestStripPNG_damage(t *testing.T) {
	t.Parallel()
	b := rich(t)
	b = b[:bytes.Index(b, []byte("PK\x03\x04"))]
	at := len(magic)
	for _, p := range pieces(t, b) {
		for _, off := range []int{8, 8 + len(p.data)} { // its first byte, or its checksum's
			if p.name == "IHDR" && off == 8 {
				continue // a width out of bounds comes first
			}
			bad := slices.Clone(b)
			bad[at+off] ^= 1
			if err := stripError(images.PNG, bad, images.StripOptions{}); err == nil {
				t.Errorf("damage in %s at %d went unnoticed", p.name, off)
			} else {
				wantCorrupt(t, err)
			}
		}
		at += 12 + len(p.data)
	}
	b = testdata(t, "text.png")
	for n := range b {
		if err := stripError(images.PNG, b[:n], images.StripOptions{}); err == nil {
			t.Fatalf("cut to %d of %d bytes went unnoticed", n, len(b))
		}
	}
	if err := stripError(images.PNG, b, images.StripOptions{}); err != nil {
		t.Fatal(err)
	}
}

// IMG-03, SC-53, CLIENT-SEC-12: bounds hold before anything is written.
func TestStripPNG_bounds(t *testing.T) {
	t.Parallel()
	b := pngOf(t, photo(32))
	frames := func(n uint32) []byte {
		p := pieces(t, b)
		return join(slices.Insert(p, 1, piece{"acTL", binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, n), 0)})...)
	}
	kept := pieces(t, b)
	for range 9 {
		kept = slices.Insert(kept, 1, piece{"tEXt", make([]byte, 1<<20)})
	}
	for _, c := range []struct {
		name, what string // what "" = fits
		b          []byte
		o          images.StripOptions
	}{
		{"exact size", "", b, images.StripOptions{Bounds: images.Bounds{Width: 32, Height: 32, Pixels: 1024, Bytes: int64(len(b))}}},
		{"width", "width", b, images.StripOptions{Bounds: images.Bounds{Width: 64, Height: 32}}},
		{"height", "height", b, images.StripOptions{Bounds: images.Bounds{Width: 32, Height: 16}}},
		{"pixels", "pixels", b, images.StripOptions{Bounds: images.Bounds{Pixels: 1023}}},
		{"a byte too many", "bytes", b, images.StripOptions{Bounds: images.Bounds{Bytes: int64(len(b)) - 1}}},
		{"side", "side", join(piece{"IHDR", header(16385, 16385)}), images.StripOptions{}},
		{"aspect", "aspect", join(piece{"IHDR", header(257, 1)}), images.StripOptions{}},
		{"bomb", "side", bomb(), images.StripOptions{}},
		{"APNG of 10 000 frames", "frames", frames(10000), images.StripOptions{}},
		{"APNG by another program", "frames", testdata(t, "animated.png"), images.StripOptions{}},
		{"APNG of one frame", "", frames(1), images.StripOptions{}},
		{"much text, kept", "metadata bytes", join(kept...), images.StripOptions{Keep: true}}, // CLIENT-META-2
		{"much text, dropped", "", join(kept...), images.StripOptions{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			_, err := images.StripPNG(&out, bytes.NewReader(c.b), c.o)
			if c.what == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantBounds(t, err, c.what)
			if c.what != "bytes" && c.what != "metadata bytes" && out.Len() > 0 {
				t.Errorf("%d bytes written before the header was judged", out.Len())
			}
		})
	}
}

// Errors of source and destination come through, and end the work.
func TestStripPNG_faultyEnds(t *testing.T) {
	t.Parallel()
	broken := fmt.Errorf("broken")
	b := bigPNG(1 << 20)
	_, err := images.StripPNG(io.Discard, io.MultiReader(bytes.NewReader(b[:1000]), errReader{broken}), images.StripOptions{})
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("source: %v", err)
	}
	src := bytes.NewReader(b)
	_, err = images.StripPNG(errWriter{broken}, src, images.StripOptions{})
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("destination: %v", err)
	}
	if read := len(b) - src.Len(); read > 512<<10 {
		t.Errorf("%d bytes were read after the destination failed", read)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// longChunk returns a PNG with a chunk that says it has n bytes.
func longChunk(name string, n uint32) []byte {
	return append(binary.BigEndian.AppendUint32(join(piece{"IHDR", header(9, 9)}), n), name+"data that ends soon"...)
}

// IMG-01, IMG-05: 16 MiB pass in constant memory; lengths and sizes that a picture only claims cost none.
func TestStripPNG_memory(t *testing.T) { //nolint:paralleltest // it measures memory
	for name, b := range map[string][]byte{
		"16 MiB": bigPNG(16 << 20), "bomb": bomb(), "long pixels": longChunk("IDAT", 1<<31-1), "long text": longChunk("tEXt", 1<<31-1),
	} {
		if n := allocated(func() { _ = stripError(images.PNG, b, images.StripOptions{}) }); n > 1<<20 {
			t.Errorf("%s: %d bytes allocated, at most 1 MiB is promised", name, n)
		}
	}
}

// AUD-17: the hash of a PNG's content stays when its metadata goes or comes, and when its pixel data is cut into other chunks; it is
// another for any other pixel.
func TestAUD17_content(t *testing.T) {
	t.Parallel()
	content := func(b []byte, o images.StripOptions) string {
		t.Helper()
		var out bytes.Buffer
		info, err := images.StripPNG(&out, bytes.NewReader(b), o)
		if err != nil {
			t.Fatal(err)
		}
		return info.Content
	}
	original := rich(t)
	want := content(original, images.StripOptions{})
	var marked, kept bytes.Buffer
	for out, o := range map[*bytes.Buffer]images.StripOptions{
		&marked: {Mark: &images.Mark{Generator: "x", CallID: "y"}}, &kept: {Keep: true},
	} {
		if _, err := images.StripPNG(out, bytes.NewReader(original), o); err != nil {
			t.Fatal(err)
		}
		if got := content(out.Bytes(), images.StripOptions{}); got != want || len(got) != 64 {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if bytes.Equal(marked.Bytes(), kept.Bytes()) {
		t.Error("the test compares a file with itself")
	}
	if got := content(testdata(t, "comfyui.png"), images.StripOptions{}); got == want {
		t.Error("two pictures have one content")
	}
}
