package audit

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Scan calls fn for every record of every slot of a data folder, slot by slot and in their order. Records that can't be
// believed are left out, and the first of them is the error at the end. It stops with fn's error, and may run beside the processes that write.
func Scan(dataDir string, fn func(slot string, r Record) error) error {
	names, err := slotNames(OS(), dataDir)
	if err != nil {
		return err
	}
	var doubt error
	for _, name := range names {
		d := folder{fs: OS(), dir: filepath.Join(dataDir, auditDir, name)}
		segments, err := d.segments()
		if err != nil {
			return err
		}
		for i, segment := range segments {
			err := d.scanSegment(segment, i == len(segments)-1, func(r Record) error { return fn(name, r) })
			if bad(err) {
				doubt = errors.Join(doubt, fmt.Errorf("audit slot %s, %w", name, err))
			} else if err != nil {
				return err
			}
		}
	}
	return doubt
}

// scanSegment returns fn's error, or how the first line is bad that is.
func (d folder) scanSegment(segment uint64, latest bool, fn func(Record) error) error {
	lines, file, err := d.read(segment, 0, latest)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var doubt error
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) || latest && errors.Is(err, errUnended) {
			return doubt
		}
		var f frame
		var r Record
		if err == nil {
			f, err = parseFrame(line)
		}
		if err == nil {
			r, err = parseRecord(line, f)
		}
		switch {
		case err == nil:
			if err := fn(r); err != nil {
				return err
			}
		case !bad(err):
			return fmt.Errorf("reading the audit log: %w", err)
		case doubt == nil:
			doubt = fmt.Errorf("%s, line %d: %w", segmentName(segment), lines.number, err)
		}
	}
}
