package images

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Errors of [Inputs.Open].
var (
	// ErrOutside answers for a path that leads out of the folder, or tries to.
	ErrOutside = errors.New("the path leads out of the folder that the operator named")
	// ErrNoFile answers for a path at which there is no file that can be read: nothing, a folder, a pipe, a device.
	ErrNoFile = errors.New("there is no such file in the folder that the operator named")
)

// Inputs are the files of one folder that the operator named, from which pictures may be taken (UPLOAD__INPUT_ROOT). What is in it
// [os.Root] decides: no link and no spelling leads out of it, also while somebody changes it. It is safe for concurrent use.
type Inputs struct {
	root *os.Root
	dirs []string // the folder's absolute names: as it was named, and without links
}

// OpenInputs opens the folder.
func OpenInputs(dir string) (*Inputs, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	in := &Inputs{root: root, dirs: []string{abs}}
	if target, err := filepath.EvalSymlinks(abs); err == nil && target != abs {
		in.dirs = append(in.dirs, target)
	}
	return in, nil
}

// Close gives the folder back.
func (i *Inputs) Close() error { return i.root.Close() }

// Open opens a regular file by its path in the folder, or by its absolute path. It never waits for a pipe's other end. Errors are
// [ErrOutside] and [ErrNoFile]; they do not tell what is outside.
func (i *Inputs) Open(path string) (io.ReadCloser, error) {
	name, err := i.inside(path)
	if err != nil {
		return nil, err
	}
	fi, err := i.root.Stat(name)
	if err != nil {
		return nil, unreadable(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, ErrNoFile
	}
	f, err := i.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // should it have become a pipe just now
	if err != nil {
		return nil, unreadable(err)
	}
	if fi, err = f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(ErrNoFile, f.Close())
	}
	return f, nil
}

// inside returns path as a name in the folder, or [ErrOutside] for one that means to leave it in any program's eyes (T33): by a parent,
// another root, a drive, a share, a URL, an encoded one of these. Honest paths hold none of that.
func (i *Inputs) inside(path string) (string, error) {
	low := strings.ToLower(path)
	for _, mark := range []string{"%2e", "%2f", "%5c", "%25", "%00", "://", "\x00", `\\`} {
		if strings.Contains(low, mark) {
			return "", ErrOutside
		}
	}
	if filepath.Separator != '\\' && strings.Contains(path, `\`) || strings.HasPrefix(path, "//") {
		return "", ErrOutside
	}
	if slices.Contains(strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }), "..") {
		return "", ErrOutside
	}
	if filepath.IsAbs(path) {
		for _, dir := range i.dirs {
			if name, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(name) {
				return name, nil
			}
		}
		return "", ErrOutside
	}
	if !filepath.IsLocal(path) { // a drive, a root without drive, a device of Windows
		return "", ErrOutside
	}
	return filepath.Clean(path), nil
}

// unreadable tells apart what leads out from what is not there. os.Root's own error for the former has no name.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return ErrNoFile
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok && strings.Contains(pe.Err.Error(), "escapes") {
		return ErrOutside
	}
	return fmt.Errorf("%w: %w", ErrNoFile, err)
}
