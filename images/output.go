package images

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// save copies a picture to the output folder under a name for people and returns its path.
// The folder is opened each time: a missing disk is no reason not to start, and may come back.
func (s *Store) save(im Image) (path string, err error) {
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
	src, err := s.regular(im.ID + "." + string(im.Format))
	if err != nil {
		return "", err
	}
	defer src.Close() //nolint:errcheck // only read
	name, err := savePicture(root, im, src)
	return filepath.Join(dir, name), err
}

// savePicture copies src into root under the first name that is free.
func savePicture(root *os.Root, im Image, src io.Reader) (string, error) {
	temp := ".comfygate-" + im.ID + ".part"
	dst, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	defer root.Remove(temp)    //nolint:errcheck // gone if renamed
	_, err = io.Copy(dst, src) // by the kernel where it can
	if err := errors.Join(err, dst.Close()); err != nil {
		return "", err
	}
	stamp := im.Made.Format("20060102-150405-")
	for _, id := range []string{im.ID[:8], im.ID} {
		name := stamp + id + "." + extension(im.Format)
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
