package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// An FS is what a log needs of a file system: the operating system's, or in tests one that fails.
type FS interface {
	// OpenFile is [os.OpenFile].
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// ReadDir is [os.ReadDir].
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a folder durable, where the system has a way.
	SyncDir(name string) error
	// Chmod is [os.Chmod].
	Chmod(name string, mode fs.FileMode) error
	// Remove is [os.Remove].
	Remove(name string) error
	// Rename is [os.Rename].
	Rename(from, to string) error
}

// A File is the part of [os.File] that a log needs.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	// SyncData is Sync, but for what reading the file again does not need: its times.
	SyncData() error
	Truncate(size int64) error
}

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err //nolint:wrapcheck // stands for the system's
	}
	return osFile{f}, nil
}

type osFile struct{ *os.File }

func (f osFile) SyncData() error { return syncData(f.File) }

func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) } //nolint:wrapcheck // stands for the system's

func (osFS) SyncDir(name string) error { return syncDir(name) }

func (osFS) Chmod(name string, mode fs.FileMode) error { return os.Chmod(name, mode) } //nolint:wrapcheck // stands for the system's

func (osFS) Remove(name string) error { return os.Remove(name) } //nolint:wrapcheck // stands for the system's

func (osFS) Rename(from, to string) error { return os.Rename(from, to) } //nolint:wrapcheck // stands for the system's

const (
	dirMode  = 0o700
	fileMode = 0o600
	doneMode = 0o400 // of a segment that is complete

	headFile    = "head"
	reserveFile = "reserve"
	lockFile    = "lock"

	segmentPrefix = "audit-"
	segmentSuffix = ".jsonl"
)

// segmentName is the name of the segment whose first record is first. Names sort as their records do.
func segmentName(first uint64) string {
	return fmt.Sprintf("%s%020d%s", segmentPrefix, first, segmentSuffix)
}

func parseSegmentName(name string) (first uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && name == segmentName(first)
}

// A folder is a slot's folder.
type folder struct {
	fs  FS
	dir string
}

func (d folder) path(name string) string { return filepath.Join(d.dir, name) }

// segments lists the first records of the segments there, in order.
func (d folder) segments() ([]uint64, error) {
	entries, err := d.fs.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("listing the audit log: %w", err)
	}
	var firsts []uint64
	for _, e := range entries {
		if first, ok := parseSegmentName(e.Name()); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

const whole = 1 << 62 // bytes; no segment has as many

// open opens a segment for reading from an offset on.
func (d folder) open(segment uint64, offset int64) (io.Reader, io.Closer, error) {
	f, err := d.fs.OpenFile(d.path(segmentName(segment)), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a segment of the audit log: %w", err)
	}
	return io.NewSectionReader(f, offset, whole-offset), f, nil
}

// read opens a segment for reading its lines from an offset on. The latest segment may end in room.
func (d folder) read(segment uint64, offset int64, latest bool) (*lineReader, io.Closer, error) {
	r, f, err := d.open(segment, offset)
	if err != nil {
		return nil, nil, err
	}
	l := newLineReader(r, offset)
	if latest {
		l.firm = offset
	}
	return l, f, nil
}

// create opens a segment for writing, making it if it isn't there.
func (d folder) create(segment uint64) (File, error) {
	name := d.path(segmentName(segment))
	f, err := d.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE, fileMode)
	if errors.Is(err, fs.ErrPermission) && d.fs.Chmod(name, fileMode) == nil { // it was complete, but what came after it is gone
		f, err = d.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE, fileMode)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a segment of the audit log: %w", err)
	}
	return f, nil
}

// filled returns where a segment's content ends, from an offset on: all behind it is room.
func (d folder) filled(segment uint64, from int64) (end int64, err error) {
	r, f, err := d.open(segment, from)
	if err != nil {
		return 0, err
	}
	defer closing(f, &err)
	piece := make([]byte, len(zeros))
	for end = from; ; {
		n, err := r.Read(piece)
		if content := len(bytes.TrimRight(piece[:n], "\x00")); content > 0 {
			end = from + int64(content)
		}
		from += int64(n)
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

// size returns how large a segment is.
func (d folder) size(segment uint64) (_ int64, err error) {
	f, err := d.fs.OpenFile(d.path(segmentName(segment)), os.O_RDONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("opening a segment of the audit log: %w", err)
	}
	defer closing(f, &err)
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading the size of a segment: %w", err)
	}
	return info.Size(), nil
}

// closing closes c and keeps its error unless there is one already.
func closing(c io.Closer, err *error) {
	if e := c.Close(); e != nil && *err == nil {
		*err = fmt.Errorf("closing: %w", e)
	}
}

// cause is err without names of files, for a record.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

func noSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || systemNoSpace(err) }
