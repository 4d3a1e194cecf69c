package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"sort"
	"strings"
	"sync"
	"time"
)

// The places of the virtual disk, as the recorded servers had them.
const (
	baseDir   = "/srv/comfyui/base"
	inputDir  = baseDir + "/input"
	outputDir = baseDir + "/output"
	tempDir   = baseDir + "/temp"
)

// diskFile is one virtual file. Its bytes are never changed in place.
type diskFile struct {
	data    []byte
	changed time.Time
	age     uint64 // grows with every write
}

// disk is all that the emulator can read and write. It lies in memory and knows
// nothing of the machine's own files, so a path that leaves the input folder, as
// v0.3.64 allows, leads to another virtual file or to none. Its methods may be
// called by several goroutines.
type disk struct {
	mu    sync.Mutex
	files map[string]*diskFile
	size  int64 // bytes in all
	limit int64
	clock uint64
}

func newDisk(limit int64) *disk {
	d := &disk{files: map[string]*diskFile{}, limit: limit}
	// What a file name that climbs out of the input folder finds on a Linux machine.
	d.write("/etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\n"))
	d.size = 0 // it lies in no folder that is bounded
	return d
}

// folderDir is the path of a folder as /view and /upload name it.
func folderDir(folder string) (string, bool) {
	switch folder {
	case "input":
		return inputDir, true
	case "output":
		return outputDir, true
	case "temp":
		return tempDir, true
	default:
		return "", false
	}
}

// joinPath is Python's os.path.join of two parts, made clean: a second part that
// begins with a slash replaces the first.
func joinPath(dir, name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name)
	}
	return path.Clean(dir + "/" + name)
}

// inside says whether p lies in dir or is it; both clean.
func inside(dir, p string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// annotated splits "name [temp]" into name and folder, as ComfyUI does: the
// character before the bracket goes too. Without an annotation the folder is "".
func annotated(name string) (plain, dir string) {
	for _, folder := range []string{"output", "input", "temp"} {
		mark := "[" + folder + "]"
		if !strings.HasSuffix(name, mark) {
			continue
		}
		dir, _ := folderDir(folder)
		cut := max(0, len(name)-len(mark)-1)
		return name[:cut], dir
	}
	return name, ""
}

// read returns a file's bytes, which are not to be changed.
func (d *disk) read(p string) (*diskFile, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[p]
	return f, ok
}

// isDir says whether p is a folder: one of the three, or one with a file in it.
func (d *disk) isDir(p string) bool {
	if p == inputDir || p == outputDir || p == tempDir {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.files {
		if strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}

// write stores a file and makes room for it.
func (d *disk) write(p string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.files[p]; ok {
		d.size -= int64(len(old.data))
	}
	d.clock++
	d.files[p] = &diskFile{data: data, changed: time.Now(), age: d.clock}
	d.size += int64(len(data))
	for _, dir := range []string{tempDir, outputDir, inputDir} {
		for d.size > d.limit && d.dropOldest(dir, p) {
		}
	}
}

// dropOldest removes the oldest file below dir, but never keep.
func (d *disk) dropOldest(dir, keep string) bool {
	oldest := ""
	for p, f := range d.files {
		if p != keep && inside(dir, p) && (oldest == "" || f.age < d.files[oldest].age) {
			oldest = p
		}
	}
	if oldest == "" {
		return false
	}
	d.size -= int64(len(d.files[oldest].data))
	delete(d.files, oldest)
	return true
}

// empty removes every file below dir.
func (d *disk) empty(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p, f := range d.files {
		if inside(dir, p) {
			d.size -= int64(len(f.data))
			delete(d.files, p)
		}
	}
}

// list names the files below dir, relative to it and in order; with deep those
// in subfolders too.
func (d *disk) list(dir string, deep bool) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := []string{}
	for p := range d.files {
		if p == dir || !inside(dir, p) {
			continue
		}
		name := strings.TrimPrefix(p, dir+"/")
		if deep || !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// digest is the hexadecimal SHA-256 of the file's bytes.
func (f *diskFile) digest() string {
	sum := sha256.Sum256(f.data)
	return hex.EncodeToString(sum[:])
}
