package images

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// StripJPEG is [Strip] for JPEG: baseline and progressive, 8 bits. It passes the segments that the decoder needs, JFIF's
// density without its thumbnail and Adobe's colour transform; comments and all other application segments go (EXIF with its
// place and thumbnail, XMP, profiles), so does what follows the end. Its memory does not depend on the picture.
func StripJPEG(dst io.Writer, src io.Reader, o StripOptions) (Info, error) {
	j := &jpegFilter{filter: newFilter(dst, src, JPEG, o), buf: make([]byte, bufferFor(src))}
	if err := j.run(); err != nil {
		return Info{}, err
	}
	return j.finish()
}

// Markers of JPEG.
const (
	jpegSOI  = 0xD8
	jpegEOI  = 0xD9
	jpegSOS  = 0xDA
	jpegDQT  = 0xDB
	jpegDRI  = 0xDD
	jpegDHT  = 0xC4
	jpegSOF0 = 0xC0 // baseline; 1 and 2 follow: extended and progressive
	jpegSOF2 = 0xC2
	jpegRST0 = 0xD0
	jpegRST7 = 0xD7
	jpegAPP0 = 0xE0
	jpegAPP1 = 0xE1
	jpegAPPe = 0xEE // APP14
	jpegAPPf = 0xEF
	jpegCOM  = 0xFE
)

type jpegFilter struct {
	*filter
	buf    []byte // grows to the longest segment, at most 64 KiB
	marked bool
	scans  int64
	next   byte // marker that ended a scan, 0 = none
}

func (j *jpegFilter) run() error {
	if err := j.fill(j.buf[:2]); err != nil {
		return err
	}
	if j.buf[0] != 0xFF || j.buf[1] != jpegSOI {
		return j.fault("it does not begin like one")
	}
	j.write(j.buf[:2])
	for j.err == nil {
		m, err := j.marker()
		if err != nil {
			return err
		}
		if m != jpegAPP0 {
			j.mark() // JFIF wants to be first
		}
		if m == jpegEOI {
			if j.scans == 0 {
				return j.fault("it has no pixels")
			}
			j.write([]byte{0xFF, jpegEOI})
			return nil
		}
		if err := j.segment(m); err != nil {
			return err
		}
	}
	return nil // finish tells
}

// marker reads up to the next marker. Like every decoder it passes over stray bytes between segments; they are dropped.
func (j *jpegFilter) marker() (byte, error) {
	if m := j.next; m != 0 {
		j.next = 0
		return m, nil
	}
	var last byte
	for {
		b, err := j.in.ReadByte()
		if err != nil {
			return 0, readError(JPEG, err)
		}
		if last == 0xFF && b != 0xFF && b != 0 {
			return b, nil
		}
		last = b
	}
}

// segment reads the segment of marker m and passes it, with the scan that follows, or drops it.
func (j *jpegFilter) segment(m byte) error {
	if !jpegSegment(m) {
		return j.fault("marker %#x is not of a kind that is accepted", m)
	}
	if err := j.fill(j.buf[:2]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(j.buf)) - 2
	if n < 0 {
		return j.fault("the segment of marker %#x has no length", m)
	}
	if n > len(j.buf) {
		j.buf = make([]byte, n)
	}
	d := j.buf[:n]
	if err := j.fill(d); err != nil {
		return err
	}
	switch {
	case m >= jpegSOF0 && m <= jpegSOF2:
		if err := j.frame(d); err != nil {
			return err
		}
	case m == jpegSOS:
		return j.scan(d)
	case m >= jpegAPP0:
		return j.application(m, d)
	}
	j.put(m, d)
	return nil
}

// jpegSegment reports whether a segment of marker m may be in a JPEG.
func jpegSegment(m byte) bool {
	return m >= jpegSOF0 && m <= jpegSOF2 || m == jpegDHT || m == jpegDQT || m == jpegDRI || m == jpegSOS ||
		m >= jpegAPP0 && m <= jpegAPPf || m == jpegCOM
}

// put writes a segment of at most 65,533 bytes.
func (j *jpegFilter) put(m byte, d []byte) {
	n := len(d) + 2
	j.write([]byte{0xFF, m, byte(n >> 8), byte(n)})
	j.write(d)
}

func (j *jpegFilter) frame(d []byte) error {
	if j.info.Width != 0 || len(d) < 6 || len(d) != 6+3*int(d[5]) {
		return j.fault("its frame header does not fit")
	}
	if d[0] != 8 || (d[5] != 1 && d[5] != 3 && d[5] != 4) {
		return j.fault("it has %d bits and %d components; 8, and 1, 3 or 4, are accepted", d[0], d[5])
	}
	return j.size(int64(binary.BigEndian.Uint16(d[3:])), int64(binary.BigEndian.Uint16(d[1:])))
}

// application keeps of the application segments and comments what the pixels need, or all if the options say so.
func (j *jpegFilter) application(m byte, d []byte) error {
	if body, ok := bytes.CutPrefix(d, []byte("Exif\x00\x00")); ok && m == jpegAPP1 && j.info.Orientation == 0 {
		j.info.Orientation = orientation(body)
	}
	switch {
	case j.Keep:
		if err := j.keep(int64(len(d))); err != nil {
			return err
		}
		j.put(m, d)
	case m == jpegAPP0 && len(d) >= 14 && bytes.HasPrefix(d, []byte("JFIF\x00")) && !j.marked && j.scans == 0:
		d[12], d[13] = 0, 0 // no thumbnail
		j.put(m, d[:14])
	case m == jpegAPPe && len(d) == 12 && bytes.HasPrefix(d, []byte("Adobe")):
		j.put(m, d)
	}
	return nil
}

// mark writes our own mark, once.
func (j *jpegFilter) mark() {
	if j.Mark != nil && !j.marked {
		j.put(jpegAPP1, append([]byte(jpegXMP), j.Mark.packet()...))
	}
	j.marked = true
}

// scan passes a scan's header and its entropy-coded bytes up to the marker that ends them.
func (j *jpegFilter) scan(d []byte) error {
	if j.info.Width == 0 {
		return j.fault("its pixels come before its frame header")
	}
	if j.scans++; j.scans > maxScans {
		return &BoundsError{What: "scans", Got: j.scans, Max: maxScans}
	}
	j.put(jpegSOS, d)
	for j.err == nil {
		run, err := j.in.ReadSlice(0xFF)
		if n := len(run); err == nil {
			run = run[:n-1]
		}
		j.write(run)
		switch {
		case err == nil:
			if end, err := j.escape(); end || err != nil {
				return err
			}
		case !errors.Is(err, bufio.ErrBufferFull):
			return readError(JPEG, err)
		}
	}
	return nil // finish tells
}

// escape passes what follows an FF among entropy-coded bytes: a stuffed zero or a restart marker. Any other marker ends the scan.
func (j *jpegFilter) escape() (end bool, err error) {
	b := byte(0xFF)
	for b == 0xFF { // fill bytes
		if b, err = j.in.ReadByte(); err != nil {
			return false, readError(JPEG, err)
		}
	}
	if b == 0 || (b >= jpegRST0 && b <= jpegRST7) {
		j.write([]byte{0xFF, b})
		return false, nil
	}
	j.next = b
	return true, nil
}
