package audit_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/comfygate/comfygate/audit"
)

// A disk is the operating system's file system with faults. It works until it is told otherwise, and is safe for
// concurrent use.
type disk struct {
	real audit.FS

	mu    sync.Mutex
	room  int64 // bytes that still fit; math.MaxInt64: as many as come
	write error
	short int // bytes of a failing write that get through
	sync  error
	open  error
	files string // only files with this in their names fail
	once  bool   // faults pass after the first
	ops   int    // changes until the disk stands still; 0: never
	lazy  bool   // fsyncs do nothing, where a test needs many and no durability
	hold  chan struct{}
	syncs int
}

func newDisk() *disk { return &disk{real: audit.OS(), room: math.MaxInt64} }

func (d *disk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// fill leaves room for n more bytes. A write that doesn't fit is cut short and fails with ENOSPC, as on a real disk; what is
// truncated gives room again.
func (d *disk) fill(n int64) { d.set(func() { d.room = n }) }

// failWrites makes writes fail with err after short bytes of each.
func (d *disk) failWrites(err error, short int) { d.set(func() { d.write, d.short = err, short }) }

// failSyncs makes fsyncs fail with EIO.
func (d *disk) failSyncs() { d.set(func() { d.sync = syscall.EIO }) }

// failOpens makes opening files fail with err.
func (d *disk) failOpens(err error) { d.set(func() { d.open = err }) }

// only limits faults to files with a text in their names.
func (d *disk) only(files string) { d.set(func() { d.files = files }) }

// passing makes the faults pass after the first that happens.
func (d *disk) passing() { d.set(func() { d.once = true }) }

// freeze lets n more changes happen, tears the next write in half and does nothing more: what then is on the disk is what a
// killed process leaves.
func (d *disk) freeze(n int) { d.set(func() { d.ops = n + 1 }) }

// frozen reports whether that point was reached.
func (d *disk) frozen() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops < 0
}

// hang makes fsyncs wait until the returned function is called.
func (d *disk) hang() (resume func()) {
	hold := make(chan struct{})
	d.set(func() { d.hold = hold })
	return sync.OnceFunc(func() {
		d.set(func() { d.hold = nil })
		close(hold)
	})
}

// heal takes all faults away.
func (d *disk) heal() { d.set(d.healed) }

func (d *disk) healed() {
	d.room, d.write, d.sync, d.open, d.once, d.files = math.MaxInt64, nil, nil, nil, false, ""
}

// fsyncs returns how many fsyncs of files there were.
func (d *disk) fsyncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

var errFrozen = errors.New("the test's disk stands still")

// change counts one change, and is false for the one at which the disk stops. The caller holds the lock.
func (d *disk) change() error {
	switch {
	case d.ops < 0:
		return errFrozen
	case d.ops > 1:
		d.ops--
	case d.ops == 1:
		d.ops = -1
		return errFrozen
	}
	return nil
}

// fault returns err, if name is to fail with it now. The caller holds the lock.
func (d *disk) fault(name string, err error) error {
	if err == nil || !strings.Contains(name, d.files) {
		return nil
	}
	if d.once {
		d.healed()
	}
	return err
}

func (d *disk) OpenFile(name string, flag int, perm fs.FileMode) (audit.File, error) {
	d.mu.Lock()
	err := d.fault(filepath.Base(name), d.open)
	if err == nil && flag&os.O_CREATE != 0 {
		err = d.change()
	}
	d.mu.Unlock()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := d.real.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d, name: filepath.Base(name)}, nil
}

func (d *disk) ReadDir(name string) ([]fs.DirEntry, error) { return d.real.ReadDir(name) }

func (d *disk) alter(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	return do()
}

func (d *disk) Chmod(name string, mode fs.FileMode) error {
	return d.alter(func() error { return d.real.Chmod(name, mode) })
}

func (d *disk) Remove(name string) error { return d.alter(func() error { return d.real.Remove(name) }) }

func (d *disk) Rename(from, to string) error {
	return d.alter(func() error { return d.real.Rename(from, to) })
}

func (d *disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil || d.lazy {
		return err
	}
	return d.real.SyncDir(name)
}

type file struct {
	audit.File
	disk *disk
	name string
}

func (f *file) Write(p []byte) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	n, fault := f.disk.allow(f.name, info.Size(), info.Size(), len(p))
	return f.through(fault, func() (int, error) { return f.File.Write(p[:n]) })
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	n, fault := f.disk.allow(f.name, info.Size(), at, len(p))
	return f.through(fault, func() (int, error) { return f.File.WriteAt(p[:n], at) })
}

func (f *file) through(fault error, write func() (int, error)) (int, error) {
	n, err := write()
	if err == nil && fault != nil {
		err = &fs.PathError{Op: "write", Path: f.name, Err: fault}
	}
	return n, err
}

// allow says how much of a write gets through, and why not all of it.
func (d *disk) allow(name string, size, at int64, n int) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ops < 0 {
		return 0, errFrozen
	}
	if err := d.change(); err != nil {
		return n / 2, err
	}
	short := min(n, d.short)
	if err := d.fault(name, d.write); err != nil {
		return short, err
	}
	grows := max(0, at+int64(n)-size)
	if d.room == math.MaxInt64 {
		return n, nil
	}
	if grows <= d.room {
		d.room -= grows
		return n, nil
	}
	fits := n - int(grows-d.room)
	d.room = 0
	return fits, syscall.ENOSPC
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.change(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if f.disk.room != math.MaxInt64 {
		f.disk.room += max(0, info.Size()-size)
	}
	return f.File.Truncate(size)
}

func (f *file) SyncData() error { return f.Sync() }

func (f *file) Sync() error {
	f.disk.mu.Lock()
	f.disk.syncs++
	err, hold, lazy := f.disk.fault(f.name, f.disk.sync), f.disk.hold, f.disk.lazy
	if err == nil {
		err = f.disk.change()
	}
	f.disk.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return &fs.PathError{Op: "sync", Path: f.name, Err: err}
	}
	if lazy {
		return nil
	}
	return f.File.Sync()
}
