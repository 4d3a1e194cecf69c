package images_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/image/webp"

	"github.com/comfygate/comfygate/images"
)

// photo draws a picture that compresses about as a photograph does: soft shapes with some grain.
func photo(n int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, n, n))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range n {
		for x := range n {
			fx, fy := float64(x)/float64(n), float64(y)/float64(n)
			v := 128 + 60*math.Sin(9*fx+4*fy) + 50*math.Cos(13*fy-5*fx*fx)
			grain := float64(r.IntN(9)) - 4
			m.SetNRGBA(x, y, color.NRGBA{R: clamp(v + grain), G: clamp(v*0.8 + 30*fx + grain), B: clamp(220 - v*0.6 + grain), A: 255})
		}
	}
	return m
}

// noise draws a picture that hardly compresses, with alpha or without.
func noise(n int, alpha bool) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, n, n))
	_, _ = rand.NewChaCha8([32]byte{7}).Read(m.Pix)
	for i := 3; i < len(m.Pix) && !alpha; i += 4 {
		m.Pix[i] = 255
	}
	return m
}

func clamp(v float64) uint8 { return uint8(min(max(v, 0), 255)) }

func pngOf(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func testdata(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// chunk appends a PNG chunk with its checksum.
func chunk(b []byte, name string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	at := len(b)
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}

const magic = "\x89PNG\r\n\x1a\n"

// A piece is a chunk of a PNG.
type piece struct {
	name string
	data []byte
}

// pieces takes a PNG apart.
func pieces(tb testing.TB, b []byte) (list []piece) {
	tb.Helper()
	for b = b[len(magic):]; len(b) > 0; {
		n := binary.BigEndian.Uint32(b)
		list = append(list, piece{string(b[4:8]), b[8 : 8+n]})
		b = b[12+n:]
	}
	return list
}

// join makes a PNG.
func join(list ...piece) []byte {
	b := []byte(magic)
	for _, p := range list {
		b = chunk(b, p.name, p.data)
	}
	return b
}

func names(list []piece) string {
	s := make([]string, 0, len(list))
	for _, p := range list {
		s = append(s, p.name)
	}
	return strings.Join(s, " ")
}

// header returns an IHDR of a w×h picture, 8 bits, RGBA.
func header(w, h uint32) []byte {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return append(b, 8, 6, 0, 0, 0)
}

// bomb returns a PNG of under 4 kB that says it has 50000×50000 pixels.
func bomb() []byte {
	return join(piece{"IHDR", header(50000, 50000)}, piece{"IDAT", make([]byte, 3900)}, piece{"IEND", nil})
}

// bigPNG returns a PNG of about n bytes as ComfyUI writes it: pixels in chunks of 64 kB. Its pixels do not decode.
func bigPNG(n int) []byte {
	b := []byte(magic)
	b = chunk(b, "IHDR", []byte{0, 0, 9, 0, 0, 0, 9, 0, 8, 2, 0, 0, 0})
	b = chunk(b, "tEXt", append([]byte("prompt\x00"), bytes.Repeat([]byte("secret "), 1000)...))
	part := make([]byte, 64<<10)
	r := rand.NewChaCha8([32]byte{})
	for len(b) < n {
		_, _ = r.Read(part)
		b = chunk(b, "IDAT", part)
	}
	return chunk(b, "IEND", nil)
}

func decoded(tb testing.TB, f images.Format, b []byte) image.Image {
	tb.Helper()
	m, err := map[images.Format]func(io.Reader) (image.Image, error){
		images.PNG: png.Decode, images.JPEG: jpeg.Decode, images.WebP: webp.Decode,
	}[f](bytes.NewReader(b))
	if err != nil {
		tb.Fatalf("decoding %s: %v", f, err)
	}
	return m
}

// samePixels fails unless a and b are of one size and have the same pixels.
func samePixels(tb testing.TB, a, b image.Image) {
	tb.Helper()
	if a.Bounds().Size() != b.Bounds().Size() {
		tb.Fatalf("size %v and %v", a.Bounds().Size(), b.Bounds().Size())
	}
	model := color.NRGBA64Model
	switch a.(type) {
	case *image.YCbCr, *image.NYCbCrA, *image.CMYK: // these convert to more bits than they have
		model = color.NRGBAModel
	}
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p, q := a.At(a.Bounds().Min.X+x, a.Bounds().Min.Y+y), b.At(b.Bounds().Min.X+x, b.Bounds().Min.Y+y)
			if model.Convert(p) != model.Convert(q) {
				tb.Fatalf("pixel %d,%d: %v and %v", x, y, p, q)
			}
		}
	}
}

// checkMark fails unless b holds one well-formed XMP packet with our mark (IMG-09).
func checkMark(tb testing.TB, b []byte, m images.Mark) {
	tb.Helper()
	if n := bytes.Count(b, []byte("<x:xmpmeta")); n != 1 {
		tb.Fatalf("%d XMP packets, want 1", n)
	}
	packet := b[bytes.Index(b, []byte("<x:xmpmeta")):]
	packet = packet[:bytes.Index(packet, []byte("</x:xmpmeta>"))+len("</x:xmpmeta>")]
	got := map[string]string{}
	d := xml.NewDecoder(bytes.NewReader(packet))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatalf("the mark is not XML: %v", err)
		}
		if e, ok := t.(xml.StartElement); ok {
			for _, a := range e.Attr {
				got[a.Name.Space+a.Name.Local] = a.Value
			}
		}
	}
	for k, want := range map[string]string{
		"http://iptc.org/std/Iptc4xmpExt/2008-02-29/DigitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
		"http://ns.adobe.com/xap/1.0/CreatorTool":                      m.Generator,
		"http://purl.org/dc/elements/1.1/identifier":                   m.CallID,
	} {
		if got[k] != want {
			tb.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
}

func openStore(tb testing.TB, cfg images.StoreConfig) *images.Store {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(tb.TempDir(), "pictures")
	}
	s, err := images.OpenStore(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// put stores a picture of owner o.
func put(tb testing.TB, s *images.Store, b []byte) images.Image {
	tb.Helper()
	im, saveErr, err := s.Put(tb.Context(), images.Image{Owner: "o", CallID: "call", Origin: images.Made}, images.Bounds{}, bytes.NewReader(b))
	if err != nil || saveErr != nil {
		tb.Fatal(err, saveErr)
	}
	return im
}

// stored returns the stored bytes of o's picture.
func stored(tb testing.TB, s *images.Store, id string) []byte {
	tb.Helper()
	f, _, err := s.Open("o", id)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(f)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// wantBounds fails unless err is a BoundsError about what.
func wantBounds(tb testing.TB, err error, what string) {
	tb.Helper()
	if b, ok := errors.AsType[*images.BoundsError](err); !ok || b.What != what {
		tb.Errorf("error %v, want one about bounds of %s", err, what)
	}
}

// wantCorrupt fails unless err is a CorruptError whose text is harmless.
func wantCorrupt(tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[*images.CorruptError](err); !ok {
		tb.Errorf("error %v, want a CorruptError", err)
		return
	}
	for _, r := range err.Error() { // T40, T41
		if r < ' ' || r > '~' {
			tb.Errorf("error %q holds more than plain text", err)
		}
	}
}
