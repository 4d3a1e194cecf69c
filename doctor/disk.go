package doctor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Free space below which pictures soon fail, and below which they do (SC-62).
const (
	spaceWarn = 5 << 30
	spaceFail = 1 << 30
)

// maxEntries bounds how much of the data folder is looked at.
const maxEntries = 1000

// A place is a folder that comfygate writes to.
type place struct{ id, what, dir, setting string }

// disk looks at the folders that comfygate writes to.
func (v *visit) disk() {
	store := place{"storage", "the data folder", v.Config.Storage.Dir, "COMFYGATE_STORAGE__DIR"}
	if v.folder(store, os.Lstat, guarded) { // not through a link (SC-33)
		v.strangers(store.dir)
		v.space(store)
	}
	out := place{"output", "the folder for pictures", v.Config.Output.Dir, "COMFYGATE_OUTPUT__DIR"}
	switch {
	case out.dir == "":
		v.add(Finding{ID: "output_folder", Severity: Info, Text: "full pictures are not saved to a folder", Fix: out.setting + " names one"})
	case v.folder(out, os.Stat, nil):
		v.space(out)
	}
}

// CheckDataFolder returns why a folder cannot be trusted with keys and the record: a link, no folder, or one that others could change
// (SC-33). One that is not there is as good as new.
func CheckDataFolder(dir string) error {
	fi, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !fi.IsDir():
		return errors.New("it is a link, or no folder")
	}
	return guarded(fi)
}

// folder looks whether p is a folder of ours that can be written, and returns whether its content and disk are worth a look.
func (v *visit) folder(p place, stat func(string) (fs.FileInfo, error), check func(fs.FileInfo) error) bool {
	id := p.id + "_folder"
	fi, err := stat(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return v.future(p)
	}
	if err == nil && !fi.IsDir() {
		err = errors.New("it is not a folder")
	}
	if err == nil && check != nil {
		err = check(fi)
	}
	if err == nil {
		err = writable(p.dir)
	}
	if err != nil {
		v.add(Finding{
			ID: id, Severity: Fail, Text: fmt.Sprintf("%s, %s, cannot be used: %v", p.what, p.dir, err),
			Fix: "mend that, or name another folder in " + p.setting,
		})
		return false
	}
	v.add(Finding{ID: id, Severity: OK, Text: fmt.Sprintf("%s is %s", p.what, p.dir)})
	return true
}

// future looks whether a folder that is not there yet can be made.
func (v *visit) future(p place) bool {
	if parent := standing(p.dir); writable(parent) != nil {
		v.add(Finding{
			ID: p.id + "_folder", Severity: Fail,
			Text: fmt.Sprintf("%s, %s, is not there and cannot be made: %s cannot be written", p.what, p.dir, parent),
			Fix:  "name another folder in " + p.setting,
		})
		return false
	}
	v.add(Finding{ID: p.id + "_folder", Severity: OK, Text: fmt.Sprintf("%s, %s, is made at the first start", p.what, p.dir)})
	return true
}

// standing is dir, or its nearest ancestor that exists.
func standing(dir string) string {
	for {
		parent := filepath.Dir(dir)
		if _, err := os.Stat(dir); err == nil || parent == dir {
			return dir
		}
		dir = parent
	}
}

// writable makes and removes a file: modes alone do not tell.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".comfygate-doctor-*")
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return fmt.Errorf("it cannot be written: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// strangers names what in the data folder other users can get at (SC-33).
func (v *visit) strangers(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return // not there yet
	}
	defer d.Close() //nolint:errcheck // only read
	entries, err := d.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return // writable found it sound a moment ago
	}
	var open []string
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && exposed(fi) {
			open = append(open, e.Name())
		}
	}
	if len(open) > 0 {
		v.add(Finding{
			ID: "storage_modes", Severity: Fail, Text: "other users can get at what is in the data folder: " + short(open),
			Fix: "chmod -R go-rwx " + dir,
		})
	}
}

func (v *visit) space(p place) {
	id := p.id + "_space"
	free, err := v.Machine.Free(standing(p.dir))
	if err != nil {
		v.add(Finding{ID: id, Severity: Info, Text: fmt.Sprintf("the free space at %s cannot be told: %v", p.dir, err)})
		return
	}
	f := Finding{ID: id, Severity: OK, Text: fmt.Sprintf("%.1f GiB are free at %s", float64(free)/(1<<30), p.dir)}
	switch {
	case free < spaceFail:
		f.Severity = Fail
	case free < spaceWarn:
		f.Severity = Warn
	}
	if f.Severity != OK {
		f.Fix = "make room, or name a folder on another disk in " + p.setting
	}
	v.add(f)
}
