package library

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// fileMode: what a workflow says may be private, and its owner is who reviews it.
const fileMode = 0o600

// read returns a plain file's bytes, at most limit.
func (l *Library) read(file string, limit int64) ([]byte, error) {
	info, err := l.root.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, errors.New("it is not a plain file")
	}
	f, err := l.root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, err
}

// Save writes a workflow's files, each whole or not at all. One that is there is replaced only with overwrite, else the error is [ErrExists];
// that holds between processes too. What could not be read back is refused with a *[BrokenError].
func (l *Library) Save(e Entry, overwrite bool) error {
	sheet, err := e.check()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.root.Stat(e.Name + graphExt)
	there := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking for a workflow: %w", reason(err))
	case there && !overwrite:
		return ErrExists
	case !there:
		names, err := l.names()
		if err != nil {
			return fmt.Errorf("reading the folder of workflows: %w", reason(err))
		}
		if len(names) >= MaxWorkflows {
			return ErrFull
		}
	}
	delete(l.known, e.Name) // whatever becomes of the files
	// The graph goes last where it is new: it is what makes the workflow be there.
	if there {
		return errors.Join(l.write(e.Name+graphExt, e.Graph, true), l.write(e.Name+sheetExt, sheet, true))
	}
	if err := l.write(e.Name+sheetExt, sheet, true); err != nil {
		return err
	}
	return l.write(e.Name+graphExt, e.Graph, false)
}

// check returns the sheet as it will be written, if the workflow can be read back.
func (e Entry) check() ([]byte, error) {
	broken := func(problem string) error { return &BrokenError{printable(e.Name), problem} }
	if !isName(e.Name) {
		return nil, broken("its name is not one of small letters, digits, - and _")
	}
	if _, err := workflow.Read(e.Graph); err != nil {
		return nil, broken(printable(err.Error()))
	}
	sheet, err := yaml.Marshal(e.Sheet)
	if err != nil {
		return nil, broken("it cannot be written as YAML")
	}
	if len(sheet) > maxSheet {
		return nil, broken(fmt.Sprintf("what is said of it takes more than %d bytes", maxSheet))
	}
	if _, err := readSheet(sheet); err != nil {
		return nil, broken(printable(err.Error()))
	}
	return sheet, nil
}

// write puts data into a new file and gives it its name, in place of another only where that is meant.
func (l *Library) write(file string, data []byte, replace bool) (err error) {
	temporary := "." + file + "." + strings.ToLower(rand.Text()[:10])
	f, err := l.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return fmt.Errorf("writing a workflow: %w", reason(err))
	}
	defer func() {
		if rerr := l.root.Remove(temporary); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("tidying up after a workflow: %w", reason(rerr)))
		}
	}()
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing a workflow: %w", reason(err))
	}
	if replace {
		err = l.root.Rename(temporary, file)
	} else if err = l.root.Link(temporary, file); errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("naming a workflow: %w", plain(err))
	}
	return nil
}

// plain is an error of two files without their paths.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*os.LinkError](err); ok {
		return wrapped.Err
	}
	return reason(err)
}
