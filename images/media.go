package images

import (
	"errors"
	"fmt"
	"io"
)

// more reports whether anything is left to read.
func (f *filter) more() (bool, error) {
	_, err := f.in.Peek(1)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading file: %w", err)
	}
	return true, nil
}

// pass copies n bytes; a negative n copies to the end.
func (f *filter) pass(n int64) error { return f.each(n, f.write) }

// drop reads n bytes and writes none.
func (f *filter) drop(n int64) error { return f.each(n, func([]byte) {}) }

// blank reads n bytes and writes as many zeros.
func (f *filter) blank(n int64) error {
	return f.each(n, func(b []byte) {
		clear(b)
		f.write(b)
	})
}

// zeros writes n zeros.
func (f *filter) zeros(n int64) {
	b := make([]byte, min(n, inBuffer))
	for ; n > 0 && f.err == nil; n -= int64(len(b)) {
		b = b[:min(n, int64(len(b)))]
		f.write(b)
	}
}

// each hands the next n bytes to do, piece by piece; with a negative n all that are left.
func (f *filter) each(n int64, do func([]byte)) error {
	buf := make([]byte, min(inBuffer, uint64(n))) // a negative n is a large one
	for n != 0 && f.err == nil {
		piece := buf
		if n > 0 {
			piece = buf[:min(n, int64(len(buf)))]
		}
		got, err := f.in.Read(piece)
		do(piece[:got])
		if n > 0 {
			n -= int64(got)
		}
		if n < 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && n != 0 {
			return readError(f.info.Format, err)
		}
	}
	return nil
}
