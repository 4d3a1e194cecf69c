//go:build !linux

package monitor

import "errors"

// AvailableMemory is not told on this system.
func AvailableMemory() (uint64, error) { return 0, errors.ErrUnsupported }
