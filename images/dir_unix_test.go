//go:build unix

package images_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/comfygate/comfygate/images"
)

// SC-33: the folder is made for its owner alone, and refused where others could reach it.
func TestSec_SC33_folder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string // want "" = fits
		make       func(dir string) error
	}{
		{"none yet", "", func(string) error { return nil }},
		{"0700", "", func(d string) error { return os.Mkdir(d, 0o700) }},
		{"0777", "open to other users", func(d string) error { return mkdir(d, 0o777) }},
		{"group writes", "open to other users", func(d string) error { return mkdir(d, 0o720) }},
		{"all read", "open to other users", func(d string) error { return mkdir(d, 0o755) }},
		{"file", "", func(d string) error { return os.WriteFile(d, nil, 0o600) }},
		{"link", "is a link", func(d string) error {
			return firstError(os.Mkdir(d+"-target", 0o700), os.Symlink(d+"-target", d))
		}},
		{"another's", "belongs to user 12345", func(d string) error {
			if os.Geteuid() != 0 {
				return nil
			}
			return firstError(os.Mkdir(d, 0o700), os.Chown(d, 12345, -1))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.name == "another's" && os.Geteuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			dir := filepath.Join(t.TempDir(), "pictures")
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			s, err := images.OpenStore(images.StoreConfig{Dir: dir})
			if c.want != "" || c.name == "file" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // nothing to lose
			if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("mode %v (%v)", fi.Mode(), err)
			}
		})
	}
}

// mkdir makes a folder with a mode that no umask narrows.
func mkdir(dir string, mode os.FileMode) error {
	return firstError(os.Mkdir(dir, 0o700), os.Chmod(dir, mode))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A pipe where a picture was does not hold the call up.
func TestGet_pipe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	id := put(t, s, pngOf(t, photo(8))).ID
	p := filepath.Join(dir, id+".json")
	if err := firstError(os.Remove(p), syscall.Mkfifo(p, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("o", id); err != images.ErrNotFound { //nolint:errorlint // the very same
		t.Error(err)
	}
}
