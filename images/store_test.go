package images_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image/gif"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/images"
)

// files returns the names in a folder.
func files(tb testing.TB, dir string) (list []string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// SC-33, SC-53, IMG-05, IMG-09, CLIENT-SEC-10: what a server sent is stored under names of ours, without its text, with our mark.
func TestPut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		b []byte
		f images.Format
	}{
		"PNG":            {rich(t), images.PNG},
		"PNG by ComfyUI": {testdata(t, "comfyui.png"), images.PNG},
		"JPEG":           {testdata(t, "exif.jpg"), images.JPEG},
		"WebP":           {testdata(t, "lossy-alpha.webp"), images.WebP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pictures")
			s := openStore(t, images.StoreConfig{Dir: dir, Generator: "comfygate test"})
			seed := uint64(1<<64 - 1)
			in := images.Image{Owner: "o", CallID: "call_1", JobID: "job", Origin: images.Made, Seed: &seed, Model: "m", Backend: "comfyui"}
			im, saveErr, err := s.Put(t.Context(), in, images.Bounds{}, bytes.NewReader(c.b))
			if err != nil || saveErr != nil {
				t.Fatal(err, saveErr)
			}
			want := []string{im.ID + ".json", im.ID + "." + string(c.f)}
			slices.Sort(want)
			if got := files(t, dir); !cmp.Equal(got, want) {
				t.Errorf("files %v", got)
			}
			for _, f := range files(t, dir) {
				fi, err := os.Stat(filepath.Join(dir, f))
				if err != nil || fi.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v (%v)", f, fi.Mode(), err)
				}
			}
			b := stored(t, s, im.ID)
			sum := sha256.Sum256(b)
			rec, size := in, decoded(t, c.f, c.b).Bounds().Size()
			rec.ID, rec.Format, rec.Made, rec.Width, rec.Height = im.ID, c.f, im.Made, size.X, size.Y
			rec.Bytes, rec.SHA256 = int64(len(b)), hex.EncodeToString(sum[:])
			if rec.Content = im.Content; (len(im.Content) == 64) != (c.f == images.PNG) {
				t.Errorf("the hash of its content is %q", im.Content)
			}
			if d := cmp.Diff(rec, im); d != "" {
				t.Error(d)
			}
			got, err := s.Get("o", im.ID)
			if d := cmp.Diff(im, got); d != "" || err != nil {
				t.Error(d, err)
			}
			samePixels(t, decoded(t, c.f, c.b), decoded(t, c.f, b))
			checkMark(t, b, images.Mark{Generator: "comfygate test", CallID: "call_1"})
			if bytes.Contains(b, []byte("secret")) || bytes.Contains(b, []byte("a red fox")) {
				t.Error("metadata came through")
			}
		})
	}
}

// SC-53: with the setting, the text stays.
func TestPut_keepMetadata(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{KeepMetadata: true})
	im := put(t, s, testdata(t, "text.png"))
	if b := stored(t, s, im.ID); !bytes.Contains(b, []byte(`{"secret":3}`)) {
		t.Error("the text is gone")
	}
}

// SC-49, SC-53, IMG-02, IMG-04, CLIENT-SEC-12: only PNG, JPEG and WebP, told by their bytes; nothing of a refused picture stays.
func TestPut_refuses(t *testing.T) {
	t.Parallel()
	var anim bytes.Buffer
	if err := gif.Encode(&anim, photo(8), nil); err != nil {
		t.Fatal(err)
	}
	png := pngOf(t, photo(32))
	typed := func(tb testing.TB, err error) {
		tb.Helper()
		if _, ok := errors.AsType[*images.TypeError](err); !ok {
			tb.Errorf("error %v, want a TypeError", err)
		}
	}
	bounds := func(what string) func(testing.TB, error) {
		return func(tb testing.TB, err error) { tb.Helper(); wantBounds(tb, err, what) }
	}
	for name, c := range map[string]struct {
		b     []byte
		o     images.Bounds
		check func(testing.TB, error)
	}{
		"0 bytes":                {nil, images.Bounds{}, typed},
		"text":                   {[]byte("hello"), images.Bounds{}, typed},
		"HTML":                   {[]byte("<!DOCTYPE html><html><body>not found</body></html>"), images.Bounds{}, typed},
		"SVG":                    {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`), images.Bounds{}, typed},
		"GIF":                    {anim.Bytes(), images.Bounds{}, typed},
		"TIFF":                   {[]byte("II*\x00\x08\x00\x00\x00\x00\x00"), images.Bounds{}, typed},
		"BMP":                    {append([]byte("BM"), make([]byte, 60)...), images.Bounds{}, typed},
		"PDF":                    {[]byte("%PDF-1.7\n"), images.Bounds{}, typed},
		"ZIP":                    {zipped(t), images.Bounds{}, typed},
		"HTML after PNG's magic": {[]byte(magic + "<html></html>"), images.Bounds{}, wantCorrupt},
		"truncated PNG":          {png[:len(png)-20], images.Bounds{}, wantCorrupt},
		"truncated JPEG":         {testdata(t, "exif.jpg")[:600], images.Bounds{}, wantCorrupt},
		"APNG":                   {testdata(t, "animated.png"), images.Bounds{}, bounds("frames")},
		"animated WebP":          {testdata(t, "animated.webp"), images.Bounds{}, bounds("frames")},
		"bomb":                   {bomb(), images.Bounds{}, bounds("side")},
		"more than decodes":      {join(piece{"IHDR", header(8192, 8192)}), images.Bounds{}, bounds("pixels")},
		"pixels":                 {png, images.Bounds{Pixels: 1000}, bounds("pixels")},
		"width":                  {png, images.Bounds{Width: 64, Height: 32}, bounds("width")},
		"height":                 {png, images.Bounds{Width: 32, Height: 64}, bounds("height")},
		"bytes":                  {png, images.Bounds{Bytes: 100}, bounds("bytes")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pictures")
			out := filepath.Join(t.TempDir(), "out")
			s := openStore(t, images.StoreConfig{Dir: dir, OutputDir: out})
			_, _, err := s.Put(t.Context(), images.Image{Owner: "o"}, c.o, bytes.NewReader(c.b))
			c.check(t, err)
			_, err = s.PutUpload(t.Context(), images.Image{Owner: "o"}, c.o, bytes.NewReader(c.b))
			c.check(t, err)
			if got := files(t, dir); len(got) > 0 {
				t.Errorf("left behind: %v", got)
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("output folder: %v", err)
			}
		})
	}
}

func zipped(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if _, err := w.Create("evil.txt"); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// SC-49: a bomb of 4 kB costs no memory, neither from a server nor from a caller.
func TestPut_bombMemory(t *testing.T) { //nolint:paralleltest // it measures memory
	s := openStore(t, images.StoreConfig{})
	b := bomb()
	if len(b) > 4<<10 {
		t.Fatalf("the bomb has %d bytes", len(b))
	}
	n := allocated(func() {
		_, _, err := s.Put(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(b))
		wantBounds(t, err, "side")
		_, err = s.PutUpload(t.Context(), images.Image{Owner: "o"}, images.Bounds{Pixels: 4194304}, bytes.NewReader(b))
		wantBounds(t, err, "side")
	})
	if n > 4<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

// A server that stalls or breaks off ends the call, and leaves nothing.
func TestPut_sourceFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	b := bigPNG(1 << 20)
	_, _, err := s.Put(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, io.MultiReader(bytes.NewReader(b[:300000]), errReader{io.ErrClosedPipe}))
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = s.Put(ctx, images.Image{Owner: "o"}, images.Bounds{}, io.MultiReader(bytes.NewReader(b[:300000]), callReader(cancel), bytes.NewReader(b[300000:])))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	if _, _, err := s.Put(t.Context(), images.Image{}, images.Bounds{}, bytes.NewReader(b)); err == nil {
		t.Error("a picture of nobody was stored")
	}
}

type callReader func()

func (f callReader) Read([]byte) (int, error) { f(); return 0, io.EOF }

// T27: ids are 130 random bits.
func TestPut_ids(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	pattern := regexp.MustCompile(`^[a-z2-7]{26}$`)
	seen := map[byte]map[int]bool{}
	for range 60 {
		id := put(t, s, pngOf(t, photo(2))).ID
		if !pattern.MatchString(id) {
			t.Fatalf("id %q", id)
		}
		for i := range id { // each place varies, the last too
			if seen[id[i]] == nil {
				seen[id[i]] = map[int]bool{}
			}
			seen[id[i]][i] = true
		}
	}
	places := map[int]int{}
	for _, at := range seen {
		for i := range at {
			places[i]++
		}
	}
	for i := range 26 {
		if places[i] < 16 { // 32 letters, 60 draws
			t.Errorf("place %d has only %d letters", i, places[i])
		}
	}
}

// SC-26, SC-32, T26: an id of another, an unknown and a hostile one answer alike, and no hostile one reaches a path.
func TestSec_SC26_ids(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	s := openStore(t, images.StoreConfig{Dir: filepath.Join(base, "pictures")})
	im := put(t, s, pngOf(t, photo(8)))
	if err := os.WriteFile(filepath.Join(base, "outside.json"), []byte(`{"id":"../outside","owner":"o","format":"png"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ owner, id string }{
		{"other", im.ID},
		{"", im.ID},
		{"o", strings.Repeat("a", 26)},
		{"o", im.ID[:25]},
		{"o", strings.ToUpper(im.ID)},
		{"o", im.ID + "\n"},
		{"o", ""},
		{"o", "../outside"},
		{"o", `..\outside`},
		{"o", "/etc/passwd"},
		{"o", `C:\x`},
		{"o", im.ID + "\x00"},
		{"o", "%2e%2e%2foutside"},
		{"o", im.ID + ".png"},
		{"o", "./" + im.ID},
		{"o", im.ID + " [temp]"},
		{"o", "CON"},
		{"o", `\\host\share`},
	} {
		_, get := s.Get(c.owner, c.id)
		_, _, open := s.Open(c.owner, c.id)
		_, preview := s.Preview(t.Context(), c.owner, c.id, 10, 0)
		_, render := s.Render(t.Context(), c.owner, c.id, 0, "", 0)
		for name, err := range map[string]error{"Get": get, "Open": open, "Preview": preview, "Render": render} {
			if err != images.ErrNotFound { //nolint:errorlint // the very same, without a word more
				t.Errorf("%s(%q, %q): %v", name, c.owner, c.id, err)
			}
		}
		if c.id != im.ID {
			up := images.Image{Owner: "o", ID: c.id}
			if _, err := s.PutUpload(t.Context(), up, images.Bounds{}, bytes.NewReader(pngOf(t, photo(2)))); c.id != "" && !errors.Is(err, images.ErrNotFound) {
				t.Errorf("PutUpload(%q): %v", c.id, err)
			}
		}
	}
}

// The disk decides: a picture is there when its record and all of its bytes are.
func TestGet_diskDecides(t *testing.T) {
	t.Parallel()
	record := func(id string) string { return `{"id":"` + id + `","owner":"o","format":"png","bytes":3}` }
	for name, spoil := range map[string]func(dir, id string) error{
		"no picture":     func(dir, id string) error { return os.Remove(filepath.Join(dir, id+".png")) },
		"no record":      func(dir, id string) error { return os.Remove(filepath.Join(dir, id+".json")) },
		"half a picture": func(dir, id string) error { return os.Truncate(filepath.Join(dir, id+".png"), 10) },
		"half a record":  func(dir, id string) error { return os.Truncate(filepath.Join(dir, id+".json"), 10) },
		"foreign record": func(dir, id string) error {
			return os.WriteFile(filepath.Join(dir, id+".json"), []byte(record(strings.Repeat("a", 26))), 0o600)
		},
		"format that leads away": func(dir, id string) error {
			return os.WriteFile(filepath.Join(dir, id+".json"), []byte(`{"id":"`+id+`","owner":"o","format":"/../x"}`), 0o600)
		},
		"endless record": func(dir, id string) error {
			return os.WriteFile(filepath.Join(dir, id+".json"), append([]byte(record(id)), make([]byte, 1<<20)...), 0o600)
		},
		"link instead of a picture": func(dir, id string) error {
			p := filepath.Join(dir, id+".png")
			return errors.Join(os.Rename(p, filepath.Join(dir, "x")), os.Symlink("x", p))
		},
		"link as long as the picture": func(dir, id string) error {
			p := filepath.Join(dir, id+".png")
			fi, err := os.Stat(p)
			if err != nil {
				return err
			}
			name := "xx"[:2-fi.Size()%2]
			long := strings.Repeat("./", int(fi.Size())/2) + name
			return errors.Join(os.Rename(p, filepath.Join(dir, name)), os.Symlink(long[len(long)-int(fi.Size()):], p))
		},
		"link instead of a record": func(dir, id string) error {
			p := filepath.Join(dir, id+".json")
			return errors.Join(os.Rename(p, filepath.Join(dir, "x")), os.Symlink("x", p))
		},
		"folder instead of a picture": func(dir, id string) error {
			p := filepath.Join(dir, id+".png")
			return errors.Join(os.Remove(p), os.Mkdir(p, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pictures")
			s := openStore(t, images.StoreConfig{Dir: dir})
			id := put(t, s, pngOf(t, photo(8))).ID
			if err := spoil(dir, id); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get("o", id); !errors.Is(err, images.ErrNotFound) {
				t.Errorf("Get: %v", err)
			}
			if _, _, err := s.Open("o", id); !errors.Is(err, images.ErrNotFound) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// Decision 5: two processes share a store, pictures too.
func TestStore_shared(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	a, b := openStore(t, images.StoreConfig{Dir: dir}), openStore(t, images.StoreConfig{Dir: dir})
	im := put(t, a, pngOf(t, photo(8)))
	if got, err := b.Get("o", im.ID); err != nil || got.SHA256 != im.SHA256 {
		t.Errorf("the other sees %+v, %v", got, err)
	}
	if _, err := b.Clean(t.Context(), time.Now().Add(30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get("o", im.ID); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("after the other's clean-up: %v", err)
	}
}

// Decision 14, CLIENT-SEC-10, CLIENT-SEC-11: a copy in the output folder, under a name of ours that people can read; none overwrites another.
func TestPut_saves(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "Pictures", "comfygate")
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir, OutputDir: out})
	name := regexp.MustCompile(`^\d{8}-\d{6}-[a-z2-7]{8}\.(png|jpg)$`)
	seen := map[string]bool{}
	for _, b := range [][]byte{pngOf(t, photo(8)), pngOf(t, photo(8)), testdata(t, "exif.jpg")} {
		im := put(t, s, b)
		if seen[im.Saved] || filepath.Dir(im.Saved) != out || !name.MatchString(filepath.Base(im.Saved)) {
			t.Errorf("saved as %q", im.Saved)
		}
		seen[im.Saved] = true
		got, err := os.ReadFile(im.Saved)
		if err != nil || !bytes.Equal(got, stored(t, s, im.ID)) {
			t.Errorf("the copy differs (%v)", err)
		}
		if rec, err := s.Get("o", im.ID); err != nil || rec.Saved != im.Saved {
			t.Errorf("the record says %q (%v)", rec.Saved, err)
		}
	}
	if _, err := s.Clean(t.Context(), time.Now().Add(1000*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := files(t, out); len(got) != 3 {
		t.Errorf("after a clean-up the output folder has %v", got)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("after a clean-up the store has %v", got)
	}
}

// CLIENT-SEC-11: a name that is taken, be it by a link that leads nowhere, is never written over.
func TestPut_savesBeside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	im := images.Image{ID: strings.Repeat("abcdefgh", 4)[:26], Format: images.PNG, Made: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := os.Symlink("nowhere", filepath.Join(dir, "20260102-030405-abcdefgh.png")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20260102-030405-" + im.ID + ".png", ""} {
		got, err := images.SavePicture(root, im, strings.NewReader("pixels"))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("saved as %q, %v; want %q", got, err, want)
		}
	}
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("files %v", got)
	}
}

// "Keep nothing": a folder that cannot be written fails no job; the answer says so.
func TestPut_cannotSave(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	blocked := filepath.Join(base, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir, OutputDir: filepath.Join(blocked, "out")})
	im, saveErr, err := s.Put(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(8))))
	if err != nil || saveErr == nil || im.Saved != "" {
		t.Fatalf("saved %q, %v, %v", im.Saved, saveErr, err)
	}
	if _, err := s.Get("o", im.ID); err != nil {
		t.Error(err)
	}
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("files %v", got)
	}
}

// Many at once; the race detector looks on.
func TestStore_concurrent(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	cfg := images.StoreConfig{Dir: dir, OutputDir: filepath.Join(t.TempDir(), "out"), DecodeBytes: 3 * 64 * 64 * 8}
	stores := []*images.Store{openStore(t, cfg), openStore(t, cfg)}
	b := pngOf(t, photo(64))
	shared := put(t, stores[0], b)
	var wait sync.WaitGroup
	for i := range 16 {
		s := stores[i%2]
		wait.Go(func() {
			im, saveErr, err := s.Put(t.Context(), images.Image{Owner: fmt.Sprint(i)}, images.Bounds{}, bytes.NewReader(b))
			if err != nil || saveErr != nil {
				t.Error(err, saveErr)
			}
			for _, id := range []string{im.ID, shared.ID} {
				owner := map[string]string{im.ID: fmt.Sprint(i), shared.ID: "o"}[id]
				if r, err := s.Preview(t.Context(), owner, id, 32, 5000); err != nil || r.Width != 32 {
					t.Error(r.Width, err)
				}
				if _, err := s.Render(t.Context(), owner, id, 0, images.JPEG, 0); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.PutUpload(t.Context(), images.Image{Owner: "u"}, images.Bounds{}, bytes.NewReader(b)); err != nil {
				t.Error(err)
			}
			if _, err := s.Clean(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestOpenStore_refuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]images.StoreConfig{
		"no folder": {}, "age": {Dir: t.TempDir(), MaxAge: -1}, "quota": {Dir: t.TempDir(), MaxBytes: -1}, "memory": {Dir: t.TempDir(), DecodeBytes: -1},
	} {
		if _, err := images.OpenStore(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// CLIENT-FAIL-3: a picture that turns out not to be wanted leaves nothing, however far it had come.
func TestStore_PutIf_notSure(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	png := pngOf(t, photo(8))
	unwanted, asked := errors.New("not this one"), 0
	_, _, err := s.PutIf(t.Context(), images.Image{Owner: "ada"}, images.Bounds{}, images.Showing{}, bytes.NewReader(png), func() error {
		asked++
		return unwanted
	})
	left, readErr := os.ReadDir(dir)
	if !errors.Is(err, unwanted) || asked != 1 || readErr != nil || len(left) != 0 {
		t.Errorf("%v, asked %d times, %v is left, %v", err, asked, left, readErr)
	}
}
