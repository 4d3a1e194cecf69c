package clientconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 16 << 20

// Read returns a configuration file and where it really lies; one that is not there is empty.
func Read(path string) (data []byte, where string, err error) {
	where, err = filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, path, nil
	case err != nil:
		return nil, path, err
	}
	info, err := os.Stat(where)
	if err != nil {
		return nil, where, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, where, fmt.Errorf("%s is no configuration file", where)
	}
	data, err = os.ReadFile(where)
	return data, where, err
}

// Write puts a changed file in place of the old one, in one step, and keeps a copy of the old one beside it. It refuses where the
// file is no longer what the change was made from.
func Write(path string, ch Change, now time.Time) (backup string, err error) {
	current, path, err := Read(path)
	if err != nil {
		return "", err
	}
	if string(current) != string(ch.Before) {
		return "", fmt.Errorf("%s was changed meanwhile; try again", path)
	}
	mode := fs.FileMode(0o600) // it may hold credentials
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		backup = path + ".before-comfygate-" + now.UTC().Format("20060102T150405")
		if err := create(backup, current, mode); err != nil {
			return "", fmt.Errorf("keeping a copy: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return backup, err
	}
	next := path + ".comfygate-new"
	_ = os.Remove(next) // of an attempt that was cut off
	if err := create(next, ch.After, mode); err != nil {
		return backup, err
	}
	if err := os.Rename(next, path); err != nil {
		return backup, errors.Join(err, os.Remove(next))
	}
	return backup, nil
}

func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
