package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// A place is where a line begins.
type place struct {
	segment uint64 // its first record; 0 is no place
	offset  int64
}

// A position is the end of a log: its last record and the place behind it.
type position struct {
	seq  uint64 // 0 before the first record
	hash digest
	place
}

// A head says where the log ends, in a small file beside it. Without it a log whose last lines are cut off looks whole.
// Whoever can cut the log can write the head too; what stops them is a checkpoint kept elsewhere, not a file here.
// It is overwritten in place after each commit and made durable now and then, so after a loss of power it may lag behind
// the log, never run ahead of it.
type head struct {
	end   position
	start place  // of the last start record: what is open was opened after it
	mark  uint64 // size of the last checkpoint; 0: there is none
}

// headJSON is the file, padded with spaces to headSize.
type headJSON struct {
	Seq          uint64 `json:"seq"`
	Hash         string `json:"hash"`
	Segment      uint64 `json:"segment"`
	Offset       int64  `json:"offset"`
	StartSegment uint64 `json:"start_segment"`
	StartOffset  int64  `json:"start_offset"`
	Checkpoint   uint64 `json:"checkpoint"`
}

const headSize = 320

var (
	errNoHead  = errors.New("the head is missing")
	errBadHead = errors.New("the head is not readable")
)

// append appends the file's content.
func (h head) append(dst []byte) []byte {
	start := len(dst)
	dst = strconv.AppendUint(append(dst, `{"seq":`...), h.end.seq, 10)
	dst = hex.AppendEncode(append(dst, `,"hash":"`...), h.end.hash[:])
	dst = strconv.AppendUint(append(dst, `","segment":`...), h.end.segment, 10)
	dst = strconv.AppendInt(append(dst, `,"offset":`...), h.end.offset, 10)
	dst = strconv.AppendUint(append(dst, `,"start_segment":`...), h.start.segment, 10)
	dst = strconv.AppendInt(append(dst, `,"start_offset":`...), h.start.offset, 10)
	if h.mark > 0 {
		dst = strconv.AppendUint(append(dst, `,"checkpoint":`...), h.mark, 10)
	}
	dst = append(dst, '}')
	for len(dst)-start < headSize-1 {
		dst = append(dst, ' ')
	}
	return append(dst, '\n')
}

func parseHead(b []byte) (head, error) {
	var j headJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return head{}, errBadHead
	}
	h := head{
		end:   position{seq: j.Seq, place: place{j.Segment, j.Offset}},
		start: place{j.StartSegment, j.StartOffset},
		mark:  j.Checkpoint,
	}
	n, err := hex.Decode(h.end.hash[:], []byte(j.Hash))
	if err != nil || n != len(h.end.hash) || !bytes.Equal(h.append(nil), b) || j.Offset < 0 || j.StartOffset < 0 {
		return head{}, errBadHead
	}
	return h, nil
}

// readHead returns the head, or errNoHead, errBadHead, or why it could not be read.
func (d folder) readHead() (_ head, err error) {
	f, err := d.fs.OpenFile(d.path(headFile), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return head{}, errNoHead
	}
	if err != nil {
		return head{}, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	defer closing(f, &err)
	b, err := io.ReadAll(io.LimitReader(f, headSize+1))
	if err != nil {
		return head{}, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	return parseHead(b)
}

// openHead opens the head for writing.
func (d folder) openHead() (File, error) {
	f, err := d.fs.OpenFile(d.path(headFile), os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("opening the head of the audit log: %w", err)
	}
	return f, nil
}

// makeHead makes the head of a log before its first record: from then on a missing head means that somebody took it.
func (d folder) makeHead(end position) (err error) {
	f, err := d.openHead()
	if err != nil {
		return err
	}
	defer closing(f, &err)
	if _, err := f.WriteAt(head{end: end}.append(nil), 0); err != nil {
		return fmt.Errorf("writing the head of the audit log: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing the head of the audit log: %w", err)
	}
	return nil
}
