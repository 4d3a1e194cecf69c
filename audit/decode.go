package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	prevName = `,"prev":"`
	hashName = `,"hash":"`
	hexSize  = 2 * sha256.Size
	hashTail = len(hashName) + hexSize + len(`"}`)
	prevTail = len(prevName) + hexSize + len(`"`)
)

// Why a line is none of ours, in the words of a verifier.
var (
	errFrame     = errors.New("not a line of an audit log")
	errLong      = errors.New("longer than any line of an audit log")
	errUnended   = errors.New("cut off in the middle of a line")
	errHash      = errors.New("its hash is not the hash of its content")
	errCanonical = errors.New("not written as an audit log writes its records")
)

// A frame is what chains a line to its neighbours.
type frame struct {
	seq        uint64
	kind       Kind
	prev, hash digest
}

// parseFrame reads the frame of a line without its newline. An error means that the line isn't what was written, whatever
// its neighbours say; with errHash the frame is what the line claims.
func parseFrame(line []byte) (frame, error) {
	n := len(line)
	if n < hashTail+prevTail {
		return frame{}, errFrame
	}
	var f frame
	var ok bool
	if f.seq, f.kind, ok = parseStart(line); !ok {
		return frame{}, errFrame
	}
	hashed := line[:n-hashTail]
	if !parseDigest(&f.hash, line[n-hashTail:], hashName, `"}`) ||
		!parseDigest(&f.prev, hashed[len(hashed)-prevTail:], prevName, `"`) {
		return frame{}, errFrame
	}
	h := sha256.New()
	h.Write(hashed)
	h.Write([]byte{'}'})
	var sum digest
	if h.Sum(sum[:0]); sum != f.hash {
		return f, errHash
	}
	return f, nil
}

func parseStart(line []byte) (uint64, Kind, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	if !ok {
		return 0, "", false
	}
	number, rest, ok := bytes.Cut(rest, []byte(`,"ts":"`))
	if !ok || len(number) == 0 || number[0] < '1' || number[0] > '9' {
		return 0, "", false
	}
	seq, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0, "", false
	}
	_, rest, ok = bytes.Cut(rest, []byte(`","kind":"`))
	if !ok {
		return 0, "", false
	}
	kind, _, ok := bytes.Cut(rest, []byte(`"`))
	return seq, Kind(kind), ok
}

func parseDigest(into *digest, s []byte, before, after string) bool {
	s, ok := bytes.CutPrefix(s, []byte(before))
	if !ok || len(s) != hexSize+len(after) || string(s[hexSize:]) != after {
		return false
	}
	_, err := hex.Decode(into[:], s[:hexSize])
	return err == nil
}

// parseRecord reads a whole line whose frame is good. The line must be the one way to write what it says.
func parseRecord(line []byte, f frame) (Record, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	d.UseNumber()
	var r Record
	if err := d.Decode(&r); err != nil {
		return Record{}, errCanonical
	}
	var room [40]byte
	again, _ := appendLine(make([]byte, 0, len(line)+1), r.Seq, appendTime(room[:0], r.Time), appendBody(nil, &r), f.prev)
	if !bytes.Equal(again[:len(again)-1], line) {
		return Record{}, errCanonical
	}
	return r, nil
}

// A lineReader reads a segment line by line, in bounded memory.
type lineReader struct {
	r      *bufio.Reader
	offset int64 // of the line to come
	number int   // of the line read last, from 1
	firm   int64 // before it there is no room: a zero byte is one like others
	ended  bool  // the last line was an unended one, or room came
	room   bool  // room came
}

func newLineReader(r io.Reader, offset int64) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, maxLine), offset: offset, firm: whole}
}

// reset has l read from r, as if it were new.
func (l *lineReader) reset(r io.Reader, offset int64) {
	l.r.Reset(r)
	l.offset, l.number, l.firm, l.ended, l.room = offset, 0, whole, false, false
}

// next returns the next line without its newline, valid until the next call. An overlong or unended line is an error, and
// next goes on behind the overlong one. At the end it is io.EOF; behind an unended line too, though a writer may have ended it
// meanwhile, for what it wrote then is the rest of a line and none itself. Room is the end, too: what a reader sees behind zeros was
// written while it read, or is what a crash left of a group.
func (l *lineReader) next() ([]byte, error) {
	if l.ended {
		return nil, io.EOF
	}
	line, err := l.r.ReadSlice('\n')
	size := len(line)
	if i := bytes.IndexByte(line, 0); i >= 0 && l.offset+int64(i) >= l.firm {
		l.ended, l.room = true, true
		if i == 0 {
			return nil, io.EOF
		}
		l.number++
		l.offset += int64(i)
		return nil, errUnended
	}
	if err == nil || size > 0 {
		l.number++
	}
	l.offset += int64(size)
	switch {
	case err == nil:
		return line[:size-1], nil
	case errors.Is(err, io.EOF) && size > 0:
		l.ended = true
		return nil, errUnended
	case !errors.Is(err, bufio.ErrBufferFull):
		return nil, err //nolint:wrapcheck // io.EOF, or the reader's own
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.r.ReadSlice('\n')
		l.offset += int64(len(line))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading on: %w", err)
	}
	return nil, errLong
}

// bad reports that err is about the line and not about the reading.
func bad(err error) bool {
	return errors.Is(err, errFrame) || errors.Is(err, errLong) || errors.Is(err, errUnended) ||
		errors.Is(err, errHash) || errors.Is(err, errCanonical)
}
