package images_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/gif"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/images"
)

func encodedPNG(m image.Image) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, m)
	return b.Bytes()
}

// parts takes a PNG apart without a test around it.
func parts(b []byte) []piece { return pieces(noTB{}, b) }

type noTB struct{ testing.TB }

func (noTB) Helper() {}

// fileBytes returns the stored bytes of o's file.
func fileBytes(tb testing.TB, s *images.Store, id string) []byte {
	tb.Helper()
	f, _, err := s.OpenFile("o", id)
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

// SC-33, SC-53, IMG-04, IMG-05, CLIENT-META-1, T42: files of every accepted type are stored under names and types of ours, without what
// ComfyUI wrote into them of the prompt, and what they are about stays. AUD-17: their hash is that of what is stored.
func TestPutResult_files(t *testing.T) {
	t.Parallel()
	for _, c := range samples() {
		t.Run(c.ext, func(t *testing.T) {
			t.Parallel()
			saved := t.TempDir()
			s := openStore(t, images.StoreConfig{OutputDir: saved, Generator: "comfygate test"})
			out, err := keep(t, s, "any/"+strings.ToUpper(c.name), c.data)
			if err != nil || out.File == nil || out.Image != nil {
				t.Fatalf("%+v, %v", out, err)
			}
			f := *out.File
			if f.Owner != "o" || f.CallID != "call" || f.JobID != "job" || f.Kind != c.kind || f.Type != c.mime || f.Ext != c.ext || f.Backend != "comfyui" {
				t.Errorf("%+v", f)
			}
			end := map[string]string{"apng": "png"}[c.ext]
			if end == "" {
				end = c.ext
			}
			if f.Name != f.ID+"."+end || filepath.Dir(f.Saved) != saved || filepath.Ext(f.Saved) != "."+end {
				t.Errorf("named %s, saved as %s", f.Name, f.Saved)
			}
			b := fileBytes(t, s, f.ID)
			sum := sha256.Sum256(b)
			copied, err := os.ReadFile(f.Saved)
			if err != nil || !bytes.Equal(copied, b) || f.Bytes != int64(len(b)) || f.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes, record %+v, saved %d bytes, %v", len(b), f, len(copied), err)
			}
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("the secret is still there: %q", b)
			}
			if n, want := bytes.Count(b, []byte(sound)), bytes.Count(c.data, []byte(sound)); n != want {
				t.Errorf("%d pieces of what must stay, want %d", n, want)
			}
			if c.without != nil && !bytes.Equal(b, c.without) {
				t.Errorf("%d bytes, sum %x, want %d, sum %x\n%q\n%q", len(b), checksum(b), len(c.without), checksum(c.without), b, c.without)
			}
			if got, err := s.GetFile("o", f.ID); err != nil || got.Made.Unix() != f.Made.Unix() || got.SHA256 != f.SHA256 {
				t.Errorf("read again: %+v, %v", got, err)
			}
			again, err := keep(t, s, c.name, b) // what is clean stays as it is
			if err != nil || again.File == nil || c.kind != images.Animation && again.File.SHA256 != f.SHA256 {
				t.Errorf("again: %+v, %v", again.File, err)
			}
		})
	}
}

// What stands where in MP4, WAV and WebM does not move: offsets in them stay right.
func TestPutResult_nothingMoves(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	for _, c := range samples() {
		if !slices.Contains([]string{"mp4", "mov", "m4a", "wav", "webm", "mkv"}, c.ext) {
			continue
		}
		out, err := keep(t, s, c.name, c.data)
		if err != nil {
			t.Fatal(c.name, err)
		}
		b := fileBytes(t, s, out.File.ID)
		if bytes.Index(b, []byte(sound)) != bytes.Index(c.data, []byte(sound)) || bytes.LastIndex(b, []byte(sound)) != bytes.LastIndex(c.data, []byte(sound)) {
			t.Errorf("%s: it moved: %q", c.name, b)
		}
	}
}

// CLIENT-META-1: files that ComfyUI 0.33.0 wrote, with the whole graph in each. What is left of them has these hashes; other programs (PyAV,
// Pillow) decoded that to the same frames and found no metadata in it.
func TestPutResult_comfyui(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{Generator: "test"})
	for name, want := range map[string]string{
		"sound.flac":    "30224f2d6ed6ec390e2f4505f39ba683fc73ce3b9961e9b10d2a069beae662e2",
		"sound.mp3":     "044d57cb2f95544268cc0c95919c607ec60cbba09543fbb686207a9c394578c5",
		"sound.opus":    "074e3dc7973687381670d4dc6ca59ee3373c791cbab8fd068b8fa040e289595b",
		"h264.mp4":      "3f6a72eaa1cead98007d0e344f85aa46fc578f97f3d932753955b2779f397eb2",
		"vp9.webm":      "bf2c5ac00237408c34b1d430d6f330b9cf4b9cc9ef72ba222630de058ad5e72f",
		"av1.webm":      "b36a1979f77291352731925da444a2959b179095919baf853a8e64ee175d28dc",
		"moving.png":    "dc679ff66135788a7cb71f001930f5bff07659ac2a7fb9fc5cd644729cd3308d",
		"lossless.webp": "6ff212bd3153443128595e1a9066db30a2ce8f4083e0e4cbccbb97e2844220fe",
		"lossy.webp":    "3e3d38404d0311148673f6a84ad43e57f3e88c08799261103acfdac9a59b2ddf",
	} {
		b := testdata(t, "comfyui/"+name)
		if !bytes.Contains(b, []byte("class_type")) {
			t.Errorf("%s holds no graph to begin with", name)
		}
		out, saveErr, err := s.PutResult(t.Context(), images.Image{Owner: "o", CallID: "c"}, name, images.Bounds{}, images.Showing{}, bytes.NewReader(b))
		if err != nil || saveErr != nil || out.File == nil || out.File.SHA256 != want {
			t.Errorf("%s: %+v, %v, %v", name, out.File, saveErr, err)
			continue
		}
		if left := fileBytes(t, s, out.File.ID); bytes.Contains(left, []byte("class_type")) || bytes.Contains(left, []byte("EmptyImage")) {
			t.Errorf("%s: the graph is still there", name)
		}
	}
}

// OUTPUT__KEEP_METADATA leaves in what is there.
func TestPutResult_keep(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{KeepMetadata: true})
	for _, c := range samples() {
		out, err := keep(t, s, c.name, c.data)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if b := fileBytes(t, s, out.File.ID); !bytes.Contains(b, []byte(secret)) && c.ext != "webp" || c.ext == "apng" && bytes.Count(b, []byte(secret)) != 2 { // our mark takes the place of its XMP
			t.Errorf("%s: nothing was kept", c.name)
		}
	}
}

// SC-53, IMG-02, IMG-04: what is not known, or is not what its name says, is refused and leaves nothing.
func TestPutResult_refused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, images.StoreConfig{Dir: dir})
	for name, b := range map[string]string{
		"a.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>", "b.png": "<!DOCTYPE html><html><script>alert(1)</script>",
		"a.pdf": "%PDF-1.7\n%\xff\xff", "c.png": "%PDF-1.7\n", "a.exe": "MZ\x90\x00" + strings.Repeat("\x00", 100), "a.mp4": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100),
		"a.zip": "PK\x03\x04" + strings.Repeat("\x00", 60), "d.png": "II*\x00" + strings.Repeat("\x00", 60), "a.latent": "\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}",
		"a.obj": "v 0 0 0\nf 1 1 1\n", "e.png": string(mp4Sample("isom")), "f.mp4": string(gifSample(true)), "g.flac": string(pngBytes(4, 4)),
		"h.gif": string(flacSample(true)), "noend": string(pngBytes(4, 4)), "i.html": string(pngBytes(4, 4)), "j.glb": string(pngBytes(4, 4)), "k.png": "",
		"l.ogg": string(oggPages(2, new(uint32), []byte("\x01vorbis"+strings.Repeat("\x00", 30)))),
	} {
		out, err := keep(t, s, name, []byte(b))
		_, kind := errors.AsType[*images.TypeError](err)
		_, damaged := errors.AsType[*images.CorruptError](err)
		if out.File != nil && out.File.ID != "" || out.Image != nil && out.Image.ID != "" || !kind && (!damaged || name != "l.ogg") {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	var said *images.TypeError
	if _, err := keep(t, s, "x.mp4", pngBytes(4, 4)); !errors.As(err, &said) || said.Got != "image/png" || said.Said != "video" {
		t.Errorf("%v", err)
	}
}

// Still pictures are kept as Put keeps them, also under another picture's name.
func TestPutResult_picture(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	for _, name := range []string{"text.png", "exif.jpg", "lossy.webp"} {
		out, err := keep(t, s, "x.png", testdata(t, name))
		if err != nil || out.File != nil || out.Image == nil {
			t.Fatalf("%s: %+v, %v", name, out, err)
		}
		if got, want := stored(t, s, out.Image.ID), stored(t, s, put(t, s, testdata(t, name)).ID); !bytes.Equal(got, want) {
			t.Errorf("%s is kept in another way", name)
		}
		if _, err := s.GetFile("o", out.Image.ID); !errors.Is(err, images.ErrNotFound) {
			t.Errorf("a picture is a file: %v", err)
		}
	}
}

// IMG-03: frames and bytes of an animation are bounded, and each frame stays on its canvas.
func TestPutResult_bounds(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	many := &gif.GIF{}
	for range 4097 {
		many.Image, many.Delay = append(many.Image, image.NewPaletted(image.Rect(0, 0, 1, 1), gifPalette())), append(many.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, many); err != nil {
		t.Fatal(err)
	}
	_, err := keep(t, s, "a.gif", b.Bytes())
	wantBounds(t, err, "frames")
	swapped := func(b []byte, at string, offset int, value byte) []byte {
		c := slices.Clone(b)
		c[bytes.Index(c, []byte(at))+len(at)+offset] = value
		return c
	}
	_, err = keep(t, s, "a.png", join(piece{"IHDR", header(8, 6)}, piece{"acTL", []byte{0, 0, 255, 255, 0, 0, 0, 0}}))
	wantBounds(t, err, "frames")
	for name, c := range map[string][]byte{
		"wide.gif": swapped(gifSample(false), "NETSCAPE2.0", 5+8+5, 200), "wide.webp": swapped(webpSample(), "ANMF", 4, 200),
		"other.webp": swapped(webpSample(), "ANMF", 4+6, 9),
		"wide.png":   join(piece{"IHDR", header(8, 6)}, piece{"acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0}}, piece{"fcTL", append([]byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 6}, make([]byte, 14)...)}),
		"few.png":    join(piece{"IHDR", header(8, 6)}, piece{"acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0}}, piece{"IDAT", []byte("x")}, piece{"IEND", nil}),
	} {
		_, err := keep(t, s, name, c)
		if err == nil {
			t.Errorf("%s came through", name)
		}
		wantCorrupt(t, err)
	}
	for _, c := range samples() {
		limit := images.Bounds{Bytes: int64(len(c.data)) / 2}
		_, _, err := s.PutResult(t.Context(), images.Image{Owner: "o"}, c.name, limit, images.Showing{}, bytes.NewReader(c.data))
		if c.ext == "glb" || c.ext == "opus" { // these end by themselves, or say before that they are damaged
			if err == nil {
				t.Errorf("%s: half of it came through", c.name)
			}
			continue
		}
		wantBounds(t, err, "bytes")
	}
}

// WAV: the last chunk's padding need not be there; a length that leaves no whole chunk is damage.
func TestPutResult_oddWAV(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	odd := func(says byte, tail string) []byte {
		return []byte("RIFF" + string([]byte{says, 0, 0, 0}) + "WAVEdata\x03\x00\x00\x00abc" + tail)
	}
	for _, b := range [][]byte{odd(15, ""), odd(16, "\x00")} {
		if out, err := keep(t, s, "a.wav", b); err != nil || out.File.Bytes != int64(len(b)) {
			t.Errorf("%q: %+v, %v", b, out.File, err)
		}
	}
	_, err := keep(t, s, "a.wav", odd(23, "\x00LIST\x00\x00\x00\x00 and what follows"))
	wantCorrupt(t, err)
}

// Every file, cut off anywhere, is refused or ends where a frame does.
func TestPutResult_cut(t *testing.T) {
	t.Parallel()
	for _, c := range samples() {
		for n := 0; n < min(len(c.data), 600); n += 5 {
			var b bytes.Buffer
			_, err := images.StripFile(&b, bytes.NewReader(c.data[:n]), c.ext, images.StripOptions{Frames: 100})
			_, corrupt := errors.AsType[*images.CorruptError](err)
			_, kind := errors.AsType[*images.TypeError](err) // pictures have their own tests
			if err != nil && !corrupt && !kind {
				t.Fatalf("%s at %d: %v", c.name, n, err)
			}
			if bytes.Contains(b.Bytes(), []byte(secret)) {
				t.Fatalf("%s at %d: %q", c.name, n, b.Bytes())
			}
		}
	}
}

// AUT-08, T26: another's file answers like none; a video is no picture; quota and age hold for files too (SC-34).
func TestFile_ownerAndAge(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, images.StoreConfig{Dir: dir, MaxAge: time.Minute})
	out, err := keep(t, s, "a.mp4", mp4Sample("isom"))
	if err != nil {
		t.Fatal(err)
	}
	id := out.File.ID
	for _, owner := range []string{"p", ""} {
		_, _, err1 := s.OpenFile(owner, id)
		_, _, err2 := s.OpenAny(owner, id)
		if !errors.Is(err1, images.ErrNotFound) || !errors.Is(err2, images.ErrNotFound) {
			t.Errorf("%q: %v, %v", owner, err1, err2)
		}
	}
	_, err1 := s.Get("o", id)
	_, err2 := s.Preview(t.Context(), "o", id, 100, 0)
	_, err3 := s.GetFile("o", "../"+id)
	if !errors.Is(err1, images.ErrNotFound) || !errors.Is(err2, images.ErrNotFound) || !errors.Is(err3, images.ErrNotFound) {
		t.Errorf("%v, %v, %v", err1, err2, err3)
	}
	f, served, err := s.OpenAny("o", id)
	if err != nil || served.Picture || served.Type != "video/mp4" || served.Name != id+".mp4" || served.Bytes != out.File.Bytes || served.SHA256 != out.File.SHA256 {
		t.Fatalf("%+v, %v", served, err)
	}
	_ = f.Close()
	im := put(t, s, pngBytes(4, 4))
	f, served, err = s.OpenAny("o", im.ID)
	if err != nil || !served.Picture || served.Type != "image/png" || served.Name != im.ID+".png" {
		t.Fatalf("%+v, %v", served, err)
	}
	_ = f.Close()
	forged := strings.Replace(string(must(os.ReadFile(filepath.Join(dir, id+".json")))(t)), `"ext":"mp4"`, `"ext":"json"`, 1)
	if err := os.WriteFile(filepath.Join(dir, id+".json"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetFile("o", id); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("a record that no store writes: %v", err)
	}
	age(t, dir, id, 2*time.Minute)
	if r, err := s.Clean(t.Context(), time.Now()); err != nil || r.Removed != 1 || r.Kept != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if left := files(t, dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// SC-34: files of every type are cleaned by quota and age as pictures are.
func TestFile_cleaned(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, images.StoreConfig{Dir: dir, MaxBytes: 1})
	for _, c := range samples() {
		if _, err := keep(t, s, c.name, c.data); err != nil {
			t.Fatal(c.name, err)
		}
	}
	r, err := s.Clean(t.Context(), time.Now())
	if left := files(t, dir); err != nil || r.Removed != len(samples()) || len(left) != 0 {
		t.Errorf("%+v, %v, left %v", r, err, left)
	}
}

// The first frame of an animation can be shown like a picture, on its canvas.
func TestPreview_firstFrame(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{Generator: "g"})
	for _, c := range samples() {
		if c.kind != images.Animation {
			continue
		}
		out, err := keep(t, s, c.name, c.data)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if out.File.Width != 8 || out.File.Height != 6 || out.File.Frames < 2 {
			t.Errorf("%s: %+v", c.name, out.File)
		}
		for range 2 { // once from the cache
			r, err := s.Render(t.Context(), "o", out.File.ID, 0, "", 0)
			if err != nil || r.Format != images.PNG {
				t.Fatal(c.name, err)
			}
			if m := decoded(t, images.PNG, r.Data); m.Bounds().Size() != image.Pt(8, 6) {
				t.Errorf("%s: %v", c.name, m.Bounds())
			}
		}
		if r, err := s.Preview(t.Context(), "o", out.File.ID, 4, 10_000); err != nil || r.Width != 4 {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
		if _, err := s.Preview(t.Context(), "p", out.File.ID, 4, 10_000); !errors.Is(err, images.ErrNotFound) {
			t.Errorf("another's: %v", err)
		}
	}
}
