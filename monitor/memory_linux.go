package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// AvailableMemory returns how many bytes programs can still have without swapping.
func AvailableMemory() (_ uint64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("available memory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib uint64
		if n, _ := fmt.Sscanf(lines.Text(), "MemAvailable: %d kB", &kib); n == 1 { // all other lines are none
			return kib << 10, nil
		}
	}
	return 0, errors.ErrUnsupported
}
