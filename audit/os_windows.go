//go:build windows

package audit

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes the exclusive lock of f, or returns false where somebody holds it. The lock goes with the handle, so also
// with a process that is killed. It covers a byte far behind the content, since locked bytes cannot be read by others.
func tryLock(f *os.File) (bool, error) {
	at := windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	default:
		return false, fmt.Errorf("locking: %w", err)
	}
}

// syncDir does nothing: Windows has no way to, and needs none.
func syncDir(string) error { return nil }

func systemNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// restrict and private: modes are for Unix only; a user's profile is closed to others by itself.
func restrict(string, os.FileInfo) error { return nil }

func private(os.FileInfo) bool { return true }
