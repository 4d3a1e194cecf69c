package audit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoints and statements about keys are signed notes (C2SP signed-note): lines of text, an empty line, lines of
// signatures. A file of ours holds one after the other, each followed by an empty line.

const (
	maxNote  = 4 << 10
	sigStart = "— "
)

var (
	errNote       = errors.New("not a signed note")
	errCheckpoint = errors.New("not a checkpoint")
)

// A Checkpoint is what a log's key has signed: the log's origin, how many records it has, and the root of their tree (C2SP
// tlog-checkpoint, AUD-10).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
}

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// parseCheckpoint reads a note's text. Lines after the third are others' extensions.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return Checkpoint{}, errCheckpoint
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errCheckpoint
	}
	return Checkpoint{Origin: lines[0], Size: uint64(size), Root: tlog.Hash(root)}, nil
}

// openNote is [note.Open] for a note that is written in the one way there is: base64 leaves bits over, in which a byte could be changed
// without changing what it says.
func openNote(signed []byte, keys note.Verifiers) (*note.Note, error) {
	n, err := note.Open(signed, keys)
	if err != nil {
		return nil, err //nolint:wrapcheck // the callers do, or tell it apart
	}
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return nil, errNote
		}
	}
	return n, nil
}

// openCheckpoint reads a signed checkpoint and checks its signatures. by is the hash of the key that signed it.
func openCheckpoint(signed []byte, keys note.Verifiers) (c Checkpoint, by uint32, err error) {
	n, err := openNote(signed, keys)
	if err != nil {
		return Checkpoint{}, 0, fmt.Errorf("a checkpoint: %w", err)
	}
	if c, err = parseCheckpoint(n.Text); err != nil {
		return Checkpoint{}, 0, err
	}
	return c, n.Sigs[0].Hash, nil
}

// A noteReader reads a file of notes, in bounded memory.
type noteReader struct {
	r      *bufio.Reader
	number int   // of the note read last, from 1
	offset int64 // behind the last whole note
}

func newNoteReader(r io.Reader) *noteReader { return &noteReader{r: bufio.NewReaderSize(r, maxNote)} }

// next returns the next note as it was signed. At the end it is io.EOF; with errUnended the rest of the file is the beginning
// of a note, with errNote it is no note and nothing behind it can be read.
func (n *noteReader) next() ([]byte, error) {
	var text []byte
	for parts := 0; parts < 2; {
		line, err := n.r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && len(text) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			n.number++
			return nil, errUnended
		case errors.Is(err, bufio.ErrBufferFull) || err == nil && len(text)+len(line) > maxNote:
			n.number++
			return nil, errNote
		case err != nil:
			return nil, fmt.Errorf("reading notes: %w", err)
		}
		if text = append(text, line...); len(line) == 1 {
			parts++
		}
	}
	n.number++
	n.offset += int64(len(text))
	signed := text[:len(text)-1]
	if _, sigs, ok := bytes.Cut(signed, []byte("\n\n")); !ok || !bytes.HasPrefix(sigs, []byte(sigStart)) {
		return nil, errNote
	}
	return signed, nil
}

// lastNote returns the last whole note of a file, nil if there is none, and where it ends; what is behind that was torn. It
// reads the end of the file only.
func lastNote(f File) (signed []byte, end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("reading notes: %w", err)
	}
	tail := make([]byte, min(info.Size(), 4*maxNote))
	begin := info.Size() - int64(len(tail))
	if _, err := f.ReadAt(tail, begin); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("reading notes: %w", err)
	}
	for {
		cut := bytes.LastIndex(tail, []byte("\n\n"))
		if cut < 0 {
			return nil, 0, nil
		}
		block := tail[:cut+1]
		start := 0
		if i := bytes.LastIndex(block[:len(block)-1], []byte("\n\n")); i >= 0 {
			start = i + 2
		}
		if !bytes.HasPrefix(block[start:], []byte(sigStart)) { // the text of a note whose signatures are torn
			tail = tail[:cut+1]
			continue
		}
		text := 0
		if start > 2 {
			if i := bytes.LastIndex(block[:start-2], []byte("\n\n")); i >= 0 {
				text = i + 2
			}
		}
		return block[text:], begin + int64(cut) + 2, nil
	}
}
