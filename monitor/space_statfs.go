//go:build linux || darwin || freebsd

package monitor

import "golang.org/x/sys/unix"

// FreeSpace returns how many bytes a user may still write to the disk of a folder.
func FreeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return uint64(max(st.Bavail, 0)) * uint64(st.Bsize), nil //nolint:unconvert // the field is signed on some systems
}
