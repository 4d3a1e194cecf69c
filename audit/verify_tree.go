package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A treeVerifier makes a log's tree again, record by record, and holds it against the hashes that are kept, the checkpoints
// that were signed and the roots that ended segments.
type treeVerifier struct {
	folder
	tree    tree
	unknown bool // the tree can't be made any further
	differs bool // a root was wrong: those behind it will be, too

	stored File          // nil: there is none
	ahead  *bufio.Reader // of stored, at the next hash to compare; nil: nothing is compared any more
	limit  uint64        // records whose hashes were durable

	notes   *noteReader
	file    File
	keys    *trust
	pending *Checkpoint // the next checkpoint, nil at the end
	number  int         // of the note read last
	sizes   map[uint64]bool
	last    uint64 // size of the last checkpoint
	anchor  *Checkpoint
	torn    int // the number of a checkpoint that is cut off; 0: none is

	origins map[string]bool
	signers map[uint32]bool // named by start records
	stated  []stated        // of checkpoints
	base    uint64          // records that were removed
	pruned  uint64          // as far as the log says so
}

// A stated is an origin and a key that checkpoints have, and the first that has them: the start records must name both.
type stated struct {
	origin string
	by     uint32
	number int
}

func (s stated) same(o stated) bool { return s.origin == o.origin && s.by == o.by }

const maxStated = 1000

// find reports a problem of a checkpoint or of the tree, at the line at hand.
func (v *verifier) treeProblem(p Problem, format string, args ...any) {
	v.find(p, false, fmt.Sprintf(format, args...))
}

// openTree opens what is needed for a log of segments from first on.
func (v *verifier) openTree(first uint64) (err error) {
	t := &v.t
	t.folder, t.sizes = v.folder, map[uint64]bool{}
	t.origins, t.signers = map[string]bool{}, map[uint32]bool{}
	t.limit = v.head.mark
	if v.headErr != nil {
		t.limit = 1 << 62
	}
	for name, file := range map[string]*File{treeFile: &t.stored, checkpointFile: &t.file} {
		if *file, err = v.fs.OpenFile(v.path(name), os.O_RDONLY, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the tree: %w", err)
		}
	}
	if t.file != nil {
		t.notes = newNoteReader(t.file)
	}
	if first > 1 {
		v.openPruned(first - 1)
	}
	if t.stored != nil && !t.unknown {
		from := treeBytes(t.tree.size)
		t.ahead = bufio.NewReaderSize(io.NewSectionReader(t.stored, from, 1<<62-from), 64<<10)
	}
	v.nextCheckpoint()
	v.compareCheckpoint()
	return nil
}

func (t *treeVerifier) close() {
	_ = joinClose(nil, t.stored, t.file) // they were only read
}

// openPruned begins with the tree of records that are not there any more.
func (v *verifier) openPruned(base uint64) {
	t := &v.t
	t.base = base
	if t.stored == nil {
		t.unknown = true
		return
	}
	r := bufio.NewReaderSize(io.NewSectionReader(t.stored, 0, treeBytes(int64(base))), 64<<10)
	for uint64(t.tree.size) < base && !t.unknown {
		t.unknown = !t.readLeaf(r)
	}
}

// readLeaf takes a leaf that is kept, and compares the hashes that come of it; false where they are others.
func (t *treeVerifier) readLeaf(r io.Reader) bool {
	var kept tlog.Hash
	if _, err := io.ReadFull(r, kept[:]); err != nil {
		return false
	}
	list := t.tree.add(kept)
	for _, hash := range list[1:] {
		if _, err := io.ReadFull(r, kept[:]); err != nil || kept != hash {
			return false
		}
	}
	return true
}

// nextCheckpoint reads the next checkpoint.
func (v *verifier) nextCheckpoint() {
	t := &v.t
	for t.pending = nil; t.notes != nil; {
		signed, err := t.notes.next()
		t.number = t.notes.number
		switch {
		case errors.Is(err, io.EOF):
			t.notes = nil
			return
		case errors.Is(err, errUnended):
			t.torn, t.notes = t.notes.number, nil
			return
		case err != nil:
			t.notes = nil
			v.noteProblem("it is " + err.Error())
			return
		}
		if t.pending = v.checkpoint(signed); t.pending != nil {
			return
		}
	}
}

// noteProblem reports a problem of the checkpoint read last.
func (v *verifier) noteProblem(text string) { v.noteProblemAt(v.t.number, false, text) }

func (v *verifier) noteProblemAt(number int, warning bool, text string) {
	v.wrong = v.wrong || !warning
	v.report(Finding{Slot: v.slot.Name, Segment: checkpointFile, Line: number, Problem: ProblemCheckpoint, Warning: warning, Text: text})
}

// checkpoint checks a signed checkpoint by itself; nil where it can't be believed.
func (v *verifier) checkpoint(signed []byte) *Checkpoint {
	t := &v.t
	c, by, err := openCheckpoint(signed, t.keys)
	if err != nil {
		v.noteProblem(signatureFault(err))
		return nil
	}
	if s := (stated{c.Origin, by, t.number}); !slices.ContainsFunc(t.stated, s.same) && len(t.stated) < maxStated {
		t.stated = append(t.stated, s)
	}
	v.slot.Checkpoints++
	if c.Size <= t.last && t.last > 0 {
		v.noteProblem(fmt.Sprintf("it is of %d records, but the one before it of %d", c.Size, t.last))
	}
	t.last, t.sizes[c.Size] = c.Size, true
	v.slot.Signed, v.slot.Root, v.slot.Origin = c.Size, c.Root.String(), c.Origin
	return &c
}

// signatureFault words why a signed note isn't believed.
func signatureFault(err error) string {
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return "it is signed with a key that is not trusted"
	}
	if _, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return "its signature is not the signature of its text"
	}
	return "it is not a signed checkpoint"
}

// grow adds a record's leaf to the tree: that of the line, or where it isn't good or isn't there, the one that is kept.
func (v *verifier) grow(seq uint64, line []byte, good bool) {
	t := &v.t
	for !t.unknown && uint64(t.tree.size)+1 < seq {
		v.growOne(nil, false)
	}
	if !t.unknown && uint64(t.tree.size)+1 == seq {
		v.growOne(line, good)
	}
}

func (v *verifier) growOne(line []byte, good bool) {
	t := &v.t
	leaf := tlog.RecordHash(line)
	seq := uint64(t.tree.size) + 1
	kept, ok := t.next(seq)
	switch {
	case !good && !ok:
		t.unknown = true
		return
	case !good:
		leaf = kept
	case ok && kept != leaf:
		v.treeProblem(ProblemTree, "the tree has another record here: the line or the tree was changed")
		leaf = kept
	}
	list := t.tree.add(leaf)
	for _, hash := range list[1:] {
		if kept, ok := t.next(seq); ok && kept != hash {
			v.treeProblem(ProblemTree, "the tree is not the tree of the records up to here: its file was changed")
			t.ahead = nil
			break
		}
	}
	v.compareCheckpoint()
	v.compareAnchor()
}

// next reads the next hash that is kept, one of record seq's.
func (t *treeVerifier) next(seq uint64) (hash tlog.Hash, ok bool) {
	if t.ahead == nil || seq > t.limit {
		return hash, false
	}
	if _, err := io.ReadFull(t.ahead, hash[:]); err != nil {
		t.ahead = nil
		return hash, false
	}
	return hash, true
}

// compareCheckpoint compares the tree with the checkpoints of its size, and goes on to the next.
func (v *verifier) compareCheckpoint() {
	t := &v.t
	for t.pending != nil && t.pending.Size <= uint64(t.tree.size) {
		c := *t.pending
		if c.Size == uint64(t.tree.size) && !t.unknown && !v.isRoot(c.Root) {
			v.noteProblem(fmt.Sprintf("its root is not that of the %d records that it signs", c.Size))
		}
		v.nextCheckpoint()
	}
}

// isRoot reports whether a hash is the tree's root. After one that wasn't, all count as right.
func (v *verifier) isRoot(hash tlog.Hash) bool {
	t := &v.t
	if t.differs {
		return true
	}
	root, err := t.tree.root()
	t.differs = err != nil || root != hash
	return !t.differs
}

// compareAnchor compares the tree with the checkpoint that the verifier brought along.
func (v *verifier) compareAnchor() {
	t := &v.t
	if t.anchor == nil || t.anchor.Size != uint64(t.tree.size) || t.unknown {
		return
	}
	if root, err := t.tree.root(); err != nil || root != t.anchor.Root {
		v.treeProblem(ProblemAnchor, "the records up to here are not the ones that the given checkpoint signs")
	}
	t.anchor = nil
}

// heed notes what a record says about the tree.
func (v *verifier) heed(r *Record) {
	t := &v.t
	switch {
	case r.Kind == Start:
		if origin := r.Detail["origin"]; origin != "" {
			t.origins[origin] = true
		}
		if k, err := note.NewVerifier(r.Detail["signer"]); err == nil {
			t.signers[k.KeyHash()] = true
		}
	case r.Name == LogSealed:
		v.heedRoot(r)
	case r.Name == LogPruned:
		if n, err := strconv.ParseUint(r.Detail["records_before"], 10, 64); err == nil {
			t.pruned = max(t.pruned, n)
		}
	}
}

// heedRoot compares a root that ended a segment; its own leaf isn't in the tree yet.
func (v *verifier) heedRoot(r *Record) {
	t := &v.t
	root, err := tlog.ParseHash(r.Detail["root"])
	if err != nil || r.Detail["tree_size"] != strconv.FormatUint(r.Seq-1, 10) {
		v.treeProblem(ProblemTree, "it names no root of the records before it")
		return
	}
	if !t.unknown && uint64(t.tree.size) == r.Seq-1 && !v.isRoot(root) {
		v.treeProblem(ProblemTree, "its root is not that of the records before it")
	}
}

// treeEnd reports what is missing when all records have been read. cleanly: the last one is a stop.
func (v *verifier) treeEnd(last uint64, cleanly bool) {
	t := &v.t
	if t.pending != nil && !v.slot.Live {
		v.noteProblem(fmt.Sprintf("it signs %d records, but there are %d", t.pending.Size, last))
	}
	for t.pending != nil {
		v.nextBeyond()
	}
	if t.anchor != nil && t.anchor.Size > last {
		v.treeProblem(ProblemAnchor, "the given checkpoint signs %d records, but there are %d", t.anchor.Size, last)
	}
	if t.base > 0 && t.pruned < t.base {
		v.treeProblem(ProblemSegment, "the records before %d are missing", t.base+1)
	}
	if t.base > 0 && (t.unknown || !t.sizes[t.base]) && t.pruned >= t.base {
		v.treeProblem(ProblemCheckpoint, "no checkpoint and no tree hold the %d records that were removed", t.base)
	}
	for _, s := range t.stated {
		switch {
		case len(t.origins) > 0 && !t.origins[s.origin]:
			v.noteProblemAt(s.number, false, "it is of another log, "+strconv.Quote(s.origin))
		case len(t.signers) > 0 && !t.signers[s.by]:
			v.noteProblemAt(s.number, false, "it is signed with a key that no start record names")
		}
	}
	v.headMark(cleanly)
	// All is there, and signed: nothing was being written.
	complete := cleanly && !v.slot.Live && v.headErr == nil && v.head.mark == last
	if t.torn > 0 && !v.slot.Live {
		v.noteProblemAt(t.torn, !complete, "it is cut off")
	}
	v.treeLength(complete)
}

// nextBeyond passes checkpoints that are beyond the log's end.
func (v *verifier) nextBeyond() {
	t := &v.t
	t.pending = nil
	for t.notes != nil && t.pending == nil {
		signed, err := t.notes.next()
		t.number = t.notes.number
		if err != nil {
			t.notes = nil
			return
		}
		t.pending = v.checkpoint(signed)
	}
}

// headMark compares the checkpoints with what the head says of them.
func (v *verifier) headMark(cleanly bool) {
	t := &v.t
	mark := v.head.mark
	switch {
	case v.headErr != nil:
	case mark > 0 && !t.sizes[mark]:
		v.noteProblemAt(0, false, fmt.Sprintf("the checkpoint of %d records that the head names is missing", mark))
	case cleanly && !v.slot.Live && mark != t.last:
		v.treeProblem(ProblemHead, "the head names the checkpoint of %d records, but the last is of %d", mark, t.last)
	}
}

// treeLength reports hashes that are missing, or too many in a log that is complete.
func (v *verifier) treeLength(complete bool) {
	t := &v.t
	if v.headErr != nil || v.head.mark == 0 {
		return
	}
	var size int64
	if t.stored != nil {
		if info, err := t.stored.Stat(); err == nil {
			size = info.Size()
		}
	}
	if want := treeBytes(int64(v.head.mark)); size < want || complete && size > want {
		v.treeProblem(ProblemTree, "the file of the tree has %d bytes, but that of %d records has %d", size, v.head.mark, want)
	}
}

// anchorOf reads the checkpoint that a verifier brings along.
func anchorOf(signed []byte, keys *trust) (*Checkpoint, error) {
	if signed == nil {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	signed = append(bytes.TrimRight(signed, "\n"), '\n')
	c, _, err := openCheckpoint(signed, keys)
	if err != nil {
		return nil, fmt.Errorf("the given checkpoint: %s", signatureFault(err))
	}
	return &c, nil
}

// anchorBefore compares a given checkpoint with the part of the tree whose records were removed.
func (v *verifier) anchorBefore() {
	t := &v.t
	if t.anchor == nil || t.anchor.Size > t.base || t.unknown || t.anchor.Size == 0 {
		return
	}
	proof, err := tlog.ProveTree(int64(t.base), int64(t.anchor.Size), hashes{t.stored})
	if err == nil {
		var root tlog.Hash
		if root, err = t.tree.root(); err == nil {
			err = tlog.CheckTree(proof, int64(t.base), root, int64(t.anchor.Size), t.anchor.Root)
		}
	}
	if err != nil {
		v.treeProblem(ProblemAnchor, "the records that were removed are not the ones that the given checkpoint signs")
	}
	t.anchor = nil
}
