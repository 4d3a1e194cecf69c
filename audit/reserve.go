package audit

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// The reserve is a file of noise. On a full disk it is cut piece by piece, and what is owed is written into the room (AUD-04).
// Noise, because a file system that compresses keeps no room for zeros; by pieces, because others want the room too.
const reservePiece = 64 << 10

// fillReserve makes the reserve as large as it should be, and proves that the longest line fits on the disk besides.
// What it could add it keeps, so that a disk that is freed slowly is noticed.
func (d folder) fillReserve(size int64) (err error) {
	f, err := d.fs.OpenFile(d.path(reserveFile), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("opening the audit reserve: %w", err)
	}
	defer closing(f, &err)
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading the size of the audit reserve: %w", err)
	}
	noise := make([]byte, reservePiece)
	for at := info.Size(); at < size+maxLine; {
		fill(noise)
		n, err := f.WriteAt(noise[:min(int64(len(noise)), size+maxLine-at)], at)
		if err != nil {
			return fmt.Errorf("filling the audit reserve: %w", err)
		}
		at += int64(n)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("filling the audit reserve: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("filling the audit reserve: %w", err)
	}
	return nil
}

// reserved returns how large the reserve is.
func (d folder) reserved() (_ int64, err error) {
	f, err := d.fs.OpenFile(d.path(reserveFile), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return 0, fmt.Errorf("opening the audit reserve: %w", err)
	}
	defer closing(f, &err)
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading the size of the audit reserve: %w", err)
	}
	return info.Size(), nil
}

// spendReserve gives a piece of the reserve back to the disk; false when there is nothing left to give.
func (d folder) spendReserve() (_ bool, err error) {
	f, err := d.fs.OpenFile(d.path(reserveFile), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return false, fmt.Errorf("opening the audit reserve: %w", err)
	}
	defer closing(f, &err)
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err //nolint:wrapcheck // the caller has an error of its own already
	}
	if err := f.Truncate(max(0, info.Size()-reservePiece)); err != nil {
		return false, fmt.Errorf("spending the audit reserve: %w", err)
	}
	if err := f.Sync(); err != nil {
		return false, fmt.Errorf("spending the audit reserve: %w", err)
	}
	return true, nil
}

func fill(noise []byte) {
	for i := 0; i < len(noise); i += 8 {
		n := rand.Uint64() //nolint:gosec // noise, not a secret
		for j := range 8 {
			noise[i+j] = byte(n >> (8 * j))
		}
	}
}
