//go:build unix

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// guarded reports why others than the user could put things into a folder (SC-33).
func guarded(fi fs.FileInfo) error {
	if mode := fi.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("other users can write there (mode %#o); chmod 700 keeps them out", mode)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner cannot be told")
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d and this is user %d", st.Uid, os.Geteuid())
	}
	return nil
}

// exposed reports whether others than the owner can get at a file or folder.
func exposed(fi fs.FileInfo) bool {
	return fi.Mode().Type()&fs.ModeSymlink == 0 && fi.Mode().Perm()&0o077 != 0
}
