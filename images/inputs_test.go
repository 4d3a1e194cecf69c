package images_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/images"
)

const outside, inside = "what nobody may read", "what may be read"

// inputRoot is a folder with a file in it, and one beside it that is secret.
func inputRoot(tb testing.TB) (dir string, in *images.Inputs) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "in")
	for name, text := range map[string]string{"a.png": inside, filepath.Join("sub", "ä ö.png"): inside, filepath.Join("..", "secret.png"): outside} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	in, err := images.OpenInputs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { in.Close() }) //nolint:errcheck // only read
	return dir, in
}

// SC-49, T33: files of the folder open by their name and by their whole path, also where the folder is named by a link; links out do not.
func TestInputs_T33(t *testing.T) {
	t.Parallel()
	dir, in := inputRoot(t)
	alias := filepath.Join(t.TempDir(), "alias")
	for to, from := range map[string]string{
		filepath.Join(dir, "..", "secret.png"): "out.png", filepath.Join(dir, ".."): "up", "a.png": "here.png", "/dev/zero": "zero.png",
	} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Skip("no symbolic links here")
		}
	}
	if err := os.Symlink(dir, alias); err != nil {
		t.Fatal(err)
	}
	byAlias, err := images.OpenInputs(alias)
	if err != nil {
		t.Fatal(err)
	}
	defer byAlias.Close() //nolint:errcheck // only read
	for _, path := range []string{"a.png", "sub/ä ö.png", "here.png", filepath.Join(dir, "a.png")} {
		if text := read(t, in, path); text != inside {
			t.Errorf("%s: %q", path, text)
		}
	}
	for _, path := range []string{filepath.Join(alias, "a.png"), filepath.Join(dir, "a.png"), "a.png"} {
		if text := read(t, byAlias, path); text != inside {
			t.Errorf("by the alias, %s: %q", path, text)
		}
	}
	for path, want := range map[string]error{
		"out.png": images.ErrOutside, "up/secret.png": images.ErrOutside, "zero.png": images.ErrOutside, "none.png": images.ErrNoFile, "sub": images.ErrNoFile,
		"": images.ErrOutside, filepath.Join(alias, "a.png"): images.ErrOutside, "a.png/x": images.ErrNoFile,
	} {
		if f, err := in.Open(path); !errors.Is(err, want) || f != nil {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
	}
	if _, err := images.OpenInputs(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there opens")
	}
}

func read(t *testing.T, in *images.Inputs, path string) string {
	t.Helper()
	f, err := in.Open(path)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(f)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// T33: whatever the path, nothing outside is read.
func FuzzInputs(f *testing.F) {
	dir, in := inputRoot(f)
	for _, path := range []string{"a.png", "../secret.png", `..\secret.png`, "%2e%2e/secret.png", "sub/../../secret.png", "/etc/passwd", "//x/y", "C:a", "a\x00b", "."} {
		f.Add(path)
		f.Add(filepath.Join(dir, path))
	}
	f.Fuzz(func(t *testing.T, path string) {
		file, err := in.Open(path)
		if err != nil {
			if !errors.Is(err, images.ErrOutside) && !errors.Is(err, images.ErrNoFile) {
				t.Errorf("%q: %v", path, err)
			}
			return
		}
		defer file.Close() //nolint:errcheck // only read
		if text, err := io.ReadAll(file); err != nil || string(text) != inside {
			t.Errorf("%q: %q, %v", path, text, err)
		}
	})
}

// IMG-04: the magic decides, what was declared must agree, and nothing of the bytes is lost by looking.
func TestDeclared_IMG04(t *testing.T) {
	t.Parallel()
	picture := append(pngOf(t, noise(8, true)), bytes.Repeat([]byte("tail"), 5000)...)
	for media, good := range map[string]bool{"": true, "image/png": true, "IMAGE/PNG": true, "image/jpeg": false, "image/svg+xml": false, "text/html": false} {
		src, err := images.Declared(bytes.NewReader(picture), media)
		if _, mismatch := errors.AsType[*images.MismatchError](err); mismatch == good {
			t.Errorf("%q: %v", media, err)
		}
		if !good {
			continue
		}
		if got, err := io.ReadAll(src); err != nil || !bytes.Equal(got, picture) {
			t.Errorf("%q: %d bytes of %d, %v", media, len(got), len(picture), err)
		}
	}
	if _, err := images.Declared(bytes.NewReader(jpegOf(t, photo(8))), "image/jpg"); err != nil {
		t.Errorf("as many programs write it: %v", err)
	}
	for name, data := range map[string]string{"nothing": "", "text": "hello", "SVG": "<svg xmlns='http://www.w3.org/2000/svg'/>", "GIF": "GIF89a"} {
		if _, err := images.Declared(strings.NewReader(data), "image/png"); err == nil {
			t.Errorf("%s is taken", name)
		} else if _, ok := errors.AsType[*images.TypeError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
