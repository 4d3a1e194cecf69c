//go:build !linux && !darwin && !freebsd && !windows

package monitor

import "errors"

// FreeSpace returns how many bytes a user may still write to the disk of a folder.
func FreeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
