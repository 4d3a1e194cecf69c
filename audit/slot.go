package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// One process is one log: a data folder has numbered slots, and a process holds one while it lives.
//
//	<data folder>/audit/hmac.key                          one for all slots
//	<data folder>/audit/001/lock                          held by the process whose slot it is
//	<data folder>/audit/001/audit-00000000000000000001.jsonl
//	<data folder>/audit/001/head                          where the log ends
//	<data folder>/audit/001/reserve                       space kept for when the disk is full
const (
	auditDir = "audit"
	keyFile  = "hmac.key"
	maxSlots = 100
)

// ErrNoSlot says that as many processes use a data folder as may.
var ErrNoSlot = errors.New("all " + strconv.Itoa(maxSlots) + " audit slots of the data folder are in use")

// A Slot is a process's place in a data folder.
type Slot struct {
	name string
	dir  string
	lock *os.File
	free func() error
}

// TakeSlot takes the first free slot of the data folder, making both if need be. The caller releases it, after the log in it is
// closed; a process that dies releases it too.
func TakeSlot(dataDir string) (*Slot, error) {
	root := filepath.Join(dataDir, auditDir)
	if err := ownDir(root); err != nil {
		return nil, err
	}
	for n := 1; n <= maxSlots; n++ {
		name := fmt.Sprintf("%03d", n)
		if err := ownDir(filepath.Join(root, name)); err != nil {
			return nil, err
		}
		s, err := lockSlot(root, name)
		if err != nil {
			return nil, err
		}
		if s != nil {
			return s, nil
		}
	}
	return nil, ErrNoSlot
}

// lockSlot returns the slot, or nil where another process holds it.
func lockSlot(root, name string) (*Slot, error) {
	dir := filepath.Join(root, name)
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of audit slot %s: %w", name, err)
	}
	ok, err := tryLock(f)
	if !ok {
		if err != nil {
			err = fmt.Errorf("audit slot %s: %w", name, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	return &Slot{name: name, dir: dir, lock: f, free: sync.OnceValue(f.Close)}, nil
}

// Dir is the slot's folder, the one that [Config] asks for.
func (s *Slot) Dir() string { return s.dir }

// Name is the slot's number as verifiers print it, "001".
func (s *Slot) Name() string { return s.name }

// Release gives the slot back. Releasing again does nothing.
func (s *Slot) Release() error {
	if err := s.free(); err != nil {
		return fmt.Errorf("releasing audit slot %s: %w", s.name, err)
	}
	return nil
}

// slotNames lists the slots of a data folder, in order.
func slotNames(fs FS, dataDir string) ([]string, error) {
	entries, err := fs.ReadDir(filepath.Join(dataDir, auditDir))
	if err != nil {
		return nil, fmt.Errorf("listing audit slots: %w", err)
	}
	var names []string
	for _, e := range entries { // sorted by name
		if n, err := strconv.Atoi(e.Name()); e.IsDir() && err == nil && n > 0 && fmt.Sprintf("%03d", n) == e.Name() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ownDir makes a folder that only its owner may enter.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("making the audit folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("making the audit folder: %w", err)
	}
	return restrict(dir, info)
}
