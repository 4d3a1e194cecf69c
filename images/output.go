package images

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A saving is what of a picture or file is needed to copy it to the output folder.
type saving struct {
	id, stored string // stored is its name in the store
	ext        string // of its name there, without a dot
	made       time.Time
}

// save copies a picture or file to the output folder under a name for people and returns its path.
// The folder is opened each time: a missing disk is no reason not to start, and may come back.
func (s *Store) save(x saving) (path string, err error) {
	if s.cfg.OutputDir == "" {
		return "", nil
	}
	defer func() {
		if err != nil {
			path, err = "", fmt.Errorf("saving a copy: %w", err)
		}
	}()
	dir, err := filepath.Abs(s.cfg.OutputDir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a person's pictures, as any program saves them
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close() //nolint:errcheck // nothing is written through it any more
	src, err := s.regular(x.stored)
	if err != nil {
		return "", err
	}
	defer src.Close() //nolint:errcheck // only read
	name, err := saveCopy(root, x, src)
	return filepath.Join(dir, name), err
}

// saveCopy copies src into root under the first name that is free.
func saveCopy(root *os.Root, x saving, src io.Reader) (string, error) {
	temp := ".comfygate-" + x.id + ".part"
	dst, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	defer root.Remove(temp)    //nolint:errcheck // gone if renamed
	_, err = io.Copy(dst, src) // by the kernel where it can
	if err := errors.Join(err, dst.Close()); err != nil {
		return "", err
	}
	stamp := x.made.Format("20060102-150405-")
	for _, id := range []string{x.id[:8], x.id} {
		name := stamp + id + "." + x.ext
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, root.Rename(temp, name)
		}
	}
	return "", fs.ErrExist
}

// extension returns what people expect a file's name to end in.
func extension(f Format) string {
	if f == JPEG {
		return "jpg"
	}
	return string(f)
}
