//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes the exclusive lock of f, or returns false where somebody holds it. The lock goes with the descriptor, so
// also with a process that is killed.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("locking: %w", err)
		}
	}
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err //nolint:wrapcheck // stands for the system's
	}
	err = d.Sync()
	// Some file systems know no fsync of a folder; they say so, and there is nothing else to do there.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

func systemNoSpace(err error) bool { return errors.Is(err, unix.EDQUOT) }

// restrict makes a folder of ours its owner's alone.
func restrict(dir string, info os.FileInfo) error {
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return fmt.Errorf("closing the audit folder to others: %w", err)
	}
	return nil
}

// private reports whether a file is its owner's alone.
func private(info os.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }
