package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// A follower reads a log's lines in order, from a place on. At the end it can be asked again later.
type follower struct {
	folder
	at  place  // of the next line; the zero place is before the first segment
	seq uint64 // of the line before
}

// next calls fn for lines up to a sequence number, at most so many, each valid during the call. Lines that are none, and those that come again, are passed over; what is missing shows in seq.
func (f *follower) next(most int, until uint64, fn func(seq uint64, line []byte) error) error {
	segments, err := f.segments()
	if err != nil {
		return err
	}
	i, there := slices.BinarySearch(segments, f.at.segment)
	if !there { // it was removed, or this is the beginning
		f.at = place{}
	}
	if f.at.segment == 0 && f.seq > 0 {
		if i, there = slices.BinarySearch(segments, f.seq+1); !there && i > 0 {
			i--
		}
	}
	for n := 0; i < len(segments) && n < most && f.seq < until; i++ {
		if f.at.segment != segments[i] {
			f.at = place{segment: segments[i]}
		}
		m, err := f.segment(i == len(segments)-1, most-n, until, fn)
		if n += m; err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) segment(latest bool, most int, until uint64, fn func(seq uint64, line []byte) error) (n int, err error) {
	lines, file, err := f.read(f.at.segment, f.at.offset, latest)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closing(file, &err)
	for n < most && f.seq < until {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errUnended):
			return n, nil
		case err != nil && !bad(err):
			return n, fmt.Errorf("reading the audit log: %w", err)
		}
		seq, _, ok := parseStart(line)
		if err == nil && ok && seq > until {
			return n, nil
		}
		if err == nil && ok && seq > f.seq {
			before := f.seq
			f.seq = seq
			if err := fn(seq, line); err != nil {
				f.seq = before
				return n, err
			}
			n++
		}
		f.at.offset = lines.offset
	}
	return n, nil
}

// record reads a line as the record it is; false where it isn't one that can be believed.
func record(line []byte) (Record, bool) {
	f, err := parseFrame(line)
	if err != nil {
		return Record{}, false
	}
	r, err := parseRecord(line, f)
	return r, err == nil
}
